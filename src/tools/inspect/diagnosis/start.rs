//! Why a guest does not start.

use super::cause::{Cause, Certainty, Topic};
use super::node::NodeFacts;
use super::start_log;
use crate::pve::{
    Disk, Guest, GuestState, GuestType, Nic, PendingConfig, Source, StorageStatus, Upid, Usage,
};
use crate::tools::cluster::task::{TaskState, state_of};
use crate::{text, tool_names};

/// A task of the guest, or of its node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GuestTask {
    pub(crate) upid: String,
    pub(crate) kind: String,
    pub(crate) user: String,
    /// Absent of one that runs.
    pub(crate) exit: Option<String>,
    pub(crate) started: u64,
    /// The last lines, of the one whose log was read.
    pub(crate) log: Vec<String>,
}

/// The tasks that run on the guest's node.
#[derive(Debug, Default)]
pub(crate) struct RunningTasks {
    pub(crate) tasks: Vec<GuestTask>,
    /// Whether those of all users and guests are among them, as far as is known.
    pub(crate) are_all: bool,
}

/// What is known of a guest and its node.
pub(crate) struct StartFacts<'a> {
    pub(crate) state: &'a GuestState,
    pub(crate) config: &'a PendingConfig,
    pub(crate) disks: &'a [Disk],
    pub(crate) nics: &'a [Nic],
    /// Newest first.
    pub(crate) tasks: &'a [GuestTask],
    /// Read of a locked guest; absent if that failed.
    pub(crate) running: Option<&'a RunningTasks>,
    pub(crate) node: &'a NodeFacts,
}

impl GuestTask {
    pub(crate) fn is_start(&self) -> bool {
        matches!(self.kind.as_str(), "qmstart" | "vzstart")
    }

    fn is_stop(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "qmstop" | "vzstop" | "qmshutdown" | "vzshutdown" | "hastop" | "qmsuspend"
        )
    }

    /// A console holds no lock.
    fn is_console(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "vncproxy" | "vncshell" | "termproxy" | "spiceproxy" | "spiceshell"
        )
    }

    /// Whether it failed, as far as is known. The start of a guest that runs
    /// already is not a failure.
    pub(crate) fn has_failed(&self) -> bool {
        self.exit.as_deref().is_some_and(|exit| {
            state_of(exit) == TaskState::Failed && !exit.ends_with("already running")
        })
    }

    /// Whether it has no guest in its name, as a backup or a bulk action of several
    /// guests.
    fn is_of_several(&self) -> bool {
        let upid = self.upid.parse::<Upid>().ok();
        upid.is_some_and(|upid| upid.id().is_empty())
            && (matches!(
                self.kind.as_str(),
                "vzdump" | "startall" | "stopall" | "suspendall" | "migrateall"
            ) || self.kind.starts_with("bulk"))
    }

    /// Whether it clones a guest: the lock is on the new guest, but the task has
    /// the vmid of its source.
    fn is_clone(&self) -> bool {
        matches!(self.kind.as_str(), "qmclone" | "vzclone")
    }

    fn label(&self) -> String {
        format!(
            "{} by {} at {} ({})",
            self.kind,
            self.user,
            text::time(self.started),
            self.upid
        )
    }
}

/// The newest start among tasks that are newest first.
pub(crate) fn last_start(tasks: &[GuestTask]) -> Option<usize> {
    tasks.iter().position(GuestTask::is_start)
}

/// Causes that keep a guest from starting, or stop it from working.
pub(crate) fn causes(guest: &Guest, facts: &StartFacts<'_>) -> Vec<Cause> {
    let state = facts.state;
    let mut causes = Vec::new();
    if guest.template.0 || state.template.0 {
        causes.push(
            Cause::certain(
                "it is a template, which cannot be started",
                format!("make a guest of it with {}", tool_names::CLONE_GUEST),
            )
            .about(Topic::Template),
        );
    }
    causes.extend(of_lock(guest, facts));
    causes.extend(of_ha(guest, state));
    causes.extend(of_needs(guest, facts));
    if state.is_running() {
        return causes;
    }
    let start = last_start(facts.tasks).and_then(|index| facts.tasks.get(index));
    if let Some(start) = start.filter(|start| start.has_failed()) {
        let exit = start.exit.as_deref().unwrap_or_default();
        let said = start_log::meaning(&start.log, exit).on(format!("failed {}", start.label()));
        add_log(&mut causes, said, facts);
    }
    causes.extend(why_stopped(state, facts.tasks));
    if causes.is_empty() && state.is_known() {
        causes.push(Cause::likely(
            "it is stopped, and nothing visible keeps it from starting",
            format!("start it with {}", tool_names::START_GUEST),
        ));
    }
    causes
}

