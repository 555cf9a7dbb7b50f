//! Power: starting, stopping, restarting, suspending and resuming guests.
//!
//! Proxmox accepts a start of a locked or running guest and lets the task
//! fail, so the state is read first: what is so already is not asked for, and
//! what cannot be is told at once.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::pve::{Failure, Guest, GuestState, Kind, Params, Pve, Upid};
use crate::report::Report;
use crate::tool::{Reply, Run};
use crate::tools::{clone, name_of};

/// Starts a guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for StartGuest {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        order(pve, self.vmid, self.wait, Self::plan)
    }
}

impl StartGuest {
    fn plan(guest: &Guest, state: &GuestState) -> Result<Plan> {
        let verb = "start";
        if state.template.0 {
            return Err(Error::Conflict(format!(
                "{} is a template, which never runs: make a guest of it with {} and start that",
                guest.label(),
                name_of::<clone::CloneGuest>()
            )));
        }
        match Power::of(state) {
            Power::Running => return Ok(Plan::Nothing(verb)),
            Power::Paused => {
                return Err(Error::Conflict(format!(
                    "{} is paused, not stopped: continue it with {}",
                    guest.label(),
                    name_of::<ResumeGuest>()
                )));
            }
            Power::Halted => return Err(halted(guest, state)),
            // Its lock says that it sleeps, or that a backup has it in hand:
            // Proxmox starts both.
            Power::OnDisk | Power::Prepared => {}
            Power::Stopped if is_mounted(guest, state) => {}
            Power::Stopped => state.unlocked(guest)?,
        }
        Ok(Order::new(verb, "start", Power::Running).plan())
    }
}

/// Stops a guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// shutdown (default): the guest is asked. hard: its power is cut, unsaved data is lost.
    mode: Option<StopMode>,
    /// How long a shutdown may take; default 60.
    #[schemars(range(min = 1, max = 7200))]
    timeout_seconds: Option<u32>,
    /// True: cut the power where the shutdown has not ended by then.
    force_after_timeout: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StopMode {
    Shutdown,
    Hard,
}

impl Run for StopGuest {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        self.check()?;
        order(pve, self.vmid, self.wait, |guest, state| {
            self.plan(guest, state)
        })
    }
}

impl StopGuest {
    fn mode(&self) -> StopMode {
        self.mode.unwrap_or(StopMode::Shutdown)
    }

    fn forces(&self) -> bool {
        self.force_after_timeout == Some(true)
    }

    fn check(&self) -> Result<()> {
        if self.mode() == StopMode::Shutdown {
            return Ok(());
        }
        let only_shutdown = "goes with mode shutdown only: leave it out, or leave out mode";
        if self.timeout_seconds.is_some() {
            return Err(Error::argument("timeout_seconds", only_shutdown));
        }
        if self.forces() {
            return Err(Error::argument("force_after_timeout", only_shutdown));
        }
        Ok(())
    }

    fn plan(&self, guest: &Guest, state: &GuestState) -> Result<Plan> {
        let hard = self.mode() == StopMode::Hard;
        let verb = if hard { "switch off" } else { "shut down" };
        let power = Power::of(state);
        if matches!(power, Power::Stopped | Power::OnDisk) {
            return Ok(Plan::Nothing(verb));
        }
        if !(hard && is_mounted(guest, state)) {
            state.unlocked(guest)?;
        }
        if power == Power::Paused && !hard && !self.forces() {
            return Err(Error::Conflict(format!(
                "{} is paused and cannot hear a shutdown: continue it with {} first, or take mode \
                 hard",
                guest.label(),
                name_of::<ResumeGuest>()
            )));
        }
        if hard {
            // A shutdown that hangs would hold the lock until its timeout.
            // High availability has its own way.
            let overrule = (!state.is_ha_managed()).then_some(true);
            return Ok(Order::new(verb, "stop", Power::Stopped)
                .with(Params::new().opt_flag("overrule-shutdown", overrule))
                .plan());
        }
        let params = Params::new()
            .opt("timeout", self.timeout_seconds)
            .opt_flag("forceStop", self.forces().then_some(true));
        Ok(Order::new(verb, "shutdown", Power::Stopped)
            .with(params)
            .plan())
    }
}

