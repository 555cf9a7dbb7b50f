//! Tests of what several of these files do together.

use serde_json::{Value, json};

use super::get_guest::{GuestDetails, MIB, MOST_DISKS};
use super::list_guests::ListGuests;
use super::read::NodeData;
use crate::pve::{Guest, PendingConfig};

fn guest(value: Value) -> Guest {
    serde_json::from_value(value).unwrap()
}

fn details(guest: Value, entries: Value, current: Value) -> Value {
    let read = NodeData {
        settings: PendingConfig::sample(entries),
        current: serde_json::from_value(current).unwrap(),
        ..NodeData::default()
    };
    let details = GuestDetails::new(serde_json::from_value(guest).unwrap(), read);
    serde_json::to_value(details).unwrap()
}

#[test]
fn filters() {
    let web = guest(
        json!({"vmid": 100, "type": "qemu", "node": "pve1", "status": "running",
        "name": "Web01", "tags": "prod;web", "template": 0}),
    );
    let fits = |filter: Value| {
        serde_json::from_value::<ListGuests>(filter)
            .unwrap()
            .fits(&web)
    };
    assert!(fits(json!({})));
    assert!(fits(
        json!({"kind": "qemu", "status": "running", "name": "web", "tag": "prod"})
    ));
    assert!(!fits(json!({"kind": "lxc"})));
    assert!(!fits(json!({"tag": "pro"})));
    assert!(!fits(json!({"pool": "prod"})));
    assert!(fits(json!({"template": false})) && !fits(json!({"template": true})));
}

#[test]
fn states_are_filtered_as_they_are() {
    let fits = |filter: &str, guest_json: Value| {
        let mut json = json!({"vmid": 100, "type": "qemu", "node": "pve1"});
        let more = guest_json.as_object().unwrap().clone();
        json.as_object_mut().unwrap().extend(more);
        serde_json::from_value::<ListGuests>(json!({"status": filter}))
            .unwrap()
            .fits(&guest(json))
    };
    for status in [
        "running",
        "paused",
        "prelaunch",
        "suspended",
        "io-error",
        "internal-error",
    ] {
        assert!(fits(status, json!({"status": status})), "{status}");
        assert!(!fits("stopped", json!({"status": status})), "{status}");
        assert!(!fits("other", json!({"status": status})), "{status}");
    }
    assert!(fits(
        "suspended",
        json!({"status": "stopped", "lock": "suspended"})
    ));
    assert!(fits("unknown", json!({"status": "unknown"})) && fits("unknown", json!({})));
    assert!(fits("other", json!({"status": "guest-panicked"})));
    assert!(!fits("running", json!({"status": "guest-panicked"})));
}

#[test]
fn what_a_guest_has_without_end_is_cut_and_counted() {
    let mut entries = vec![json!({"key": "description", "value": "x".repeat(9000)})];
    for number in 0..200 {
        entries.push(json!({"key": format!("unused{number}"), "value": "local:x"}));
    }
    entries.push(json!({"key": "scsi0", "value": "local:100/vm-100-disk-0.raw,size=1G"}));
    let details = details(
        json!({"vmid": 100, "type": "qemu", "node": "pve1"}),
        Value::Array(entries),
        json!({"status": "stopped"}),
    );
    assert_eq!(details["disks"].as_array().unwrap().len(), MOST_DISKS);
    assert_eq!(details["disks"][0]["disk"], "scsi0");
    let hint = details["hint"].as_str().unwrap();
    assert!(
        hint.contains("64 of 201 disks") && hint.contains("of 9000 characters"),
        "{hint}"
    );
}

#[test]
fn agent_options_are_not_lost() {
    let details = details(
        json!({"vmid": 100, "type": "qemu", "node": "pve1"}),
        json!([{"key": "agent", "value": "1,fstrim_cloned_disks=1,type=isa"}]),
        json!({"status": "stopped"}),
    );
    assert_eq!(details["agent_enabled"], true);
    assert_eq!(
        details["other"]["agent"],
        "1,fstrim_cloned_disks=1,type=isa"
    );
}