/// Adds what the log of the last start says: to the cause that the present state
/// shows as well, or else as a cause of its own, which may be over.
fn add_log(causes: &mut Vec<Cause>, mut said: Cause, facts: &StartFacts<'_>) {
    let same = causes
        .iter_mut()
        .find(|cause| cause.topic.is_some() && cause.topic == said.topic);
    if let Some(same) = same {
        same.certainty = same.certainty.min(Certainty::Likely);
        same.evidence.append(&mut said.evidence);
        return;
    }
    let is_over = match said.topic {
        Some(Topic::Lock) => facts.state.lock().is_none(),
        Some(Topic::Quorum) => facts.node.quorate == Some(true),
        Some(Topic::Ha) => facts.state.ha_state().is_some(),
        _ => false,
    };
    if is_over {
        said.cause = format!(
            "its last start failed, for a reason that no longer applies: {}",
            said.cause
        );
        said.fix = format!("start it with {}", tool_names::START_GUEST);
    } else {
        said.cause = format!("its last start failed: {}", said.cause);
    }
    causes.push(said.at_most(Certainty::Likely));
}

fn of_lock(guest: &Guest, facts: &StartFacts<'_>) -> Option<Cause> {
    let lock = facts.state.lock()?;
    let evidence = format!("lock: {lock}");
    if lock == "suspended" {
        return Some(Cause::likely(
            "it is suspended to disk",
            format!("{} resumes it where it left off", tool_names::START_GUEST),
        ));
    }
    let own = facts
        .tasks
        .iter()
        .find(|task| task.exit.is_none() && !task.is_console());
    let cause = match (own, facts.running) {
        (Some(task), _) => Cause::certain(
            format!("it is locked ({lock}) by a task that runs"),
            format!("follow the task with {}", tool_names::WAIT_TASK),
        )
        .on(task.label()),
        (None, Some(running)) => of_lock_without_task(guest, lock, running),
        (None, None) => Cause::possible(
            format!("it is locked ({lock}); which tasks run on its node is not visible"),
            format!(
                "look for a running task that may hold the lock, including a task for several guests, with \
                 {} and a token that sees all tasks",
                tool_names::LIST_TASKS
            ),
        ),
    };
    let cause = cause.about(Topic::Lock).on(evidence);
    // A lock keeps nobody from reaching a guest that runs.
    Some(if facts.state.is_running() {
        cause.at_most(Certainty::Possible)
    } else {
        cause
    })
}

/// A lock of a guest for which no task of its own runs.
fn of_lock_without_task(guest: &Guest, lock: &str, running: &RunningTasks) -> Cause {
    let holder = running
        .tasks
        .iter()
        .find(|task| task.exit.is_none() && (task.is_of_several() || task.is_clone()));
    if let Some(task) = holder {
        let what = if task.is_clone() {
            "a clone that runs, whose lock is on the new guest"
        } else {
            "a task for several guests that runs"
        };
        return Cause::likely(
            format!("it is locked ({lock}), probably by {what}"),
            format!("follow the task with {}", tool_names::WAIT_TASK),
        )
        .on(task.label());
    }
    if !running.are_all {
        return Cause::possible(
            format!(
                "it is locked ({lock}); no task that this token sees holds the lock, but it does \
                 not see all"
            ),
            format!(
                "look for a running task, including a task for several guests, in the web interface: a \
                 token sees the tasks of others only with Sys.Audit on /nodes/{}",
                guest.node
            ),
        );
    }
    let unlock = match guest.kind {
        GuestType::Qemu => format!("qm unlock {}", guest.vmid),
        GuestType::Lxc => format!("pct unlock {}", guest.vmid),
    };
    Cause::likely(
        format!(
            "it is locked ({lock}), and no task that may hold the lock runs on its node: the lock \
             was left behind"
        ),
        format!(
            "on node {}: {unlock} (a token cannot unlock a guest)",
            guest.node
        ),
    )
}

