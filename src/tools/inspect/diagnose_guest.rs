//! `diagnose_guest`: why a guest does not start, or cannot be reached.
//!
//! Reads all that may matter, in one call, and ends in causes. What the token may
//! not see is named: then a cause may lie there.

use std::net::IpAddr;

use pve_api::calls;
use schemars::JsonSchema;

use super::diagnosis::cause::{Cause, Certainty};
use super::diagnosis::node::NodeFacts;
use super::diagnosis::reach::{self, Path};
use super::diagnosis::start::{self, GuestTask, RunningTasks, StartFacts};
use super::get_guest_agent_info::full_filesystems;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{
    At, ClusterEntry, Disk, Failure, Guest, GuestConfig, GuestState, GuestType, Nic, NodeStatus,
    Params, PendingConfig, Pve, TaskLog, Upid, Vmid, storages,
};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run, bounds};
use crate::tools::agent::error::agent_error;
use crate::tools::cluster::task::{RawTask, TaskState};
use crate::tools::finding::{note_unseen, visible};
use crate::tools::firewall::{GuestPath, READ_STATE};
use crate::tools::guests::{inside_interfaces, shown};
use crate::tools::interface::{Interface, LOCAL_ZONE, Listed, SHOWS_NETWORKS, interfaces};
use crate::{text, tool_names};

/// What keeps a guest from running or from being reached.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiagnoseGuest {
    vmid: Vmid,
    /// The IP address that does not answer.
    #[schemars(length(min = 2, max = 64))]
    address: Option<String>,
    /// The TCP port that does not answer, such as 22.
    #[schemars(range(min = 1, max = 65535))]
    port: Option<u16>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct Diagnosis {
    vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    kind: GuestType,
    node: String,
    /// As `get_guest` shows it.
    status: String,
    /// The surest first. Empty: nothing wrong is visible from outside the guest.
    causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    /// What HA does with it, if it is under HA.
    #[serde(skip_serializing_if = "Option::is_none")]
    ha_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    /// Its own, as far as it tells them.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_addresses: Option<Vec<String>>,
    /// Whether its firewall's rules apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    firewall_in_effect: Option<bool>,
    /// Newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recent_tasks: Vec<RecentTask>,
    /// What could not be looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_visible: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct RecentTask {
    upid: String,
    #[serde(rename = "type")]
    kind: String,
    started_at: String,
    /// Absent of one that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<String>,
}

/// How many of the guest's tasks are looked at, and shown.
const TASKS: u64 = 20;
const TASKS_SHOWN: usize = 6;

/// How many of the tasks that run on the node are looked at.
const RUNNING_TASKS: u64 = 500;

/// How many lines of a failed start's log are looked at.
const LOG_LINES: u64 = 40;

const MOST_CAUSES: usize = 20;
const MOST_ADDRESSES: usize = 16;
const EXIT_LENGTH: usize = 160;

/// How long the reason is why the guest's agent does not tell.
const REASON_LENGTH: usize = 200;

impl Run for DiagnoseGuest {
    type Output = Diagnosis;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(READ_STATE),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::guests::PENDING),
        Calls::One(&calls::guests::CONTAINER_INTERFACES),
        Calls::One(&calls::agent::INTERFACES),
        Calls::One(&calls::agent::FILESYSTEMS),
        Calls::One(&calls::nodes::STATUS),
        Calls::One(&calls::nodes::NETWORK),
        Calls::One(&calls::nodes::TASKS),
        Calls::One(&calls::nodes::TASK_LOG),
        Calls::One(&calls::storage::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Diagnosis>> {
        let address = self.address()?;
        let guest = Guest::find(pve, self.vmid)?;
        if guest.reachable(pve).is_err() {
            let cause = format!("its node {} is offline", guest.node);
            let diagnosis = Diagnosis::of_lost_node(&guest, cause);
            let text = diagnosis.text();
            return Ok(Reply::Done(diagnosis, text));
        }
        let (_, diagnosis) =
            guest.retry_if_moved(pve, |guest| self.diagnose(pve, guest, address))?;
        let text = diagnosis.text();
        Ok(Reply::Done(diagnosis, text))
    }
}

/// What was read of a guest.
struct Facts {
    state: GuestState,
    config: PendingConfig,
    disks: Vec<Disk>,
    /// Absent if they cannot be read.
    nics: Option<Vec<Nic>>,
    tasks: Vec<GuestTask>,
    running: Option<RunningTasks>,
    node: NodeFacts,
}

