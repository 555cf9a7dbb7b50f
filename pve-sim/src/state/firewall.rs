//! Firewall settings of the cluster, a node or a guest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::digest::sha1_hex;

pub(crate) type Rule = BTreeMap<String, String>;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Firewall {
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) rules: Vec<Rule>,
    /// Address and comment by name.
    pub(crate) aliases: BTreeMap<String, (String, String)>,
    pub(crate) ipsets: BTreeMap<String, IpSet>,
    /// Security groups; the cluster alone has them.
    pub(crate) groups: BTreeMap<String, Group>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IpSet {
    pub(crate) comment: String,
    /// Network, whether it is excluded, comment.
    pub(crate) entries: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) comment: String,
    pub(crate) rules: Vec<Rule>,
}

/// The digest of a list of rules; none have that of no text.
pub(crate) fn rules_digest(rules: &[Rule]) -> String {
    let mut text = String::new();
    for rule in rules {
        for (key, value) in rule {
            let _ = writeln!(text, "{key}:{value}");
        }
        let _ = writeln!(text);
    }
    sha1_hex(&text)
}

/// The digest of options; none have that of no text.
pub(crate) fn options_digest(options: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in options {
        let _ = writeln!(text, "{key}:{value}");
    }
    sha1_hex(&text)
}

/// The digest of anything that can be shown.
pub(crate) fn digest_of(what: &impl std::fmt::Debug) -> String {
    sha1_hex(&format!("{what:?}"))
}
