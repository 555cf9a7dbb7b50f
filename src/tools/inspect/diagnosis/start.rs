//! Why a guest does not start.

use super::cause::Cause;
use super::node::NodeFacts;
use super::start_log;
use crate::pve::{
    Disk, Guest, GuestState, GuestType, Nic, PendingConfig, Source, StorageStatus, Usage,
};
use crate::tools::cluster::task::{TaskState, state_of};
use crate::{text, tool_names};

/// A task of the guest.
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

    pub(crate) fn has_failed(&self) -> bool {
        self.exit
            .as_deref()
            .is_some_and(|exit| !matches!(state_of(exit), TaskState::Ok | TaskState::Warnings))
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

/// Causes that have to do with the guest's state: its lock, HA, and its last
/// tasks.
pub(crate) fn of_state(guest: &Guest, state: &GuestState, tasks: &[GuestTask]) -> Vec<Cause> {
    let mut causes = Vec::new();
    if guest.template.0 || state.template.0 {
        causes.push(Cause::certain(
            "it is a template, which cannot be started",
            format!("make a guest of it with {}", tool_names::CLONE_GUEST),
        ));
    }
    causes.extend(of_lock(guest, state, tasks));
    causes.extend(of_ha(guest, state));
    if state.is_running() {
        return causes;
    }
    if let Some(start) = last_start(tasks).and_then(|index| tasks.get(index))
        && start.has_failed()
    {
        let exit = start.exit.as_deref().unwrap_or_default();
        causes.push(start_log::meaning(&start.log, exit).on(format!("failed {}", start.label())));
    }
    causes.extend(why_stopped(state, tasks));
    causes
}

fn of_lock(guest: &Guest, state: &GuestState, tasks: &[GuestTask]) -> Option<Cause> {
    let lock = state.lock()?;
    if lock == "suspended" {
        return Some(Cause::likely(
            "it is suspended to disk",
            format!("{} resumes it where it left off", tool_names::START_GUEST),
        ));
    }
    if let Some(task) = tasks.iter().find(|task| task.exit.is_none()) {
        return Some(
            Cause::certain(
                format!("it is locked ({lock}) by a task that runs"),
                format!("follow the task with {}", tool_names::WAIT_TASK),
            )
            .on(task.label()),
        );
    }
    // A job for several guests has no vmid in its task.
    let unlock = match guest.kind {
        GuestType::Qemu => format!("qm unlock {}", guest.vmid),
        GuestType::Lxc => format!("pct unlock {}", guest.vmid),
    };
    let sure = if lock == "backup" {
        format!(
            "make sure with {} that no vzdump of several guests runs; ",
            tool_names::LIST_TASKS
        )
    } else {
        String::new()
    };
    Some(
        Cause::likely(
            format!("it is locked ({lock}), and no task of its own runs: the lock was left behind"),
            format!(
                "{sure}if none runs, on node {}: {unlock} (a token cannot unlock a guest)",
                guest.node
            ),
        )
        .on(format!("lock: {lock}")),
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
                "{} shows why; then on a node: ha-manager set {sid} --state disabled, correct the \
                 cause, ha-manager set {sid} --state started",
                tool_names::GET_HA
            ),
        ),
        "disabled" | "stopped" => Cause::likely(
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
        "starting" | "queued" | "migrate" | "relocate" | "request_start" => Cause::likely(
            "HA is at work on it",
            format!("wait a moment, then look at {}", tool_names::GET_HA),
        ),
        _ => return None,
    };
    Some(cause.on(format!("HA state of {sid}: {ha}")))
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
                "look at the node's log of that time with {} (word: oom or the vmid), then {}",
                tool_names::GET_NODE_LOG,
                tool_names::START_GUEST
            ),
        )
        .on(format!("last start: {}", last.label()))
    })
}

/// Causes that a start would meet: what the guest needs and its node lacks.
pub(crate) fn of_needs(
    guest: &Guest,
    is_running: bool,
    config: &PendingConfig,
    disks: &[Disk],
    nics: &[Nic],
    facts: &NodeFacts,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    if facts.quorate == Some(false) {
        causes.push(Cause::certain(
            "the cluster has no quorum: nothing can be started or changed",
            format!("bring nodes back: {}", tool_names::GET_CLUSTER_STATUS),
        ));
    }
    if let Some(storages) = &facts.storages {
        for disk in disks.iter().filter(|disk| !disk.id.starts_with("unused")) {
            causes.extend(of_disk(guest, is_running, disk, storages));
        }
    }
    if !is_running {
        causes.extend(of_size(guest, config, facts));
        for nic in nics {
            causes.extend(missing_bridge(guest, nic, facts));
        }
    }
    causes
}