impl DiagnoseGuest {
    /// The address that does not answer, in whatever spelling.
    fn address(&self) -> Result<Option<IpAddr>> {
        let Some(text) = self.address.as_deref().map(str::trim) else {
            return Ok(None);
        };
        let address = text.parse().map_err(|_| {
            Error::argument(
                "address",
                format!(
                    "must be an IP address such as 192.0.2.5 or 2001:db8::5, not {}: a name has to \
                     be looked up first, and a port is an argument of its own",
                    text::quoted(text)
                ),
            )
        })?;
        Ok(Some(address))
    }

    fn diagnose(&self, pve: &Pve, guest: &Guest, address: Option<IpAddr>) -> Result<Diagnosis> {
        // Whether the guest has moved away shows here.
        let state = match guest.state(pve) {
            // A token without Sys.Audit on / does not see which nodes are offline.
            Err(Failure::Api(error)) if error.is_node_away() => {
                let cause = format!("its node {} does not answer", guest.node);
                return Ok(Diagnosis::of_lost_node(guest, cause));
            }
            state => state?,
        };
        let mut unseen = Vec::new();
        let facts = Facts::read(pve, guest, state, &mut unseen);
        let mut causes = start::causes(guest, &facts.of_start());
        let mut path = Path {
            address,
            port: self.port,
            ..Path::default()
        };
        if facts.state.is_running() {
            let halted = reach::of_state(guest, &facts.state);
            // Nothing inside answers then, and that is no cause of its own.
            if halted.is_none() {
                look_inside(pve, guest, &mut path, &mut unseen);
            }
            causes.extend(halted);
            path.firewall = visible(
                GuestPath::read(pve, guest, self.port),
                "firewall",
                &mut unseen,
            );
            causes.extend(reach::of_path(
                guest,
                &facts.state,
                &facts.config,
                facts.nics.as_deref(),
                &facts.node,
                &path,
            ));
        }
        order::by_key(&mut causes, Cause::certainty);
        Ok(Diagnosis::new(guest, facts, path, causes, unseen))
    }
}

impl Facts {
    fn read(pve: &Pve, guest: &Guest, state: GuestState, unseen: &mut Vec<String>) -> Self {
        let config = visible(GuestConfig::read(pve, guest), "configuration", unseen);
        let pending = match (PendingConfig::read(pve, guest), &config) {
            (Ok(pending), _) => pending,
            (Err(_), Some(config)) => PendingConfig::from(config),
            (Err(_), None) => PendingConfig::default(),
        };
        let nics = config.as_ref().map(GuestConfig::nics);
        let is_running = state.is_running();
        let is_locked = state.lock().is_some_and(|lock| lock != "suspended");
        Self {
            disks: config.as_ref().map(GuestConfig::disks).unwrap_or_default(),
            config: pending,
            tasks: tasks(pve, guest, is_running, unseen),
            running: is_locked
                .then(|| running_tasks(pve, &guest.node, unseen))
                .flatten(),
            node: read_node(
                pve,
                &guest.node,
                is_running,
                nics.as_deref().unwrap_or_default(),
                unseen,
            ),
            nics,
            state,
        }
    }

    fn of_start(&self) -> StartFacts<'_> {
        StartFacts {
            state: &self.state,
            config: &self.config,
            disks: &self.disks,
            nics: self.nics.as_deref().unwrap_or_default(),
            tasks: &self.tasks,
            running: self.running.as_ref(),
            node: &self.node,
        }
    }
}

fn read_node(
    pve: &Pve,
    node: &str,
    is_running: bool,
    nics: &[Nic],
    unseen: &mut Vec<String>,
) -> NodeFacts {
    let members: Option<Vec<ClusterEntry>> = visible(
        pve.send(&calls::cluster::STATUS.at([]), &Params::new()),
        "quorum",
        unseen,
    );
    let quorate = members.and_then(|members| {
        let cluster = members.into_iter().find(|entry| entry.kind == "cluster")?;
        Some(cluster.quorate?.0)
    });
    let status = visible(
        pve.send::<NodeStatus>(&calls::nodes::STATUS.at([node]), &Params::new()),
        "memory and processors of the node",
        unseen,
    );
    let mut storages = visible(storages(pve, node), "storages", unseen);
    if storages.as_ref().is_some_and(Vec::is_empty) {
        storages = None;
        unseen.push(
            "storages: the token sees none of the node (it needs Datastore.Audit on them)"
                .to_owned(),
        );
    }
    let networks = networks(pve, node, unseen);
    let mut facts = NodeFacts {
        status,
        storages,
        networks,
        sees_all_networks: false,
        quorate,
    };
    // Asked for where it matters only.
    let is_missing = |nic: &Nic| {
        let bridge = nic.bridge.as_deref();
        bridge.is_some_and(|name| facts.network(name).is_none())
    };
    if !is_running && facts.networks.is_some() && nics.iter().any(is_missing) {
        let held = pve.held().filter(|_| pve.scope().is_none());
        facts.sees_all_networks =
            held.is_some_and(|held| held.has_any_below(&SHOWS_NETWORKS, "/sdn/zones"));
    }
    facts
}

