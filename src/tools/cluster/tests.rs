//! Tests of what several of these files do together.

use pve_api::calls;

use super::get_task::{LINE_LENGTH, Task};
use super::list_tasks::ListTasks;
use super::task::{EXIT_STATUS_LENGTH, RawTask, TaskState, TaskSummary, parse, task_error};
use crate::error::Error;
use crate::pve::{At, ErrorResponse, Failure, TaskLog};

const UPID: &str = "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:";

fn raw(json: &str) -> RawTask {
    serde_json::from_str(json).unwrap()
}

fn list(json: &str) -> ListTasks {
    serde_json::from_str(json).unwrap()
}

fn one(more: &str) -> RawTask {
    raw(&format!(
        r#"{{"upid":"{UPID}","node":"pve1","type":"qmstart","id":"100","user":"root@pam","tokenid":"full","starttime":1795338154{more}}}"#
    ))
}

#[test]
fn states_in_both_lists() {
    assert_eq!(one("").state(), TaskState::Running);
    assert_eq!(one(r#","status":"RUNNING""#).state(), TaskState::Running);
    let ended = |exit: &str| one(&format!(r#","endtime":1795338155,"status":"{exit}""#)).state();
    assert_eq!(ended("OK"), TaskState::Ok);
    assert_eq!(ended("WARNINGS: 2"), TaskState::Warnings);
    assert_eq!(ended("VM is locked (backup)"), TaskState::Failed);
    for unknown in ["", "unexpected status"] {
        assert_eq!(ended(unknown), TaskState::Unknown);
    }
    assert_eq!(one(r#","endtime":1795338155"#).state(), TaskState::Unknown);
}

#[test]
fn summaries_are_short() {
    let task = TaskSummary::from(one(r#","endtime":1795338155,"status":"OK""#));
    assert_eq!(task.user, "root@pam!full");
    assert_eq!(task.exit_status, None);
    assert_eq!(task.ended_at.as_deref(), Some("2026-11-22T09:02:35Z"));
    let long = format!(r#","endtime":1795338155,"status":"{}""#, "x".repeat(1000));
    let exit = TaskSummary::from(one(&long)).exit_status.unwrap();
    assert_eq!(exit.chars().count(), EXIT_STATUS_LENGTH);
}

#[test]
fn filters() {
    let task = one(r#","endtime":1795338155,"status":"OK""#);
    for (arguments, fits) in [
        ("{}", true),
        (
            r#"{"vmid":100,"status":"ok","type":"Start","user":"root"}"#,
            true,
        ),
        (r#"{"user":"!full"}"#, true),
        (r#"{"vmid":101}"#, false),
        (r#"{"status":"failed"}"#, false),
        (r#"{"type":"vzdump"}"#, false),
        (r#"{"since":"1795338154","until":"1795338154"}"#, true),
        (r#"{"since":"1795338155"}"#, false),
        (r#"{"until":"1795338153"}"#, false),
        (r#"{"until":"2026-11-22"}"#, true),
    ] {
        let filter = list(arguments).filter().unwrap();
        assert_eq!(filter.fits(&task), fits, "{arguments}");
    }
}

#[test]
fn node_queries() {
    let query = |arguments: &str| list(arguments).filter().unwrap().query().encode();
    assert_eq!(query("{}"), "source=all");
    assert_eq!(query(r#"{"status":"running"}"#), "source=active");
    // Proxmox takes whole types only, and minds the case of users.
    assert_eq!(
        query(r#"{"status":"failed","type":"clone","user":"Root"}"#),
        "source=archive&statusfilter=error"
    );
    assert_eq!(
        query(r#"{"since":"1795338154","until":"1795338155"}"#),
        "source=all&since=1795338154&until=1795338155"
    );
}

#[test]
fn until_before_since_is_refused() {
    let wrong = list(r#"{"since":"2026-11-22","until":"2026-11-21"}"#).filter();
    assert!(matches!(wrong, Err(Error::InvalidArguments(_))));
    assert!(
        list(r#"{"since":"2026-11-22","until":"2026-11-22"}"#)
            .filter()
            .is_ok()
    );
}

#[test]
fn the_log_says_where_it_is() {
    let upid = parse(UPID).unwrap();
    let log = TaskLog {
        lines: vec!["a".into(), "b".repeat(2000)],
        total: 40,
    };
    let (task, _) = Task::new(&upid, Some("OK".into()), Some(1_795_338_160), log, None);
    assert_eq!(task.log_start, 38);
    assert_eq!(task.duration_seconds, Some(6));
    assert_eq!(task.log[1].chars().count(), LINE_LENGTH);
    assert!(task.hint.unwrap().starts_with("2 of 40"));
}

#[test]
fn a_task_that_is_not_there() {
    let request = calls::nodes::TASK_STATUS.at(["pve1", UPID]);
    let error = ErrorResponse {
        errors: [("upid".to_owned(), "no such task".to_owned())].into(),
        ..ErrorResponse::sample(request, 400, "")
    };
    let error = task_error(&parse(UPID).unwrap(), Failure::Api(Box::new(error)));
    assert!(matches!(error, Error::NotFound(message) if message.contains("pve1")));
}
