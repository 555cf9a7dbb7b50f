//! Power: starting, stopping, restarting, suspending and resuming guests.
//!
//! Proxmox accepts a start of a locked or running guest and lets the task
//! fail, so the state is read first: nothing is sent where no change is needed,
//! and what cannot work is refused at once.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::pve::{Failure, Guest, GuestState, Kind, Params, Power, Pve, Started};
use crate::tool::expected::{self, Cause, EndState, Expected};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

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
                "{} is a template, and templates do not run: {} makes a guest of it, which can be \
                 started",
                guest.label(),
                tool_names::CLONE_GUEST
            )));
        }
        match Power::of(state) {
            Power::Running => return Ok(Plan::Nothing(verb)),
            Power::Paused => return Err(paused(guest, state)),
            Power::Halted => return Err(halted(guest, state)),
            // Its lock says that it is suspended, or that a backup uses it:
            // Proxmox starts both.
            Power::OnDisk | Power::Prepared => {}
            Power::Stopped if is_mounted(guest, state) => {}
            Power::Stopped | Power::Unknown => state.unlocked(guest)?,
        }
        // Its manager accepts the request, and ignores it.
        if state.is_ha_managed() && state.ha_state() == Some("error") {
            return Err(expected::given_up(guest));
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
    /// shutdown (default): ask the guest to shut down. hard: cut its power; unsaved data is lost.
    mode: Option<StopMode>,
    /// How long the shutdown may take. Default 60.
    #[schemars(range(min = 1, max = 7200))]
    timeout_seconds: Option<u32>,
    /// True: cut the power if the shutdown takes longer.
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
        let only_shutdown = "only works with mode shutdown: leave it out, or leave out mode";
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
                "{} is paused and cannot react to a shutdown: resume it with {} first, or use mode \
                 hard",
                guest.label(),
                tool_names::RESUME_GUEST
            )));
        }
        if hard {
            // A shutdown that hangs would hold the lock until its timeout.
            // The manager of high availability handles this itself.
            let overrule = (!state.is_ha_managed()).then_some(true);
            return Ok(Order::new(verb, "stop", Power::Stopped)
                .with(Params::new().opt_flag("overrule-shutdown", overrule))
                .plan());
        }
        let params = Params::new()
            .opt("timeout", self.timeout_seconds)
            .opt_flag("forceStop", self.forces().then_some(true));
        Ok(Order {
            seconds: self.timeout_seconds,
            ..Order::new(verb, "shutdown", Power::Stopped).with(params)
        }
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
                "only works with mode reboot: leave it out, or leave out mode",
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
                "reset works for VMs only, and this is a container: use reboot",
            ));
        }
        let power = Power::of(state);
        match power {
            Power::Stopped | Power::OnDisk => {
                return Err(Error::Conflict(format!(
                    "{} is {}: start it with {}",
                    guest.label(),
                    power.word(),
                    tool_names::START_GUEST
                )));
            }
            Power::Paused if !self.resets() => {
                return Err(Error::Conflict(format!(
                    "{} is paused and cannot react to a reboot: resume it with {} first, or use \
                     mode reset",
                    guest.label(),
                    tool_names::RESUME_GUEST
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
                "only works with to_disk true",
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
                "works for VMs only, and this is a container: leave it out",
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
                    tool_names::START_GUEST
                )));
            }
            Power::Halted => return Err(halted(guest, state)),
            Power::Running | Power::Paused | Power::Prepared | Power::Unknown => {
                state.unlocked(guest)?;
            }
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

/// Resumes a suspended guest.
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
                    tool_names::START_GUEST
                )));
            }
            Power::Halted => return Err(halted(guest, state)),
            // The lock belongs to the suspension.
            Power::OnDisk => {}
            // A suspended container looks like a stopped one: the task shows it.
            Power::Stopped | Power::Paused | Power::Prepared | Power::Unknown => {
                state.unlocked(guest)?;
            }
        }
        let order = Order::new(verb, "resume", Power::Running);
        Ok(match state.qmpstatus.as_deref() {
            // The task ends well although the guest stops again at once.
            Some("io-error") => order.check(Cause::Resume).plan(),
            _ => order.plan(),
        })
    }
}

/// What to do with a guest in its present state.
#[derive(Debug)]
enum Plan {
    /// No change is needed.
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
    /// Why the task's end does not tell that the guest has changed.
    check: Option<Cause>,
    /// How long a shutdown may take.
    seconds: Option<u32>,
}

/// How long the manager of high availability may take to act on a request. On
/// a real cluster it takes 9 to 15 seconds.
const HA_SECONDS: u32 = 60;

/// How long a guest's shutdown takes at most where nothing else is set.
const SHUTDOWN_SECONDS: u32 = 180;

