//! Starting and stopping guests.

use std::time::Duration;

use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::{NODE, STORAGE};
use crate::params::{BOOL, INT, Param, TEXT, opt};
use crate::permission::Permission::{self, All};
use crate::state::{Cluster, GuestNames, Lines, Power, missing};
use crate::tasks::Plan;
use pve_api::{GuestType, calls};

const POWER: Permission = All("/vms/{vmid}", &["VM.PowerMgmt"]);
const SKIP_LOCK: Param = opt("skiplock", BOOL).root_only();
const TIMEOUT: Param = opt("timeout", INT.min(0));

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::power::START.qemu,
        &[SKIP_LOCK, TIMEOUT, opt("force-cpu", TEXT)],
        POWER,
        |call| start(call, GuestType::Qemu),
    ),
    on(
        &calls::power::START.lxc,
        &[SKIP_LOCK, opt("debug", BOOL)],
        POWER,
        |call| start(call, GuestType::Lxc),
    ),
    on(
        &calls::power::STOP.qemu,
        &[
            opt("keepActive", BOOL),
            opt("migratedfrom", NODE),
            opt("overrule-shutdown", BOOL),
            SKIP_LOCK,
            TIMEOUT,
        ],
        POWER,
        |call| stop(call, GuestType::Qemu),
    ),
    on(
        &calls::power::STOP.lxc,
        &[opt("overrule-shutdown", BOOL), SKIP_LOCK],
        POWER,
        |call| stop(call, GuestType::Lxc),
    ),
    on(
        &calls::power::SHUTDOWN.qemu,
        &[
            opt("forceStop", BOOL),
            opt("keepActive", BOOL),
            SKIP_LOCK,
            TIMEOUT,
        ],
        POWER,
        |call| shutdown(call, GuestType::Qemu),
    ),
    on(
        &calls::power::SHUTDOWN.lxc,
        &[opt("forceStop", BOOL), TIMEOUT],
        POWER,
        |call| shutdown(call, GuestType::Lxc),
    ),
    on(&calls::power::REBOOT.qemu, &[TIMEOUT], POWER, |call| {
        reboot(call, GuestType::Qemu)
    }),
    on(&calls::power::REBOOT.lxc, &[TIMEOUT], POWER, |call| {
        reboot(call, GuestType::Lxc)
    }),
    on(&calls::power::RESET, &[SKIP_LOCK], POWER, reset),
    on(
        &calls::power::SUSPEND.qemu,
        &[
            SKIP_LOCK,
            opt("statestorage", STORAGE).requires("todisk"),
            opt("todisk", BOOL),
        ],
        POWER,
        suspend,
    ),
    on(&calls::power::SUSPEND.lxc, &[], POWER, suspend_container),
    on(
        &calls::power::RESUME.qemu,
        &[opt("nocheck", BOOL), SKIP_LOCK],
        POWER,
        resume,
    ),
    on(&calls::power::RESUME.lxc, &[], POWER, resume_container),
];

/// `qmstart` or `vzstart`.
fn named(kind: GuestType, qemu: &'static str, lxc: &'static str) -> &'static str {
    if kind == GuestType::Qemu { qemu } else { lxc }
}

/// How long the HA manager and the node's resource manager take to act on a request.
const HA_START: Duration = Duration::from_secs(15);
const HA_STOP: Duration = Duration::from_secs(9);

/// A guest under HA is started and stopped by its manager: the request's task only asks for it,
/// and is long over when the guest changes.
fn ha_request(
    call: &mut Call<'_>,
    kind: GuestType,
    verb: &'static str,
    task: &'static str,
) -> Answer {
    let vmid = call.vmid();
    let sid = format!("{}:{vmid}", kind.ha_type());
    let (wanted, delay) = if verb == "start" {
        ("started", HA_START)
    } else {
        ("stopped", HA_STOP)
    };
    let plan = Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            lines.push(format!("Requesting HA {verb} for {} {vmid}", kind.short()));
            if let Some(ha) = cluster.ha.get_mut(&sid) {
                wanted.clone_into(&mut ha.state);
            }
            cluster.after(delay, move |cluster| act(cluster, kind, vmid, &sid));
            Ok(())
        },
    );
    call.start(plan.length(0.2))
}

