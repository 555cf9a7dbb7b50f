//! A guest's snapshots as Proxmox lists them.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::order;
use crate::pve::{Failure, Flag, Format, Guest, Num, Params, Pve};
use crate::tool::report::Change;
use crate::{text, tool_names};

/// Checks a name that may exist: Proxmox has to accept it in a path.
pub(super) fn check_name(name: &str) -> Result<()> {
    Format::ConfigId.check("snapshot", name)
}

/// A guest's snapshots as Proxmox lists them.
#[derive(Debug)]
pub(in crate::tools) struct Snapshots {
    pub(in crate::tools) all: Vec<Snapshot>,
    /// The snapshot that the current state is based on.
    pub(super) current: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(in crate::tools) struct Snapshot {
    pub(in crate::tools) name: String,
    #[serde(default)]
    pub(super) parent: Option<String>,
    #[serde(default)]
    pub(in crate::tools) snaptime: Option<Num<u64>>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    vmstate: Option<Flag>,
    #[serde(default, deserialize_with = "filled")]
    pub(super) snapstate: Option<String>,
}

/// An empty state counts as absent.
fn filled<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

impl Snapshots {
    pub(in crate::tools) fn read(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let raw: Vec<Snapshot> =
            pve.send(&guest.request(&calls::snapshots::LIST), &Params::new())?;
        Ok(Self::new(raw))
    }

    /// Proxmox lists the current state among the snapshots, as `current`.
    pub(super) fn new(raw: Vec<Snapshot>) -> Self {
        let (now, all): (Vec<_>, Vec<_>) =
            raw.into_iter().partition(|entry| entry.name == "current");
        Self {
            all,
            current: now.into_iter().find_map(|now| now.parent),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Snapshot> {
        self.all.iter().find(|snapshot| snapshot.name == name)
    }

    pub(super) fn find(&self, guest: &Guest, name: &str) -> Result<&Snapshot> {
        self.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|one| one.name.as_str()).collect();
            let label = guest.label();
            if names.is_empty() {
                return Error::NotFound(format!(
                    "{label} has no snapshot {name}: it has no snapshots; {} takes one",
                    tool_names::CREATE_SNAPSHOT
                ));
            }
            let near = text::nearest(name, names.iter().copied())
                .map_or_else(String::new, |near| format!(", perhaps {near} is meant"));
            Error::NotFound(format!(
                "{label} has no snapshot {name}{near}; it has {}",
                text::cut(&names.join(", "), 400)
            ))
        })
    }

    /// Each snapshot after its parent, with its depth. Where parents are
    /// missing or go in circles, each snapshot is still listed once.
    pub(super) fn in_order(&self) -> Vec<(usize, &Snapshot)> {
        let mut sorted: Vec<&Snapshot> = self.all.iter().collect();
        order::by_key(&mut sorted, |one| (one.time(), one.name.as_str()));
        let mut children: BTreeMap<Option<&str>, Vec<&Snapshot>> = BTreeMap::new();
        for one in &sorted {
            let parent = one
                .parent
                .as_deref()
                .filter(|name| self.get(name).is_some());
            children.entry(parent).or_default().push(one);
        }
        let mut order = Vec::with_capacity(sorted.len());
        let mut seen = BTreeSet::new();
        let roots = children.get(&None).cloned().unwrap_or_default();
        for root in roots.into_iter().chain(sorted) {
            let mut stack = vec![(0, root)];
            while let Some((depth, one)) = stack.pop() {
                if !seen.insert(one.name.as_str()) {
                    continue;
                }
                order.push((depth, one));
                let below = children.get(&Some(one.name.as_str())).into_iter().flatten();
                stack.extend(below.rev().map(|child| (depth + 1, *child)));
            }
        }
        order
    }

    /// How the tree changes if this snapshot is removed.
    pub(super) fn orphans(&self, gone: &Snapshot) -> Vec<Change> {
        let parent_of = |what: String| Change {
            what,
            from: Some(gone.name.clone()),
            to: gone.parent.clone(),
            waits_for_reboot: false,
        };
        let mut changes: Vec<Change> = self
            .all
            .iter()
            .filter(|one| one.parent.as_deref() == Some(gone.name.as_str()))
            .map(|child| parent_of(format!("parent of snapshot {}", child.name)))
            .collect();
        if self.current.as_deref() == Some(gone.name.as_str()) {
            changes.push(parent_of("parent of the current state".into()));
        }
        changes
    }
}

impl Snapshot {
    pub(super) fn time(&self) -> u64 {
        self.snaptime.map_or(0, |time| time.0)
    }

    pub(super) fn has_ram(&self) -> bool {
        self.vmstate.is_some_and(|flag| flag.0)
    }

    /// " of 2023-11-14T22:15:00Z".
    pub(super) fn when(&self) -> String {
        self.snaptime
            .map_or_else(String::new, |time| format!(" of {}", text::time(time.0)))
    }

    pub(super) fn is_taken(&self, guest: &Guest) -> Error {
        Error::Conflict(format!(
            "{} already has a snapshot {}{}: choose another name, or remove that one with {} first",
            guest.label(),
            self.name,
            self.when(),
            tool_names::DELETE_SNAPSHOT
        ))
    }
}
