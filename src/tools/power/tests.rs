//! Tests of what several of these files do together.

use serde::de::DeserializeOwned;

use super::change::{Command, HA_SECONDS, Plan, PowerChange};
use super::restart_guest::RestartGuest;
use super::resume_guest::ResumeGuest;
use super::start_guest::StartGuest;
use super::stop_guest::StopGuest;
use super::suspend_guest::SuspendGuest;
use crate::error::Result;
use crate::pve::{GuestType, Power, Started, Vmid};
use crate::tool::expected::{Cause, EndState, Expected};

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

fn vmid() -> Vmid {
    Vmid::new(100).unwrap()
}

fn read<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

/// The last segment of a command's path.
fn word(command: Command) -> &'static str {
    let call = command.call().of_type(GuestType::Qemu);
    call.segments().last().unwrap_or_default()
}

/// The request that a plan makes, "nothing", or the words of its refusal.
fn told(plan: Result<Plan>) -> String {
    match plan {
        Ok(Plan::Nothing(_)) => "nothing".into(),
        Ok(Plan::Change(change)) => format!("{} {}", word(change.command), change.params.encode())
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
        tool.check_mode()
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
    let change = PowerChange::new("start", Command::Start, Power::Running);
    let (report, finish) = change.report(&read(VM), Power::Stopped, &upid("hastart"));
    let expected = Expected::by_ha(vmid(), EndState::Running, HA_SECONDS);
    assert_eq!(finish, Some(expected.clone()));
    let waiting = expected.waiting(&report, "stopped");
    assert_eq!(waiting.status, crate::tool::report::Status::Requested);
    assert!(waiting.changes.is_empty());
    assert!(waiting.warnings[0].contains("still stopped"));
    let (report, finish) = change.report(&read(VM), Power::Stopped, &upid("qmstart"));
    assert_eq!((report.changes.len(), finish), (1, None));
}

#[test]
fn without_a_task_the_guest_is_followed() {
    let nothing = Started::WithoutTask(None);
    let followed = |change: &PowerChange, from| change.report(&read(VM), from, &nothing).1;
    let expected = |state, seconds| Some(Expected::new(vmid(), state, Cause::Unnamed, seconds));
    let stop = PowerChange {
        seconds: Some(30),
        ..PowerChange::new("shut down", Command::Shutdown, Power::Stopped)
    };
    assert_eq!(
        followed(&stop, Power::Running),
        expected(EndState::Stopped, 30 + HA_SECONDS)
    );
    let start = PowerChange::new("start", Command::Start, Power::Running);
    assert_eq!(
        followed(&start, Power::Stopped),
        expected(EndState::Running, HA_SECONDS)
    );
    // What is running before and after shows nothing.
    let reboot = PowerChange::new("reboot", Command::Reboot, Power::Running);
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
