//! Tests of what several of these files do together.

use pve_api::calls;

use super::command::{CommandRun, CommandStatus, look_error};
use super::error::agent_error;
use super::run_in_guest::start_error;
use crate::error::Error;
use crate::pve::{At, ErrorResponse, Failure, Guest, NoAnswer};

fn guest() -> Guest {
    serde_json::from_str(r#"{"vmid":100,"type":"qemu","node":"pve1","name":"web01"}"#).unwrap()
}

fn failure(message: &str) -> Failure {
    let request = calls::agent::EXEC.at(["pve1", "100"]);
    Failure::Api(Box::new(ErrorResponse::sample(request, 500, message)))
}

#[test]
fn each_failure_of_the_agent_has_its_own_message() {
    for (message, words) in [
        ("No QEMU guest agent configured", "--agent enabled=1"),
        ("QEMU guest agent is not running", "does not answer"),
        ("VM 100 is not running", "start_guest"),
        (
            "VM 100 qga command 'guest-exec' failed - got timeout",
            "took too long",
        ),
        (
            "Agent error: Command guest-exec has been disabled",
            "forbids this command",
        ),
        ("Agent error: something else", "refused (Agent error"),
    ] {
        let error = agent_error(&guest(), failure(message));
        assert!(
            matches!(&error, Error::Conflict(text) if text.contains(words)),
            "{error:?}"
        );
    }
}

#[test]
fn what_only_commands_meet() {
    let missing =
        "Agent error: Failed to execute child process “/bin/no” (No such file or directory)";
    assert!(matches!(
        start_error(&guest(), failure(missing)),
        Error::NotFound(text) if text.contains("/bin/no")
    ));
    for message in [
        "Agent error: PID 7 does not exist",
        "Agent error: Invalid parameter 'pid'",
    ] {
        assert!(matches!(
            look_error(&guest(), 7, failure(message)),
            Error::NotFound(text) if text.contains("know a command 7")
        ));
    }
    let cut = Failure::Transport(Box::new(NoAnswer {
        call: "POST /x".into(),
        message: "the connection broke".into(),
        maybe_done: true,
        outage: true,
    }));
    assert!(matches!(
        start_error(&guest(), cut),
        Error::Unreachable(text) if text.contains("may have been started")
    ));
    let moved = "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist";
    assert!(matches!(
        start_error(&guest(), failure(moved)),
        Error::GuestMoved(_)
    ));
    assert!(matches!(
        look_error(&guest(), 7, failure(moved)),
        Error::GuestMoved(_)
    ));
}

#[test]
fn ends_in_all_ways() {
    let run = |json: &str| CommandRun::new(&guest(), 7, serde_json::from_str(json).unwrap());
    let running = run(r#"{"exited":0}"#);
    assert_eq!(running.status, CommandStatus::Running);
    assert!(running.hint.unwrap().contains("run_in_guest"));
    let ended =
        run(r#"{"exited":1,"exitcode":3,"out-data":"a\n","err-data":"","out-truncated":0}"#);
    assert_eq!(ended.status, CommandStatus::Exited);
    assert_eq!(ended.exit_code, Some(3));
    assert_eq!(ended.stdout.as_deref(), Some("a\n"));
    assert_eq!((ended.stderr, ended.hint), (None, None));
    let killed = run(r#"{"exited":true,"signal":9}"#);
    assert_eq!(killed.status, CommandStatus::Killed);
    assert!(killed.text(&guest()).ends_with("killed by 9"));
}
