//! `/nodes/{node}`: services, disks, pools, certificates and packages.
//!
//! Each node is healthy except for a few problems that a health check has to find: a nearly worn-out
//! disk, a disk with reallocated sectors, a failed service, and a new kernel that needs a reboot.

use serde_json::{Value, json};

use crate::clock::now;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::STORAGE;
use crate::params::{BOOL, TEXT, opt, req};
use crate::permission::Permission::{self, All, Any, Everyone, Or};
use pve_api::calls;

const AUDIT_NODE: Permission = All("/nodes/{node}", &["Sys.Audit"]);
const AUDIT: Permission = All("/", &["Sys.Audit"]);

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(&calls::nodes::SERVICES, &[], AUDIT_NODE, services),
    on(
        &calls::nodes::DISKS,
        &[
            opt("include-partitions", BOOL),
            opt("skipsmart", BOOL),
            opt("type", TEXT.choices(&["unused", "journal_disks"])),
        ],
        Or(&[AUDIT, AUDIT_NODE]),
        disks,
    ),
    on(
        &calls::nodes::SMART,
        &[
            req("disk", TEXT.pattern(r"/dev/[a-zA-Z0-9/]+")),
            opt("healthonly", BOOL),
        ],
        AUDIT,
        smart,
    ),
    on(&calls::nodes::ZFS, &[], AUDIT, zfs),
    on(
        &calls::nodes::ZFS_POOL,
        &[req("name", STORAGE)],
        AUDIT,
        zfs_pool,
    ),
    on(&calls::nodes::LVM_THIN, &[], AUDIT, thin_pools),
    on(
        &calls::nodes::CEPH,
        &[],
        Any("/", &["Sys.Audit", "Datastore.Audit"]),
        |_| Err(Fail::die("binary not installed: /usr/bin/ceph-mon")),
    ),
    on(&calls::nodes::CERTIFICATES, &[], Everyone, certificates),
    on(&calls::nodes::SUBSCRIPTION, &[], Everyone, |_| {
        Ok(json!({"status": "notfound", "message": "There is no subscription key"}))
    }),
    on(
        &calls::nodes::UPDATES,
        &[],
        All("/nodes/{node}", &["Sys.Modify"]),
        updates,
    ),
    on(&calls::nodes::PACKAGES, &[], AUDIT_NODE, packages),
];

fn services(call: &mut Call<'_>) -> Answer {
    // A node of its own needs no corosync.
    let in_cluster = call.cluster.nodes.len() > 1;
    let service = |name: &str, state: &str, active: &str, unit: &str| {
        json!({
            "name": name, "service": name, "desc": format!("{name}.service"),
            "state": state, "active-state": active, "unit-state": unit,
        })
    };
    let running = [
        "cron",
        "lxcfs",
        "pve-cluster",
        "pve-firewall",
        "pve-ha-crm",
        "pve-ha-lrm",
        "pvedaemon",
        "pveproxy",
        "pvescheduler",
        "pvestatd",
        "qmeventd",
        "spiceproxy",
        "sshd",
        "chrony",
    ];
    let mut all: Vec<Value> = running
        .iter()
        .map(|name| service(name, "running", "active", "enabled"))
        .collect();
    all.push(match in_cluster {
        true => service("corosync", "running", "active", "enabled"),
        false => service("corosync", "dead", "inactive", "disabled"),
    });
    all.push(service("postfix", "failed", "failed", "enabled"));
    all.push(service("syslog", "dead", "inactive", "not-found"));
    all.push(service("pvefw-logger", "dead", "inactive", "masked"));
    Ok(Value::Array(all))
}

/// A mirror of NVMe disks, an SSD that is nearly worn out, and a hard disk.
fn disks(_: &mut Call<'_>) -> Answer {
    let disk = |path: &str, kind: &str, model: &str, wearout: Value, used: &str| {
        json!({
            "devpath": path, "type": kind, "model": model, "vendor": "ATA", "serial": "SN000001",
            "wwn": "unknown", "size": 960_197_124_096_u64, "gpt": 1, "health": "PASSED",
            "wearout": wearout, "rpm": if kind == "hdd" { 7200 } else { 0 }, "used": used,
            "osdid": -1, "osdid-list": null, "by_id_link": format!("/dev/disk/by-id/{model}"),
        })
    };
    // The wear is a number or a text, by the kind of disk.
    Ok(json!([
        disk("/dev/nvme0n1", "nvme", "Example-NVMe-960", json!(97), "ZFS"),
        disk("/dev/sda", "ssd", "Example-SSD-960", json!("12"), "LVM"),
        disk(
            "/dev/sdb",
            "hdd",
            "Example-HDD-4T",
            json!("N/A"),
            "partitions"
        ),
    ]))
}

