//! Tests of what several of these files do together.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::preflight::Preflight;
use super::refusal::refusal_reasons;
use super::storage_map::StorageMap;
use super::survey::{How, Survey};
use crate::pve::{Disk, Guest, GuestConfig, GuestType, NodeState, StorageResource};

fn guest(kind: &str) -> Guest {
    serde_json::from_value(json!({
        "type": kind, "vmid": 100, "node": "pve1", "status": "running", "name": "web01"
    }))
    .unwrap()
}

fn node_list() -> Vec<NodeState> {
    serde_json::from_value(json!([
        {"node": "pve1", "status": "online"}, {"node": "pve2", "status": "online"},
        {"node": "pve3", "status": "offline"}
    ]))
    .unwrap()
}

fn vm(preflight: Value) -> Survey {
    Survey::of_vm(
        &guest("qemu"),
        serde_json::from_value(preflight).unwrap(),
        &[],
    )
}

#[test]
fn a_node_in_both_lists_is_allowed() {
    // As recorded: an empty refusal beside the permission.
    let survey = vm(json!({
        "not_allowed_nodes": {"pve2": {}}, "mapped-resources": [], "local_resources": [],
        "mapped-resource-info": {}, "allowed_nodes": ["pve2", "pve3"], "local_disks": [],
        "has-dbus-vmstate": 1, "running": 0
    }));
    let check = survey.check(&guest("qemu"), &node_list(), None);
    assert_eq!(
        serde_json::to_value(&check.targets).unwrap(),
        json!([
            {"node": "pve2", "allowed": true},
            {"node": "pve3", "allowed": false, "reasons": ["the node is offline"]}
        ])
    );
    assert_eq!(check.how, How::Offline);
}

#[test]
fn containers_spell_it_otherwise() {
    let preflight: Preflight = serde_json::from_value(json!({
        "running": 1, "not-allowed-nodes": {"pve3": {"blocking-ha-resources":
            [{"sid": "ct:201", "cause": "resource-affinity"}]}},
        "allowed-nodes": ["pve2"]
    }))
    .unwrap();
    assert_eq!(
        preflight.allowed_nodes.as_deref(),
        Some(&["pve2".to_owned()][..])
    );
    assert_eq!(
        refusal_reasons(&preflight.not_allowed_nodes.unwrap()["pve3"]),
        [
            "HA rules forbid it: ct:201 is on that node, and they must not be on the same one; get_ha \
          shows the rules"
        ]
    );
}

#[test]
fn refusals_are_reported_and_lifted_by_another_storage() {
    let survey = vm(json!({
        "running": 0, "allowed_nodes": [],
        "not_allowed_nodes": {"pve2": {"unavailable_storages": ["tank"]}}
    }));
    let nodes = node_list();
    let target = survey.judge(&guest("qemu"), &nodes, "pve2", None);
    assert!(!target.allowed && target.reasons[0].starts_with("storage tank is not available"));
    let map = StorageMap::parse("bulk").unwrap();
    assert!(
        survey
            .judge(&guest("qemu"), &nodes, "pve2", Some(&map))
            .allowed
    );
    // Offline beats all.
    assert!(
        !survey
            .judge(&guest("qemu"), &nodes, "pve3", Some(&map))
            .allowed
    );
    // Not in the list of a stopped guest, without a reason.
    let silent = vm(json!({"running": 0, "allowed_nodes": []}));
    assert!(!silent.judge(&guest("qemu"), &nodes, "pve2", None).allowed);
    // A running one has no such list.
    let running = vm(json!({"running": 1, "allowed_nodes": []}));
    assert!(running.judge(&guest("qemu"), &nodes, "pve2", None).allowed);
}

#[test]
fn blockers_rule_out_every_node() {
    let survey = vm(json!({
        "running": 1, "local_resources": ["hostpci0"], "mapped-resources": ["hostpci1", "usb0"],
        "mapped-resource-info": {"hostpci1": {"live-migration": 1}},
        "local_disks": [
            {"volid": "local:iso/debian.iso", "cdrom": 1, "size": 3},
            {"volid": "local:100/vm-100-cloudinit.qcow2", "cdrom": 1},
            {"volid": "local:100/vm-100-disk-0.qcow2", "size": "32M", "is_unused": 0}
        ]
    }));
    let blockers = survey.blockers(&guest("qemu"));
    assert_eq!(blockers.len(), 3, "{blockers:?}");
    assert!(blockers[0].contains("debian.iso"));
    assert!(blockers[2].contains(": usb0; stop it first"));
    assert_eq!(survey.copied().len(), 1);
    assert_eq!(survey.copied()[0].size_bytes, Some(33_554_432));
    let check = survey.check(&guest("qemu"), &node_list(), Some("pve2"));
    assert!(!check.targets[0].allowed);
    assert_eq!(check.how, How::Live);
}

