//! Tests of what several of these files do together.

use proptest::prelude::*;
use pve_api::owner_of;
use serde_json::{Value, json};

use super::create_backup::{CreateBackup, Mode, notes_template, unknown_variable};
use super::list_backups::{BackupList, turns};
use super::restore_backup::RestoreBackup;
use super::volume::{kind_of, vmid_of};
use crate::pve::{Guest, GuestType, Params, StorageStatus, Vmid, Volume};
use crate::tool::Page;

fn volume(value: Value) -> Volume {
    serde_json::from_value(value).unwrap()
}

fn storage(kind: &str) -> StorageStatus {
    serde_json::from_value(json!({"storage": "nas", "type": kind, "content": "backup"})).unwrap()
}

fn pairs(params: &Params) -> Vec<String> {
    params
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn create(arguments: Value) -> CreateBackup {
    serde_json::from_value(arguments).unwrap()
}

fn restore(arguments: Value) -> RestoreBackup {
    serde_json::from_value(arguments).unwrap()
}

#[test]
fn compression_in_proxmox_words() {
    for (compress, sent) in [
        ("zstd", "zstd"),
        ("gzip", "gzip"),
        ("lzo", "lzo"),
        ("none", "0"),
    ] {
        let create = create(json!({"vmid": 100, "compress": compress}));
        let params = create.params(vmid(100), Mode::Snapshot, &storage("dir"), "");
        assert!(
            pairs(&params).contains(&format!("compress={sent}")),
            "{params:?}"
        );
    }
    let plain = create(json!({"vmid": 100}));
    assert_eq!(
        pairs(&plain.params(
            vmid(100),
            Mode::Stop,
            &storage("nfs"),
            &plain.notes().unwrap()
        )),
        [
            "vmid=100",
            "storage=nas",
            "mode=stop",
            "compress=zstd",
            "notes-template={{guestname}}",
            "remove=0"
        ]
    );
    let pbs = create(json!({"vmid": 100, "protected": true, "notes": ""}));
    assert_eq!(
        pairs(&pbs.params(
            vmid(100),
            Mode::Snapshot,
            &storage("pbs"),
            &pbs.notes().unwrap()
        )),
        [
            "vmid=100",
            "storage=nas",
            "mode=snapshot",
            "protected=1",
            "remove=0"
        ]
    );
}

#[test]
fn variables_in_notes() {
    for notes in [
        "{{guestname}} {{vmid}}",
        "{{ x }}",
        "{{}}",
        "{x}",
        "{{x",
        "}}{{",
    ] {
        assert_eq!(unknown_variable(notes), None, "{notes}");
    }
    assert_eq!(unknown_variable("{{node}} {{{date}}}"), Some("date"));
    let wrong = create(json!({"vmid": 100, "notes": "{{date}}"}));
    assert_eq!(
        wrong.notes().unwrap_err().message(),
        "notes: must not contain {{date}}: only {{guestname}}, {{node}}, {{vmid}} and {{cluster}} \
         can be filled in"
    );
}

#[test]
fn restores_are_never_forced() {
    let vm = restore(json!({"volid": "nas:backup/vzdump-qemu-100-x.vma.zst", "name": "web02"}));
    assert_eq!(
        pairs(&vm.params(GuestType::Qemu, vmid(105), None)),
        [
            "vmid=105",
            "archive=nas:backup/vzdump-qemu-100-x.vma.zst",
            "name=web02",
            "unique=1"
        ]
    );
    let ct = restore(json!({"volid": "nas:a", "name": "ct3", "keep_macs": true}));
    assert_eq!(
        pairs(&ct.params(GuestType::Lxc, vmid(106), Some("bulk"))),
        [
            "vmid=106",
            "ostemplate=nas:a",
            "restore=1",
            "hostname=ct3",
            "storage=bulk",
            "unique=0"
        ]
    );
}

#[test]
fn archives_that_are_none() {
    for archive in [
        "backup",
        "a:b",
        "local:",
        "local: x",
        "local:../x",
        "local:backup/../../etc",
        "/x:y",
        "local:a\nb",
    ] {
        assert!(
            restore(json!({"volid": archive})).check().is_err(),
            "{archive}"
        );
    }
    for (name, value) in [("name", "web_1"), ("storage", "x y"), ("node", "a/b")] {
        let wrong = restore(json!({"volid": "local:backup/x", name: value}));
        assert!(wrong.check().unwrap_err().message().starts_with(name));
    }
    let pbs = restore(json!({"volid": "pbs:backup/vm/100/2026-11-22T08:04:13Z"}));
    assert_eq!(pbs.check().unwrap(), "pbs");
}

#[test]
fn kinds_and_vmids() {
    for (entry, kind, vmid) in [
        (
            json!({"volid": "local:backup/vzdump-lxc-200-2026.tar.zst", "subtype": "lxc"}),
            Some(GuestType::Lxc),
            Some(200),
        ),
        (
            json!({"volid": "local:backup/vzdump-qemu-100-2026.vma.zst"}),
            Some(GuestType::Qemu),
            Some(100),
        ),
        (
            json!({"volid": "pbs:backup/vm/100/2026", "format": "pbs-vm"}),
            Some(GuestType::Qemu),
            Some(100),
        ),
        (
            json!({"volid": "pbs:backup/ct/700/2026"}),
            Some(GuestType::Lxc),
            Some(700),
        ),
        (json!({"volid": "local:backup/other.tgz"}), None, None),
    ] {
        let volume = volume(entry);
        assert_eq!(
            (kind_of(&volume), vmid_of(&volume).map(Vmid::get)),
            (kind, vmid),
            "{}",
            volume.volid
        );
    }
}

fn vmid(number: u32) -> Vmid {
    Vmid::new(number).unwrap()
}

fn guest(vmid: u32, template: u8) -> Guest {
    serde_json::from_value(json!({
        "vmid": vmid, "type": "qemu", "node": "pve1", "status": "running",
        "name": format!("vm{vmid}"), "template": template
    }))
    .unwrap()
}

fn page(limit: u32) -> Page {
    Page::new(None, Some(limit), 50)
}

#[test]
fn by_guest_newest_first() {
    let backup = |vmid: u32, time: u64| {
        let volid = format!("nas:backup/vzdump-qemu-{vmid}-{time}.vma.zst");
        let entry = json!({"volid": volid, "vmid": vmid, "ctime": time, "size": "10",
            "content": "backup", "protected": 1, "notes": "web\n", "verification": {"state": "ok"}});
        (Some("pve1".to_owned()), volume(entry))
    };
    let found = vec![
        backup(100, 10),
        backup(100, 30),
        backup(100, 20),
        backup(777, 5),
    ];
    let all = [guest(100, 0), guest(101, 0), guest(9000, 1)];
    let (list, _) = BackupList::new(found, &all, page(3), 100, None);
    assert_eq!((list.total, list.total_bytes), (4, 40));
    assert_eq!(list.guests_without_backup, Some(vec![vmid(101)]));
    let [web, gone] = list.guests.as_slice() else {
        panic!("{list:?}");
    };
    assert_eq!(
        (gone.vmid, gone.exists, gone.count),
        (Some(vmid(777)), false, 1)
    );
    assert_eq!(
        (web.name.as_deref(), web.exists, web.count),
        (Some("vm100"), true, 3)
    );
    let ages: Vec<_> = web.backups.iter().map(|one| one.age_seconds).collect();
    assert_eq!(ages, [Some(70), Some(80)]);
    let first = &web.backups[0];
    assert!(first.protected);
    assert_eq!(first.verification.as_deref(), Some("ok"));
    assert_eq!(first.notes.as_deref(), Some("web"));
    assert!(list.hint.unwrap().starts_with("backups 1-3 of 4"));
}

#[test]
fn a_guest_is_without_backup_only_where_that_is_known() {
    let broken = volume(
        json!({"volid": "pbs:backup/vm/100/2026-11-01T02:00:00Z", "vmid": 100,
        "content": "backup", "size": 1, "ctime": 30}),
    );
    let (mut list, _) = BackupList::new(vec![(None, broken)], &[guest(100, 0)], page(9), 100, None);
    let backup = &list.guests[0].backups[0];
    assert!(backup.unfinished && backup.shared && backup.node.is_none());
    assert_eq!(list.guests_without_backup, Some(vec![vmid(100)]));
    list.set_unavailable(vec!["nas on pve1: not reachable".into()]);
    assert_eq!(list.guests_without_backup, None);
    assert_eq!(list.guests_whose_backup_is_not_known, Some(vec![vmid(100)]));
}

proptest! {
    #[test]
    fn every_guest_has_its_turn(counts in prop::collection::vec(0usize..9, 0..9), limit in 0usize..40) {
        let all = turns(&counts);
        for (guest, count) in counts.iter().enumerate() {
            let own = all.iter().filter(|turn| turn.guest == guest);
            let own: Vec<usize> = own.map(|turn| turn.backup).collect();
            prop_assert_eq!(own, (0..*count).collect::<Vec<_>>());
        }
        let share = |guest: usize| all.iter().take(limit).filter(|turn| turn.guest == guest).count();
        for (guest, count) in counts.iter().enumerate() {
            let is_served = share(guest) == *count;
            prop_assert!(is_served || (0..counts.len()).all(|other| share(other) <= share(guest) + 1));
        }
    }

    #[test]
    fn any_notes_survive(notes in "[^\r]{0,40}") {
        let sent = notes_template(&notes);
        prop_assert!(!sent.contains('\n'));
        // As vzdump reads it back.
        let mut back = String::new();
        let mut chars = sent.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => back.push('\n'),
                    Some('\\') => back.push('\\'),
                    other => prop_assert!(false, "{:?}", other),
                },
                c => back.push(c),
            }
        }
        prop_assert_eq!(back, notes);
    }

    #[test]
    fn any_volid_is_safe(volid in any::<String>()) {
        let restore = RestoreBackup {
            volid, new_vmid: None, storage: None, node: None, name: None, keep_macs: None, wait: None,
        };
        let _ = (restore.check(), owner_of(&restore.volid));
    }
}
