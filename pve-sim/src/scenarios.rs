//! Whole stories against a served cluster: what is written is read back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::testing::{Exchange, ended, send};
use crate::{Options, Running, Tls, start};

const TOKEN: &str = "PVEAPIToken=root@pam!full=r";

async fn sim(options: Options) -> Running {
    let tokens = vec!["root@pam!full=r".to_owned()];
    start(Options {
        tls: Tls::Off,
        tokens,
        task_seconds: 0.0,
        auth_delay: Duration::ZERO,
        ..options
    })
    .await
    .unwrap()
}

async fn two_nodes() -> Running {
    sim(Options {
        nodes: vec!["pve1".into(), "pve2".into(), "pve3:offline".into()],
        ..Options::default()
    })
    .await
}

async fn ask(sim: &Running, line: &str) -> Exchange {
    send(sim, Some(TOKEN), line).await
}

/// The data of an answer that must be a success.
async fn data(sim: &Running, line: &str) -> Value {
    let answer = ask(sim, line).await;
    assert_eq!(answer.status, 200, "{line}: {answer:?}");
    answer.body.unwrap()["data"].take()
}

/// The message of a refusal.
async fn refused(sim: &Running, line: &str) -> String {
    let answer = ask(sim, line).await;
    assert!(answer.status >= 400, "{line}: {answer:?}");
    let body = answer.body.unwrap_or_default();
    match &body["errors"] {
        Value::Object(errors) => errors
            .iter()
            .map(|(name, text)| format!("{name}: {}", text.as_str().unwrap()))
            .collect(),
        _ => body["message"].as_str().unwrap().trim_end().to_owned(),
    }
}

/// How the task that a request starts has ended.
async fn task(sim: &Running, line: &str) -> String {
    let upid = data(sim, line).await;
    let (status, _) = ended(sim, TOKEN, upid.as_str().unwrap()).await;
    status.body.unwrap()["data"]["exitstatus"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_template_becomes_a_guest_with_an_address() {
    let sim = sim(Options::default()).await;
    assert_eq!(
        task(&sim, "POST /nodes/pve1/qemu/9000/clone newid=120 name=app").await,
        "OK"
    );
    let config = data(&sim, "GET /nodes/pve1/qemu/120/config").await;
    assert_eq!(config["name"], "app");
    assert!(config.get("template").is_none());
    assert!(
        config["scsi0"]
            .as_str()
            .unwrap()
            .contains("9000/base-9000-disk-0.qcow2/120/vm-120-disk-0.qcow2")
    );
    assert_ne!(
        config["net0"],
        data(&sim, "GET /nodes/pve1/qemu/9000/config").await["net0"]
    );
    data(&sim, "PUT /nodes/pve1/qemu/120/config ipconfig0=ip=192.0.2.90/24,gw=192.0.2.1 ciuser=ops cipassword=hunter22").await;
    let pending = data(&sim, "GET /nodes/pve1/qemu/120/cloudinit").await;
    assert!(
        pending
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["key"] == "ciuser" && entry["pending"] == "ops")
    );
    assert!(!pending.to_string().contains("hunter22"));
    data(&sim, "PUT /nodes/pve1/qemu/120/cloudinit").await;
    let user = data(&sim, "GET /nodes/pve1/qemu/120/cloudinit/dump type=user").await;
    assert!(user.as_str().unwrap().contains("user: ops"));
    assert_eq!(
        task(&sim, "POST /nodes/pve1/qemu/120/status/start").await,
        "OK"
    );
    let interfaces = data(
        &sim,
        "GET /nodes/pve1/qemu/120/agent/network-get-interfaces",
    )
    .await;
    assert!(interfaces.to_string().contains("192.0.2.90"));
    assert_eq!(
        refused(&sim, "POST /nodes/pve1/qemu/9000/clone newid=120").await,
        "unable to create VM 120: config file already exists"
    );
    assert_eq!(
        refused(&sim, "POST /nodes/pve1/qemu/100/clone newid=121 full=0").await,
        "Linked clone feature is not supported for 'local:100/vm-100-disk-0.qcow2' (scsi0)"
    );
}

#[tokio::test]
async fn changes_that_need_a_restart_wait_for_it() {
    let sim = sim(Options::default()).await;
    let before = data(&sim, "GET /nodes/pve1/qemu/100/config").await;
    let digest = before["digest"].as_str().unwrap();
    data(
        &sim,
        &format!("PUT /nodes/pve1/qemu/100/config cores=4 name=web02 digest={digest}"),
    )
    .await;
    assert_eq!(
        refused(
            &sim,
            &format!("PUT /nodes/pve1/qemu/100/config cores=3 digest={digest}")
        )
        .await,
        "checksum mismatch (file change by other user?)"
    );
    let current = data(&sim, "GET /nodes/pve1/qemu/100/config current=1").await;
    assert_eq!(
        (&current["cores"], &current["name"]),
        (&json!(2), &json!("web02"))
    );
    assert_eq!(
        data(&sim, "GET /nodes/pve1/qemu/100/config").await["cores"],
        4
    );
    let pending = data(&sim, "GET /nodes/pve1/qemu/100/pending").await;
    let cores = pending
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["key"] == "cores")
        .unwrap();
    assert_eq!((&cores["value"], &cores["pending"]), (&json!(2), &json!(4)));
    assert_eq!(
        task(&sim, "POST /nodes/pve1/qemu/100/status/reboot").await,
        "OK"
    );
    assert_eq!(
        data(&sim, "GET /nodes/pve1/qemu/100/config current=1").await["cores"],
        4
    );
    data(&sim, "PUT /nodes/pve1/qemu/100/config memory=4096").await;
    data(&sim, "PUT /nodes/pve1/qemu/100/config revert=memory").await;
    assert_eq!(
        data(&sim, "GET /nodes/pve1/qemu/100/config").await["memory"],
        "2048"
    );
    data(&sim, "PUT /nodes/pve1/lxc/200/config memory=1024").await;
    assert_eq!(
        data(&sim, "GET /nodes/pve1/lxc/200/config current=1").await["memory"],
        1024
    );
}