fn of_ha(guest: &Guest, state: &GuestState) -> Option<Cause> {
    if !state.is_ha_managed() {
        return None;
    }
    let ha = state.ha_state()?;
    let sid = guest.ha_id();
    let cause = match ha {
        "error" => Cause::certain(
            "HA has given up on it and does not start it until it is disabled",
            format!(
                "{} shows why; {} with state disabled clears the error, or ha-manager set {} --state \
                 disabled on a node; correct the cause, then set the state started",
                tool_names::GET_HA,
                tool_names::SET_HA_RESOURCE,
                guest.ha_id()
            ),
        ),
        "disabled" | "stopped" | "request_stop" => Cause::likely(
            "HA keeps it off",
            format!("{} asks HA to start it", tool_names::START_GUEST),
        ),
        "fence" | "recovery" => Cause::certain(
            "HA waits for its node to be fenced, or finds no node that may run it",
            format!(
                "{} shows its rules and the nodes' state",
                tool_names::GET_HA
            ),
        ),
        "freeze" => Cause::likely(
            "HA leaves it alone while HA itself restarts on its node",
            format!("wait a moment, then look at {}", tool_names::GET_HA),
        ),
        "starting" | "queued" | "migrate" | "relocate" | "request_start" => Cause::likely(
            "HA is at work on it",
            format!("wait a moment, then look at {}", tool_names::GET_HA),
        ),
        _ => return None,
    };
    Some(
        cause
            .about(Topic::Ha)
            .on(format!("HA state of {sid}: {ha}")),
    )
}

/// Who stopped it, if nothing keeps it from starting.
fn why_stopped(state: &GuestState, tasks: &[GuestTask]) -> Option<Cause> {
    if !state.is_known() {
        return None;
    }
    let last = tasks
        .iter()
        .find(|task| task.is_start() || task.is_stop())?;
    if last.is_start() && last.exit.is_none() {
        return Some(
            Cause::certain(
                "it is being started",
                format!("follow the task with {}", tool_names::WAIT_TASK),
            )
            .on(last.label()),
        );
    }
    if last.is_stop() && !last.has_failed() {
        return Some(
            Cause::likely(
                "it was stopped on purpose",
                format!("start it with {}", tool_names::START_GUEST),
            )
            .on(last.label()),
        );
    }
    (last.is_start() && !last.has_failed()).then(|| {
        Cause::possible(
            "it ended without a task: it was powered off from inside, crashed, was killed for \
             want of memory, or its node restarted",
            format!(
                "look at the node's log since then with {} (since {}; contains oom, or the vmid), \
                 then {}",
                tool_names::GET_NODE_LOG,
                text::time(last.started),
                tool_names::START_GUEST
            ),
        )
        .on(format!("last start: {}", last.label()))
    })
}

/// Causes that a start would meet: what the guest needs and its node lacks. A
/// guest that runs has it already, or has lost it since.
fn of_needs(guest: &Guest, facts: &StartFacts<'_>) -> Vec<Cause> {
    let is_running = facts.state.is_running();
    let mut causes = Vec::new();
    if facts.node.quorate == Some(false) {
        let cause = Cause::certain(
            "the cluster has no quorum: nothing can be started or changed",
            format!("bring nodes back: {}", tool_names::GET_CLUSTER_STATUS),
        )
        .about(Topic::Quorum);
        // Guests that run continue to run.
        causes.push(if is_running {
            cause.at_most(Certainty::Possible)
        } else {
            cause
        });
    }
    if let Some(storages) = &facts.node.storages {
        let used = facts
            .disks
            .iter()
            .filter(|disk| !disk.is_unused() && disk.source == Source::Volume);
        for disk in used {
            let cause = if is_running {
                of_running_disk(guest, disk, storages)
            } else {
                of_stopped_disk(guest, disk, storages)
            };
            causes.extend(cause.map(|cause| cause.about(Topic::Storage)));
        }
    }
    if !is_running {
        causes.extend(of_size(guest, facts.config, facts.node));
        let missing = facts.nics.iter();
        causes.extend(missing.filter_map(|nic| missing_bridge(guest, nic, facts.node)));
    }
    causes
}

