//! Backup jobs, and which guests each covers.

use std::collections::BTreeSet;

use pve_api::calls;
use pve_api::grammar::list;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::json::DeserializeFields;
use crate::order::Ordered as _;
use crate::pve::{At, Failure, Flag, Guest, Num, Params, Pve, Text, Vmid, contents_in};
use crate::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Selection {
    All,
    Pool,
    Vmids,
}

#[derive(Debug, Clone, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RawJob {
    pub(super) id: Text,
    pub(super) enabled: Option<Flag>,
    pub(super) schedule: Option<Text>,
    /// Also of a disabled job.
    pub(super) next_run: Option<Num<u64>>,
    pub(super) storage: Option<Text>,
    pub(super) mode: Option<String>,
    pub(super) node: Option<String>,
    #[serde(default)]
    pub(super) all: Flag,
    pub(super) vmid: Option<VmidList>,
    #[serde(default)]
    pub(super) exclude: VmidList,
    pub(super) pool: Option<String>,
    pub(super) prune_backups: Option<Value>,
    #[serde(default)]
    pub(super) repeat_missed: Flag,
    pub(super) comment: Option<String>,
    /// Before PVE 7: a time and days of the week.
    pub(super) starttime: Option<Text>,
    pub(super) dow: Option<Text>,
}

/// The vmids in a list; one alone may come as a number.
#[derive(Debug, Clone, Default)]
pub(super) struct VmidList(pub(super) BTreeSet<Vmid>);

impl<'de> Deserialize<'de> for VmidList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        Ok(Self(list(&text.0).filter_map(Vmid::parse).ordered()))
    }
}

impl VmidList {
    pub(super) fn has(&self, guest: &Guest) -> bool {
        self.0.contains(&guest.vmid)
    }

    pub(super) fn shown(&self) -> Vec<Vmid> {
        self.0.iter().copied().take(MOST_VMIDS).collect()
    }
}

/// A storage as it is configured.
#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Configured {
    pub(super) storage: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) content: String,
    #[serde(default)]
    pub(super) disable: Flag,
    pub(super) nodes: Option<Text>,
    pub(super) prune_backups: Option<Value>,
}

/// How many vmids of a job are shown.
const MOST_VMIDS: usize = 100;

/// All jobs.
pub(super) fn jobs(pve: &Pve) -> Result<Vec<RawJob>, Failure> {
    pve.send(&calls::cluster::BACKUP_JOBS.at([]), &Params::new())
}

/// All storages as they are configured.
pub(super) fn configured(pve: &Pve) -> Result<Vec<Configured>, Failure> {
    pve.send(&calls::storage::CONFIGURED.at([]), &Params::new())
}

/// `{"keep-daily": "7"}`, or the same as a text.
pub(super) fn retention(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Object(fields) if !fields.is_empty() => {
            let parts: Vec<String> = fields
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => format!("{key}={text}"),
                    other => format!("{key}={other}"),
                })
                .collect();
            Some(parts.join(","))
        }
        _ => None,
    }
}

/// Whether a retention deletes nothing, by what it says; none may be another's.
pub(super) fn is_kept(value: Option<&Value>) -> bool {
    retention(value).is_none_or(|kept| kept.contains("keep-all=1"))
}

pub(super) fn vmids<'a>(vmids: impl IntoIterator<Item = &'a Vmid>) -> String {
    let all: Vec<String> = vmids.into_iter().map(ToString::to_string).collect();
    text::names(all.iter().map(String::as_str))
}

impl Configured {
    /// Whether backups can be on it, as far as is known.
    pub(super) fn holds_backups(&self) -> bool {
        self.content.is_empty() || contents_in(&self.content).contains(&"backup")
    }

    /// Whether it is on a node: one without a list of nodes is on all.
    pub(super) fn is_on(&self, node: &str) -> bool {
        match &self.nodes {
            Some(only) if !only.0.is_empty() => list(&only.0).any(|one| one == node),
            _ => true,
        }
    }
}

impl RawJob {
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.is_none_or(|flag| flag.0)
    }

    /// Proxmox looks at the pool first, then at the vmids, then at `all`.
    pub(super) fn selection(&self) -> Selection {
        match (&self.pool, &self.vmid) {
            (Some(_), _) => Selection::Pool,
            (None, Some(_)) => Selection::Vmids,
            (None, None) => Selection::All,
        }
    }

    /// Whether it selects a guest, on whatever node.
    pub(super) fn selects(&self, guest: &Guest) -> bool {
        match self.selection() {
            Selection::Pool => guest.pool == self.pool,
            Selection::Vmids => self.vmid.as_ref().is_some_and(|vmids| vmids.has(guest)),
            Selection::All => self.all.0 && !self.exclude.has(guest),
        }
    }

    /// Whether it backs a guest up where the guest is now.
    pub(super) fn covers(&self, guest: &Guest) -> bool {
        self.selects(guest) && self.node.as_ref().is_none_or(|node| *node == guest.node)
    }
}
