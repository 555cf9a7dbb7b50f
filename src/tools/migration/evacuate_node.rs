//! `evacuate_node`: moves the guests of a node to others, and back.
//!
//! A plan is the default: a call moves many guests at once, and what stays
//! behind, and why, should be known before the first one moves.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;
use schemars::JsonSchema;

use super::evacuation::facts::{Ha, Mover, Node, SourceNode, unread};
use super::evacuation::plan::{Cluster, Limits, Plan};
use super::evacuation::result::{Evacuation, GuestMove, Progress, State};
use super::evacuation::run::{Order, Run as Rolling};
use super::storage_map::StorageMap;
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order::Ordered as _;
use crate::pve::{
    Guest, Listed, NodeState, Pve, StorageResource, Vmid, check_node_name, find_node, guests,
    nodes, storage_resources,
};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::ticket::Pending;
use crate::tool::{Finished, Outcome, Reply, Run};
use crate::{text, tool_names};

/// Guests that are to leave their node.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvacuateNode {
    /// Node to empty. Not needed with vmids.
    #[schemars(length(min = 1))]
    node: Option<String>,
    /// Only these guests.
    vmids: Option<Vec<Vmid>>,
    /// Default: all other online nodes.
    target_nodes: Option<Vec<String>>,
    /// False: move them. Default true: only show where each would go.
    plan: Option<bool>,
    /// True: running containers too, by shutdown and start.
    accept_container_restart: Option<bool>,
    /// As of `migrate_guest`.
    with_local_disks: Option<bool>,
    /// As of `migrate_guest`.
    target_storage: Option<String>,
    /// Migrations at a time. Default 2.
    #[schemars(range(min = 1, max = 5))]
    parallel: Option<u32>,
    /// Of each target, kept free. Default 10.
    #[schemars(range(min = 0, max = 80))]
    memory_reserve_percent: Option<u32>,
}

/// How many migrations at a time by default: each fills a link.
const PARALLEL: u32 = 2;

const RESERVE_PERCENT: u32 = 10;

/// How many guests one call looks at: each takes three requests.
const MOST_GUESTS: usize = 200;

impl Run for EvacuateNode {
    type Output = Evacuation;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::MIGRATE_TO),
        Calls::Guest(&calls::guests::MIGRATION_TARGETS),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::cluster::HA_RULES),
        Calls::One(&calls::cluster::HA_STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::NETWORK),
        Calls::One(&calls::nodes::STATUS),
    ];

    const OTHER_NAMES: &'static [(&'static str, &'static str)] =
        &[("only_vmids", "vmids"), ("targets", "target_nodes")];

    fn run(self, pve: &Pve) -> Result<Reply<Evacuation>> {
        let storages = self.check()?;
        let nodes = nodes(pve)?;
        let targets = self.targets(&nodes)?;
        let all = guests(pve)?;
        if all.is_empty() {
            return Err(Error::NotFound(pve.empty_hint(Listed::Guests)));
        }
        let (leaving, mut shown) = self.leaving(pve, &all)?;
        let mut not_visible = Vec::new();
        let emptied = self.node.clone().filter(|_| self.vmids.is_none());
        if let Some(node) = &emptied
            && !pve.sees_all_guests()
        {
            not_visible.push(format!(
                "guests that this token may not see can still be on node {node}: seeing all of them \
                 needs VM.Audit on /vms"
            ));
        }
        let ha = Ha::read(pve, &leaving, &mut not_visible);
        let (targets, excluded) = self.awake(&nodes, targets, &ha)?;
        let plan = {
            let picture = Picture {
                pve,
                nodes: &nodes,
                guests: &all,
                limits: Limits {
                    reserve_percent: self
                        .memory_reserve_percent
                        .unwrap_or(RESERVE_PERCENT)
                        .into(),
                    with_local_disks: self.with_local_disks != Some(false),
                    storages: storages.as_ref(),
                    may_restart: self.accept_container_restart == Some(true),
                },
            };
            picture.plan(&leaving, &targets, &ha, &mut shown, &mut not_visible)
        };
        shown.extend(plan.shown());
        if self.plan == Some(false) {
            self.check_memory(&plan)?;
            let order = Order {
                parallel: self.parallel.unwrap_or(PARALLEL) as usize,
                with_local_disks: self.with_local_disks,
                target_storage: self.target_storage,
                may_restart: self.accept_container_restart == Some(true),
                emptied,
                not_visible,
            };
            let mut run = Rolling::new(&shown, order);
            run.step(pve)?;
            return run.reply(pve);
        }
        let mut result = Evacuation::new(Progress::Plan, shown);
        result.targets = plan.loads.iter().map(Into::into).collect();
        result.not_visible = not_visible;
        result.excluded_nodes = excluded;
        result.next_step = plan
            .moves
            .first()
            .map(|_| "call again with plan: false to move them".to_owned());
        let text = result.text();
        Ok(Reply::Done(result, text))
    }

    fn resume(pve: &Pve, state: &str) -> Result<Outcome> {
        let mut run: Rolling = Pending::read(state)?;
        run.step(pve)?;
        run.outcome(pve)
    }

    fn cancel(pve: &Pve, state: &str) -> Result<Finished> {
        let run: Rolling = Pending::read(state)?;
        // A migration that is stopped leaves its guest where it was, but one that
        // has begun soon ends anyway.
        let result = run.finished(pve);
        let text = format!("no further moves will be started; {}", result.text());
        Finished::new(&result, text)
    }
}

