//! `/nodes/{node}/qemu/{vmid}/agent`: what the guest says of itself.

use serde_json::{Value, json};

use crate::auth::Access::{self, Any};
use crate::clock::now;
use crate::router::{Answer, Call, Endpoint, Fail, get, post};
use crate::state::{Guest, GuestKind, Power};

const READ: Access = Any(
    "/vms/{vmid}",
    &["VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"],
);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    get(
        "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces",
        &[],
        READ,
        interfaces,
    ),
    get(
        "/nodes/{node}/qemu/{vmid}/agent/get-osinfo",
        &[],
        READ,
        os_info,
    ),
    get(
        "/nodes/{node}/qemu/{vmid}/agent/get-host-name",
        &[],
        READ,
        host_name,
    ),
    get(
        "/nodes/{node}/qemu/{vmid}/agent/get-fsinfo",
        &[],
        READ,
        file_systems,
    ),
    get(
        "/nodes/{node}/qemu/{vmid}/agent/get-users",
        &[],
        READ,
        users,
    ),
    get("/nodes/{node}/qemu/{vmid}/agent/get-time", &[], READ, time),
    get("/nodes/{node}/qemu/{vmid}/agent/info", &[], READ, info),
    post("/nodes/{node}/qemu/{vmid}/agent/ping", &[], READ, ping),
];

/// The guest of the path, if its agent answers.
pub(crate) fn reached<'a>(call: &'a Call<'_>) -> Result<&'a Guest, Fail> {
    let guest = call
        .cluster
        .guest(&call.node(), GuestKind::Qemu, call.vmid())?;
    if !guest.agent_enabled() {
        return Err(Fail::die("No QEMU guest agent configured"));
    }
    if guest.power == Power::Stopped {
        return Err(Fail::die(format!("VM {} is not running", guest.vmid)));
    }
    if guest.power == Power::Paused || !agent_answers(call, guest) {
        return Err(Fail::die("QEMU guest agent is not running"));
    }
    Ok(guest)
}

/// An agent answers when it is installed, and its guest has booted.
fn agent_answers(call: &Call<'_>, guest: &Guest) -> bool {
    guest.agent_inside
        && guest
            .started
            .is_none_or(|started| started.elapsed() >= call.cluster.boot_time)
}

fn result(value: Value) -> Answer {
    Ok(json!({"result": value}))
}

fn interfaces(call: &mut Call<'_>) -> Answer {
    let guest = reached(call)?;
    let mut list = vec![interface(
        "lo",
        "00:00:00:00:00:00",
        &["127.0.0.1/8".into(), "::1/128".into()],
        0,
    )];
    for (number, value) in guest.nics() {
        let mac = mac_of(value).unwrap_or_default().to_ascii_lowercase();
        let traffic = super::cluster::traffic(guest);
        list.push(interface(
            &format!("eth{number}"),
            &mac,
            &guest.nic_addresses(number),
            traffic,
        ));
    }
    result(Value::Array(list))
}

/// The MAC address in a NIC's value, of either kind of guest.
pub(crate) fn mac_of(value: &str) -> Option<&str> {
    let is_mac = |text: &str| text.len() == 17 && text.bytes().filter(|b| *b == b':').count() == 5;
    crate::formats::fields(value)
        .map(|(_, field)| field)
        .find(|field| is_mac(field))
}

fn interface(name: &str, mac: &str, addresses: &[String], traffic: i64) -> Value {
    let addresses: Vec<Value> = addresses
        .iter()
        .filter_map(|address| address.split_once('/'))
        .map(|(ip, prefix)| {
            let kind = if ip.contains(':') { "ipv6" } else { "ipv4" };
            json!({"ip-address": ip, "ip-address-type": kind, "prefix": prefix.parse::<u8>().unwrap_or(0)})
        })
        .collect();
    json!({
        "name": name,
        "hardware-address": mac,
        "ip-addresses": addresses,
        "statistics": {
            "rx-bytes": traffic, "rx-packets": traffic / 900, "rx-errs": 0, "rx-dropped": 0,
            "tx-bytes": traffic / 3, "tx-packets": traffic / 2700, "tx-errs": 0, "tx-dropped": 0,
        },
    })
}

fn os_info(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!({
        "id": "debian",
        "name": "Debian GNU/Linux",
        "pretty-name": "Debian GNU/Linux 13 (trixie)",
        "version": "13 (trixie)",
        "version-id": "13",
        "machine": "x86_64",
        "kernel-release": "6.12.48+deb13-cloud-amd64",
        "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2026-09-20)",
    }))
}

fn host_name(call: &mut Call<'_>) -> Answer {
    let name = reached(call)?.name();
    result(json!({"host-name": name}))
}

fn file_systems(call: &mut Call<'_>) -> Answer {
    let guest = reached(call)?;
    let size = guest.disk_size();
    result(json!([{
        "name": "sda1",
        "mountpoint": "/",
        "type": "ext4",
        "total-bytes": size / 100 * 95,
        "used-bytes": size / 100 * 41,
        "disk": [{"bus": 0, "bus-type": "scsi", "dev": "/dev/sda1", "target": 0, "unit": 0,
                  "pci-controller": {"bus": 1, "domain": 0, "function": 0, "slot": 1}}],
    }]))
}

fn users(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!([]))
}

fn time(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!(now() * 1_000_000_000))
}

fn info(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    let commands = [
        "guest-ping",
        "guest-network-get-interfaces",
        "guest-get-osinfo",
        "guest-exec",
        "guest-exec-status",
    ];
    let commands: Vec<Value> = commands
        .iter()
        .map(|name| json!({"name": name, "enabled": true, "success-response": true}))
        .collect();
    result(json!({"version": "10.0.3", "supported_commands": commands}))
}

fn ping(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!({}))
}