/// Restarts a running guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// reboot (default): shut down and start; applies pending changes. reset: a VM's reset button.
    mode: Option<RestartMode>,
    /// How long the shutdown of a reboot may take; default 60.
    #[schemars(range(min = 1, max = 7200))]
    timeout_seconds: Option<u32>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RestartMode {
    Reboot,
    Reset,
}

impl Run for RestartGuest {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        if self.resets() && self.timeout_seconds.is_some() {
            return Err(Error::argument(
                "timeout_seconds",
                "goes with mode reboot only: leave it out, or leave out mode",
            ));
        }
        order(pve, self.vmid, self.wait, |guest, state| {
            self.plan(guest, state)
        })
    }
}

impl RestartGuest {
    fn resets(&self) -> bool {
        self.mode == Some(RestartMode::Reset)
    }

    fn plan(&self, guest: &Guest, state: &GuestState) -> Result<Plan> {
        if self.resets() && guest.kind == Kind::Lxc {
            return Err(Error::argument(
                "mode",
                "reset is for VMs only: this is a container, take reboot",
            ));
        }
        let power = Power::of(state);
        match power {
            Power::Stopped | Power::OnDisk => {
                return Err(Error::Conflict(format!(
                    "{} is {}: start it with {}",
                    guest.label(),
                    power.word(),
                    name_of::<StartGuest>()
                )));
            }
            Power::Paused if !self.resets() => {
                return Err(Error::Conflict(format!(
                    "{} is paused and cannot hear a reboot: continue it with {} first, or take \
                     mode reset",
                    guest.label(),
                    name_of::<ResumeGuest>()
                )));
            }
            _ => state.unlocked(guest)?,
        }
        if self.resets() {
            return Ok(Order::new("reset", "reset", power).plan());
        }
        Ok(Order::new("reboot", "reboot", Power::Running)
            .with(Params::new().opt("timeout", self.timeout_seconds))
            .plan())
    }
}

/// Suspends a running guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuspendGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// True: save a VM's memory to disk and stop it. Default: pause it, memory kept.
    to_disk: Option<bool>,
    /// Where to_disk saves; default: the storage of the VM's disks.
    #[schemars(length(min = 1))]
    state_storage: Option<String>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for SuspendGuest {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        if self.state_storage.is_some() && !self.saves() {
            return Err(Error::argument(
                "state_storage",
                "goes with to_disk true only",
            ));
        }
        order(pve, self.vmid, self.wait, |guest, state| {
            self.plan(guest, state)
        })
    }
}

impl SuspendGuest {
    fn saves(&self) -> bool {
        self.to_disk == Some(true)
    }

    fn plan(&self, guest: &Guest, state: &GuestState) -> Result<Plan> {
        if self.saves() && guest.kind == Kind::Lxc {
            return Err(Error::argument(
                "to_disk",
                "is for VMs only: this is a container, leave it out",
            ));
        }
        let verb = if self.saves() {
            "suspend to disk"
        } else {
            "pause"
        };
        match Power::of(state) {
            Power::OnDisk => return Ok(Plan::Nothing(verb)),
            Power::Paused if !self.saves() => return Ok(Plan::Nothing(verb)),
            Power::Stopped => {
                return Err(Error::Conflict(format!(
                    "{} is stopped, so there is nothing to suspend: start it with {} first",
                    guest.label(),
                    name_of::<StartGuest>()
                )));
            }
            Power::Halted => return Err(halted(guest, state)),
            Power::Running | Power::Paused | Power::Prepared => state.unlocked(guest)?,
        }
        if guest.kind == Kind::Lxc {
            return Ok(Order::new("suspend", "suspend", Power::OnDisk)
                .warn("containers are suspended by CRIU, which Proxmox calls experimental")
                .plan());
        }
        if !self.saves() {
            return Ok(Order::new(verb, "suspend", Power::Paused).plan());
        }
        let params = Params::new()
            .flag("todisk", true)
            .opt("statestorage", self.state_storage.as_deref());
        Ok(Order::new(verb, "suspend", Power::OnDisk)
            .with(params)
            .plan())
    }
}

/// Continues a suspended guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for ResumeGuest {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        order(pve, self.vmid, self.wait, Self::plan)
    }
}

