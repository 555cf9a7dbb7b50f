//! `list_snapshots`: a guest's snapshots as a tree.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::snapshot::{Snapshot, Snapshots};
use crate::error::Result;
use crate::order;
use crate::pve::{Guest, GuestType, Pve, Vmid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run};
use crate::{clock, text};

/// The snapshots of a guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSnapshots {
    vmid: Vmid,
    /// Default 50: the newest.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SnapshotTree {
    vmid: Vmid,
    kind: GuestType,
    node: String,
    /// Each after its parent.
    pub(super) snapshots: Vec<SnapshotNode>,
    /// How many there are, also where not all are shown.
    total: usize,
    /// The snapshot that the guest's current state is based on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct SnapshotNode {
    pub(super) snapshot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// 0 for one without a parent.
    pub(super) depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// Whether it contains the RAM of a running VM.
    pub(super) with_ram: bool,
    /// What Proxmox was doing with it when it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) incomplete: Option<String>,
}

impl Run for ListSnapshots {
    type Output = SnapshotTree;

    const CALLS: &'static [Calls] = &[Calls::All(LOOK_UP), Calls::Guest(&calls::snapshots::LIST)];

    fn run(self, pve: &Pve) -> Result<Reply<SnapshotTree>> {
        let (guest, snapshots) =
            Guest::with(pve, self.vmid, |guest| Ok(Snapshots::read(pve, guest)?))?;
        let limit = self.limit.unwrap_or(50) as usize;
        let tree = SnapshotTree::new(&guest, &snapshots, limit, clock::now());
        let text = tree.text(&guest);
        Ok(Reply::Done(tree, text))
    }
}

impl SnapshotTree {
    pub(super) fn new(guest: &Guest, snapshots: &Snapshots, limit: usize, now: u64) -> Self {
        let total = snapshots.all.len();
        let mut times: Vec<u64> = snapshots.all.iter().map(Snapshot::time).collect();
        order::by(&mut times, |a, b| b.cmp(a));
        let oldest = times.get(limit.saturating_sub(1)).copied().unwrap_or(0);
        let mut shown: Vec<SnapshotNode> = snapshots
            .in_order()
            .into_iter()
            .filter(|(_, one)| one.time() >= oldest)
            .map(|(depth, one)| SnapshotNode {
                snapshot: one.name.clone(),
                parent: one.parent.clone(),
                depth,
                created_at: one.snaptime.map(|time| text::time(time.0)),
                age_seconds: one.snaptime.map(|time| now.saturating_sub(time.0)),
                description: one
                    .description
                    .as_deref()
                    .map(str::trim)
                    .filter(|text| !text.is_empty())
                    .map(|text| text::cut(text, 200)),
                with_ram: one.has_ram(),
                incomplete: one.snapstate.clone(),
            })
            .collect();
        // Several of the same second.
        shown.truncate(limit);
        let hint = (shown.len() < total).then(|| {
            format!(
                "the newest {} of {total} are shown: raise limit to see more",
                shown.len()
            )
        });
        Self {
            vmid: guest.vmid,
            kind: guest.kind,
            node: guest.node.clone(),
            snapshots: shown,
            total,
            current: snapshots.current.clone(),
            hint,
        }
    }

    pub(super) fn text(&self, guest: &Guest) -> String {
        let mut text = format!("{}: {}", guest.label(), text::count(self.total, "snapshot"));
        for one in &self.snapshots {
            text.push_str(&format!("\n{}{}", "  ".repeat(one.depth), one.snapshot));
            if let Some(time) = &one.created_at {
                text.push_str(&format!(" ({time})"));
            }
            if one.with_ram {
                text.push_str(" with RAM");
            }
            if self.current.as_ref() == Some(&one.snapshot) {
                text.push_str(" <- the current state is based on this");
            }
        }
        text
    }
}