impl EvacuateNode {
    fn check(&self) -> Result<Option<StorageMap>> {
        check_node_name("node", self.node.as_deref())?;
        for target in self.target_nodes.iter().flatten() {
            check_node_name("target_nodes", Some(target))?;
        }
        if self.node.is_none() && self.vmids.as_ref().is_none_or(Vec::is_empty) {
            return Err(Error::argument(
                "node",
                "is missing: name the node to empty, or the guests in vmids",
            ));
        }
        self.target_storage
            .as_deref()
            .map(StorageMap::parse)
            .transpose()
    }

    /// The nodes that guests may go to, all online.
    fn targets(&self, nodes: &[NodeState]) -> Result<Vec<String>> {
        if let Some(node) = &self.node
            && find_node(nodes, node)?.is_offline()
        {
            return Err(Error::Unreachable(format!(
                "node {node} is offline: its guests cannot be migrated; those under high \
                 availability are recovered elsewhere"
            )));
        }
        let Some(wanted) = &self.target_nodes else {
            let online = nodes
                .iter()
                .filter(|node| !node.is_offline() && self.node.as_ref() != Some(&node.node));
            let targets: Vec<String> = online.map(|node| node.node.clone()).collect();
            if targets.is_empty() {
                return Err(Error::Conflict(
                    "no other node is online that guests could move to".into(),
                ));
            }
            return Ok(targets);
        };
        for name in wanted {
            if self.node.as_ref() == Some(name) {
                return Err(Error::argument(
                    "target_nodes",
                    format!("must not contain {name}, which is to be emptied"),
                ));
            }
            if find_node(nodes, name)?.is_offline() {
                return Err(Error::Unreachable(format!("node {name} is offline")));
            }
        }
        if wanted.is_empty() {
            return Err(Error::argument("target_nodes", "must name a node"));
        }
        let unique: BTreeSet<&String> = wanted.iter().ordered();
        Ok(unique.into_iter().cloned().collect())
    }

    /// The targets that take guests, and why other nodes do not.
    fn awake(
        &self,
        nodes: &[NodeState],
        targets: Vec<String>,
        ha: &Ha,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let (resting, awake): (Vec<String>, Vec<String>) = targets
            .into_iter()
            .partition(|target| ha.is_resting(target));
        let mut excluded: Vec<String> = resting
            .iter()
            .map(|node| {
                format!(
                    "node {node} is in maintenance mode; to end it, on a node: ha-manager \
                     crm-command node-maintenance disable {node}"
                )
            })
            .collect();
        if awake.is_empty() {
            return Err(Error::Conflict(format!(
                "no node can take guests: {}",
                excluded.join("; ")
            )));
        }
        if self.target_nodes.is_none() {
            let offline = nodes
                .iter()
                .filter(|node| node.is_offline() && self.node.as_ref() != Some(&node.node));
            excluded.extend(offline.map(|node| {
                format!(
                    "node {} is offline: {} shows its state",
                    node.node,
                    tool_names::GET_CLUSTER_STATUS
                )
            }));
        }
        Ok((awake, excluded))
    }

