//! Tests of how error responses are read and explained.

use pve_api::calls;
use serde_json::Value;

use super::response::Foreign;
use super::*;
use crate::pve::request::{At, Request};
use crate::pve::transport::Answer;
use crate::settings::Route;

fn asked(request: Request) -> Asked {
    Asked {
        request,
        token: "root@pam!mcp".into(),
        sent: Vec::new(),
        route: Route::default(),
    }
}

fn read(status: u16, reason: &str, body: &str) -> ErrorResponse {
    let asked = asked(calls::nodes::STATUS.at(["pve2"]));
    let answer = Answer {
        status,
        reason: Some(reason.into()),
        body: body.into(),
        ..Answer::default()
    };
    ErrorResponse::read(asked, status, &answer)
}

fn error(status: u16, reason: &str, body: &str) -> Error {
    Failure::Api(Box::new(read(status, reason, body))).into()
}

#[test]
fn what_answers_in_front_of_proxmox_is_named() {
    let page = "<html><title>401</title></html>";
    for (status, says) in [
        (401, "checking the token alone does not help"),
        (403, "the token's rights do not matter"),
        (500, "not by its API"),
        (502, "does not reach it"),
    ] {
        let message = error(status, "", page).message();
        assert!(message.contains(says), "{message}");
        assert!(!message.contains('<'), "{message}");
    }
    let mut answer = Answer {
        status: 401,
        authenticate: Some("Basic realm=\"x\"".into()),
        ..Answer::default()
    };
    let asked = || asked(calls::nodes::LIST.at([]));
    let read = ErrorResponse::read(asked(), 401, &answer);
    assert_eq!(read.foreign, Some(Foreign::Login));
    answer.authenticate = None;
    answer.body = "error code: 1020".into();
    let read = ErrorResponse::read(asked(), 403, &answer);
    assert_eq!(read.foreign, Some(Foreign::Text));
    assert_eq!(ErrorResponse::read(asked(), 500, &answer).foreign, None);
    answer.content_type = Some("text/html; charset=utf-8".into());
    assert_eq!(
        ErrorResponse::read(asked(), 401, &answer).foreign,
        Some(Foreign::Page)
    );
}

#[test]
fn another_server_at_the_address_of_the_forwarder_is_suspected() {
    let message = |route, status| {
        let mut answered = read(status, "Not Found", "<html>");
        answered.asked.route = route;
        Error::from(Failure::Api(Box::new(answered))).message()
    };
    for status in [200, 404, 302] {
        let text = message(Route::Forward, status);
        assert!(text.contains("PROXMOX_URL that it printed"), "{text}");
        assert!(!message(Route::Direct, status).contains("forward"));
    }
}

#[test]
fn a_wrong_base_path_is_named() {
    for (status, reason) in [
        (500, "no such file '/nodes'"),
        (501, "no such uri"),
        (501, "no formatter for uri /nodes, v2"),
    ] {
        let message = error(status, reason, "").message();
        assert!(message.contains("the path of PROXMOX_URL"), "{message}");
    }
    assert!(matches!(
        error(500, "unable to open '/a' - No such file or directory", ""),
        Error::NotFound(_)
    ));
}

#[test]
fn a_change_that_took_too_long_may_be_made() {
    let post = |reason: &str| {
        let mut error = read(500, reason, "");
        error.asked.request = calls::guests::SET_CONFIG.qemu.at(["pve1", "100"]);
        Error::from(Failure::Api(Box::new(error))).message()
    };
    assert!(post("got timeout").contains("may have happened"));
    assert!(post("can't lock file '/var/lock/x' - got timeout").contains("in a moment"));
    let reached = |reason: &str| {
        let mut error = read(596, reason, "");
        error.asked.request = calls::power::START.qemu.at(["pve2", "100"]);
        Error::from(Failure::Api(Box::new(error))).message()
    };
    assert!(reached("Connection timed out").contains("may have happened"));
    assert!(!reached("certificate verify failed").contains("may have happened"));
    assert!(!post("can't lock file '/var/lock/x' - got timeout").contains("may have happened"));
}

#[test]
fn a_reason_that_was_lost_is_said_to_be() {
    let message = error(500, "Internal Server Error", "{\"data\":null}").message();
    assert!(message.contains("may have dropped the reason"), "{message}");
    let mut agent = read(500, "Internal Server Error", "");
    agent.asked.request = calls::agent::SYSTEM.at(["pve1", "100"]);
    assert!(
        matches!(Failure::Api(Box::new(agent)).into(), Error::Conflict(m) if m.contains("agent is not installed"))
    );
}

