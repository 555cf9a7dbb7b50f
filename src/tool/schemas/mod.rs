//! The schemas of the tools, generated from their types: see `derived`.

#[rustfmt::skip]
mod all;

use super::schema::Schemas;
#[cfg(test)]
use super::schema::{Fields, Kind, Schema};

/// The schemas of a tool. Without them, the crate compiles for its tests only,
/// one of which generates them.
#[cfg_attr(
    not(test),
    expect(clippy::panic, reason = "evaluated when the crate is compiled")
)]
pub(super) const fn of(tool: &str) -> &'static Schemas {
    let mut rest = all::ALL;
    while let [(name, schemas), others @ ..] = rest {
        if equal(name.as_bytes(), tool.as_bytes()) {
            return schemas;
        }
        rest = others;
    }
    #[cfg(test)]
    return MISSING;
    #[cfg(not(test))]
    panic!("a tool has no generated schemas: run `cargo xtask docs`");
}

const fn equal(mut one: &[u8], mut other: &[u8]) -> bool {
    loop {
        match (one, other) {
            ([], []) => return true,
            ([a, rest @ ..], [b, others @ ..]) if *a == *b => (one, other) = (rest, others),
            _ => return false,
        }
    }
}

#[cfg(test)]
const MISSING: &Schemas = &Schemas {
    input: Schema::new(Kind::Object(&Fields {
        known: &[],
        required: &[],
        others: None,
    })),
    published_input: "{}",
    output: "{}",
};