/// The node's interfaces with its vnets; absent unless a bridge or vnet is among
/// them that the token sees.
fn networks(pve: &Pve, node: &str, unseen: &mut Vec<String>) -> Option<Vec<Interface>> {
    let mut all = visible(
        interfaces(pve, node, Listed::Configured),
        "networks of the node",
        unseen,
    )?;
    let vnets = visible(
        interfaces(pve, node, Listed::Networks),
        "vnets of the node",
        unseen,
    )?;
    for vnet in vnets {
        if !all.iter().any(|one| one.iface == vnet.iface) {
            all.push(vnet);
        }
    }
    if !all.iter().any(Interface::takes_guests) {
        unseen.push(format!(
            "bridges: the token sees none of the node (it needs SDN.Audit on \
             /sdn/zones/{LOCAL_ZONE})"
        ));
        return None;
    }
    Some(all)
}

/// Tasks of a node, newest first.
fn listed(pve: &Pve, node: &str, params: &Params) -> Result<Vec<GuestTask>, Failure> {
    let listed: Vec<RawTask> = pve.send(&calls::nodes::TASKS.at([node]), params)?;
    let mut tasks: Vec<GuestTask> = listed.into_iter().filter_map(GuestTask::of).collect();
    order::by_key(&mut tasks, |task| std::cmp::Reverse(task.started));
    Ok(tasks)
}

/// The guest's tasks, newest first, with the log of its last start if that
/// failed.
fn tasks(pve: &Pve, guest: &Guest, is_running: bool, unseen: &mut Vec<String>) -> Vec<GuestTask> {
    let params = Params::new()
        .set("vmid", guest.vmid)
        .set("source", "all")
        .set("limit", TASKS);
    let Some(mut tasks) = visible(listed(pve, &guest.node, &params), "tasks", unseen) else {
        return Vec::new();
    };
    // Of a guest that is often backed up, its start is further back.
    if !is_running && start::last_start(&tasks).is_none() && tasks.len() as u64 >= TASKS {
        let kind = match guest.kind {
            GuestType::Qemu => "qmstart",
            GuestType::Lxc => "vzstart",
        };
        let params = Params::new()
            .set("vmid", guest.vmid)
            .set("source", "all")
            .set("limit", 1)
            .set("typefilter", kind);
        tasks.extend(listed(pve, &guest.node, &params).unwrap_or_default());
    }
    let last = start::last_start(&tasks).and_then(|index| tasks.get_mut(index));
    if let Some(task) = last.filter(|task| task.has_failed())
        && let Ok(upid) = task.upid.parse::<Upid>()
    {
        let log = visible(
            TaskLog::tail(pve, &upid, LOG_LINES),
            "log of its last start",
            unseen,
        );
        task.log = log.map(|log| log.lines).unwrap_or_default();
    }
    tasks
}

/// The tasks that run on a node, of whatever guest: a lock may be held by one
/// whose identifier has no vmid, or another.
fn running_tasks(pve: &Pve, node: &str, unseen: &mut Vec<String>) -> Option<RunningTasks> {
    let params = Params::new()
        .set("source", "active")
        .set("limit", RUNNING_TASKS);
    let tasks = visible(listed(pve, node, &params), "running tasks", unseen)?;
    let sees_all = pve
        .held()
        .is_some_and(|held| held.has_any(&["Sys.Audit"], &format!("/nodes/{node}")));
    Some(RunningTasks {
        are_all: sees_all && pve.scope().is_none() && (tasks.len() as u64) < RUNNING_TASKS,
        tasks,
    })
}

