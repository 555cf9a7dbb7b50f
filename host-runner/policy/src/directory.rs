//! The guests of the cluster, as far as a policy has to know them.

use std::collections::BTreeMap;

/// What is known of the guests, from the cluster itself.
pub type Directory = BTreeMap<u32, Resident>;

/// A guest in the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resident {
    /// What its owner calls it: any text, up to [`MAX_NAME_CHARS`](Self::MAX_NAME_CHARS).
    pub name: Option<String>,
    /// Where it is.
    pub node: String,
    /// The pool that it is in.
    pub pool: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// High availability looks after it, and so is asked to stop it.
    pub is_under_ha: bool,
}
