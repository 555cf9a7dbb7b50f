use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use std::time::Duration;

use super::*;
use crate::redact::{self, Masked};
use crate::remote::Remote;

fn params(pairs: &[(&str, &str)]) -> Masked {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    redact::params(&pairs)
}

fn sent(allowed: bool) -> RequestEnd<'static> {
    RequestEnd {
        allowed,
        rule: Some("preset operate"),
        reason: None,
        status: Some(200),
        failure: None,
        duration: Duration::from_millis(12),
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

/// Without what differs each time.
fn events(path: &Path) -> Vec<Value> {
    let mut lines = lines(path);
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        let time = line.remove("time").unwrap();
        humantime::parse_rfc3339(time.as_str().unwrap()).unwrap();
        for name in ["call", "seq", "prev", "hash"] {
            line.remove(name);
        }
    }
    lines
}

#[tokio::test]
async fn a_call_is_logged_from_start_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(AuditTarget::File(path.clone()), true, None).unwrap();
    let arguments = json!({"vmid": 100, "password": "hush"});
    let arguments = redact::arguments(&arguments, &json!({}));
    let remote = Remote {
        user: Some("alice".into()),
        preset: None,
        address: "192.0.2.7".parse().unwrap(),
        request: "17".into(),
        session: Some("5e55".into()),
    };
    let start = CallStart {
        client_name: Some("claude"),
        client_version: Some("1.2"),
        remote: Some(&remote),
        parent: None,
        tool: "set_cloud_init",
        occasion: Occasion::Call,
        arguments: &|| arguments.clone(),
    };
    let call = audit.begin(&start, Some("mcp@pve!assistant"), None);
    let read = AuditedRequest {
        method: "GET",
        path: "/nodes/pve1/qemu/100/config?token=hush",
        params: &params(&[]),
    };
    audit.request(&call, &read, &sent(true)).await;
    let write = AuditedRequest {
        method: "PUT",
        path: "/nodes/pve1/qemu/100/config",
        params: &params(&[("cipassword", "hush"), ("ciuser", "ops")]),
    };
    audit.write_ahead(&call, &write).await.unwrap();
    audit.request(&call, &write, &sent(true)).await;
    let refused = RequestEnd {
        reason: Some("no guest can be deleted"),
        status: None,
        ..sent(false)
    };
    audit.request(&call, &write, &refused).await;
    let upid = "UPID:pve1:0000A1B2:00C3D4E5:66A1B2C3:qmstart:100:root@pam!full:";
    audit.outcome(
        &call,
        &CallEnd {
            outcome: CallOutcome::Running,
            upid: Some(upid),
            duration: Duration::from_secs(50),
        },
    );

    assert!(!fs::read_to_string(&path).unwrap().contains("hush"));
    let all = lines(&path);
    assert_eq!(all.len(), 6);
    for line in &all {
        assert_eq!(line["call"], all[0]["call"], "{line}");
    }
    assert_eq!(
        all.iter().map(|line| &line["seq"]).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    let report = verify(std::slice::from_ref(&path), &Anchors::default()).unwrap();
    assert!(report.problems.is_empty(), "{report:?}");
    let by = |rest: Value| {
        let mut line = json!({"user": "alice", "client": {"name": "claude", "version": "1.2"},
            "session": "5e55", "token": "mcp@pve!assistant"});
        let fields = line.as_object_mut().unwrap();
        fields.extend(rest.as_object().unwrap().clone());
        line
    };
    let changed = json!({"cipassword": "(hidden)", "ciuser": "ops"});
    let config = "/nodes/pve1/qemu/100/config";
    assert_eq!(
        events(&path),
        [
            json!({"event": "call", "address": "192.0.2.7", "http_request": "17", "tool": "set_cloud_init",
                "arguments": {"vmid": 100, "password": "(hidden)"}}),
            json!({"event": "request", "method": "GET", "path": config, "params": {}, "verdict": "allowed",
                "rule": "preset operate", "status": 200, "duration_ms": 12}),
            json!({"event": "sending", "method": "PUT", "path": config, "params": changed}),
            json!({"event": "request", "method": "PUT", "path": config, "params": changed, "verdict": "allowed",
                "rule": "preset operate", "status": 200, "duration_ms": 12}),
            json!({"event": "request", "method": "PUT", "path": config, "params": changed, "verdict": "refused",
                "rule": "preset operate", "reason": "no guest can be deleted", "duration_ms": 12}),
            json!({"event": "outcome", "tool": "set_cloud_init", "outcome": "running", "upid": upid,
                "duration_ms": 50_000}),
        ]
        .map(by)
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none").join("audit.jsonl");
    let error = Audit::open(AuditTarget::File(path.clone()), false, None)
        .err()
        .unwrap();
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(!message.contains('\n'), "{message}");
    assert!(Audit::open(AuditTarget::File(folder.path().into()), false, None).is_err());
}

/// A call of which nothing is known.
fn begin(audit: &Audit) -> AuditedCall {
    let start = CallStart {
        client_name: None,
        client_version: None,
        remote: None,
        parent: None,
        tool: "start_guest",
        occasion: Occasion::Call,
        arguments: &|| params(&[]),
    };
    audit.begin(&start, None, None)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_refuses_changes_where_the_log_is_required() {
    for required in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let audit = Audit::open(AuditTarget::File(path.clone()), required, None).unwrap();
        let call = begin(&audit);
        let write = AuditedRequest {
            method: "POST",
            path: "/nodes/pve1/qemu/100/status/start",
            params: &params(&[]),
        };
        for _ in 0..2 {
            let result = audit.write_ahead(&call, &write).await;
            assert_eq!(result.is_err(), required, "{result:?}");
        }
        audit.request(&call, &write, &sent(true)).await;

        // There is space again.
        fs::remove_file(&path).unwrap();
        audit.write_ahead(&call, &write).await.unwrap();
        let end = CallEnd {
            outcome: CallOutcome::Ok,
            upid: None,
            duration: Duration::ZERO,
        };
        audit.outcome(&call, &end);
        let events = events(&path);
        assert_eq!(events.len(), 3, "{events:?}");
        assert_eq!(events[0], json!({"event": "gap", "lost": 4}));
        assert_eq!(events[1]["event"], "sending");
        assert_eq!(
            events[2],
            json!({"event": "outcome", "tool": "start_guest", "outcome": "ok", "duration_ms": 0})
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_many_never_mix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut writers = Vec::new();
    for _ in 0..2 {
        // As of two processes.
        let audit = Audit::open(AuditTarget::File(path.clone()), true, None).unwrap();
        for _ in 0..4 {
            let audit = audit.clone();
            writers.push(tokio::spawn(async move {
                let params = params(&[("description", &"ä".repeat(500))]);
                let start = CallStart {
                    client_name: None,
                    client_version: None,
                    remote: None,
                    parent: None,
                    tool: "t",
                    occasion: Occasion::Call,
                    arguments: &|| params.clone(),
                };
                for _ in 0..20 {
                    let call = audit.begin(&start, None, None);
                    let request = AuditedRequest {
                        method: "PUT",
                        path: "/",
                        params: &params,
                    };
                    audit.write_ahead(&call, &request).await.unwrap();
                }
            }));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let lines = lines(&path);
    assert_eq!(lines.len(), 2 * 4 * 20 * 2);
    let calls: std::collections::BTreeSet<_> =
        lines.iter().map(|line| line["call"].to_string()).collect();
    assert_eq!(calls.len(), 2 * 4 * 20);
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[\u{1}\"]{0,9000}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_event_is_one_json_line(
        texts in prop::collection::vec(prop_oneof![any::<String>(), "[\u{0}\u{9b}\"]{0,9000}"], 6),
        value in any_json(),
        status in any::<Option<u16>>(),
    ) {
        let id = CallId { process: 1, number: u64::MAX };
        let params = redact::arguments(&value, &json!({}));
        let request = AuditedRequest { method: &texts[0], path: &texts[1], params: &params };
        let end = RequestEnd {
            allowed: false,
            rule: Some(&texts[2]),
            reason: Some(&texts[3]),
            status,
            failure: Some(&texts[4]),
            duration: Duration::MAX,
        };
        let remote = Remote {
            user: Some(texts[3].as_str().into()),
            preset: None,
            address: std::net::Ipv6Addr::LOCALHOST.into(),
            request: texts[4].as_str().into(),
            session: Some(texts[5].as_str().into()),
        };
        let start = CallStart {
            client_name: Some(&texts[0]),
            client_version: Some(&texts[1]),
            remote: Some(&remote),
            parent: None,
            tool: &texts[2],
            occasion: Occasion::Call,
            arguments: &|| params.clone(),
        };
        let call = line::Call::new(id, &start, Some(&texts[5]), None);
        let ended = CallEnd {
            outcome: CallOutcome::Error(&texts[3]),
            upid: Some(&texts[4]),
            duration: Duration::ZERO,
        };
        for event in [
            Event::call(&call, &start),
            Event::sending(&call, &request),
            Event::request(&call, &request, &end),
            Event::outcome(&call, &ended),
        ] {
            let line = line::encode(&event, None);
            prop_assert!(line.len() + chain::SEAL_BYTES <= line::MAX_LINE_BYTES, "{}", line.len());
            let text = String::from_utf8(line).unwrap();
            let (line, rest) = text.split_once('\n').unwrap();
            prop_assert_eq!(rest, "");
            prop_assert!(!line.contains(char::is_control));
            let value: Value = serde_json::from_str(line).unwrap();
            prop_assert!(value.is_object());
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_daemon_that_is_gone_refuses_changes_where_the_log_is_required() {
    for daemon in [Daemon::Journald, Daemon::Syslog] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let sink = Sink::socket(daemon, &path).unwrap();
        let audit = Audit::new(AuditTarget::Journald, true, None, sink);
        let call = begin(&audit);
        let write = AuditedRequest {
            method: "POST",
            path: "/nodes/pve1/qemu/100/status/start",
            params: &params(&[]),
        };
        audit.write_ahead(&call, &write).await.unwrap();
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        let error = audit.write_ahead(&call, &write).await.unwrap_err();
        assert!(error.to_string().contains("nothing was sent"), "{error}");
        // It was started again.
        let listener = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        audit.write_ahead(&call, &write).await.unwrap();
        let mut received = [0; 4096];
        let mut receive = || {
            let length = listener.recv(&mut received).unwrap();
            String::from_utf8_lossy(&received[..length]).into_owned()
        };
        assert!(receive().contains("\"event\":\"gap\",\"lost\":1"));
        assert!(receive().contains("\"event\":\"sending\""));
    }
}

#[test]
fn names_of_daemons_are_no_files() {
    let named = |name: &str| AuditTarget::named(Path::new(name));
    assert_eq!(named("-"), AuditTarget::Stderr);
    assert_eq!(named("journald"), AuditTarget::Journald);
    assert_eq!(named("syslog"), AuditTarget::Syslog);
    for file in [
        "./journald",
        "/var/log/syslog",
        "journald.jsonl",
        "Journald",
    ] {
        assert_eq!(named(file), AuditTarget::File(file.into()));
    }
}