#[tokio::test]
async fn a_rollback_brings_the_configuration_back() {
    let sim = sim(Options::default()).await;
    assert_eq!(
        task(
            &sim,
            "POST /nodes/pve1/qemu/100/snapshot snapname=s1 vmstate=1"
        )
        .await,
        "OK"
    );
    data(&sim, "PUT /nodes/pve1/qemu/100/config name=changed").await;
    assert_eq!(
        task(&sim, "POST /nodes/pve1/qemu/100/snapshot snapname=s2").await,
        "OK"
    );
    let list = data(&sim, "GET /nodes/pve1/qemu/100/snapshot").await;
    let parent = |name: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["name"] == name)
            .unwrap()["parent"]
            .clone()
    };
    assert_eq!(
        (parent("s2"), parent("s1"), parent("current")),
        (json!("s1"), json!("clean"), json!("s2"))
    );
    assert_eq!(
        task(&sim, "POST /nodes/pve1/qemu/100/snapshot/s1/rollback").await,
        "OK"
    );
    let config = data(&sim, "GET /nodes/pve1/qemu/100/config").await;
    assert_eq!(
        (&config["name"], &config["parent"]),
        (&json!("web01"), &json!("s1"))
    );
    assert_eq!(
        data(&sim, "GET /nodes/pve1/qemu/100/status/current").await["status"],
        "running",
        "with its memory"
    );
    assert_eq!(
        task(&sim, "DELETE /nodes/pve1/qemu/100/snapshot/s1").await,
        "OK"
    );
    let list = data(&sim, "GET /nodes/pve1/qemu/100/snapshot").await;
    assert!(
        list.as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["parent"] != "s1"),
        "children moved up: {list}"
    );
    assert_eq!(
        task(&sim, "POST /nodes/pve1/lxc/201/snapshot snapname=a1").await,
        "OK",
        "on ZFS"
    );
    assert_eq!(
        task(&sim, "POST /nodes/pve1/qemu/101/snapshot snapname=a1").await,
        "VM is locked (backup)"
    );
}