/// The manager acts some time after the state of a resource was set.
pub(super) fn follow_ha(cluster: &mut Cluster, sid: &str) {
    let Some(vmid) = sid.split_once(':').and_then(|(_, vmid)| vmid.parse().ok()) else {
        return;
    };
    let (Some(ha), Some(guest)) = (cluster.ha.get(sid), cluster.guests.get(&vmid)) else {
        return;
    };
    let delay = match ha.state.as_str() {
        "started" => HA_START,
        "stopped" => HA_STOP,
        _ => return,
    };
    let (kind, sid) = (guest.kind, sid.to_owned());
    cluster.after(delay, move |cluster| act(cluster, kind, vmid, &sid));
}

/// The node's resource manager brings a guest into the state that is wanted by now.
fn act(cluster: &mut Cluster, kind: GuestType, vmid: u32, sid: &str) {
    let Some(guest) = cluster.guests.get(&vmid) else {
        return;
    };
    let node = guest.node.clone();
    let starts = cluster.ha.get(sid).is_some_and(|ha| ha.state == "started");
    let plan = match (starts, guest.is_running()) {
        (true, false) => start_plan(cluster, &node, kind, vmid),
        (false, true) => stop_plan(named(kind, "qmstop", "vzstop"), vmid),
        _ => return,
    };
    cluster.start(&node, "root@pam", plan);
}

fn start(call: &mut Call<'_>, kind: GuestType) -> Answer {
    if is_ha_managed(call, kind) {
        return ha_request(call, kind, "start", "hastart");
    }
    let (node, vmid) = (call.node(), call.vmid());
    if kind == GuestType::Lxc && call.cluster.guest(&node, kind, vmid)?.is_running() {
        return Err(Fail::die(format!("CT {vmid} already running")));
    }
    let plan = start_plan(call.cluster, &node, kind, vmid);
    call.start(plan)
}

fn is_ha_managed(call: &Call<'_>, kind: GuestType) -> bool {
    call.cluster
        .ha
        .contains_key(&format!("{}:{}", kind.ha_type(), call.vmid()))
}

/// Every reason not to start shows in the task only.
pub(crate) fn start_plan(cluster: &Cluster, node: &str, kind: GuestType, vmid: u32) -> Plan {
    let task = named(kind, "qmstart", "vzstart");
    let node = node.to_owned();
    let startable = move |cluster: &Cluster| -> Result<(), String> {
        let guest = cluster
            .guest(&node, kind, vmid)
            .map_err(|_| missing(&node, kind, vmid))?;
        if guest.lock() != Some("suspended") {
            guest.check_lock()?;
        }
        if guest.is_template() {
            return Err(match kind {
                GuestType::Qemu => "you can't start a vm if it's a template".into(),
                GuestType::Lxc => "you can't start a CT if it's a template".into(),
            });
        }
        if guest.is_running() {
            return Err(format!("{} {vmid} already running", kind.short()));
        }
        Ok(())
    };
    if let Err(error) = startable(cluster) {
        return Plan::failing(task, vmid, error);
    }
    Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            startable(cluster)?;
            let at = cluster.clock.at();
            if let Some(guest) = cluster.guests.get_mut(&vmid) {
                if guest.lock() == Some("suspended") {
                    guest.config.remove("lock");
                    guest.config.remove("vmstate");
                    lines.push("Resuming suspended VM");
                }
                if kind == GuestType::Qemu && guest.cloudinit_drive().is_some() {
                    lines.push("generating cloud-init ISO");
                }
                guest.power_on(at);
            }
            Ok(())
        },
    )
}

/// A task that turns a guest off.
fn stop_plan(task: &'static str, vmid: u32) -> Plan {
    Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            let Some(guest) = cluster.guests.get_mut(&vmid) else {
                return Ok(());
            };
            guest.check_lock()?;
            if guest.is_running() {
                guest.power_off();
            } else if guest.kind == GuestType::Qemu {
                lines.push("VM already stopped");
            }
            Ok(())
        },
    )
    .length(0.5)
}