/// Why a node cannot use the storage of a disk, if so: what is wrong, and what
/// to do.
fn unusable(guest: &Guest, disk: &Disk, storage: &StorageStatus) -> Option<(String, String)> {
    let (id, name) = (&disk.id, &storage.storage);
    if !storage.enabled.0 {
        return Some((
            format!("{id} is on storage {name}, which is disabled"),
            "enable the storage in the web interface, under Datacenter, Storage".to_owned(),
        ));
    }
    storage.active.is_some_and(|active| !active.0).then(|| {
        (
            format!(
                "{id} is on storage {name}, which node {} does not reach",
                guest.node
            ),
            format!(
                "check the server or disk behind it: {} of {}",
                tool_names::GET_NODE_HEALTH,
                guest.node
            ),
        )
    })
}

fn of_stopped_disk(guest: &Guest, disk: &Disk, storages: &[StorageStatus]) -> Option<Cause> {
    let name = disk.storage.as_deref()?;
    let id = &disk.id;
    let Some(storage) = storages.iter().find(|one| one.storage == name) else {
        // A token sees the storages alone that it may use.
        return Some(
            Cause::possible(
                format!(
                    "{id} is on storage {name}, which node {} does not have, or which this token \
                     may not see",
                    guest.node
                ),
                format!(
                    "{} shows where the storage is; {} moves the guest there",
                    tool_names::LIST_STORAGE,
                    tool_names::MIGRATE_GUEST
                ),
            )
            .on(disk.volid.clone()),
        );
    };
    let (cause, fix) = unusable(guest, disk, storage)?;
    Some(if disk.cdrom {
        Cause::likely(
            cause,
            format!(
                "{fix}; or empty the drive, which is a CD-ROM drive, with {} (eject) or in the web \
                 interface",
                tool_names::SET_CDROM
            ),
        )
    } else {
        Cause::certain(cause, fix)
    })
}

fn of_running_disk(guest: &Guest, disk: &Disk, storages: &[StorageStatus]) -> Option<Cause> {
    if disk.cdrom {
        return None;
    }
    let name = disk.storage.as_deref()?;
    let storage = storages.iter().find(|one| one.storage == name)?;
    if let Some((cause, fix)) = unusable(guest, disk, storage) {
        return Some(Cause::possible(cause, fix));
    }
    let free = storage.avail?.0;
    (storage.fills_up() && free < FULL_BYTES).then(|| {
        Cause::likely(
            format!(
                "storage {name} of {} is full: the guest's writes fail",
                disk.id
            ),
            format!("make room: {}", tool_names::LIST_STORAGE_CONTENT),
        )
        .on(format!("{} free", text::bytes(free)))
    })
}

/// A storage with less is full.
const FULL_BYTES: u64 = 64 << 20;

fn of_size(guest: &Guest, config: &PendingConfig, facts: &NodeFacts) -> Vec<Cause> {
    let mut causes = Vec::new();
    let Some(node) = &facts.status else {
        return causes;
    };
    let change = format!(
        "lower it with {}, or use a larger node: {}",
        tool_names::SET_GUEST_RESOURCES,
        tool_names::MIGRATE_GUEST
    );
    let memory = config.number("memory").map(|mebibytes| mebibytes << 20);
    let free = node.memory.as_ref().and_then(Usage::free);
    if let (Some(memory), Some(free)) = (memory, free)
        && memory > free
    {
        // The cache of ZFS gives way, and neither type of guest takes all its
        // memory at its start.
        causes.push(
            Cause::possible(
                format!("its memory is more than node {} has free", guest.node),
                change.clone(),
            )
            .about(Topic::Memory)
            .on(format!(
                "configured {}, free {}",
                text::bytes(memory),
                text::bytes(free)
            )),
        );
    }
    if guest.kind == GuestType::Qemu
        && let Some(cpus) = node.cpuinfo.as_ref().and_then(|info| info.cpus)
    {
        // Proxmox counts these, also if `vcpus` plugs in fewer.
        let cores = config.number("cores").unwrap_or(1);
        let sockets = config.number("sockets").unwrap_or(1);
        let wanted = cores.saturating_mul(sockets);
        if wanted > cpus.0 {
            causes.push(
                Cause::certain("it has more processors than its node", change)
                    .about(Topic::Processors)
                    .on(format!(
                        "configured {wanted}, node {} has {}",
                        guest.node, cpus.0
                    )),
            );
        }
    }
    causes
}