    /// Refuses to move guests to a node whose free memory is not known, unless the call names
    /// it.
    fn check_memory(&self, plan: &Plan) -> Result<()> {
        if self.target_nodes.is_some() {
            return Ok(());
        }
        let blind: Vec<&str> = plan.targets_of_unknown_memory();
        if blind.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "nothing was moved: the free memory of {} could not be read (it needs Sys.Audit on \
             /nodes/{{node}}), so guests could run out of memory there; name the nodes in \
             target_nodes to move guests there all the same",
            blind.join(", ")
        )))
    }

    /// The guests that are to move, and those that are not looked at further.
    fn leaving<'a>(&self, pve: &Pve, all: &'a [Guest]) -> Result<(Vec<&'a Guest>, Vec<GuestMove>)> {
        let is_named = |guest: &Guest| self.vmids.as_ref().is_none_or(|v| v.contains(&guest.vmid));
        for vmid in self.vmids.iter().flatten() {
            if !all.iter().any(|guest| guest.vmid == *vmid) {
                // Says why it may not be seen.
                Guest::find(pve, *vmid)?;
            }
        }
        let target = |node: &String| self.target_nodes.as_ref().is_some_and(|t| t.contains(node));
        let mut leaving = Vec::new();
        let mut shown = Vec::new();
        for guest in all.iter().filter(|guest| is_named(guest)) {
            let node = self.node.as_ref();
            if node.is_some_and(|node| *node != guest.node) {
                if self.vmids.is_some() {
                    let reason = format!("it is on node {} already", guest.node);
                    shown.push(GuestMove::may_stay(guest, reason));
                }
                continue;
            }
            if node.is_none() && target(&guest.node) {
                let reason = format!("it is on the target node {} already", guest.node);
                shown.push(GuestMove::may_stay(guest, reason));
                continue;
            }
            if guest.template.0 && self.vmids.is_none() {
                let reason = "templates stay: name it in vmids to move it";
                shown.push(GuestMove::may_stay(guest, reason.to_owned()));
            } else if guest.is_migrating() {
                let mut moving = GuestMove::new(guest.vmid, &guest.node, State::Moving);
                moving.name.clone_from(&guest.name);
                shown.push(moving);
            } else {
                leaving.push(guest);
            }
        }
        if leaving.len() > MOST_GUESTS {
            return Err(Error::Conflict(format!(
                "{} guests are to move, and one call looks at {MOST_GUESTS} at most: name some in \
                 vmids",
                leaving.len()
            )));
        }
        Ok((leaving, shown))
    }
}

/// What is planned with, before the guests and nodes have been looked at.
struct Picture<'a> {
    pve: &'a Pve,
    nodes: &'a [NodeState],
    guests: &'a [Guest],
    limits: Limits<'a>,
}

impl Picture<'_> {
    fn plan(
        self,
        leaving: &[&Guest],
        targets: &[String],
        ha: &Ha,
        shown: &mut Vec<GuestMove>,
        not_visible: &mut Vec<String>,
    ) -> Plan {
        let pve = self.pve;
        let sources: BTreeSet<&str> = leaving.iter().map(|guest| guest.node.as_str()).ordered();
        let storages: Option<Vec<StorageResource>> = match storage_resources(pve) {
            Ok(storages) => Some(storages),
            Err(error) => {
                not_visible.push(format!("storages: {}", text::cut(&error.message(), 200)));
                None
            }
        };
        pve.start(
            targets
                .iter()
                .flat_map(|target| Node::requests(target))
                .chain(leaving.iter().flat_map(|guest| Mover::requests(guest))),
        );
        let targets: Vec<Node> = targets
            .iter()
            .map(|target| Node::read(pve, target, not_visible))
            .collect();
        let storages = storages.unwrap_or_default();
        let mut movers = Vec::new();
        for guest in leaving {
            match Mover::read(pve, guest, &storages) {
                Ok(mover) => movers.push(mover),
                Err(error) => shown.push(GuestMove::stays(guest, unread(&error))),
            }
        }
        let mut known: BTreeMap<String, SourceNode> = BTreeMap::new();
        if movers.iter().any(Mover::is_live) {
            for source in sources {
                let node = SourceNode::read(pve, source, not_visible);
                known.insert(source.to_owned(), node);
            }
        }
        let cluster = Cluster {
            guests: self.guests,
            nodes: self.nodes,
            storages: &storages,
            ha,
            sources: &known,
            limits: self.limits,
        };
        cluster.plan(movers, targets)
    }
}