#[tokio::test]
async fn a_backup_can_be_restored_next_to_the_original() {
    let sim = sim(Options::default()).await;
    let line = "POST /nodes/pve1/vzdump vmid=103 storage=nas mode=snapshot compress=zstd protected=1 notes-template={{guestname}}";
    assert_eq!(task(&sim, line).await, "OK");
    let content = data(
        &sim,
        "GET /nodes/pve1/storage/nas/content content=backup vmid=103",
    )
    .await;
    let made = &content[0];
    assert_eq!(
        (&made["notes"], &made["protected"]),
        (&json!("plain01"), &json!(1))
    );
    let volid = made["volid"].as_str().unwrap();
    assert_eq!(
        refused(
            &sim,
            &format!("POST /nodes/pve1/qemu vmid=100 archive={volid}")
        )
        .await,
        "unable to restore VM 100 - VM 100 already exists on node 'pve1'"
    );
    assert_eq!(
        task(
            &sim,
            &format!("POST /nodes/pve1/qemu vmid=130 archive={volid} storage=bulk unique=1")
        )
        .await,
        "OK"
    );
    let config = data(&sim, "GET /nodes/pve1/qemu/130/config").await;
    assert!(
        config["scsi0"]
            .as_str()
            .unwrap()
            .starts_with("bulk:130/vm-130-disk-0")
    );
    assert_eq!(config["name"], "plain01");
    assert_ne!(
        config["net0"],
        data(&sim, "GET /nodes/pve1/qemu/103/config").await["net0"]
    );
    let list = data(&sim, "GET /nodes/pve1/storage/local/content content=backup").await;
    let ct = list[0]["volid"].as_str().unwrap();
    assert_eq!(
        task(
            &sim,
            &format!("POST /nodes/pve1/lxc vmid=230 ostemplate={ct} restore=1 storage=tank")
        )
        .await,
        "OK"
    );
    assert_eq!(
        data(&sim, "GET /nodes/pve1/lxc/230/config").await["hostname"],
        "ct01"
    );
    assert_eq!(
        refused(&sim, "POST /nodes/pve1/vzdump vmid=103 compress=none").await,
        "compress: value 'none' does not have a value in the enumeration '0, 1, gzip, lzo, zstd'"
    );
    assert!(
        task(&sim, "POST /nodes/pve1/vzdump vmid=103 storage=bulk")
            .await
            .contains("wrong content type")
    );
}

#[tokio::test]
async fn guests_move_between_nodes() {
    let sim = two_nodes().await;
    let before = data(&sim, "GET /nodes/pve1/qemu/103/migrate").await;
    assert_eq!(before["allowed_nodes"], json!(["pve2", "pve3"]));
    assert_eq!(
        before["local_disks"][0]["volid"],
        "local:103/vm-103-disk-0.qcow2"
    );
    assert_eq!(
        refused(&sim, "POST /nodes/pve1/qemu/103/migrate target=pve2").await,
        "can't migrate running VM without --online"
    );
    assert_eq!(
        task(
            &sim,
            "POST /nodes/pve1/qemu/103/migrate target=pve2 online=1"
        )
        .await,
        "migration aborted"
    );
    assert_eq!(
        task(
            &sim,
            "POST /nodes/pve1/qemu/103/migrate target=pve2 online=1 with-local-disks=1"
        )
        .await,
        "OK"
    );
    assert_eq!(
        data(&sim, "GET /nodes/pve2/qemu/103/config").await["name"],
        "plain01"
    );
    assert!(
        refused(&sim, "GET /nodes/pve1/qemu/103/config")
            .await
            .contains("does not exist")
    );
    let ct = data(&sim, "GET /nodes/pve1/lxc/201/migrate").await;
    assert_eq!(
        ct["not-allowed-nodes"]["pve2"]["unavailable-storages"],
        json!(["tank"])
    );
    assert_eq!(
        task(
            &sim,
            "POST /nodes/pve1/lxc/200/migrate target=pve2 restart=1"
        )
        .await,
        "OK"
    );
    assert_eq!(
        data(&sim, "GET /nodes/pve2/lxc/200/status/current").await["status"],
        "running"
    );
    let managed = data(
        &sim,
        "POST /nodes/pve1/qemu/104/migrate target=pve2 online=1",
    )
    .await;
    assert!(managed.as_str().unwrap().contains(":hamigrate:104:"));
    assert!(
        refused(
            &sim,
            "POST /nodes/pve1/lxc/201/migrate target=pve2 targetstorage=bulk"
        )
        .await
        .starts_with("targetstorage")
    );
}

