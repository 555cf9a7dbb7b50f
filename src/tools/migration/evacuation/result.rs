//! What `evacuate_node` returns.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::survey::How;
use super::plan::{Load, Plan};
use crate::json::SerializeFields;
use crate::pve::{Guest, Vmid};
use crate::text;

/// Where each guest goes, or what has become of its move.
#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct Evacuation {
    pub(crate) status: Progress,
    pub(crate) guests: Vec<GuestMove>,
    pub(crate) moved: usize,
    pub(crate) failed: usize,
    /// Guests that cannot move as things are, or that this call leaves where they
    /// are.
    pub(crate) stays: usize,
    /// What is planned for each target; of a plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) targets: Vec<Target>,
    /// Arguments with which this tool moves the guests back: one call for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) way_back: Vec<WayBack>,
    /// Nodes that no guest goes to, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) excluded_nodes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_visible: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_step: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Nothing was changed.
    Plan,
    /// Migrations are under way, and others wait for them.
    Running,
    /// Every guest has moved.
    Done,
    /// Some guests have not moved.
    Incomplete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It would move.
    Planned,
    /// It moves as soon as another migration has ended.
    Waiting,
    Moving,
    Moved,
    Failed,
    Stays,
}

#[derive(Debug, Clone, SerializeFields, JsonSchema)]
pub(crate) struct GuestMove {
    pub(crate) vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) state: State,
    /// The node that it comes from.
    pub(crate) node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) how: Option<How>,
    /// What it needs there; of a guest that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    /// What is copied over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) local_disk_bytes: Option<u64>,
    /// Why it stays or has failed, and what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// Whether it may stay where it is: the run is complete without it.
    #[serde(skip)]
    pub(super) settled: bool,
    /// The `target_storage` with which its disks come back.
    #[serde(skip)]
    pub(super) back: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct Target {
    node: String,
    guests: usize,
    /// Now, the reserve included.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_free_bytes: Option<u64>,
    /// After the moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_left_bytes: Option<u64>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct WayBack {
    vmids: Vec<Vmid>,
    target_nodes: Vec<String>,
    /// Where one of them is moved by restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_container_restart: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_storage: Option<String>,
}

impl GuestMove {
    pub(crate) fn new(vmid: Vmid, node: &str, state: State) -> Self {
        Self {
            vmid,
            name: None,
            state,
            node: node.to_owned(),
            target_node: None,
            how: None,
            memory_bytes: None,
            local_disk_bytes: None,
            reasons: Vec::new(),
            warnings: Vec::new(),
            settled: false,
            back: None,
        }
    }

    /// A guest that stays, and why.
    pub(crate) fn stays(guest: &Guest, reason: String) -> Self {
        Self {
            name: guest.name.clone(),
            reasons: vec![reason],
            ..Self::new(guest.vmid, &guest.node, State::Stays)
        }
    }

    /// The same for one that the run is complete without.
    pub(crate) fn may_stay(guest: &Guest, reason: String) -> Self {
        Self {
            settled: true,
            ..Self::stays(guest, reason)
        }
    }
}

impl Plan {
    /// What would be done.
    pub(crate) fn shown(&self) -> Vec<GuestMove> {
        let moves = self.moves.iter().map(|(mover, target)| GuestMove {
            target_node: Some(target.clone()),
            back: mover.back.clone(),
            ..mover.shown(State::Planned)
        });
        let stays = self.stays.iter().map(|(mover, reasons)| GuestMove {
            reasons: reasons.clone(),
            warnings: Vec::new(),
            ..mover.shown(State::Stays)
        });
        moves.chain(stays).collect()
    }
}

impl super::facts::Mover {
    fn shown(&self, state: State) -> GuestMove {
        let mut warnings = self.survey.warnings.clone();
        if !self.survey.moves_along.is_empty() {
            warnings.push(format!(
                "HA moves these along with it: {}",
                self.survey.moves_along.join(", ")
            ));
        }
        GuestMove {
            name: self.guest.name.clone(),
            how: Some(self.how),
            memory_bytes: Some(self.memory).filter(|bytes| *bytes > 0),
            local_disk_bytes: Some(self.copied_bytes()).filter(|bytes| *bytes > 0),
            warnings: warnings.iter().map(|one| text::cut(one, 300)).collect(),
            ..GuestMove::new(self.guest.vmid, &self.guest.node, state)
        }
    }
}

impl From<&Load> for Target {
    fn from(load: &Load) -> Self {
        Self {
            node: load.node.name.clone(),
            guests: load.guests,
            memory_free_bytes: load.node.memory_free,
            memory_left_bytes: load.left(),
        }
    }
}

impl Evacuation {
    /// What has become of each guest, counted.
    pub(crate) fn new(status: Progress, guests: Vec<GuestMove>) -> Self {
        let count = |state| guests.iter().filter(|one| one.state == state).count();
        #[derive(Default)]
        struct Group {
            vmids: Vec<Vmid>,
            restarts: bool,
        }
        // By the node and the storages that they go back to.
        let mut way_back: BTreeMap<(&str, Option<&str>), Group> = BTreeMap::new();
        for guest in &guests {
            if matches!(
                guest.state,
                State::Moved | State::Moving | State::Waiting | State::Planned
            ) {
                let group = way_back
                    .entry((&guest.node, guest.back.as_deref()))
                    .or_default();
                group.vmids.push(guest.vmid);
                group.restarts |= guest.how == Some(How::Restart);
            }
        }
        Self {
            status,
            moved: count(State::Moved),
            failed: count(State::Failed),
            stays: count(State::Stays),
            targets: Vec::new(),
            way_back: way_back
                .into_iter()
                .map(|((node, storage), group)| WayBack {
                    vmids: group.vmids,
                    target_nodes: vec![node.to_owned()],
                    accept_container_restart: group.restarts.then_some(true),
                    target_storage: storage.map(str::to_owned),
                })
                .collect(),
            excluded_nodes: Vec::new(),
            not_visible: Vec::new(),
            next_step: None,
            guests,
        }
    }

    pub(crate) fn text(&self) -> String {
        let count = |state| self.guests.iter().filter(|one| one.state == state).count();
        let parts: Vec<String> = [
            (State::Planned, "would move"),
            (State::Moved, "moved"),
            (State::Moving, "moving"),
            (State::Waiting, "waiting"),
            (State::Failed, "failed"),
            (State::Stays, "left where they are"),
        ]
        .into_iter()
        .filter(|(state, _)| count(*state) > 0)
        .map(|(state, words)| format!("{} {words}", count(state)))
        .collect();
        let status = match self.status {
            Progress::Plan => "plan",
            Progress::Running => "running",
            Progress::Done => "done",
            Progress::Incomplete => "incomplete",
        };
        if parts.is_empty() {
            return match self.not_visible.as_slice() {
                [] => format!("{status}: no guest is there"),
                notes => format!("{status}: no guest is visible there; {}", notes.join("; ")),
            };
        }
        let mut text = format!("{status}: guests {}", parts.join(", "));
        let to: Vec<String> = self
            .targets
            .iter()
            .filter(|target| target.guests > 0)
            .map(|target| format!("{} to {}", target.guests, target.node))
            .collect();
        if !to.is_empty() {
            text.push_str(&format!(" ({})", to.join(", ")));
        }
        text
    }
}