fn stop(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let task = named(kind, "qmstop", "vzstop");
    if call.flag("overrule-shutdown") {
        let shutdown = named(kind, "qmshutdown", "vzshutdown");
        let id = vmid.to_string();
        let running: Vec<String> = call
            .cluster
            .tasks
            .list
            .iter()
            .filter(|task| task.status.is_none() && task.kind == shutdown && task.id == id)
            .map(|task| task.upid.clone())
            .collect();
        for upid in running {
            call.cluster.stop_task(&upid);
        }
    }
    let found = call.cluster.guest(&node, kind, vmid);
    let guest = match (found, kind) {
        (Err(fail), GuestType::Qemu) => {
            return call.start(Plan::failing(task, vmid, fail.message.trim_end()));
        }
        (found, _) => found?,
    };
    if kind == GuestType::Lxc && !guest.is_running() {
        return Err(Fail::die(format!("CT {vmid} not running")));
    }
    if let Err(error) = guest.check_lock()
        && guest.is_running()
    {
        return call.start(Plan::failing(task, vmid, error));
    }
    if !guest.is_running() {
        return call.start(Plan::new(task, vmid, |_, _| Ok(())).length(0.1));
    }
    if is_ha_managed(call, kind) {
        return ha_request(call, kind, "stop", "hastop");
    }
    call.start(stop_plan(task, vmid))
}

fn shutdown(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let force = call.flag("forceStop");
    let guest = call.cluster.guest(&node, kind, vmid)?;
    if guest.power == Power::Paused && !force {
        return Err(Fail::die("VM is paused - cannot shutdown"));
    }
    if !guest.is_running() {
        return Err(Fail::die(format!("{} {vmid} not running", kind.short())));
    }
    let task = named(kind, "qmshutdown", "vzshutdown");
    if let Err(error) = guest.check_lock() {
        return call.start(Plan::failing(task, vmid, error));
    }
    let plan = shutdown_plan(task, kind, vmid, force, guest.obeys_shutdown);
    if is_ha_managed(call, kind) {
        return ha_request(call, kind, "stop", "hastop");
    }
    call.start(plan)
}

fn shutdown_plan(task: &'static str, kind: GuestType, vmid: u32, force: bool, obeys: bool) -> Plan {
    // One that ignores the request takes until the timeout.
    let length = if obeys { 1.0 } else { 2.0 };
    Plan::new(task, vmid, move |cluster: &mut Cluster, lines: &mut Lines| {
        let Some(guest) = cluster.guests.get_mut(&vmid) else { return Ok(()) };
        if kind == GuestType::Qemu && guest.agent_enabled() && !guest.agent_inside {
            lines.push(format!("QEMU Guest Agent is not running - VM {vmid} qga command 'guest-ping' failed - got timeout"));
        }
        if !guest.obeys_shutdown {
            if !force {
                return Err("VM quit/powerdown failed - got timeout".into());
            }
            lines.push("VM still running - terminating now with SIGTERM");
        }
        guest.power_off();
        Ok(())
    })
    .length(length)
}

fn reboot(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let guest = call.cluster.guest(&node, kind, vmid)?;
    if guest.power == Power::Paused {
        return Err(Fail::die("VM is paused - cannot shutdown"));
    }
    if !guest.is_running() {
        return Err(Fail::die(format!("{} {vmid} not running", kind.short())));
    }
    let task = named(kind, "qmreboot", "vzreboot");
    if let Err(error) = guest.check_lock() {
        return call.start(Plan::failing(task, vmid, error));
    }
    let length = if guest.obeys_shutdown { 1.5 } else { 2.0 };
    let plan = Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            let at = cluster.clock.at();
            let Some(guest) = cluster.guests.get_mut(&vmid) else {
                return Ok(());
            };
            if kind == GuestType::Qemu && guest.agent_enabled() && !guest.agent_inside {
                lines.push(format!("QEMU Guest Agent is not running - VM {vmid} qga command 'guest-ping' failed - got timeout"));
            }
            if !guest.obeys_shutdown {
                return Err("VM quit/powerdown failed - got timeout".into());
            }
            guest.power_off();
            guest.power_on(at);
            Ok(())
        },
    );
    call.start(plan.length(length))
}

/// The virtual machine of the path, which must be running.
fn running(call: &Call<'_>) -> Result<(), Fail> {
    let guest = call
        .cluster
        .guest(&call.node(), GuestType::Qemu, call.vmid())?;
    if guest.is_running() {
        Ok(())
    } else {
        Err(Fail::die(format!("VM {} not running", guest.vmid)))
    }
}