#[tokio::test]
async fn firewall_rules_shift_and_are_guarded() {
    let sim = sim(Options::default()).await;
    let base = "/nodes/pve1/qemu/100/firewall";
    data(
        &sim,
        &format!("POST {base}/rules type=in action=ACCEPT macro=SSH enable=1 comment=first"),
    )
    .await;
    data(
        &sim,
        &format!("POST {base}/rules type=in action=DROP comment=second"),
    )
    .await;
    let rules = data(&sim, &format!("GET {base}/rules")).await;
    assert_eq!(
        (&rules[0]["comment"], &rules[0]["enable"]),
        (&json!("second"), &json!(0)),
        "new ones come first"
    );
    let digest = rules[0]["digest"].as_str().unwrap();
    data(&sim, &format!("DELETE {base}/rules/0 digest={digest}")).await;
    assert!(
        refused(&sim, &format!("DELETE {base}/rules/0 digest={digest}"))
            .await
            .starts_with("detected modified configuration")
    );
    assert_eq!(data(&sim, &format!("GET {base}/rules/0")).await["pos"], "0");
    assert_eq!(
        refused(
            &sim,
            &format!("POST {base}/rules type=in action=ACCEPT dport=22")
        )
        .await,
        "proto: missing property - 'dport' requires this property"
    );
    assert_eq!(
        refused(
            &sim,
            &format!("POST {base}/rules type=in action=ACCEPT source=+nope")
        )
        .await,
        "source: no such ipset 'nope'"
    );
    assert_eq!(
        refused(&sim, &format!("PUT {base}/options enable=true")).await,
        "enable: type check ('boolean') failed - got 'true'"
    );
}

#[tokio::test]
async fn stopped_and_failing_tasks_leave_nothing_behind() {
    let sim = sim(Options::default()).await;
    sim.control(&json!({"cmd": "fault", "task": "qmclone", "error": "no space left on device"}));
    assert_eq!(
        task(&sim, "POST /nodes/pve1/qemu/9000/clone newid=140 full=1").await,
        "no space left on device"
    );
    assert!(
        refused(&sim, "GET /nodes/pve1/qemu/140/config")
            .await
            .contains("does not exist")
    );
    sim.control(&json!({"cmd": "fault", "task": "vzdump", "warnings": 2}));
    assert_eq!(
        task(&sim, "POST /nodes/pve1/vzdump vmid=103 storage=nas").await,
        "WARNINGS: 2"
    );
    sim.control(&json!({"cmd": "task-seconds", "value": 600.0}));
    let upid = data(&sim, "POST /nodes/pve1/qemu/9000/clone newid=141 full=1").await;
    let upid = upid.as_str().unwrap();
    assert_eq!(
        data(&sim, "GET /nodes/pve1/qemu/141/config").await["lock"],
        "clone"
    );
    data(&sim, &format!("DELETE /nodes/pve1/tasks/{upid}")).await;
    let (status, _) = ended(&sim, TOKEN, upid).await;
    assert_eq!(
        status.body.unwrap()["data"]["exitstatus"],
        "clone failed: interrupted by signal"
    );
    assert!(
        refused(&sim, "GET /nodes/pve1/qemu/141/config")
            .await
            .contains("does not exist")
    );
}

