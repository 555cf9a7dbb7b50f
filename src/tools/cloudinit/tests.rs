//! Tests of what several of these files do together.

use serde_json::{Value, json};

use super::get_cloud_init::{CloudInit, CloudInitState};
use super::keys;
use super::keys::SshKey;
use super::keys::tests::key;
use super::set_cloud_init::{DesiredSettings, Edit, SetCloudInit};
use crate::error::{Error, Result};
use crate::pve::{Guest, GuestConfig, GuestType};
use crate::tool::secret::HIDDEN;

fn desired(arguments: Value) -> Result<DesiredSettings> {
    let mut whole = json!({"vmid": 100});
    whole
        .as_object_mut()
        .unwrap()
        .extend(arguments.as_object().unwrap().clone());
    serde_json::from_value::<SetCloudInit>(whole)
        .unwrap()
        .check()
}

fn guest() -> Guest {
    serde_json::from_value(json!({"vmid": 100, "type": "qemu", "node": "pve1",
        "status": "running", "name": "web01"}))
    .unwrap()
}

fn config() -> GuestConfig {
    GuestConfig::sample(
        GuestType::Qemu,
        json!({
            "digest": "ab", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
            "ide2": "local:100/vm-100-cloudinit.qcow2,media=cdrom", "ciuser": "debian",
            "cipassword": "**********", "ipconfig0": "ip=192.0.2.50/24,gw=192.0.2.1",
            "sshkeys": keys::encode(&[SshKey::parse(&key(0, 1, "me@home")).unwrap()]),
            "searchdomain": "example.com"
        }),
    )
}

fn edit(arguments: Value) -> Edit {
    desired(arguments)
        .unwrap()
        .changes_to(&guest(), &config())
        .unwrap()
}

#[test]
fn only_what_differs_is_written() {
    for same in [
        json!({"user": "debian"}),
        json!({"ssh_keys": [key(0, 1, "me@home"), key(0, 1, "me@home")]}),
        json!({"addresses": [{"nic": "net0", "ipv4": "192.0.2.50/24"}]}),
        json!({"dns_servers": []}),
        json!({"upgrade": true}),
    ] {
        assert!(edit(same.clone()).is_empty(), "{same}");
    }
    let edit = edit(json!({
        "user": "admin", "password": "correct horse", "search_domain": "",
        "dns_servers": ["192.0.2.53", "2001:db8::53"], "upgrade": false,
        "addresses": [{"nic": "net0", "ipv6": "auto"}],
    }));
    let set: Vec<_> = edit
        .set
        .iter()
        .map(|(key, value)| (key.as_str(), value.0.as_str()))
        .collect();
    assert_eq!(
        set,
        [
            ("ciuser", "admin"),
            ("cipassword", "correct horse"),
            ("ipconfig0", "ip=192.0.2.50/24,gw=192.0.2.1,ip6=auto"),
            ("nameserver", "192.0.2.53 2001:db8::53"),
            ("ciupgrade", "0"),
        ]
    );
    assert_eq!(edit.delete, ["searchdomain"]);
    let shown = serde_json::to_string(&edit.changes).unwrap();
    assert!(
        !shown.contains("horse") && shown.contains(HIDDEN),
        "{shown}"
    );
}

#[test]
fn a_password_is_always_written_and_never_shown() {
    assert!(!edit(json!({"password": "**********"})).is_empty());
    assert_eq!(edit(json!({"password": ""})).delete, ["cipassword"]);
    let desired = desired(json!({"password": "hush"})).unwrap();
    assert!(!format!("{desired:?}").contains("hush"));
}

#[test]
fn keys_are_shown_by_name() {
    let edit = edit(json!({"ssh_keys": [key(1, 2, "you@work")]}));
    assert_eq!(edit.changes[0].from.as_deref(), Some("ssh-ed25519 me@home"));
    assert_eq!(edit.changes[0].to.as_deref(), Some("ssh-rsa you@work"));
    assert_eq!(
        super::tests::edit(json!({"ssh_keys": []})).delete,
        ["sshkeys"]
    );
}

#[test]
fn every_bad_argument_is_reported_before_anything_is_sent() {
    let Err(Error::InvalidArguments(problems)) = desired(json!({
        "user": "a: b", "password": "a\nb", "ssh_keys": [key(0, 1, ""), "ssh-rsa x"],
        "addresses": [{"nic": "net0", "ipv4": "x"}, {"nic": "net1", "ipv4": "dhcp"}, {"nic": "net1", "ipv6": "auto"}],
        "dns_servers": ["192.0.2.1", "dns.example"], "search_domain": "a b",
    })) else {
        panic!("taken")
    };
    let pointers: Vec<_> = problems
        .iter()
        .map(|problem| problem.pointer.as_str())
        .collect();
    assert_eq!(
        pointers,
        [
            "/user",
            "/password",
            "/ssh_keys/1",
            "/addresses/0/ipv4",
            "/addresses/2/nic",
            "/dns_servers/1",
            "/search_domain"
        ]
    );
    assert!(desired(json!({})).is_err());
}

#[test]
fn a_card_must_be_there() {
    let desired = desired(json!({"addresses": [{"nic": "net1", "ipv4": "dhcp"}]})).unwrap();
    let message = desired
        .changes_to(&guest(), &config())
        .err()
        .unwrap()
        .message();
    assert_eq!(
        message,
        "qemu guest 100 (web01) has no network card net1; it has net0"
    );
}

fn found(config: GuestConfig) -> CloudInitState {
    CloudInitState {
        config,
        pending: Some(Vec::new()),
        documents: None,
        unavailable: Vec::new(),
    }
}

#[test]
fn nothing_is_lost_for_a_card_that_is_not_there() {
    let config = GuestConfig::sample(
        GuestType::Qemu,
        json!({"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0", "ipconfig7": "ip6=dhcp",
            "ide2": "local:100/vm-100-cloudinit.qcow2,media=cdrom",
            "cicustom": "user=local:snippets/u.yml,network=local:snippets/n.yml"}),
    );
    let shown = serde_json::to_value(CloudInit::new(guest(), found(config))).unwrap();
    assert_eq!(shown["addresses"], json!([{"nic": "net0"}]));
    assert_eq!(
        shown["addresses_without_card"],
        json!([{"nic": "net7", "ipv6": "dhcp"}])
    );
    let hint = shown["hint"].as_str().unwrap();
    assert!(
        hint.contains("addresses and DNS come from local:snippets/n.yml"),
        "{hint}"
    );
}

#[test]
fn settings_are_shown_whole() {
    let shown = serde_json::to_value(CloudInit::new(guest(), found(config()))).unwrap();
    assert_eq!(shown["drive"], "ide2");
    assert_eq!(shown["ssh_keys"], json!([key(0, 1, "me@home")]));
    assert_eq!(
        shown["addresses"],
        json!([{"nic": "net0", "ipv4": "192.0.2.50/24", "ipv4_gateway": "192.0.2.1"}])
    );
    assert!(!shown.to_string().contains("***"));
    let bare = GuestConfig::sample(GuestType::Qemu, json!({"ide2": "none,media=cdrom"}));
    let shown = CloudInit::new(guest(), found(bare));
    assert!(shown.hint.unwrap().contains("has no cloud-init drive"));
}
