//! Cloud-init: what the drive was written with, and what it would hold now.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::digest::sha1_hex;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::{field, split_list};
use crate::params::{TEXT, req};
use crate::permission::Permission::All;
use crate::state::{Guest, is_cloudinit_key};
use crate::wire::unescape;
use pve_api::{GuestType, calls};

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::guests::CLOUD_INIT,
        &[],
        All("/vms/{vmid}", &["VM.Audit"]),
        pending,
    ),
    on(
        &calls::guests::UPDATE_CLOUD_INIT,
        &[],
        All("/vms/{vmid}", &["VM.Config.Cloudinit"]),
        regenerate,
    ),
    on(
        &calls::guests::CLOUD_INIT_DUMP,
        &[req("type", TEXT.choices(&["user", "network", "meta"]))],
        All("/vms/{vmid}", &["VM.Audit"]),
        dump,
    ),
];

fn pending(call: &mut Call<'_>) -> Answer {
    let guest = call
        .cluster
        .guest(&call.node(), GuestType::Qemu, call.vmid())?;
    let masked = |key: &str, value: &str| {
        if key == "cipassword" {
            json!("**********")
        } else {
            json!(value)
        }
    };
    let has_drive = guest.cloudinit_drive().is_some();
    let mut list = Vec::new();
    for (key, value) in guest
        .config
        .iter()
        .filter(|(key, _)| is_cloudinit_key(key) && *key != "name")
    {
        list.push(match guest.cloudinit.get(key).filter(|_| has_drive) {
            Some(old) if old != value => {
                json!({"key": key, "value": masked(key, old), "pending": masked(key, value)})
            }
            Some(_) => json!({"key": key, "value": masked(key, value)}),
            None if has_drive => json!({"key": key, "pending": masked(key, value)}),
            None => json!({"key": key, "value": masked(key, value)}),
        });
    }
    if has_drive {
        let deleted = guest
            .cloudinit
            .keys()
            .filter(|key| !guest.config.contains_key(*key));
        list.extend(deleted.map(|key| json!({"key": key, "delete": 1})));
    }
    Ok(Value::Array(list))
}

/// Answers the same whether there is a drive to write or not.
fn regenerate(call: &mut Call<'_>) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let guest = call.cluster.guest_mut(&node, GuestType::Qemu, vmid)?;
    guest.check_lock().map_err(Fail::die)?;
    if guest.cloudinit_drive().is_some() {
        guest.write_cloudinit();
    }
    Ok(Value::Null)
}

fn dump(call: &mut Call<'_>) -> Answer {
    let guest = call
        .cluster
        .guest(&call.node(), GuestType::Qemu, call.vmid())?;
    let text = match call.get("type") {
        Some("user") => user_data(guest),
        Some("network") => network_data(guest),
        _ => format!(
            "instance-id: {}\n",
            sha1_hex(&format!("{}{}", user_data(guest), network_data(guest)))
        ),
    };
    Ok(json!(text))
}

fn user_data(guest: &Guest) -> String {
    let name = guest.name();
    let host = name.split('.').next().unwrap_or_default();
    let mut text = format!(
        "#cloud-config\nhostname: {host}\nmanage_etc_hosts: true\nfqdn: {}\n",
        fqdn(guest, &name)
    );
    if let Some(user) = guest.get("ciuser") {
        let _ = writeln!(text, "user: {user}");
    } else {
        text.push_str("user: root\ndisable_root: False\n");
    }
    if let Some(password) = guest.get("cipassword") {
        let _ = writeln!(text, "password: {password}");
    }
    if let Some(keys) = guest.get("sshkeys") {
        text.push_str("ssh_authorized_keys:\n");
        for key in unescape(keys).lines().filter(|key| !key.trim().is_empty()) {
            let _ = writeln!(text, "  - {key}");
        }
    }
    text.push_str("chpasswd:\n  expire: False\nusers:\n  - default\n");
    if guest.get("ciupgrade") != Some("0") {
        text.push_str("package_upgrade: true\n");
    }
    text
}

fn fqdn(guest: &Guest, name: &str) -> String {
    match guest
        .get("searchdomain")
        .and_then(|domains| domains.split(' ').next())
    {
        Some(domain) if !name.contains('.') => format!("{name}.{domain}"),
        _ => name.to_owned(),
    }
}

fn network_data(guest: &Guest) -> String {
    let mut text = String::from("version: 1\nconfig:\n");
    for (number, nic) in guest.nics() {
        let mac = super::agent::mac_of(nic)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let _ = writeln!(
            text,
            "    - type: physical\n      name: eth{number}\n      mac_address: '{mac}'\n      subnets:"
        );
        let setting = guest.get(&format!("ipconfig{number}")).unwrap_or_default();
        match field(setting, "ip") {
            Some("dhcp") => text.push_str("      - type: dhcp4\n"),
            Some(address) => {
                let _ = writeln!(text, "      - type: static\n        address: '{address}'");
                if let Some(gateway) = field(setting, "gw") {
                    let _ = writeln!(text, "        gateway: '{gateway}'");
                }
            }
            None => {}
        }
        match field(setting, "ip6") {
            Some("dhcp") => text.push_str("      - type: dhcp6\n"),
            Some("auto") => text.push_str("      - type: ipv6_slaac\n"),
            Some(address) => {
                let _ = writeln!(text, "      - type: static6\n        address: '{address}'");
                if let Some(gateway) = field(setting, "gw6") {
                    let _ = writeln!(text, "        gateway: '{gateway}'");
                }
            }
            None => {}
        }
    }
    text.push_str("    - type: nameserver\n      address:\n");
    for server in guest.get("nameserver").into_iter().flat_map(split_list) {
        let _ = writeln!(text, "      - '{server}'");
    }
    text.push_str("      search:\n");
    for domain in guest.get("searchdomain").into_iter().flat_map(split_list) {
        let _ = writeln!(text, "      - '{domain}'");
    }
    text
}