#[tokio::test]
async fn downloads_check_what_they_get() {
    let sim = sim(Options::default()).await;
    let url = "https://cdimage.example.org/debian-13.2.0-amd64-netinst.iso";
    let base = "POST /nodes/pve1/storage/local/download-url content=iso";
    assert_eq!(
        data(
            &sim,
            &format!("GET /nodes/pve1/query-url-metadata url={url}")
        )
        .await["size"],
        784 << 20
    );
    let wrong = "0".repeat(64);
    let ended = task(
        &sim,
        &format!("{base} filename=a.iso url={url} checksum={wrong} checksum-algorithm=sha256"),
    )
    .await;
    assert!(ended.starts_with("checksum mismatch"), "{ended}");
    assert_eq!(
        task(&sim, &format!("{base} filename=a.iso url={url}")).await,
        "OK"
    );
    assert!(
        task(&sim, &format!("{base} filename=a.iso url={url}"))
            .await
            .starts_with("refusing to override")
    );
    assert_eq!(
        refused(&sim, &format!("{base} filename=a.txt url={url}")).await,
        "filename: invalid filename or wrong extension"
    );
    assert!(
        refused(
            &sim,
            "GET /nodes/pve1/query-url-metadata url=https://nowhere.example/x.iso"
        )
        .await
        .contains("Can't connect")
    );
    assert_eq!(task(&sim, "POST /nodes/pve1/aplinfo storage=local template=debian-13-standard_13.1-2_amd64.tar.zst").await, "OK");
}

#[tokio::test]
async fn faults_break_the_answer_and_not_always_the_write() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let sim = sim(Options::default()).await;
    sim.control(&json!({"cmd": "fault", "kind": "cut-after", "method": "PUT"}));
    let address = sim.url().trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = "name=lost";
    let head = format!(
        "PUT /api2/json/nodes/pve1/qemu/103/config HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    assert_eq!(
        data(&sim, "GET /nodes/pve1/qemu/103/config").await["name"],
        "lost",
        "the change was made"
    );
    sim.control(&json!({"cmd": "fault", "kind": "status", "code": 502, "reason": "Bad Gateway", "body": "<html>"}));
    assert_eq!(ask(&sim, "GET /version").await.status, 502);
    assert_eq!(ask(&sim, "GET /version").await.status, 200);
}

/// The bytes that come back from a bare GET, or the error that it ends with.
async fn get_version(stream: &mut tokio::net::TcpStream) -> std::io::Result<Vec<u8>> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let head = format!(
        "GET /api2/json/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {TOKEN}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn an_outage_resets_connections_and_refuses_new_ones() {
    let sim = sim(Options::default()).await;
    let address = sim.url().trim_start_matches("http://").to_owned();
    let connect = || tokio::net::TcpStream::connect(address.clone());
    let mut open = connect().await.unwrap();
    sim.control(&json!({"cmd": "outage"}));
    let answer = get_version(&mut open).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.is_empty()));
    while connect().await.is_ok() {
        tokio::task::yield_now().await;
    }
    sim.control(&json!({"cmd": "outage", "ms": 0}));
    let mut again = loop {
        if let Ok(stream) = connect().await {
            break stream;
        }
        tokio::task::yield_now().await;
    };
    let answer = get_version(&mut again).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn an_outage_of_pvedaemon_alone_is_answered() {
    let sim = sim(Options::default()).await;
    sim.control(&json!({"cmd": "outage", "answer": 595}));
    let answer = ask(&sim, "POST /nodes/pve1/qemu/100/status/stop").await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (595, "Connection refused")
    );
    assert!(answer.body.is_none());
    sim.control(&json!({"cmd": "outage", "ms": 0}));
    let state = data(&sim, "GET /nodes/pve1/qemu/100/status/current").await;
    assert_eq!(state["status"], "running", "nothing was done");
}

fn advance(sim: &Running, seconds: u32) {
    let answer = sim.control(&json!({"cmd": "advance", "seconds": seconds}));
    assert_eq!(answer["ok"], true, "{answer}");
}

/// The entry of `/cluster/resources` with that id.
async fn resource(sim: &Running, id: &str) -> Value {
    let list = data(sim, "GET /cluster/resources").await;
    let entry = list.as_array().unwrap().iter().find(|it| it["id"] == id);
    entry.unwrap_or_else(|| panic!("no {id}")).clone()
}

