//! Tests of what several of these files do together.

use proptest::prelude::*;
use pve_api::calls;
use serde_json::{Value, json};

use super::change::{form, is_hotplug_refusal, keep_needed, outcome, partly, refusals};
use super::resize_disk::{ResizeDisk, Size};
use super::set_guest_options::{SetGuestOptions, is_tag, join_tags, merge_tags};
use super::set_guest_resources::SetGuestResources;

use crate::error::Result;
use crate::pve::{
    At, Disk, ErrorResponse, Guest, GuestType, Params, PendingConfig, Vmid, owned_tags,
};
use crate::tool::report::{Change, Report, Status};

fn settings(entries: Value) -> PendingConfig {
    PendingConfig::sample(entries)
}

fn guest(kind: &str) -> Guest {
    serde_json::from_value(json!({
        "vmid": 100, "type": kind, "node": "pve1", "status": "running", "name": "web01"
    }))
    .unwrap()
}

fn resources(arguments: Value) -> SetGuestResources {
    serde_json::from_value(arguments).unwrap()
}

fn options(arguments: Value) -> SetGuestOptions {
    serde_json::from_value(arguments).unwrap()
}

fn pairs(params: &Params) -> Vec<String> {
    params
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn message(result: Result<()>) -> String {
    result.unwrap_err().message()
}

fn before() -> PendingConfig {
    settings(json!([
        {"key": "memory", "value": "2048", "pending": "1024"},
        {"key": "cores", "value": 2},
        {"key": "balloon", "value": 512},
        {"key": "digest", "value": "ab12"},
        {"key": "tags", "value": "prod;web"},
        {"key": "description", "value": "a\nb\n"},
        {"key": "onboot", "value": 1, "delete": 1},
    ]))
}

#[test]
fn settings_in_force_and_to_come() {
    let settings = before();
    assert_eq!(settings.in_force("memory"), Some("2048"));
    assert_eq!(settings.wanted("memory"), Some("1024"));
    assert_eq!(settings.wanted("onboot"), None);
    assert_eq!(settings.in_force("onboot"), Some("1"));
    assert!(settings.waits("memory") && settings.waits("onboot") && !settings.waits("cores"));
    assert_eq!(settings.digest(), Some("ab12"));
    assert_eq!(settings.wanted("description"), Some("a\nb"));
}

#[test]
fn only_what_differs_is_sent() {
    let wanted = resources(
        json!({"vmid": 100, "cores": 2, "memory_mib": 4096, "cpu_limit": 0, "sockets": 1}),
    );
    let before = before();
    let mut desired = wanted.desired(GuestType::Qemu, &before);
    keep_needed(&mut desired, &before);
    assert_eq!(
        pairs(&form(&desired, before.digest())),
        ["memory=4096", "digest=ab12"]
    );
    let limit = resources(json!({"vmid": 100, "cpu_limit": 1.5}));
    assert_eq!(
        pairs(&form(&limit.desired(GuestType::Lxc, &before), None)),
        ["cpulimit=1.5"]
    );
    // A host that limits their product needs both factors.
    for (kind, arguments, sent) in [
        (
            GuestType::Qemu,
            json!({"cores": 4}),
            &["cores=4", "sockets=1"][..],
        ),
        (
            GuestType::Qemu,
            json!({"cores": 2, "sockets": 2}),
            &["cores=2", "sockets=2"],
        ),
        (GuestType::Qemu, json!({"cores": 2}), &[]),
        (GuestType::Lxc, json!({"cores": 4}), &["cores=4"]),
    ] {
        let mut arguments = arguments;
        arguments["vmid"] = json!(100);
        let mut desired = resources(arguments).desired(kind, &before);
        keep_needed(&mut desired, &before);
        assert_eq!(pairs(&form(&desired, None)), sent);
    }
}

#[test]
fn what_took_effect_and_what_waits() {
    let wanted = resources(json!({"vmid": 100, "cores": 4, "memory_mib": 4096}));
    let after = settings(json!([
        {"key": "memory", "value": "2048", "pending": "4096"},
        {"key": "cores", "value": 4},
    ]));
    let report = outcome(
        Report::done("x"),
        &wanted.desired(GuestType::Qemu, &before()),
        &before(),
        &after,
    );
    let change = |what: &str, from: &str, to: &str, waits_for_reboot| Change {
        what: what.into(),
        from: Some(from.into()),
        to: Some(to.into()),
        waits_for_reboot,
    };
    assert_eq!(
        report.changes,
        [
            change("cores", "2", "4", false),
            change("memory_mib", "2048", "4096", true)
        ]
    );
}

#[test]
fn changes_that_a_running_guest_refuses() {
    let request = calls::guests::SET_CONFIG.qemu.at(["pve1", "100"]);
    let error = ErrorResponse {
        errors: [(
            "memory".to_owned(),
            "hotplug problem - no free slot\n".to_owned(),
        )]
        .into(),
        ..ErrorResponse::sample(request, 400, "")
    };
    assert!(is_hotplug_refusal(&error));
    let wanted = resources(json!({"vmid": 100, "cores": 4, "memory_mib": 4096}));
    // A VM keeps what it could not do at once.
    let after = settings(json!([
        {"key": "memory", "value": "2048", "pending": "4096"},
        {"key": "cores", "value": 4},
    ]));
    let desired = wanted.desired(GuestType::Qemu, &before());
    let report = partly(
        Report::done("x"),
        &desired,
        &before(),
        &after,
        refusals(&error),
    )
    .unwrap();
    assert_eq!(report.status, Status::DoneWithWarnings);
    assert!(report.changes[1].waits_for_reboot && !report.changes[0].waits_for_reboot);
    let warning = &report.warnings[0];
    assert!(
        warning.starts_with("memory_mib could not be changed") && warning.contains("no free slot"),
        "{warning}"
    );
    assert!(warning.contains("next full start"), "{warning}");
    // A container does not.
    let message = partly(
        Report::done("x"),
        &desired,
        &before(),
        &before(),
        refusals(&error),
    )
    .unwrap_err()
    .message();
    assert!(message.contains("nothing was changed"), "{message}");
    let other = ErrorResponse {
        errors: [("memory".to_owned(), "value must have a minimum".to_owned())].into(),
        ..error
    };
    assert!(!is_hotplug_refusal(&other));
}

#[test]
fn values_that_do_not_go_together() {
    let check = |arguments| message(resources(arguments).check_together(&before()));
    assert!(
        check(json!({"vmid": 100, "min_memory_mib": 2000}))
            .starts_with("min_memory_mib: must be at most the memory, which is 1024")
    );
    assert!(
        check(json!({"vmid": 100, "memory_mib": 256}))
            .starts_with("memory_mib: must be at least the minimum memory of 512")
    );
    let both = resources(json!({"vmid": 100, "memory_mib": 256, "min_memory_mib": 128}));
    assert!(both.check_together(&before()).is_ok());
    let plugged = settings(json!([{"key": "vcpus", "value": 4}, {"key": "sockets", "value": 2}]));
    let few = resources(json!({"vmid": 100, "cores": 1}));
    assert!(message(few.check_together(&plugged)).starts_with("cores: must make at least 4"));
    assert!(message(resources(json!({"vmid": 100})).check()).contains("at least one of cores"));
}

#[test]
fn what_a_kind_does_not_have() {
    for (kind, argument) in [
        ("qemu", "swap_mib"),
        ("lxc", "sockets"),
        ("lxc", "min_memory_mib"),
    ] {
        let wanted = resources(json!({"vmid": 100, argument: 1}));
        let message = message(wanted.check_kind(&guest(kind)));
        assert!(
            message.starts_with(&format!("{argument}: must be left out")),
            "{message}"
        );
    }
    assert!(
        resources(json!({"vmid": 100, "cores": 1}))
            .check_kind(&guest("lxc"))
            .is_ok()
    );
}

#[test]
fn sizes() {
    const GIB: u64 = 1 << 30;
    assert_eq!(Size::parse("+10G").unwrap(), Size::By(10 * GIB));
    assert_eq!(Size::parse("1.5T").unwrap(), Size::To(1536 * GIB));
    for text in ["10GB", "10 GiB", "10g", "10240M"] {
        let size = Size::parse(text).unwrap();
        assert_eq!(size, Size::To(10 * GIB), "{text}");
        assert_eq!(size.parameter(), "10G", "{text}");
    }
    for nonsense in [
        "",
        "abc",
        "10",
        "+10",
        "-5G",
        "+",
        "G",
        "+0G",
        "0G",
        "++1G",
        "1e3G",
        "99999999999T",
        "１G",
    ] {
        let message = Size::parse(nonsense).unwrap_err().message();
        assert!(
            message.starts_with("size: must be +10G"),
            "{nonsense}: {message}"
        );
    }
    assert_eq!(Size::By(GIB).against(GIB, "scsi0").unwrap(), 2 * GIB);
    assert_eq!(Size::To(GIB).against(GIB, "scsi0").unwrap(), GIB);
    assert!(
        Size::To(GIB - 1)
            .against(GIB, "scsi0")
            .unwrap_err()
            .message()
            .contains("never shrink")
    );
    assert!(Size::By(u64::MAX).against(GIB, "scsi0").is_err());
}

#[test]
fn disks_that_cannot_grow() {
    let disks = || {
        vec![
            Disk::parse("ide2", "local:iso/a.iso,media=cdrom,size=1M"),
            Disk::parse("scsi0", "local:100/vm-100-disk-0.qcow2,size=32M"),
            Disk::parse("scsi1", "/dev/sdb,size=4G"),
            Disk::parse("unused0", "local:100/vm-100-disk-1.qcow2"),
        ]
    };
    let pick = |disk: &str| {
        ResizeDisk {
            vmid: Vmid::new(100).unwrap(),
            disk: disk.into(),
            size: "+1G".into(),
            wait: None,
            safe: None,
        }
        .disk(&guest("qemu"), disks())
    };
    assert_eq!(pick("scsi0").unwrap().id, "scsi0");
    for (disk, why) in [
        ("ide2", "ide2 is a CD-ROM drive"),
        ("scsi1", "scsi1 is a path of the node"),
        ("unused0", "unused0 is not in use"),
        ("scsi7", "must be a disk of the guest"),
    ] {
        let message = pick(disk).unwrap_err().message();
        assert!(
            message.contains(why) && message.ends_with("has scsi0 (32 MiB)"),
            "{message}"
        );
    }
}

#[test]
fn options_are_checked() {
    for (arguments, says) in [
        (json!({"vmid": 100}), "at least one of name"),
        (
            json!({"vmid": 100, "name": "web_01"}),
            "name: must be a DNS name",
        ),
        (
            json!({"vmid": 100, "tags": ["ok", "no good"]}),
            "tags/1: must be a tag",
        ),
        (
            json!({"vmid": 100, "add_tags": ["a;b"]}),
            "add_tags/0: must be a tag",
        ),
        (
            json!({"vmid": 100, "remove_tags": [""]}),
            "remove_tags/0: must be a tag",
        ),
        (
            json!({"vmid": 100, "tags": [], "add_tags": ["a"]}),
            "tags: must be left out",
        ),
        (
            json!({"vmid": 100, "add_tags": ["a"], "remove_tags": ["a"]}),
            "remove_tags: must not contain a",
        ),
    ] {
        let message = message(options(arguments).check_values());
        assert!(message.contains(says), "{message}");
    }
    let empty = options(json!({"vmid": 200, "name": ""}));
    assert!(empty.check_values().is_ok() && empty.check_kind(&guest("qemu")).is_ok());
    assert!(message(empty.check_kind(&guest("lxc"))).starts_with("name: must not be empty"));
}

#[test]
fn options_are_sent() {
    let form_of = |arguments: Value, kind| {
        let options = options(arguments);
        pairs(&form(&options.desired(kind, &before()), Some("ab")))
    };
    assert_eq!(
        form_of(
            json!({"vmid": 100, "name": "", "description": "", "tags": []}),
            GuestType::Qemu
        ),
        ["delete=name,description,tags", "digest=ab"]
    );
    assert_eq!(
        form_of(
            json!({"vmid": 200, "name": "ct", "add_tags": ["db", "web"], "remove_tags": ["Prod"], "start_at_boot": true, "protection": false}),
            GuestType::Lxc
        ),
        [
            "hostname=ct",
            "tags=web;db",
            "onboot=1",
            "protection=0",
            "digest=ab"
        ]
    );
}

#[test]
fn tags_in_the_wrong_case_are_no_change() {
    let wanted = options(json!({"vmid": 100, "add_tags": ["PROD"]}));
    let report = outcome(
        Report::done("x"),
        &wanted.desired(GuestType::Qemu, &before()),
        &before(),
        &before(),
    );
    assert_eq!(report, Report::unchanged("x"));
}

proptest! {
    #[test]
    fn any_tag_set_survives(tags in prop::collection::vec("[a-zA-Z0-9_][a-zA-Z0-9_+.-]{0,8}", 0..8)) {
        prop_assert!(tags.iter().all(|tag| is_tag(tag)));
        let merged = merge_tags(Vec::new(), &tags, &[]);
        prop_assert_eq!(&owned_tags(&join_tags(&merged)), &merged);
        for tag in &tags {
            prop_assert_eq!(merged.iter().filter(|one| *one == tag).count(), 1);
        }
        prop_assert!(merge_tags(merged.clone(), &[], &merged).is_empty());
    }

    #[test]
    fn any_text_is_a_tag_or_refused(tag in any::<String>()) {
        if is_tag(&tag) {
            prop_assert_eq!(owned_tags(&tag), vec![tag]);
        }
    }

    #[test]
    fn any_size_means_what_proxmox_means(by in any::<bool>(), whole in 0u64..100_000, fraction in prop::option::of(0u32..1000), unit in "[KMGT]") {
        let text = format!(
            "{}{whole}{}{unit}",
            if by { "+" } else { "" },
            fraction.map_or_else(String::new, |digits| format!(".{digits}"))
        );
        // As Proxmox reads it: a number times the unit, cut to whole bytes.
        let digits = text.trim_start_matches('+').trim_end_matches(['K', 'M', 'G', 'T']);
        let scale = match unit.as_str() { "K" => 10, "M" => 20, "G" => 30, _ => 40 };
        let bytes = (digits.parse::<f64>().unwrap() * (1u64 << scale) as f64) as u64;
        // To the nearest MiB, or to the nearest KiB below one.
        let step: u64 = if bytes < 1 << 20 { 1 << 10 } else { 1 << 19 };
        let off = step + bytes / (1 << 50);
        match Size::parse(&text) {
            Ok(Size::By(size)) => prop_assert!(by && size.abs_diff(bytes) <= off),
            Ok(Size::To(size)) => prop_assert!(!by && size.abs_diff(bytes) <= off),
            Err(_) => prop_assert_eq!(bytes, 0),
        }
    }

    #[test]
    fn any_size_is_read_or_refused(text in any::<String>()) {
        if Size::parse(&text).is_ok() {
            let rest = text.strip_prefix('+').unwrap_or(&text);
            prop_assert!(rest.bytes().all(|b| b.is_ascii_digit() || b".KMGT".contains(&b)));
        }
    }
}