#[test]
fn a_call_that_is_newer_than_the_node_names_both_versions() {
    let mut newer = read(
        501,
        "Method 'GET /nodes/pve1/lxc/9/interfaces' not implemented",
        "",
    );
    newer.asked.request = calls::guests::CONTAINER_INTERFACES.at(["pve1", "9"]);
    newer.version = Some("8.0.4".into());
    let message = Error::from(Failure::Api(Box::new(newer))).message();
    assert!(
        message.contains("Proxmox VE 8.0.4, which answered"),
        "{message}"
    );
    assert!(message.contains("came with Proxmox VE 8.1"), "{message}");
}

#[test]
fn nodes_are_named_by_what_happened() {
    for (status, reason, says) in [
        (596, "no such cluster node 'PVE2'", "there is no node pve2"),
        (
            500,
            "hostname lookup 'pve2' failed - x",
            "there is no node pve2",
        ),
        (
            596,
            "error:0A000086:SSL routines::certificate verify failed",
            "does not trust",
        ),
        (595, "Connection refused", "stopped or restarting"),
        (596, "Connection timed out", "did not answer in time"),
        (596, "Broken pipe", "closed the connection"),
    ] {
        let message = error(status, reason, "").message();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn what_the_token_holds_is_inherited() {
    let paths = serde_json::json!({
        "/": {"Sys.Audit": 1},
        "/vms": {"VM.Audit": 1, "VM.Console": 0},
    });
    let Value::Object(paths) = paths else {
        panic!("not an object")
    };
    let held = Held::read(&paths);
    assert_eq!(held.on("/vms/100"), ["VM.Audit"]);
    assert_eq!(held.on("/vms"), ["VM.Audit", "VM.Console"]);
    assert_eq!(held.on("/nodes/pve1"), ["Sys.Audit"]);
    assert!(Held::default().on("/vms/100").is_empty());
}

#[test]
fn places_in_sources_are_not_told() {
    let read = read(
        500,
        "",
        r#"{"message":"create failed: 400 'x' is invalid.\nthe cause at /usr/share/perl5/PVE/A.pm line 7.\n"}"#,
    );
    assert_eq!(
        read.message,
        "create failed: 400 'x' is invalid.; the cause"
    );
}

#[test]
fn odd_errors_of_parameters_are_told() {
    for (errors, says) in [
        (
            r#"{"errors":{"vms[0]":{"a":1}}}"#,
            "Proxmox refused vms[0]: ",
        ),
        (
            r#"{"errors":"all wrong"}"#,
            "Proxmox refused the request: all wrong",
        ),
        (
            r#"{"errors":{"vmid":7},"message":5}"#,
            "Proxmox refused vmid: 7",
        ),
    ] {
        let message = error(400, "", errors).message();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn reason_phrase_serves_where_the_body_is_empty() {
    assert_eq!(
        read(595, "No route to host", "").message,
        "No route to host"
    );
    assert!(
        matches!(error(595, "No route to host", ""), Error::Unreachable(m) if m.contains("pve2") && m.contains("no route to host"))
    );
    assert!(
        matches!(error(401, "Authentication failed!", ""), Error::Unauthorized(m) if m.contains("(authentication failed)"))
    );
}

#[test]
fn parameter_errors_are_all_told() {
    let Error::InvalidArguments(problems) = error(
        400,
        "Parameter verification failed.",
        r#"{"errors":{"cores":"type check ('integer') failed - got 'abc'","memory":"invalid format - format error\nmemory.current: value must have a minimum value of 16\n"},"message":"Parameter verification failed.\n","data":null}"#,
    ) else {
        panic!("not invalid")
    };
    assert_eq!(problems.len(), 2);
    assert!(
        problems[1]
            .message
            .ends_with("value must have a minimum value of 16")
    );
}

#[test]
fn states_are_told_apart() {
    let missing = read(
        500,
        "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist",
        "",
    );
    assert!(missing.is_missing_guest());
    assert!(
        matches!(error(500, "VM is locked (backup)", ""), Error::Conflict(m) if m.starts_with("VM is locked (backup)"))
    );
    assert!(matches!(
        error(500, "snapshot 'nope' does not exist", ""),
        Error::NotFound(_)
    ));
    assert!(matches!(error(302, "Found", ""), Error::Unreachable(_)));
    assert!(
        matches!(error(404, "no such file", ""), Error::Unreachable(m) if m.contains("PROXMOX_URL"))
    );
    assert!(matches!(error(500, "", ""), Error::Internal(_)));
}
