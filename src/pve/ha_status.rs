//! High availability: its state, `/cluster/ha/status/current`, and its rules,
//! `/cluster/ha/rules`.

use pve_api::calls;
use pve_api::grammar::list;

use super::client::Pve;
use super::failure::Failure;
use super::num::{Flag, Num, Text};
use super::params::Params;
use super::request::At;

use crate::json::DeserializeFields;

/// An entry of the state: quorum, the master (CRM), fencing, a node's part (LRM),
/// or a service. One struct for all, as for [`super::ClusterEntry`].
#[derive(Debug, Default, DeserializeFields)]
#[serde(default)]
pub(crate) struct HaEntry {
    /// `quorum`, `master`, `fencing`, `lrm` or `service`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// `service:vm:100`, `lrm:pve1`.
    id: Option<String>,
    sid: Option<String>,
    pub(crate) node: Option<String>,
    /// In words: `pve1 (active, Thu Nov 26 14:01:45 2026)`.
    pub(crate) status: Option<Text>,
    /// Of a service, as the next four.
    pub(crate) state: Option<String>,
    pub(crate) request_state: Option<String>,
    pub(crate) max_restart: Option<Num<u64>>,
    pub(crate) max_relocate: Option<Num<u64>>,
    pub(crate) failback: Option<Flag>,
    pub(crate) comment: Option<String>,
    /// Of fencing: `armed`, `standby`, `disarmed`.
    #[serde(rename = "armed-state")]
    pub(crate) armed_state: Option<String>,
    /// Of the quorum.
    pub(crate) quorate: Option<Flag>,
}

impl HaEntry {
    /// The service that it is about, such as `vm:100`; from its id if that is
    /// all there is.
    pub(crate) fn service(&self) -> Option<&str> {
        let filled = |sid: &&str| !sid.is_empty();
        let by_id = || self.id.as_deref()?.strip_prefix("service:").filter(filled);
        self.sid.as_deref().filter(filled).or_else(by_id)
    }

    /// Its status in words, or nothing.
    pub(crate) fn said(&self) -> &str {
        self.status.as_ref().map_or("", |status| &status.0)
    }

    /// The name of its node, or nothing.
    pub(crate) fn on_node(&self) -> &str {
        self.node.as_deref().unwrap_or_default()
    }

    /// Whether a status in words says that the clock of a node is ahead of the others:
    /// then HA cannot tell whether the node is alive.
    pub(crate) fn has_drifted(said: &str) -> bool {
        said.contains("time drift")
    }

    /// Whether a status in words is that of a manager that does not work. Managers
    /// record the time every few seconds; Proxmox calls one dead that has not
    /// done so for 30 s.
    pub(crate) fn is_lost(said: &str) -> bool {
        ["dead?", "unable to read", "lost_", "wait_for_quorum"]
            .iter()
            .any(|word| said.contains(word))
    }
}

/// A rule: on which nodes the HA manager may run resources, or which of them
/// together.
#[derive(Debug, DeserializeFields)]
pub(crate) struct HaRule {
    pub(crate) rule: String,
    /// `node-affinity` or `resource-affinity`.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    resources: Text,
    #[serde(default)]
    nodes: Text,
    pub(crate) strict: Option<Flag>,
    /// `positive`: together on a node; `negative`: apart.
    pub(crate) affinity: Option<String>,
    disable: Option<Flag>,
    pub(crate) comment: Option<String>,
    /// By the part of the rule that is wrong.
    pub(crate) errors: Option<serde_json::Value>,
}

/// All rules that the token sees.
pub(crate) fn ha_rules(pve: &Pve) -> Result<Vec<HaRule>, Failure> {
    pve.send(&calls::cluster::HA_RULES.at([]), &Params::new())
}

impl HaRule {
    pub(crate) fn is_enabled(&self) -> bool {
        !self.disable.is_some_and(|flag| flag.0)
    }

    /// The services that it is about: `vm:100`.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &str> {
        list(&self.resources.0)
    }

    /// Nodes, with a priority each: `pve1:2`.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &str> {
        list(&self.nodes.0)
    }
}
