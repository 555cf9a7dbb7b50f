//! The order of the crates and of their modules, as `xtask/layers.toml` has it.

mod rules;
mod source;

use std::path::Path;

use rules::{Rules, check};

#[test]
fn all_arrows_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let faults = check(root, &Rules::read(root).unwrap()).unwrap();
    assert!(
        faults.is_empty(),
        "not as xtask/layers.toml has it:\n{}",
        faults.join("\n")
    );
}
