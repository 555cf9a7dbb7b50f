//! Tags and pools by which guests are selected.

use std::collections::BTreeSet;

use pve_api::calls;

use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order::Ordered as _;
use crate::pve::{At, Guest, Params, Pve};
use crate::text;

/// Refuses a tag that no guest has. For one that some have, returns a note on tags that
/// differ in case only.
pub(crate) fn check_tag(tag: &str, all: &[Guest]) -> Result<Option<String>> {
    let tags: BTreeSet<String> = all.iter().flat_map(Guest::tags).ordered();
    let twins: Vec<&str> = tags
        .iter()
        .map(String::as_str)
        .filter(|one| *one != tag && one.to_lowercase() == tag.to_lowercase())
        .collect();
    if tags.contains(tag) {
        return Ok((!twins.is_empty()).then(|| {
            format!(
                "case matters: other guests have the tag {}",
                twins.join(", ")
            )
        }));
    }
    Err(no_such("tag", tag, "a guest", &tags))
}

/// Whether a pool is another one or within it: `lab/team-a` is within `lab`,
/// `labor` is not.
fn within(outer: &str, pool: &str) -> bool {
    pool.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a guest is in a pool or in one within it.
pub(crate) fn is_in_pool(guest: &Guest, pool: &str) -> bool {
    guest.pool.as_ref().is_some_and(|own| within(pool, own))
}

/// Refuses a pool that does not exist. For one that does, returns a note on the pools
/// within it.
pub(crate) fn check_pool(pve: &Pve, pool: &str, all: &[Guest]) -> Result<Option<String>> {
    let mut pools: BTreeSet<String> = all.iter().filter_map(|guest| guest.pool.clone()).ordered();
    if !pools.iter().any(|one| within(pool, one)) {
        #[derive(DeserializeFields)]
        struct Pool {
            poolid: String,
        }
        // A pool may be without guests. Where the list cannot be had, those
        // that guests are in are all that is known.
        let more: Vec<Pool> = pve
            .send(&calls::access::POOLS.at([]), &Params::new())
            .unwrap_or_default();
        pools.extend(more.into_iter().map(|pool| pool.poolid));
        if pools.iter().any(|one| within(pool, one)) {
            return Ok(None);
        }
        return Err(no_such("pool", pool, "the token", &pools));
    }
    let inner: Vec<&str> = pools
        .iter()
        .map(String::as_str)
        .filter(|one| *one != pool && within(pool, one))
        .collect();
    Ok((!inner.is_empty()).then(|| {
        format!(
            "guests of the pools within {pool} are included: {}",
            text::cut(&inner.join(", "), NAMES_LENGTH)
        )
    }))
}

/// How many names a message lists.
const NAMES_LENGTH: usize = 400;

/// The error of a filter whose name does not exist, with the existing names, the
/// nearest first.
fn no_such(what: &str, name: &str, who: &str, known: &BTreeSet<String>) -> Error {
    let shown = text::quoted(name);
    if known.is_empty() {
        return Error::NotFound(format!(
            "there is no {what} {shown} that {who} has or can see"
        ));
    }
    let meant = text::meant(name, known.iter().map(String::as_str));
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    Error::NotFound(format!(
        "there is no {what} {shown}{meant}; there are: {}",
        text::cut(&names.join(", "), NAMES_LENGTH)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_holds_those_within_it_alone() {
        assert!(within("lab", "lab") && within("lab", "lab/team-a/x"));
        assert!(!within("lab", "labor") && !within("lab/team-a", "lab"));
    }

    #[test]
    fn a_filter_that_names_nothing_names_the_nearest() {
        let known = ["lab", "prod"].map(str::to_owned).into();
        for (name, says) in [
            ("Prod", "prod is probably meant (case matters)"),
            ("prdo", "prod is probably meant;"),
            ("zzzzzz", "\"zzzzzz\"; there are: lab, prod"),
        ] {
            let message = no_such("pool", name, "the token", &known).message();
            assert!(message.contains(says), "{message}");
        }
    }
}