fn reset(call: &mut Call<'_>) -> Answer {
    running(call)?;
    let vmid = call.vmid();
    let plan = Plan::new(
        "qmreset",
        vmid,
        move |cluster: &mut Cluster, _: &mut Lines| {
            let at = cluster.clock.at();
            let Some(guest) = cluster.guests.get_mut(&vmid) else {
                return Ok(());
            };
            guest.check_lock()?;
            guest.power = Power::Running;
            guest.started = Some(at);
            Ok(())
        },
    );
    call.start(plan.length(0.3))
}

fn suspend(call: &mut Call<'_>) -> Answer {
    running(call)?;
    let vmid = call.vmid();
    let path = format!("/vms/{vmid}");
    if !call.flag("todisk") {
        let plan = Plan::new(
            "qmpause",
            vmid,
            move |cluster: &mut Cluster, _: &mut Lines| {
                let Some(guest) = cluster.guests.get_mut(&vmid) else {
                    return Ok(());
                };
                guest.check_lock()?;
                guest.power = Power::Paused;
                Ok(())
            },
        );
        return call.start(plan.length(0.3));
    }
    call.require(&path, "VM.Config.Disk")?;
    if call.cluster.ha.contains_key(&format!("vm:{vmid}")) {
        return Err(Fail::die("Cannot suspend HA managed VM to disk"));
    }
    let node = call.node();
    let guest = call.cluster.guest_mut(&node, GuestType::Qemu, vmid)?;
    if let Err(error) = guest.check_lock() {
        return call.start(Plan::failing("qmsuspend", vmid, error));
    }
    guest.config.insert("lock".into(), "suspending".into());
    let storage = call.get("statestorage").unwrap_or("local").to_owned();
    let plan = Plan::new(
        "qmsuspend",
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            let Some(guest) = cluster.guests.get_mut(&vmid) else {
                return Ok(());
            };
            lines.push("State saved, quitting");
            guest.config.insert("lock".into(), "suspended".into());
            guest.config.insert(
                "vmstate".into(),
                format!("{storage}:{vmid}/vm-{vmid}-state-suspend.raw"),
            );
            guest.power_off();
            Ok(())
        },
    )
    .cleanup(move |cluster, _| {
        if let Some(guest) = cluster.guests.get_mut(&vmid) {
            guest.config.remove("lock");
        }
        Ok(())
    });
    call.start(plan.length(1.5))
}

fn resume(call: &mut Call<'_>) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let guest = call.cluster.guest(&node, GuestType::Qemu, vmid)?;
    if guest.lock() == Some("suspended") {
        let plan = start_plan(call.cluster, &node, GuestType::Qemu, vmid);
        return call.start(plan);
    }
    running(call)?;
    let plan = Plan::new(
        "qmresume",
        vmid,
        move |cluster: &mut Cluster, _: &mut Lines| {
            let Some(guest) = cluster.guests.get_mut(&vmid) else {
                return Ok(());
            };
            guest.power = Power::Running;
            Ok(())
        },
    );
    call.start(plan.length(0.3))
}

/// Containers are suspended by CRIU, which is experimental and fails for unprivileged ones.
fn suspend_container(call: &mut Call<'_>) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let guest = call.cluster.guest(&node, GuestType::Lxc, vmid)?;
    if !guest.is_running() {
        return Err(Fail::die(format!("CT {vmid} not running")));
    }
    let error =
        format!("command 'lxc-checkpoint -n {vmid} -s -D /var/lib/vz/dump' failed: exit code 1");
    call.start(Plan::failing("vzsuspend", vmid, error).length(0.5))
}

fn resume_container(call: &mut Call<'_>) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let guest = call.cluster.guest(&node, GuestType::Lxc, vmid)?;
    if guest.is_running() {
        return Err(Fail::die(format!("CT {vmid} already running")));
    }
    let error = format!(
        "command 'lxc-checkpoint -n {vmid} -r --foreground -D /var/lib/vz/dump' failed: exit code 1"
    );
    call.start(Plan::failing("vzresume", vmid, error).length(0.5))
}