impl ResumeGuest {
    fn plan(guest: &Guest, state: &GuestState) -> Result<Plan> {
        let verb = "resume";
        match Power::of(state) {
            Power::Running => return Ok(Plan::Nothing(verb)),
            Power::Stopped if guest.kind == Kind::Qemu => {
                return Err(Error::Conflict(format!(
                    "{} is stopped, not suspended: start it with {}",
                    guest.label(),
                    name_of::<StartGuest>()
                )));
            }
            Power::Halted => return Err(halted(guest, state)),
            // Its lock is what it is suspended by.
            Power::OnDisk => {}
            // A suspended container looks like a stopped one: the task tells.
            Power::Stopped | Power::Paused | Power::Prepared => state.unlocked(guest)?,
        }
        Ok(Order::new(verb, "resume", Power::Running).plan())
    }
}

/// A guest's state, as far as power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    Running,
    /// In memory, without running.
    Paused,
    /// Stopped, its memory saved.
    OnDisk,
    Stopped,
    /// QEMU is there, the VM has not been started: a backup of a stopped VM
    /// does this.
    Prepared,
    /// QEMU is there, the VM cannot go on.
    Halted,
}

impl Power {
    fn of(state: &GuestState) -> Self {
        if !state.is_running() {
            return match state.lock() {
                Some("suspended") => Self::OnDisk,
                _ => Self::Stopped,
            };
        }
        match state.qmpstatus.as_deref() {
            // Suspended: by its own system, a resume wakes it.
            Some("paused" | "suspended" | "io-error" | "watchdog" | "debug") => Self::Paused,
            Some("prelaunch") => Self::Prepared,
            Some("guest-panicked" | "internal-error" | "shutdown") => Self::Halted,
            _ => Self::Running,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::OnDisk => "suspended to disk",
            Self::Stopped => "stopped",
            Self::Prepared => "prepared",
            Self::Halted => "halted",
        }
    }
}

/// What to do with a guest in the state that it is in.
#[derive(Debug)]
enum Plan {
    /// It is so already.
    Nothing(&'static str),
    Order(Order),
}

#[derive(Debug)]
struct Order {
    verb: &'static str,
    /// The last segment of the path.
    command: &'static str,
    params: Params,
    to: Power,
    warning: Option<&'static str>,
}

/// Looks at a guest, decides, and starts the task, where one is needed.
fn order(
    pve: &Pve,
    vmid: u32,
    wait: Option<bool>,
    plan: impl Fn(&Guest, &GuestState) -> Result<Plan>,
) -> Result<Reply<Report>> {
    let (_, (report, upid)) = Guest::attempt(pve, vmid, |guest| {
        let state = guest.state(pve)?;
        Ok(match plan(guest, &state)? {
            Plan::Nothing(verb) => {
                let action = format!("{verb} {}", guest.label());
                (Report::unchanged(action).on(guest), None)
            }
            Plan::Order(order) => {
                let upid = order.send(pve, guest)?;
                (order.report(guest, Power::of(&state), &upid), Some(upid))
            }
        })
    })?;
    match upid {
        Some(upid) => report.started(&upid, wait),
        None => Ok(Reply::report(report)),
    }
}

impl Order {
    fn new(verb: &'static str, command: &'static str, to: Power) -> Self {
        Self {
            verb,
            command,
            params: Params::new(),
            to,
            warning: None,
        }
    }

    fn with(self, params: Params) -> Self {
        Self { params, ..self }
    }

    fn warn(self, warning: &'static str) -> Self {
        Self {
            warning: Some(warning),
            ..self
        }
    }

    fn plan(self) -> Plan {
        Plan::Order(self)
    }

    fn send(&self, pve: &Pve, guest: &Guest) -> Result<Upid, Failure> {
        let path = guest.path(["status", self.command]);
        match pve.post(&path, &self.params) {
            // Versions before 8.2 do not know it, and do well without.
            Err(Failure::Api(error)) if error.errors.contains_key("overrule-shutdown") => {
                pve.post(&path, &Params::new())
            }
            answer => answer,
        }
    }