impl GuestTask {
    /// None of a task whose identifier is malformed.
    fn of(listed: RawTask) -> Option<Self> {
        let started = listed.starttime.filter(|_| listed.is_named)?;
        let exit = match listed.state() {
            TaskState::Running => None,
            _ => Some(
                listed
                    .status
                    .map(|status| status.0)
                    .filter(|exit| !exit.is_empty()),
            ),
        };
        Some(Self {
            started,
            kind: listed.kind,
            user: listed.user,
            exit: exit.map(|exit| exit.unwrap_or_else(|| "unknown".to_owned())),
            upid: listed.upid,
            log: Vec::new(),
        })
    }
}

/// What the system inside a running guest tells.
fn look_inside(pve: &Pve, guest: &Guest, path: &mut Path, unseen: &mut Vec<String>) {
    match inside_interfaces(pve, guest) {
        Ok(None) => unseen.push("addresses: the guest does not report them".to_owned()),
        Ok(inside) => {
            path.inside = inside;
            if guest.kind == GuestType::Qemu {
                let full = full_filesystems(pve, guest);
                path.full = visible(full, "filesystems inside", unseen).unwrap_or_default();
            }
        }
        Err(Failure::Api(error)) if error.says("guest agent is not running") => {
            path.silent_agent = Some(error.message);
        }
        Err(failure) if guest.kind == GuestType::Qemu && failure.lacking().is_none() => {
            let why = agent_error(guest, failure).message();
            unseen.push(format!("addresses: {}", text::cut(&why, REASON_LENGTH)));
        }
        Err(failure) => note_unseen(failure, "addresses", unseen),
    }
}

impl Diagnosis {
    fn of_lost_node(guest: &Guest, cause: String) -> Self {
        let cause = Cause::new(
            Certainty::Certain,
            cause,
            format!(
                "bring the node back ({}); a guest under HA is recovered on another node by itself",
                tool_names::GET_CLUSTER_STATUS
            ),
        );
        Self {
            vmid: guest.vmid,
            kind: guest.kind,
            status: "unknown".to_owned(),
            causes: vec![cause],
            lock: None,
            ha_state: guest.hastate.clone(),
            name: guest.name.clone(),
            node: guest.node.clone(),
            uptime_seconds: None,
            ip_addresses: None,
            firewall_in_effect: None,
            recent_tasks: Vec::new(),
            not_visible: Vec::new(),
            hint: None,
        }
    }

    fn new(
        guest: &Guest,
        facts: Facts,
        path: Path,
        mut causes: Vec<Cause>,
        not_visible: Vec<String>,
    ) -> Self {
        let mut notes = Vec::new();
        bounds::keep(&mut causes, MOST_CAUSES, "causes", &mut notes);
        if causes.is_empty() {
            notes.push(format!(
                "nothing wrong is visible from outside the guest: look inside ({}), or name the \
                 address and the port that do not answer; not checked: addresses that are used \
                 twice, the firewall's ipfilter and macfilter, switches, traffic",
                tool_names::GET_CONSOLE_URL
            ));
        }
        let state = facts.state;
        let recent_tasks = facts
            .tasks
            .into_iter()
            .take(TASKS_SHOWN)
            .map(|task| RecentTask {
                upid: task.upid,
                kind: task.kind,
                started_at: text::time(task.started),
                exit_status: task.exit.map(|exit| text::cut(&exit, EXIT_LENGTH)),
            })
            .collect();
        Self {
            vmid: guest.vmid,
            name: guest.name.clone(),
            kind: guest.kind,
            node: guest.node.clone(),
            status: shown(&state).unwrap_or_else(|| "unknown".to_owned()),
            causes,
            lock: state.lock().map(str::to_owned),
            ha_state: state
                .is_ha_managed()
                .then(|| state.ha_state().unwrap_or("managed").to_owned()),
            uptime_seconds: state
                .uptime
                .map(|uptime| uptime.0)
                .filter(|_| state.is_running()),
            ip_addresses: path.addresses().map(|addresses| {
                let shown = addresses.into_iter().take(MOST_ADDRESSES);
                shown.map(str::to_owned).collect()
            }),
            firewall_in_effect: path.firewall.and_then(|firewall| firewall.in_effect),
            recent_tasks,
            not_visible,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }

    fn text(&self) -> String {
        let name = match &self.name {
            Some(name) => format!("{} ({name})", self.vmid),
            None => self.vmid.to_string(),
        };
        let verdict = match self.causes.first() {
            Some(cause) => cause.says(),
            None => "nothing wrong is visible from outside",
        };
        let more = match self.causes.len() {
            0 | 1 => String::new(),
            count => format!("; {} more", text::count(count - 1, "cause")),
        };
        format!("guest {name}, {}: {verdict}{more}", self.status)
    }
}