#[test]
fn local_volumes_of_a_container() {
    let resources: Vec<StorageResource> = serde_json::from_value(json!([
        {"storage": "bulk", "node": "pve1", "shared": 1}, {"storage": "bulk", "node": "pve2", "shared": 1},
        {"storage": "tank", "node": "pve1", "shared": 0}
    ]))
    .unwrap();
    let config: BTreeMap<&str, &str> = BTreeMap::from([
        ("rootfs", "tank:subvol-200-disk-0,size=8G"),
        ("mp0", "bulk:200/vm-200-disk-1.raw,mp=/srv,size=1G"),
        ("mp1", "/mnt/data,mp=/data"),
        ("mp2", "/mnt/pve/nas,mp=/nas,shared=1"),
    ]);
    let config = GuestConfig::of(GuestType::Lxc, config);
    let survey = Survey::of_container(Preflight::default(), &config, resources);
    assert_eq!(survey.local_disks.len(), 1);
    assert_eq!(survey.local_disks[0].disk.as_deref(), Some("rootfs"));
    assert_eq!(survey.bound, ["mp1 (/mnt/data)"]);
    assert!(survey.warnings.is_empty());
    let nodes = node_list();
    let target = survey.judge(&guest("lxc"), &nodes, "pve2", None);
    assert!(
        target.reasons[0].starts_with("storage tank is not available"),
        "{target:?}"
    );
    let map = StorageMap::parse("tank:bulk").unwrap();
    assert!(
        survey
            .judge(&guest("lxc"), &nodes, "pve2", Some(&map))
            .allowed
    );
}

#[test]
fn devices_of_the_node_hold_a_vm() {
    let preflight = json!({
        "running": 0, "allowed_nodes": ["pve2"], "not_allowed_nodes": {},
        "local_disks": [
            {"drivename": "virtio1", "volid": "/dev/disk/by-id/nvme-a:b", "size": null},
            {"drivename": "scsi0", "volid": "local:100/vm-100-disk-0.qcow2", "size": 64},
        ],
    });
    let disks = [
        Disk::parse("virtio1", "/dev/disk/by-id/nvme-a:b,size=4G"),
        Disk::parse("sata3", "/dev/sdq"),
        Disk::parse("ide0", "cdrom,media=cdrom"),
        Disk::parse("ide2", "none,media=cdrom"),
    ];
    let preflight = serde_json::from_value(preflight).unwrap();
    let survey = Survey::of_vm(&guest("qemu"), preflight, &disks);
    let check = survey.check(&guest("qemu"), &node_list(), None);
    assert!(check.targets.iter().all(|target| !target.allowed));
    let [blocker] = check.blockers.as_slice() else {
        panic!("{:?}", check.blockers);
    };
    for held in [
        "virtio1 (/dev/disk/by-id/nvme-a:b)",
        "sata3 (/dev/sdq)",
        "ide0 (cdrom)",
    ] {
        assert!(blocker.contains(held), "{blocker}");
    }
    assert!(!blocker.contains("ide2"), "{blocker}");
    let copied: Vec<_> = check
        .local_disks
        .iter()
        .map(|disk| disk.disk.as_deref())
        .collect();
    assert_eq!(copied, [Some("scsi0")]);
}

proptest! {
    #[test]
    fn any_refusal_is_read(key in "[a-z_-]{1,12}", items in prop::collection::vec(".*", 0..3)) {
        let value = json!({ key: items });
        prop_assert_eq!(refusal_reasons(&value).is_empty(), items.is_empty());
    }

    #[test]
    fn storage_maps_never_panic(text in any::<String>()) {
        if let Ok(map) = StorageMap::parse(&text) {
            prop_assert_eq!(map.to_string(), text);
        }
    }
}
