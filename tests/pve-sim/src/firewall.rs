//! Firewall settings of the cluster, a node or a guest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::state::sha1_hex;

pub(crate) type Rule = BTreeMap<String, String>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Firewall {
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) rules: Vec<Rule>,
    /// Address and comment by name.
    pub(crate) aliases: BTreeMap<String, (String, String)>,
    pub(crate) ipsets: BTreeMap<String, IpSet>,
    /// Security groups; the cluster alone has them.
    pub(crate) groups: BTreeMap<String, Group>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct IpSet {
    pub(crate) comment: String,
    /// Network, whether it is excluded, comment.
    pub(crate) entries: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub(crate) comment: String,
    pub(crate) rules: Vec<Rule>,
}

impl Firewall {
    /// The digest of the file that holds all this; an empty one has that of no text.
    pub(crate) fn digest(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.options {
            let _ = writeln!(text, "{key}: {value}");
        }
        for (name, (cidr, comment)) in &self.aliases {
            let _ = writeln!(text, "{name} {cidr} # {comment}");
        }
        for (name, set) in &self.ipsets {
            let _ = writeln!(text, "[IPSET {name}] {set:?}");
        }
        for (name, group) in &self.groups {
            let _ = writeln!(text, "[group {name}] {group:?}");
        }
        for rule in &self.rules {
            let _ = writeln!(text, "{rule:?}");
        }
        sha1_hex(&text)
    }
}