/// A bridge that the node does not have keeps a guest from starting. Nothing is
/// said if the token sees no network at all.
fn missing_bridge(guest: &Guest, nic: &Nic, facts: &NodeFacts) -> Option<Cause> {
    let name = nic.bridge.as_deref()?;
    if facts.networks.is_none() || facts.network(name).is_some() {
        return None;
    }
    let (id, node) = (&nic.id, &guest.node);
    let fix = format!(
        "{} shows the node's networks; {} or the web interface puts the card on another one, or use \
         a node that has it: {}",
        tool_names::LIST_NETWORKS,
        tool_names::SET_NIC,
        tool_names::MIGRATE_GUEST
    );
    let cause = if facts.sees_all_networks {
        Cause::certain(
            format!("{id} is on {name}, which node {node} does not have"),
            fix,
        )
    } else {
        Cause::possible(
            format!(
                "{id} is on {name}, which node {node} does not have, or which this token may not \
                 see (SDN.Audit on it is missing)"
            ),
            fix,
        )
    };
    Some(
        cause
            .about(Topic::Bridge)
            .on(format!("{id}: bridge={name}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::GuestConfig;
    use serde_json::json;

    fn guest() -> Guest {
        serde_json::from_value(json!({
            "vmid": 105, "type": "qemu", "node": "alpha", "status": "stopped", "name": "web"
        }))
        .unwrap()
    }

    fn task(kind: &str, exit: Option<&str>, log: &[&str]) -> GuestTask {
        task_of("105", kind, exit, log)
    }

    fn task_of(id: &str, kind: &str, exit: Option<&str>, log: &[&str]) -> GuestTask {
        GuestTask {
            upid: format!("UPID:alpha:0000011D:000BED85:6B02AFAA:{kind}:{id}:ann@pve:"),
            kind: kind.into(),
            user: "ann@pve".into(),
            exit: exit.map(str::to_owned),
            started: 1_795_338_154,
            log: log.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    /// What is said of a guest in this state.
    struct Case {
        state: serde_json::Value,
        config: serde_json::Value,
        tasks: Vec<GuestTask>,
        running: Option<RunningTasks>,
        node: NodeFacts,
    }

    impl Case {
        fn new(state: serde_json::Value) -> Self {
            Self {
                state,
                config: json!({}),
                tasks: Vec::new(),
                running: None,
                node: NodeFacts::default(),
            }
        }

        fn tasks(mut self, tasks: &[GuestTask]) -> Self {
            self.tasks = tasks.to_vec();
            self
        }

        fn beside(mut self, tasks: &[GuestTask], are_all: bool) -> Self {
            self.running = Some(RunningTasks {
                tasks: tasks.to_vec(),
                are_all,
            });
            self
        }

        fn causes(&self) -> Vec<Cause> {
            let state: GuestState = serde_json::from_value(self.state.clone()).unwrap();
            let config = GuestConfig::sample(GuestType::Qemu, self.config.clone());
            causes(
                &guest(),
                &StartFacts {
                    state: &state,
                    config: &PendingConfig::from(&config),
                    disks: &config.disks(),
                    nics: &config.nics(),
                    tasks: &self.tasks,
                    running: self.running.as_ref(),
                    node: &self.node,
                },
            )
        }

        /// `Likely: it is locked …`, a line each.
        fn said(&self) -> String {
            let lines: Vec<String> = self
                .causes()
                .iter()
                .map(|one| format!("{:?}: {}", one.certainty, one.cause))
                .collect();
            lines.join("\n")
        }
    }

    fn locked(lock: &str) -> Case {
        Case::new(json!({"status": "stopped", "lock": lock}))
    }

    #[test]
    fn a_lock_is_left_behind_if_no_task_can_hold_it() {
        let stale = locked("backup")
            .tasks(&[task("vzdump", Some("OK"), &[])])
            .beside(&[task_of("200", "vzdump", None, &[])], true)
            .causes();
        assert!(stale[0].cause.contains("left behind"), "{stale:?}");
        assert!(stale[0].fix.contains("qm unlock 105"), "{stale:?}");
        let held = locked("backup")
            .tasks(&[task("vzdump", None, &[])])
            .causes();
        assert!(held[0].cause.contains("by a task that runs"), "{held:?}");
        // A console holds no lock.
        let console = locked("backup")
            .tasks(&[task("vncproxy", None, &[])])
            .beside(&[], true)
            .causes();
        assert!(console[0].cause.contains("left behind"), "{console:?}");
    }

    #[test]
    fn a_lock_may_be_held_by_a_task_without_the_vmid() {
        for (lock, task) in [
            ("backup", task_of("", "vzdump", None, &[])),
            ("clone", task_of("100", "qmclone", None, &[])),
            ("migrate", task_of("", "migrateall", None, &[])),
        ] {
            let held = locked(lock).beside(&[task], true).causes();
            assert!(held[0].cause.contains("probably by"), "{held:?}");
            assert!(!held[0].fix.contains("unlock"), "{held:?}");
        }
        // Nor is it given away where tasks are not visible.
        for case in [locked("backup"), locked("backup").beside(&[], false)] {
            let unseen = case.causes();
            assert_eq!(unseen[0].certainty, Certainty::Possible, "{unseen:?}");
            assert!(!unseen[0].fix.contains("unlock 105"), "{unseen:?}");
        }
    }

    #[test]
    fn a_lock_keeps_nobody_from_reaching_a_guest() {
        let state = json!({"status": "running", "lock": "backup"});
        let said = Case::new(state).tasks(&[task("vzdump", None, &[])]).said();
        assert!(
            said.starts_with("Possible: it is locked (backup)"),
            "{said}"
        );
    }

    #[test]
    fn the_last_start_tells() {
        let stopped = || Case::new(json!({"status": "stopped"}));
        let tasks = [
            task(
                "qmstart",
                Some("start failed: QEMU exited with code 1"),
                &[
                    "bridge 'vmbr9' does not exist",
                    "start failed: QEMU exited with code 1",
                ],
            ),
            task("qmstop", Some("OK"), &[]),
        ];
        let failed = stopped().tasks(&tasks).said();
        assert!(
            failed.starts_with("Likely: its last start failed: a network card is on a bridge"),
            "{failed}"
        );
        assert_eq!(failed.lines().count(), 1, "{failed}");
        let asked = stopped().tasks(&tasks[1..]).said();
        assert_eq!(asked, "Likely: it was stopped on purpose");
        let ended = stopped()
            .tasks(&[task("qmstart", Some("OK"), &[])])
            .causes();
        assert!(ended[0].cause.contains("without a task"), "{ended:?}");
        assert!(
            ended[0].fix.contains("since 2026-11-22T09:02:34Z"),
            "{ended:?}"
        );
        let error = json!({"status": "stopped", "ha": {"managed": 1, "state": "error"}});
        assert!(Case::new(error).said().contains("HA has given up"));
    }

    #[test]
    fn what_was_wrong_may_be_over() {
        let stopped = || Case::new(json!({"status": "stopped"}));
        let of = |exit: &str| stopped().tasks(&[task("qmstart", Some(exit), &[])]).said();
        assert!(
            of("VM is locked (backup)").contains("Likely: its last start failed, for a reason")
        );
        // It ran then, and has ended since.
        assert!(of("VM 105 already running").starts_with("Possible: it ended without a task"));
        assert!(!of("unknown").contains("failed"));
    }

    #[test]
    fn state_and_log_are_one_cause() {
        let mut case = locked("backup").beside(&[], true);
        case.tasks = vec![task("qmstart", Some("VM is locked (backup)"), &[])];
        let causes = case.causes();
        assert_eq!(causes.len(), 1, "{causes:?}");
        assert!(
            causes[0]
                .evidence
                .iter()
                .any(|line| line == "VM is locked (backup)")
        );
    }

    #[test]
    fn a_stopped_guest_without_a_cause_can_be_started() {
        let causes = Case::new(json!({"status": "stopped"})).causes();
        assert_eq!(causes.len(), 1);
        assert!(causes[0].fix.contains("start_guest"), "{causes:?}");
        assert!(Case::new(json!({"status": "running"})).causes().is_empty());
    }

    fn needs(status: &str) -> Case {
        let mut case = Case::new(json!({"status": status}));
        case.config = json!({"memory": "8192", "cores": 8, "vcpus": 2,
            "scsi0": "old:vm-105-disk-0,size=8G", "ide2": "nas:iso/a.iso,media=cdrom",
            "virtio1": "off:vm-105-disk-1,size=1G", "virtio2": "nas:vm-105-disk-2,size=1G",
            "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr9", "unused0": "gone:x"});
        case.node = NodeFacts {
            status: serde_json::from_value(
                json!({"memory": {"total": 1, "available": 4_294_967_296_u64},
                    "cpuinfo": {"cpus": 4}}),
            )
            .unwrap(),
            storages: serde_json::from_value(json!([
                {"storage": "nas", "enabled": 1, "active": 0},
                {"storage": "off", "enabled": 0, "active": 0},
            ]))
            .unwrap(),
            networks: serde_json::from_value(json!([{"iface": "vmbr0", "type": "bridge"}]))
                .unwrap(),
            sees_all_networks: true,
            quorate: Some(false),
        };
        case
    }

    #[test]
    fn what_the_node_lacks() {
        let said = needs("stopped").said();
        for words in [
            "Certain: the cluster has no quorum",
            "Possible: scsi0 is on storage old, which node alpha does not have",
            "Likely: ide2 is on storage nas, which node alpha does not reach",
            "Certain: virtio1 is on storage off, which is disabled",
            "Certain: virtio2 is on storage nas",
            "Possible: its memory is more than node alpha has free",
            "Certain: it has more processors than its node",
            "Certain: net0 is on vmbr9, which node alpha does not have",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(said.lines().count(), 8, "{said}");
    }

    #[test]
    fn a_guest_that_runs_has_what_it_needs() {
        let said = needs("running").said();
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(
            said.lines().all(|line| line.starts_with("Possible")),
            "{said}"
        );
        assert!(!said.contains("vmbr9") && !said.contains("ide2"), "{said}");
    }

    #[test]
    fn a_bridge_may_be_hidden_from_the_token() {
        let mut case = Case::new(json!({"status": "stopped"}));
        case.config = json!({"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr9"});
        assert!(!case.said().contains("vmbr9"));
        case.node.networks =
            serde_json::from_value(json!([{"iface": "vmbr0", "type": "bridge"}])).unwrap();
        let said = case.said();
        assert!(said.starts_with("Possible: net0 is on vmbr9"), "{said}");
    }

    #[test]
    fn storages_that_never_fill_up() {
        let mut case = Case::new(json!({"status": "running"}));
        case.config = json!({"scsi0": "san:0.0.0.scsi-1,size=8G", "scsi1": "fat:vm-105-disk-1",
            "scsi2": "full:105/vm-105-disk-2.qcow2"});
        case.node.storages = serde_json::from_value(json!([
            {"storage": "san", "type": "iscsi", "enabled": 1, "active": 1, "avail": 0, "total": 0},
            {"storage": "fat", "type": "lvm", "enabled": 1, "active": 1, "avail": 0, "total": 9},
            {"storage": "full", "type": "dir", "enabled": 1, "active": 1, "avail": 0, "total": 9},
        ]))
        .unwrap();
        assert_eq!(
            case.said(),
            "Likely: storage full of scsi2 is full: the guest's writes fail"
        );
    }
}