/// The names of an entry's fields, sorted.
fn keys(entry: &Value) -> Vec<&str> {
    let fields = entry.as_object().unwrap();
    let mut keys: Vec<&str> = fields.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_new_guest_is_unknown_until_pvestatd_reports() {
    let sim = start(Options {
        tls: Tls::Off,
        tokens: vec!["root@pam!full=r".to_owned()],
        task_seconds: 1.0,
        ..Options::default()
    })
    .await
    .unwrap();
    let upid = data(
        &sim,
        "POST /nodes/pve1/qemu/9000/clone newid=610 name=fresh",
    )
    .await;
    let entry = resource(&sim, "qemu/610").await;
    assert_eq!(
        keys(&entry),
        ["id", "lock", "node", "status", "type", "vmid"]
    );
    assert_eq!(
        (&entry["status"], &entry["lock"]),
        (&json!("unknown"), &json!("clone"))
    );
    let current = data(&sim, "GET /nodes/pve1/qemu/610/status/current").await;
    assert_eq!(
        (&current["status"], &current["name"]),
        (&json!("stopped"), &json!("VM 610"))
    );
    advance(&sim, 1);
    ended(&sim, TOKEN, upid.as_str().unwrap()).await;
    assert_eq!(resource(&sim, "qemu/610").await["status"], "unknown");
    let current = data(&sim, "GET /nodes/pve1/qemu/610/status/current").await;
    assert_eq!(
        (&current["status"], &current["name"]),
        (&json!("stopped"), &json!("fresh"))
    );
    let list = data(&sim, "GET /nodes/pve1/qemu").await;
    let listed = list
        .as_array()
        .unwrap()
        .iter()
        .find(|guest| guest["vmid"] == 610);
    assert_eq!(listed.unwrap()["name"], "fresh");
    advance(&sim, 9);
    let entry = resource(&sim, "qemu/610").await;
    assert_eq!(
        (&entry["status"], &entry["name"]),
        (&json!("stopped"), &json!("fresh"))
    );
    // A start is known to the node when its task ends, and to the cluster one round later.
    data(&sim, "POST /nodes/pve1/qemu/610/status/start").await;
    advance(&sim, 1);
    let current = data(&sim, "GET /nodes/pve1/qemu/610/status/current").await;
    assert_eq!(current["status"], "running");
    assert_eq!(resource(&sim, "qemu/610").await["status"], "stopped");
    advance(&sim, 9);
    assert_eq!(resource(&sim, "qemu/610").await["status"], "running");
    // A destroyed guest disappears immediately.
    data(&sim, "POST /nodes/pve1/qemu/610/status/stop").await;
    advance(&sim, 1);
    data(&sim, "DELETE /nodes/pve1/qemu/610").await;
    advance(&sim, 1);
    let list = data(&sim, "GET /cluster/resources type=vm").await;
    assert!(list.as_array().unwrap().iter().all(|it| it["vmid"] != 610));
}

#[tokio::test]
async fn what_a_hung_pvestatd_has_reported_stays_and_then_is_unknown() {
    let sim = sim(Options::default()).await;
    let before = resource(&sim, "qemu/100").await;
    sim.control(&json!({"cmd": "pvestatd", "node": "pve1", "runs": false}));
    task(&sim, "POST /nodes/pve1/qemu/100/status/stop").await;
    advance(&sim, 60);
    assert_eq!(resource(&sim, "qemu/100").await, before, "frozen");
    advance(&sim, 310);
    let entry = resource(&sim, "qemu/100").await;
    assert_eq!(entry["status"], "unknown");
    assert!(entry["name"].is_null() && entry["maxmem"].is_null());
    assert_eq!(
        resource(&sim, "storage/pve1/local").await["status"],
        "unknown"
    );
    let node = resource(&sim, "node/pve1").await;
    assert_eq!(keys(&node), ["cgroup-mode", "id", "node", "status", "type"]);
    let nodes = data(&sim, "GET /nodes").await;
    assert_eq!(nodes[0]["status"], "unknown");
    let status = data(&sim, "GET /cluster/status").await;
    let node = status
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["id"] == "node/pve1");
    assert_eq!(node.unwrap()["online"], 1);
    assert!(data(&sim, "GET /nodes/pve1/status").await["uptime"].is_number());
    sim.control(&json!({"cmd": "pvestatd", "node": "pve1", "runs": true}));
    assert_eq!(resource(&sim, "qemu/100").await["status"], "unknown");
    advance(&sim, 10);
    assert_eq!(resource(&sim, "qemu/100").await["status"], "stopped");
}

