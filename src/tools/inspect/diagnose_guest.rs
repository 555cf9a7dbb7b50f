//! `diagnose_guest`: why a guest does not start, or cannot be reached.
//!
//! Reads all that may matter, in one call, and ends in causes. What the token may
//! not see is named: then a cause may lie there.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::cause::{Cause, Certainty};
use super::diagnosis::node::NodeFacts;
use super::diagnosis::reach::{self, Path};
use super::diagnosis::start::{self, GuestTask};
use super::get_guest_agent_info::full_filesystems;
use super::interface::{self, Interface};
use crate::error::Result;
use crate::order;
use crate::pve::{
    At, ClusterEntry, Disk, Guest, GuestConfig, GuestState, GuestType, Nic, NodeStatus, Params,
    PendingConfig, Pve, TaskLog, Upid, Vmid, storages,
};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run, bounds};
use crate::tools::cluster::task::{RawTask, TaskState};
use crate::tools::finding::visible;
use crate::tools::firewall::{GuestPath, READ_STATE};
use crate::tools::guests::{all_addresses, shown};
use crate::{text, tool_names};

/// What keeps a guest from running or from being reached.
#[derive(Debug, Deserialize, JsonSchema)]
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

#[derive(Debug, Serialize, JsonSchema)]
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

#[derive(Debug, Serialize, JsonSchema)]
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

/// How many lines of a failed start's log are looked at.
const LOG_LINES: u64 = 40;

const MOST_CAUSES: usize = 20;
const MOST_ADDRESSES: usize = 16;
const EXIT_LENGTH: usize = 160;

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
        let guest = Guest::find(pve, self.vmid)?;
        if guest.reachable(pve).is_err() {
            let diagnosis = Diagnosis::of_lost_node(guest);
            let text = diagnosis.text();
            return Ok(Reply::Done(diagnosis, text));
        }
        let (_, diagnosis) = guest.retry_if_moved(pve, |guest| self.diagnose(pve, guest))?;
        let text = diagnosis.text();
        Ok(Reply::Done(diagnosis, text))
    }
}

/// What was read of a guest.
struct Facts {
    state: GuestState,
    config: PendingConfig,
    disks: Vec<Disk>,
    nics: Vec<Nic>,
    tasks: Vec<GuestTask>,
    node: NodeFacts,
}

impl DiagnoseGuest {
    fn diagnose(&self, pve: &Pve, guest: &Guest) -> Result<Diagnosis> {
        // Whether the guest has moved away shows here.
        let state = guest.state(pve)?;
        let mut unseen = Vec::new();
        let facts = Facts::read(pve, guest, state, &mut unseen);
        let is_running = facts.state.is_running();
        let mut causes = start::of_state(guest, &facts.state, &facts.tasks);
        causes.extend(start::of_needs(
            guest,
            is_running,
            &facts.config,
            &facts.disks,
            &facts.nics,
            &facts.node,
        ));
        let mut path = Path {
            address: self.address.as_deref().map(|one| one.trim().to_owned()),
            port: self.port,
            ..Path::default()
        };
        if is_running {
            let halted = reach::of_state(guest, &facts.state);
            // Nothing inside answers then, and that is no cause of its own.
            if halted.is_none() {
                look_inside(pve, guest, &mut path);
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
                &facts.nics,
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
        let node = guest.node.as_str();
        let none = Params::new();
        let config = visible(GuestConfig::read(pve, guest), "configuration", unseen);
        let pending = match (PendingConfig::read(pve, guest), &config) {
            (Ok(pending), _) => pending,
            (Err(_), Some(config)) => PendingConfig::from(config),
            (Err(_), None) => PendingConfig::default(),
        };
        let members: Option<Vec<ClusterEntry>> = visible(
            pve.send(&calls::cluster::STATUS.at([]), &none),
            "quorum",
            unseen,
        );
        let quorate = members.and_then(|members| {
            let cluster = members.into_iter().find(|entry| entry.kind == "cluster")?;
            Some(cluster.quorate?.0)
        });
        Self {
            disks: config.as_ref().map(GuestConfig::disks).unwrap_or_default(),
            nics: config.as_ref().map(GuestConfig::nics).unwrap_or_default(),
            config: pending,
            tasks: tasks(pve, guest, unseen),
            node: NodeFacts {
                status: visible(
                    pve.send::<NodeStatus>(&calls::nodes::STATUS.at([node]), &none),
                    "memory and processors of the node",
                    unseen,
                ),
                storages: visible(storages(pve, node), "storages", unseen),
                bridges: bridges(pve, node, unseen),
                quorate,
            },
            state,
        }
    }
}

/// The node's interfaces, with the vnets that the token may use.
fn bridges(pve: &Pve, node: &str, unseen: &mut Vec<String>) -> Option<Vec<Interface>> {
    let mut all = visible(
        interface::configured(pve, node),
        "networks of the node",
        unseen,
    )?;
    for usable in interface::usable(pve, node).unwrap_or_default() {
        if !all.iter().any(|one| one.iface == usable.iface) {
            all.push(usable);
        }
    }
    Some(all)
}

/// The guest's tasks, newest first, with the log of its last start if that
/// failed.
fn tasks(pve: &Pve, guest: &Guest, unseen: &mut Vec<String>) -> Vec<GuestTask> {
    let params = Params::new()
        .set("vmid", guest.vmid)
        .set("source", "all")
        .set("limit", TASKS);
    let listed: Vec<RawTask> = visible(
        pve.send(&calls::nodes::TASKS.at([&guest.node]), &params),
        "tasks",
        unseen,
    )
    .unwrap_or_default();
    let mut tasks: Vec<GuestTask> = listed.into_iter().filter_map(GuestTask::of).collect();
    order::by_key(&mut tasks, |task| std::cmp::Reverse(task.started));
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
fn look_inside(pve: &Pve, guest: &Guest, path: &mut Path) {
    match all_addresses(pve, guest) {
        Ok(addresses) => {
            path.addresses = Some(addresses);
            if guest.kind == GuestType::Qemu {
                path.full = full_filesystems(pve, guest).unwrap_or_default();
            }
        }
        Err(error) => path.agent = Some(error.message()),
    }
}

impl Diagnosis {
    fn of_lost_node(guest: Guest) -> Self {
        let cause = Cause::new(
            Certainty::Certain,
            format!("its node {} is offline", guest.node),
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
            ha_state: guest.hastate,
            name: guest.name,
            node: guest.node,
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
                 address and the port that do not answer",
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
            ip_addresses: path.addresses.map(|mut addresses| {
                addresses.truncate(MOST_ADDRESSES);
                addresses
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