/// Reads a guest's state, decides, and starts the task where one is needed.
fn order(
    pve: &Pve,
    vmid: u32,
    wait: Option<bool>,
    plan: impl Fn(&Guest, &GuestState) -> Result<Plan>,
) -> Result<Reply<Report>> {
    let (_, (report, started)) = Guest::attempt(pve, vmid, |guest| {
        let state = guest.state(pve)?;
        Ok(match plan(guest, &state)? {
            Plan::Nothing(verb) => {
                let action = format!("{verb} {}", guest.label());
                (Report::unchanged(action).on(guest), None)
            }
            Plan::Order(order) => {
                let started = order.send(pve, guest)?;
                let (report, finish) = order.report(guest, Power::of(&state), &started);
                (report, Some((started, finish)))
            }
        })
    })?;
    match started {
        Some((started, finish)) => report.started_until(&started, wait, finish),
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
            check: None,
            seconds: None,
        }
    }

    /// Looks at the guest itself after the task.
    fn check(self, cause: Cause) -> Self {
        Self {
            check: Some(cause),
            ..self
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

    fn send(&self, pve: &Pve, guest: &Guest) -> Result<Started, Failure> {
        let path = guest.path(["status", self.command]);
        match pve.post(&path, &self.params) {
            // Versions before 8.2 do not know the parameter.
            Err(Failure::Api(error)) if error.errors.contains_key("overrule-shutdown") => {
                pve.post(&path, &Params::new())
            }
            answer => answer,
        }
    }

    /// What is reported of it, and what its end is known by.
    fn report(&self, guest: &Guest, from: Power, started: &Started) -> (Report, Option<Expected>) {
        let label = guest.label();
        let mut report = Report::done(format!("{} {label}", self.verb)).on(guest);
        if from != self.to {
            report = report.change("power", Some(from.word()), Some(self.to.word()));
        }
        if let Some(warning) = self.warning {
            report = report.warn(warning);
        }
        // The task of a guest under high availability only passes the request
        // on.
        let kind = match started {
            Started::Task(upid) => upid.kind(),
            Started::WithoutTask(_) => return (report, self.without_task(guest, from)),
        };
        let expected = match (kind, self.check) {
            ("hastart", _) => Expected::by_ha(guest.vmid, EndState::Running, HA_SECONDS),
            ("hastop", _) => {
                let seconds = if self.command == "stop" {
                    0
                } else {
                    self.seconds.unwrap_or(SHUTDOWN_SECONDS)
                };
                Expected::by_ha(
                    guest.vmid,
                    EndState::Stopped,
                    seconds.saturating_add(HA_SECONDS),
                )
            }
            (_, Some(cause)) => Expected::new(guest.vmid, EndState::Running, cause, 0),
            (_, None) => return (report, None),
        };
        (report, Some(expected))
    }
}

impl Order {
    /// What to follow where Proxmox named no task: the guest, as far as its state
    /// can show that the order was carried out. A running guest that restarts
    /// ends as it began.
    fn without_task(&self, guest: &Guest, from: Power) -> Option<Expected> {
        let state = match self.to {
            to if to == from => return None,
            Power::Running => EndState::Running,
            Power::Stopped => EndState::Stopped,
            Power::Paused | Power::OnDisk => EndState::Suspended,
            Power::Prepared | Power::Halted | Power::Unknown => return None,
        };
        let seconds = match self.command {
            "shutdown" => self.seconds.unwrap_or(SHUTDOWN_SECONDS),
            _ => 0,
        };
        Some(Expected::new(
            guest.vmid,
            state,
            Cause::Unnamed,
            seconds.saturating_add(HA_SECONDS),
        ))
    }
}

/// A container whose root is mounted may be started and stopped all the same.
fn is_mounted(guest: &Guest, state: &GuestState) -> bool {
    guest.kind == Kind::Lxc && state.lock() == Some("mounted")
}

/// Why a VM that is in memory cannot be started, and what to do.
fn paused(guest: &Guest, state: &GuestState) -> Error {
    let label = guest.label();
    let resume = tool_names::RESUME_GUEST;
    Error::Conflict(match state.qmpstatus.as_deref() {
        Some("io-error") => format!(
            "{label} is not stopped: QEMU has paused it after an I/O error (io-error), most likely \
             since the storage of one of its disks is full or out of reach; make room on it ({} \
             shows the free space) or bring it back, then resume the guest with {resume}; until \
             then it stops again at once",
            tool_names::LIST_STORAGE
        ),
        Some("watchdog") => format!(
            "{label} is not stopped: its watchdog has paused it, since the guest hung (watchdog); \
             resume it with {resume}, or restart it with mode reset of {}",
            tool_names::RESTART_GUEST
        ),
        Some("suspended") => format!(
            "{label} is not stopped: its own system has suspended it (suspended); wake it with \
             {resume}"
        ),
        _ => format!("{label} is paused, not stopped: resume it with {resume}"),
    })
}

fn halted(guest: &Guest, state: &GuestState) -> Error {
    let (word, why) = match state.qmpstatus.as_deref() {
        Some(word @ "guest-panicked") => (word, "its operating system has crashed"),
        Some(word @ "internal-error") => (
            word,
            "QEMU has stopped it after an internal error, which it cannot recover from",
        ),
        Some(word @ "shutdown") => (word, "it has shut down, and QEMU still runs"),
        other => (other.unwrap_or("halted"), "it cannot continue"),
    };
    Error::Conflict(format!(
        "{} has halted ({word}): {why}; restart it with mode reset of {}, or switch it off with \
         mode hard of {} and start it again; the node's log ({}) has details",
        guest.label(),
        tool_names::RESTART_GUEST,
        tool_names::STOP_GUEST,
        tool_names::GET_NODE_LOG,
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
        assert!(stop(shutdown, VM, PAUSED).contains("cannot react"));
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
        assert!(restart(reset, CT, CT_RUNNING).starts_with("mode: reset works for VMs only"));
        assert!(restart(reboot, VM, PAUSED).contains("cannot react"));
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
        assert!(suspend(save, CT, CT_RUNNING).starts_with("to_disk: works for VMs only"));
        assert!(suspend(pause, VM, STOPPED).contains("nothing to suspend"));

        assert_eq!(resume(VM, PAUSED), "resume");
        assert_eq!(resume(VM, ON_DISK), "resume");
        assert_eq!(resume(VM, RUNNING), "nothing");
        assert!(resume(VM, STOPPED).contains("start_guest"));
        assert_eq!(resume(CT, r#"{"status":"stopped"}"#), "resume");
    }

    #[test]
    fn high_availability_is_followed_on_the_guest() {
        let upid = |kind: &str| {
            let upid = format!("UPID:pve1:0000011D:000BED85:6B02AFAA:{kind}:100:root@pam:");
            Started::Task(upid.parse().unwrap())
        };
        let order = Order::new("start", "start", Power::Running);
        let (report, finish) = order.report(&read(VM), Power::Stopped, &upid("hastart"));
        let expected = Expected::by_ha(100, EndState::Running, HA_SECONDS);
        assert_eq!(finish, Some(expected.clone()));
        let waiting = expected.waiting(&report, "stopped");
        assert_eq!(waiting.status, crate::tool::report::Status::Requested);
        assert!(waiting.changes.is_empty());
        assert!(waiting.warnings[0].contains("still stopped"));
        let (report, finish) = order.report(&read(VM), Power::Stopped, &upid("qmstart"));
        assert_eq!((report.changes.len(), finish), (1, None));
    }

    #[test]
    fn without_a_task_the_guest_is_followed() {
        let nothing = Started::WithoutTask(None);
        let followed = |order: &Order, from| match order.report(&read(VM), from, &nothing).1 {
            Some(expected) => Some(expected),
            _ => None,
        };
        let expected = |state, seconds| Some(Expected::new(100, state, Cause::Unnamed, seconds));
        let stop = Order {
            seconds: Some(30),
            ..Order::new("shut down", "shutdown", Power::Stopped)
        };
        assert_eq!(
            followed(&stop, Power::Running),
            expected(EndState::Stopped, 30 + HA_SECONDS)
        );
        let start = Order::new("start", "start", Power::Running);
        assert_eq!(
            followed(&start, Power::Stopped),
            expected(EndState::Running, HA_SECONDS)
        );
        // What is running before and after shows nothing.
        let reboot = Order::new("reboot", "reboot", Power::Running);
        assert_eq!(followed(&reboot, Power::Running), None);
    }

    #[test]
    fn where_no_state_is_known_proxmox_decides() {
        for state in [r#"{"status":"unknown"}"#, "{}"] {
            assert_eq!(start(VM, state), "start");
            assert_eq!(stop(r#"{"vmid":100}"#, VM, state), "shutdown");
            assert_eq!(resume(VM, state), "resume");
            assert_eq!(restart(r#"{"vmid":100}"#, VM, state), "reboot");
            assert_eq!(suspend(r#"{"vmid":100}"#, VM, state), "suspend");
        }
        let locked = r#"{"status":"","lock":"backup"}"#;
        assert!(start(VM, locked).contains("is locked"));
    }

    #[test]
    fn a_paused_guest_says_why_and_what_to_do() {
        for (state, words) in [
            ("io-error", ["I/O error", "full", "resume_guest"]),
            ("internal-error", ["internal error", "reset", "stop_guest"]),
            ("guest-panicked", ["crashed", "reset", "stop_guest"]),
            ("watchdog", ["watchdog", "hung", "resume_guest"]),
            ("suspended", ["own system", "wake", "resume_guest"]),
        ] {
            let state = format!(r#"{{"status":"running","qmpstatus":"{state}"}}"#);
            let told = start(VM, &state);
            for word in words {
                assert!(told.contains(word), "{word}: {told}");
            }
        }
    }
}