fn of_disk(
    guest: &Guest,
    is_running: bool,
    disk: &Disk,
    storages: &[StorageStatus],
) -> Option<Cause> {
    if disk.source != Source::Volume {
        return None;
    }
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
    if !storage.enabled.0 {
        return Some(Cause::certain(
            format!("{id} is on storage {name}, which is disabled"),
            "enable the storage in the web interface, under Datacenter, Storage",
        ));
    }
    if storage.active.is_some_and(|active| !active.0) {
        return Some(Cause::certain(
            format!(
                "{id} is on storage {name}, which node {} does not reach",
                guest.node
            ),
            format!(
                "check the server or disk behind it: {} of {}",
                tool_names::GET_NODE_HEALTH,
                guest.node
            ),
        ));
    }
    let free = storage.avail?.0;
    (is_running && free < FULL_BYTES && !disk.cdrom).then(|| {
        Cause::likely(
            format!("storage {name} of {id} is full: the guest's writes fail"),
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
        // A container takes memory as it needs it.
        let cause = format!("its memory is more than node {} has free", guest.node);
        let cause = match guest.kind {
            GuestType::Qemu => Cause::likely(cause, change.clone()),
            GuestType::Lxc => Cause::possible(cause, change.clone()),
        };
        causes.push(cause.on(format!(
            "configured {}, free {}",
            text::bytes(memory),
            text::bytes(free)
        )));
    }
    if guest.kind == GuestType::Qemu
        && let Some(cpus) = node.cpuinfo.as_ref().and_then(|info| info.cpus)
    {
        let cores = config.number("cores").unwrap_or(1);
        let sockets = config.number("sockets").unwrap_or(1);
        let wanted = config
            .number("vcpus")
            .unwrap_or_else(|| cores.saturating_mul(sockets));
        if wanted > cpus.0 {
            causes.push(
                Cause::certain("it has more processors than its node", change).on(format!(
                    "configured {wanted}, node {} has {}",
                    guest.node, cpus.0
                )),
            );
        }
    }
    causes
}

/// A bridge that the node does not have keeps a guest from starting. A vnet is
/// not among the node's own interfaces.
pub(super) fn missing_bridge(guest: &Guest, nic: &Nic, facts: &NodeFacts) -> Option<Cause> {
    let name = nic.bridge.as_deref()?;
    let bridges = facts.bridges.as_ref()?;
    if bridges.is_empty() || bridges.iter().any(|one| one.iface == name) {
        return None;
    }
    Some(
        Cause::certain(
            format!(
                "{} is on {name}, which node {} does not have",
                nic.id, guest.node
            ),
            format!(
                "{} shows the node's networks; change the card's bridge in the guest's hardware, \
                 or use a node that has it: {}",
                tool_names::LIST_NETWORKS,
                tool_names::MIGRATE_GUEST
            ),
        )
        .on(format!("{}: bridge={name}", nic.id)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::node::NodeFacts;
    use super::*;
    use crate::pve::GuestConfig;
    use serde_json::json;

    fn guest() -> Guest {
        serde_json::from_value(json!({
            "vmid": 105, "type": "qemu", "node": "alpha", "status": "stopped", "name": "web"
        }))
        .unwrap()
    }

    fn state(value: serde_json::Value) -> GuestState {
        serde_json::from_value(value).unwrap()
    }

    fn task(kind: &str, exit: Option<&str>, log: &[&str]) -> GuestTask {
        GuestTask {
            upid: "UPID:alpha:1".into(),
            kind: kind.into(),
            user: "ann@pve".into(),
            exit: exit.map(str::to_owned),
            started: 1_795_338_154,
            log: log.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    fn said(causes: &[Cause]) -> Vec<&str> {
        causes.iter().map(|one| one.cause.as_str()).collect()
    }

    #[test]
    fn a_lock_without_a_task_is_left_behind() {
        let locked = state(json!({"status": "stopped", "lock": "backup"}));
        let stale = of_state(&guest(), &locked, &[task("vzdump", Some("OK"), &[])]);
        assert!(stale[0].cause.contains("left behind"), "{stale:?}");
        assert!(stale[0].fix.contains("qm unlock 105"), "{stale:?}");
        let held = of_state(&guest(), &locked, &[task("vzdump", None, &[])]);
        assert!(held[0].cause.contains("by a task that runs"), "{held:?}");
    }

    #[test]
    fn the_last_start_tells() {
        let stopped = state(json!({"status": "stopped"}));
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
        let failed = of_state(&guest(), &stopped, &tasks);
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert!(
            failed[0].cause.contains("bridge that this node"),
            "{failed:?}"
        );
        let asked = of_state(&guest(), &stopped, &tasks[1..]);
        assert_eq!(said(&asked), ["it was stopped on purpose"]);
        let ended = of_state(&guest(), &stopped, &[task("qmstart", Some("OK"), &[])]);
        assert!(ended[0].cause.contains("without a task"), "{ended:?}");
        let error = state(json!({"status": "stopped", "ha": {"managed": 1, "state": "error"}}));
        assert!(
            of_state(&guest(), &error, &[])[0]
                .cause
                .contains("HA has given up")
        );
    }

    #[test]
    fn what_the_node_lacks() {
        let raw = json!({"memory": "8192", "cores": 8, "scsi0": "old:vm-105-disk-0,size=8G",
            "ide2": "nas:iso/a.iso,media=cdrom", "virtio1": "off:vm-105-disk-1,size=1G",
            "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr9", "unused0": "gone:x"});
        let config = GuestConfig::sample(GuestType::Qemu, raw);
        let settings = PendingConfig::from(&config);
        let facts = NodeFacts {
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
            bridges: serde_json::from_value(json!([{"iface": "vmbr0", "type": "bridge"}])).unwrap(),
            quorate: Some(false),
        };
        let causes = of_needs(
            &guest(),
            false,
            &settings,
            &config.disks(),
            &config.nics(),
            &facts,
        );
        let said = said(&causes).join("\n");
        for words in [
            "no quorum",
            "scsi0 is on storage old, which node alpha does not have",
            "ide2 is on storage nas, which node alpha does not reach",
            "virtio1 is on storage off, which is disabled",
            "more than node alpha has free",
            "more processors than its node",
            "net0 is on vmbr9",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(causes.len(), 7, "{said}");
    }
}
