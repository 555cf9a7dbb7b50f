//! `check_migration`: where a guest can move, and what is in its way.

use pve_api::calls;
use schemars::JsonSchema;

use super::preflight::LocalDisk;
use super::survey::{How, Survey, Target, is_ha_managed};
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Guest, GuestType, NodeState, Pve, Vmid, check_node_name, find_node, nodes};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run};

/// Where a guest can move.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckMigration {
    vmid: Vmid,
    /// Only this node. Default: all.
    target_node: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct MigrationCheck {
    pub(super) vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) kind: GuestType,
    pub(super) node: String,
    pub(super) running: bool,
    pub(super) how: How,
    /// What the guest and its users notice.
    pub(super) interruption: String,
    pub(super) ha_managed: bool,
    pub(super) targets: Vec<Target>,
    /// Obstacles to a move to any node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) blockers: Vec<String>,
    /// Disks that would be copied over the network.
    pub(super) local_disks: Vec<LocalDisk>,
    pub(super) local_resources: Vec<String>,
    pub(super) mapped_resources: Vec<String>,
    /// HA resources that would move along.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) moves_along: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl Run for CheckMigration {
    type Output = MigrationCheck;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::MIGRATION_TARGETS),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::nodes::LIST),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[("target", "target_node")];

    fn run(self, pve: &Pve) -> Result<Reply<MigrationCheck>> {
        check_node_name("target_node", self.target_node.as_deref())?;
        let nodes = nodes(pve)?;
        if let Some(target) = self.target_node.as_deref().filter(|_| !nodes.is_empty()) {
            find_node(&nodes, target)?;
        }
        let (guest, survey) = Guest::with(pve, self.vmid, |guest| Survey::make(pve, guest))?;
        if let Some(target) = self
            .target_node
            .as_deref()
            .filter(|target| *target != guest.node)
        {
            find_node(&nodes, target)?;
        }
        let check = survey.check(&guest, &nodes, self.target_node.as_deref());
        let text = check.text();
        Ok(Reply::Done(check, text))
    }
}

impl MigrationCheck {
    fn text(&self) -> String {
        let able: Vec<&str> = self
            .targets
            .iter()
            .filter(|target| target.allowed)
            .map(|target| target.node.as_str())
            .collect();
        let how = match self.how {
            How::Live => "live",
            How::Offline => "offline",
            How::Restart => "by restart",
        };
        let kind = self.kind.as_str();
        if able.is_empty() {
            format!(
                "{kind} guest {} on {} cannot move to any node now",
                self.vmid, self.node
            )
        } else {
            format!(
                "{kind} guest {} on {} can move {how} to {}",
                self.vmid,
                self.node,
                able.join(", ")
            )
        }
    }
}

impl Survey {
    pub(super) fn check(
        self,
        guest: &Guest,
        nodes: &[NodeState],
        only: Option<&str>,
    ) -> MigrationCheck {
        let how = self.how(guest.kind);
        let blockers = self.blockers(guest);
        let mut targets = self.targets(guest, nodes, only);
        if !blockers.is_empty() {
            for target in &mut targets {
                target.allowed = false;
                let reason = "the blockers rule out every node";
                target.reasons.push(reason.into());
            }
        }
        let ha_managed = is_ha_managed(guest);
        let mut notes = Vec::new();
        if targets.is_empty() {
            notes.push("there is no other node in this cluster".to_owned());
        } else if ha_managed {
            notes.push(
                "it is managed by HA: the HA manager moves it some time after the request".into(),
            );
        }
        notes.extend(self.warnings);
        let hint = (!notes.is_empty()).then(|| notes.join("; "));
        MigrationCheck {
            vmid: guest.vmid,
            name: guest.name.clone(),
            kind: guest.kind,
            node: guest.node.clone(),
            running: self.running,
            how,
            interruption: interruption(how).into(),
            ha_managed,
            targets,
            blockers,
            local_disks: self.local_disks,
            local_resources: self.local_resources,
            mapped_resources: self.mapped_resources,
            moves_along: self.moves_along,
            hint,
        }
    }

    /// The wanted node, or all others, and whether the guest can move there.
    fn targets(&self, guest: &Guest, nodes: &[NodeState], only: Option<&str>) -> Vec<Target> {
        match only {
            Some(target) => vec![self.judge(guest, nodes, target, None)],
            None => nodes
                .iter()
                .filter(|node| node.node != guest.node)
                .map(|node| self.judge(guest, nodes, &node.node, None))
                .collect(),
        }
    }
}

/// What the guest and its users notice.
fn interruption(how: How) -> &'static str {
    match how {
        How::Live => {
            "almost none: the VM keeps running, with a pause of usually less than a second"
        }
        How::Offline => "none: it is not running",
        How::Restart => {
            "the container is shut down, moved and started again: it is unavailable meanwhile"
        }
    }
}