fn smart(call: &mut Call<'_>) -> Answer {
    let attribute = |id: u32, name: &str, raw: &str| {
        json!({
            "id": format!("{id:>3}"), "name": name, "value": "100", "worst": "100", "threshold": "010",
            "raw": raw, "fail": "-", "flags": "PO--CK", "normalized": 100,
        })
    };
    match call.get("disk").unwrap_or_default() {
        "/dev/nvme0n1" => Ok(json!({
            "type": "text", "health": "PASSED",
            "text": "\nSMART/Health Information (NVMe Log 0x02)\nCritical Warning:                   0x00\n\
                     Temperature:                        41 Celsius\nAvailable Spare:                    100%\n\
                     Percentage Used:                    3%\nMedia and Data Integrity Errors:    0\n",
        })),
        "/dev/sda" => Ok(json!({
            "type": "ata", "health": "PASSED",
            "attributes": [
                attribute(5, "Reallocated_Sector_Ct", "0"),
                attribute(194, "Temperature_Celsius", "33 (Min/Max 20/45)"),
                attribute(233, "Media_Wearout_Indicator", "12"),
            ],
        })),
        "/dev/sdb" => Ok(json!({
            "type": "ata", "health": "PASSED",
            "attributes": [
                attribute(5, "Reallocated_Sector_Ct", "8"),
                attribute(194, "Temperature_Celsius", "38"),
                attribute(197, "Current_Pending_Sector", "0"),
            ],
        })),
        _ => Err(Fail::die("not a valid block device")),
    }
}

/// The pools behind the storages of that kind.
fn zfs(call: &mut Call<'_>) -> Answer {
    let node = call.node();
    let pools = call
        .cluster
        .storages
        .iter()
        .filter(|storage| storage.plugin == "zfspool" && storage.on(&node))
        .map(|storage| {
            json!({
                "name": storage.id, "health": "ONLINE", "size": storage.total,
                "alloc": storage.base_used, "free": storage.total.saturating_sub(storage.base_used),
                "frag": 7, "dedup": 1.0,
            })
        });
    Ok(pools.collect())
}

/// A pool of one disk without errors. One that does not exist has no name.
fn zfs_pool(call: &mut Call<'_>) -> Answer {
    let (node, name) = (call.node(), call.text("name"));
    let mut storages = call.cluster.storages.iter();
    let exists = storages.any(|one| one.plugin == "zfspool" && one.on(&node) && one.id == name);
    if !exists {
        return Ok(json!({"name": null, "leaf": 1}));
    }
    let disk = |name: &str| {
        json!({
            "name": name, "state": "ONLINE", "read": 0, "write": 0, "cksum": 0, "msg": "", "leaf": 1,
        })
    };
    Ok(json!({
        "name": name, "state": "ONLINE", "errors": "No known data errors", "leaf": 0,
        "scan": "scrub repaired 0B in 00:01:00 with 0 errors",
        "children": [{
            "name": name, "state": "ONLINE", "read": 0, "write": 0, "cksum": 0, "msg": "",
            "leaf": 0, "children": [disk("nvme0n1p3")],
        }],
    }))
}

fn thin_pools(call: &mut Call<'_>) -> Answer {
    let node = call.node();
    let pools = call
        .cluster
        .storages
        .iter()
        .filter(|storage| storage.plugin == "lvmthin" && storage.on(&node))
        .map(|storage| {
            json!({
                "vg": "pve", "lv": storage.id, "lv_size": storage.total, "used": storage.base_used,
                "metadata_size": 1_073_741_824_u64, "metadata_used": 268_435_456_u64,
            })
        });
    Ok(pools.collect())
}

fn certificates(call: &mut Call<'_>) -> Answer {
    let node = call.node();
    let day = 86_400;
    let one = |file: &str, issuer: &str, days: i64| {
        json!({
            "filename": file, "issuer": issuer, "subject": format!("/CN={node}.example.com"),
            "san": [node.clone(), format!("{node}.example.com")],
            "fingerprint": "AA:BB:CC", "public-key-bits": 2048, "public-key-type": "rsaEncryption",
            "notbefore": now() - 700 * day, "notafter": now() + days * day,
            "pem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        })
    };
    Ok(json!([
        one("pve-root-ca.pem", "/CN=Proxmox Virtual Environment", 2950),
        one("pve-ssl.pem", "/CN=Proxmox Virtual Environment", 412),
    ]))
}

/// A package, with the fields that only one of the lists has.
fn package(name: &str, version: &str, own: &[(&str, &str)]) -> Value {
    let mut entry = json!({
        "Package": name, "Version": version, "Title": format!("{name} of this node"),
        "Description": "A package.", "Arch": "amd64", "Priority": "optional", "Section": "admin",
        "Origin": "Proxmox",
    });
    if let Some(fields) = entry.as_object_mut() {
        fields.extend(own.iter().map(|(key, value)| ((*key).into(), json!(value))));
    }
    entry
}

fn updates(_: &mut Call<'_>) -> Answer {
    let update = |name: &str, old: &str, new: &str| package(name, new, &[("OldVersion", old)]);
    Ok(json!([
        update("pve-manager", "9.2.11", "9.2.12"),
        update("openssl", "3.5.1-1", "3.5.1-1+deb13u1"),
    ]))
}

fn packages(_: &mut Call<'_>) -> Answer {
    let installed = |name: &str, version: &str| {
        let own = [("OldVersion", version), ("CurrentState", "Installed")];
        package(name, version, &own)
    };
    let missing = [("CurrentState", "NotInstalled")];
    let proxmox = [
        ("OldVersion", "9.2.0"),
        ("CurrentState", "Installed"),
        ("RunningKernel", "6.17.2-1-pve"),
    ];
    Ok(json!([
        package("ceph-fuse", "18.2.7+ds-1+deb13u1", &missing),
        package("proxmox-ve", "9.2.0", &proxmox),
        installed("proxmox-kernel-helper", "9.0.4"),
        installed("proxmox-kernel-6.17.2-1-pve-signed", "6.17.2-1"),
        installed("proxmox-kernel-6.17.4-1-pve-signed", "6.17.4-1"),
        installed("qemu-server", "9.1.0"),
    ]))
}