#[tokio::test]
async fn a_node_that_has_never_reported_is_online_and_unknown() {
    let nodes = vec!["pve1".into(), "pve2:silent".into(), "pve3:hung".into()];
    let sim = sim(Options {
        nodes,
        ..Options::default()
    })
    .await;
    let nodes = data(&sim, "GET /nodes").await;
    let states: Vec<&Value> = nodes
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["status"])
        .collect();
    assert_eq!(states, ["online", "unknown", "online"]);
    assert_eq!(
        keys(&nodes[1]),
        ["id", "node", "ssl_fingerprint", "status", "type"]
    );
    advance(&sim, 400);
    let nodes = data(&sim, "GET /nodes").await;
    let states: Vec<&Value> = nodes
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["status"])
        .collect();
    assert_eq!(states, ["online", "unknown", "unknown"]);
    let status = data(&sim, "GET /cluster/status").await;
    assert!(
        status
            .as_array()
            .unwrap()
            .iter()
            .skip(1)
            .all(|it| it["online"] == 1)
    );
    assert!(data(&sim, "GET /nodes/pve2/status").await["uptime"].is_number());
}

#[tokio::test]
async fn a_guest_under_ha_changes_long_after_the_task() {
    let sim = sim(Options::default()).await;
    data(&sim, "POST /cluster/ha/resources sid=vm:103 state=stopped").await;
    let state =
        async || data(&sim, "GET /nodes/pve1/qemu/103/status/current").await["status"].take();
    let first = state().await;
    let (verb, after) = match first.as_str().unwrap() {
        "stopped" => ("start", 15),
        _ => ("stop", 9),
    };
    assert_eq!(
        task(&sim, &format!("POST /nodes/pve1/qemu/103/status/{verb}")).await,
        "OK"
    );
    advance(&sim, after - 1);
    assert_eq!(state().await, first);
    advance(&sim, 1);
    assert_ne!(state().await, first);
}

#[tokio::test]
async fn a_refused_call_works_after_the_smallest_grant_and_nothing_else_does() {
    let sim = sim(Options::default()).await;
    sim.control(
        &json!({"cmd": "token", "id": "ops@pve!t", "secret": "s", "rights": "/vms=VM.Audit"}),
    );
    let token = Some("PVEAPIToken=ops@pve!t=s");
    let before = sim.control(&json!({"cmd": "permissions", "id": "ops@pve!t"}));
    let start = "POST /nodes/pve1/qemu/103/status/start";
    let answer = send(&sim, token, start).await;
    assert_eq!(
        answer.reason,
        "Permission check failed (/vms/103, VM.PowerMgmt)"
    );
    let pveum = |line: &str| {
        let answer = sim.control(&json!({"cmd": "pveum", "line": line}));
        assert_eq!(answer["ok"], true, "{line}: {answer}");
    };
    pveum("pveum role add ops-power --privs VM.PowerMgmt,VM.Audit");
    pveum("pveum acl modify /vms/103 --roles ops-power --tokens 'ops@pve!t'");
    assert_eq!(
        send(&sim, token, start).await.status,
        403,
        "its user may not yet"
    );
    pveum("pveum acl modify /vms/103 --roles ops-power --users ops@pve");
    assert_eq!(send(&sim, token, start).await.status, 200);
    let mut after = sim.control(&json!({"cmd": "permissions", "id": "ops@pve!t"}));
    let granted = after["permissions"]
        .as_object_mut()
        .unwrap()
        .remove("/vms/103");
    assert_eq!(granted, Some(json!({"VM.Audit": 1, "VM.PowerMgmt": 1})));
    assert_eq!(after, before, "nothing else was granted");
}