    fn report(&self, guest: &Guest, from: Power, upid: &Upid) -> Report {
        let label = guest.label();
        // The task of a guest under high availability only passes the wish on.
        let place = match upid.kind() {
            "hastart" => Some(", maybe on another node"),
            "hastop" => Some(""),
            _ => None,
        };
        if let Some(place) = place {
            return Report::done(format!("ask high availability to {} {label}", self.verb))
                .on(guest)
                .next(format!(
                    "high availability does it by itself within some ten seconds{place}: look at \
                     the guest then to see it {}",
                    self.to.word()
                ));
        }
        let mut report = Report::done(format!("{} {label}", self.verb)).on(guest);
        if from != self.to {
            report = report.change("power", Some(from.word()), Some(self.to.word()));
        }
        match self.warning {
            Some(warning) => report.warn(warning),
            None => report,
        }
    }
}

/// A container whose root is mounted may be started and stopped all the same.
fn is_mounted(guest: &Guest, state: &GuestState) -> bool {
    guest.kind == Kind::Lxc && state.lock() == Some("mounted")
}

fn halted(guest: &Guest, state: &GuestState) -> Error {
    Error::Conflict(format!(
        "{} has halted ({}): restart it with mode reset of {}, or switch it off with mode hard of \
         {}",
        guest.label(),
        state.qmpstatus.as_deref().unwrap_or("halted"),
        name_of::<RestartGuest>(),
        name_of::<StopGuest>()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;

    const VM: &str = r#"{"vmid":100,"type":"qemu","node":"pve1","name":"web01"}"#;
    const CT: &str = r#"{"vmid":200,"type":"lxc","node":"pve1","name":"ct01"}"#;

    const RUNNING: &str = r#"{"status":"running","qmpstatus":"running","ha":{"managed":0}}"#;
    const PAUSED: &str = r#"{"status":"running","qmpstatus":"paused"}"#;
    const STOPPED: &str = r#"{"status":"stopped","qmpstatus":"stopped"}"#;
    const ON_DISK: &str = r#"{"status":"stopped","qmpstatus":"stopped","lock":"suspended"}"#;
    const LOCKED: &str = r#"{"status":"stopped","qmpstatus":"stopped","lock":"backup"}"#;
    const BUSY: &str = r#"{"status":"running","qmpstatus":"running","lock":"migrate"}"#;
    const IN_BACKUP: &str = r#"{"status":"running","qmpstatus":"prelaunch","lock":"backup"}"#;
    const PANICKED: &str = r#"{"status":"running","qmpstatus":"guest-panicked"}"#;
    const TEMPLATE: &str = r#"{"status":"stopped","template":1}"#;
    const CT_RUNNING: &str = r#"{"status":"running"}"#;
    const CT_MOUNTED: &str = r#"{"status":"stopped","lock":"mounted"}"#;

    fn read<T: DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    /// The request that a plan makes, "nothing", or the words of its refusal.
    fn told(plan: Result<Plan>) -> String {
        match plan {
            Ok(Plan::Nothing(_)) => "nothing".into(),
            Ok(Plan::Order(order)) => format!("{} {}", order.command, order.params.encode())
                .trim_end()
                .to_owned(),
            Err(error) => error.message(),
        }
    }

    fn start(guest: &str, state: &str) -> String {
        told(StartGuest::plan(&read(guest), &read(state)))
    }

    fn resume(guest: &str, state: &str) -> String {
        told(ResumeGuest::plan(&read(guest), &read(state)))
    }

    fn stop(arguments: &str, guest: &str, state: &str) -> String {
        let tool: StopGuest = read(arguments);
        told(
            tool.check()
                .and_then(|()| tool.plan(&read(guest), &read(state))),
        )
    }

    fn restart(arguments: &str, guest: &str, state: &str) -> String {
        told(read::<RestartGuest>(arguments).plan(&read(guest), &read(state)))
    }

    fn suspend(arguments: &str, guest: &str, state: &str) -> String {
        told(read::<SuspendGuest>(arguments).plan(&read(guest), &read(state)))
    }

    #[test]
    fn starts() {
        assert_eq!(start(VM, STOPPED), "start");
        assert_eq!(start(VM, RUNNING), "nothing");
        assert_eq!(start(VM, ON_DISK), "start");
        assert_eq!(start(VM, IN_BACKUP), "start");
        assert_eq!(start(CT, CT_RUNNING), "nothing");
        assert_eq!(start(CT, CT_MOUNTED), "start");
        assert!(start(VM, LOCKED).contains("is locked (backup)"));
        assert!(start(VM, PAUSED).contains("resume_guest"));
        assert!(start(VM, TEMPLATE).contains("is a template"));
        assert!(start(VM, PANICKED).contains("has halted (guest-panicked)"));
    }

    #[test]
    fn stops() {
        let shutdown = r#"{"vmid":100}"#;
        let hard = r#"{"vmid":100,"mode":"hard"}"#;
        let firm = r#"{"vmid":100,"timeout_seconds":30,"force_after_timeout":true}"#;
        assert_eq!(stop(shutdown, VM, RUNNING), "shutdown");
        assert_eq!(stop(firm, VM, RUNNING), "shutdown timeout=30&forceStop=1");
        assert_eq!(stop(hard, VM, RUNNING), "stop overrule-shutdown=1");
        assert_eq!(stop(hard, VM, PANICKED), "stop overrule-shutdown=1");
        let managed = r#"{"status":"running","ha":{"managed":1}}"#;
        assert_eq!(stop(hard, CT, managed), "stop");
        for state in [STOPPED, ON_DISK, LOCKED] {
            assert_eq!(stop(shutdown, VM, state), "nothing");
        }
        assert!(stop(shutdown, VM, PAUSED).contains("cannot hear"));
        assert_eq!(stop(firm, VM, PAUSED), "shutdown timeout=30&forceStop=1");
        assert!(stop(hard, VM, BUSY).contains("is locked (migrate)"));
        let mixed = r#"{"vmid":100,"mode":"hard","timeout_seconds":5}"#;
        assert!(stop(mixed, VM, RUNNING).starts_with("timeout_seconds: "));
    }

    #[test]
    fn restarts() {
        let reboot = r#"{"vmid":100,"timeout_seconds":20}"#;
        let reset = r#"{"vmid":100,"mode":"reset"}"#;
        assert_eq!(restart(reboot, VM, RUNNING), "reboot timeout=20");
        assert_eq!(restart(reset, VM, PAUSED), "reset");
        assert_eq!(restart(reset, VM, PANICKED), "reset");
        assert!(restart(reset, CT, CT_RUNNING).starts_with("mode: reset is for VMs only"));
        assert!(restart(reboot, VM, PAUSED).contains("cannot hear"));
        assert!(restart(reboot, VM, STOPPED).contains("is stopped: start it with start_guest"));
        assert!(restart(reboot, VM, BUSY).contains("is locked"));
    }

    #[test]
    fn suspends_and_resumes() {
        let pause = r#"{"vmid":100}"#;
        let save = r#"{"vmid":100,"to_disk":true,"state_storage":"local-lvm"}"#;
        assert_eq!(suspend(pause, VM, RUNNING), "suspend");
        assert_eq!(
            suspend(save, VM, RUNNING),
            "suspend todisk=1&statestorage=local-lvm"
        );
        assert_eq!(
            suspend(save, VM, PAUSED),
            "suspend todisk=1&statestorage=local-lvm"
        );
        assert_eq!(suspend(pause, VM, PAUSED), "nothing");
        assert_eq!(suspend(save, VM, ON_DISK), "nothing");
        assert_eq!(suspend(pause, CT, CT_RUNNING), "suspend");
        assert!(suspend(save, CT, CT_RUNNING).starts_with("to_disk: is for VMs only"));
        assert!(suspend(pause, VM, STOPPED).contains("nothing to suspend"));

        assert_eq!(resume(VM, PAUSED), "resume");
        assert_eq!(resume(VM, ON_DISK), "resume");
        assert_eq!(resume(VM, RUNNING), "nothing");
        assert!(resume(VM, STOPPED).contains("start_guest"));
        assert_eq!(resume(CT, r#"{"status":"stopped"}"#), "resume");
    }

    #[test]
    fn high_availability_is_asked_only() {
        let upid: Upid = "UPID:pve1:0000011D:000BED85:6B02AFAA:hastart:100:root@pam:"
            .parse()
            .unwrap();
        let order = Order::new("start", "start", Power::Running);
        let report = order.report(&read(VM), Power::Stopped, &upid);
        assert!(report.changes.is_empty());
        assert!(report.action.starts_with("ask high availability to start"));
        assert!(report.next_step.unwrap().contains("see it running"));
    }
}