#[test]
fn vm_in_full() {
    let details = details(
        json!({"vmid": 100, "type": "qemu", "node": "pve1", "status": "running", "pool": "p"}),
        json!([
            {"key": "name", "value": "web01"}, {"key": "agent", "value": "1"},
            {"key": "memory", "value": "2048", "pending": "4096"},
            {"key": "cores", "value": 2}, {"key": "sockets", "value": 1},
            {"key": "balloon", "value": 1024, "delete": 1},
            {"key": "scsihw", "value": "virtio-scsi-single"},
            {"key": "scsi0", "value": "local:100/vm-100-disk-0.qcow2,size=32M"},
            {"key": "ide2", "value": "local:100/vm-100-cloudinit.qcow2,media=cdrom"},
            {"key": "net0", "value": "virtio=BC:24:11:00:00:01,bridge=vmbr0"},
            {"key": "boot", "value": "order=scsi0;ide2;net0"}, {"key": "onboot", "value": 1},
            {"key": "tags", "value": "prod;web"}, {"key": "digest", "value": "abc"},
            {"key": "ciuser", "value": "debian"},
            {"key": "cipassword", "value": "**********", "pending": "**********"},
            {"key": "sshkeys", "value": "ssh-ed25519%20AAAAC3Nz%20me%40home%0A"},
            {"key": "ipconfig0", "value": "ip=dhcp"},
            {"key": "description", "value": "web server\nsecond line"}
        ]),
        json!({"status": "running", "qmpstatus": "paused", "cpu": 0.25, "mem": 5,
            "uptime": 15, "ha": {"managed": 0}}),
    );
    assert_eq!(details["status"], "paused");
    assert_eq!(
        details["cpu"],
        json!({"cores": 2, "sockets": 1, "used_percent": 25.0})
    );
    assert_eq!(details["memory"]["configured_bytes"], 2_147_483_648u64);
    assert_eq!(details["disks"].as_array().unwrap().len(), 2);
    assert_eq!(details["boot"]["order"], json!(["scsi0", "ide2", "net0"]));
    assert_eq!(
        details["cloud_init"],
        json!({"has_drive": true, "user": "debian", "has_password": true,
            "ssh_key_names": ["ssh-ed25519 me@home"], "ip": {"net0": "ip=dhcp"}})
    );
    assert_eq!(
        details["pending"],
        json!([
            {"key": "memory", "current": "2048", "new": "4096"},
            {"key": "balloon", "current": "1024"},
            {"key": "cipassword", "current": "(hidden)", "new": "(hidden)"},
        ])
    );
    assert_eq!(details["other"], json!({"scsihw": "virtio-scsi-single"}));
    assert_eq!(details["agent_enabled"], true);
}

#[test]
fn container_in_full() {
    let details = details(
        json!({"vmid": 200, "type": "lxc", "node": "pve1", "status": "stopped", "maxcpu": 8}),
        json!([
            {"key": "hostname", "value": "ct01"}, {"key": "memory", "value": 512},
            {"key": "unprivileged", "value": 1},
            {"key": "rootfs", "value": "local:200/vm-200-disk-0.raw,size=64M"},
            {"key": "net0", "value": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,ip=dhcp"}
        ]),
        json!({"status": "stopped", "ha": {"managed": 1, "state": "stopped"}}),
    );
    assert_eq!(details["name"], "ct01");
    assert_eq!(details["cpu"], json!({"cores": 8}));
    assert_eq!(details["memory"]["swap_bytes"], 512 * MIB);
    assert_eq!(details["disks"][0]["disk"], "rootfs");
    assert_eq!(details["ha"], json!({"managed": true, "state": "stopped"}));
    assert!(details.get("cloud_init").is_none());
}
