//! `/nodes/{node}/qemu` and `/nodes/{node}/lxc`: reading guests.

use serde_json::{Map, Value, json};

use crate::api::agent::mac_of;
use crate::api::rrd;
use crate::clock::now_exact;
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::figures::{cpus, traffic};
use crate::formats::SNAPSHOT_NAME;
use crate::params::{BOOL, Param, TEXT, opt, req};
use crate::permission::Permission::{self, All, Any, Everyone};
use crate::state::{Guest, Power, scaled, shown, wave};
use pve_api::{GuestType, Method, calls};

const AUDIT: Permission = All("/vms/{vmid}", &["VM.Audit"]);
const SNAPSHOTS: Permission = Any(
    "/vms/{vmid}",
    &["VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit"],
);
const CONFIG: &[Param] = &[opt("current", BOOL), opt("snapshot", SNAPSHOT_NAME)];
const RRD: &[Param] = &[
    req("timeframe", TEXT.choices(rrd::TIMEFRAMES)),
    opt("cf", TEXT.choices(rrd::FUNCTIONS)),
];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::guests::LIST.qemu,
        &[opt("full", BOOL)],
        Everyone,
        |call| list(call, GuestType::Qemu),
    ),
    on(&calls::guests::LIST.lxc, &[], Everyone, |call| {
        list(call, GuestType::Lxc)
    }),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/qemu/{vmid}",
        &[],
        Everyone,
        |_| {
            Ok(index(&[
                "config", "pending", "status", "snapshot", "agent", "firewall", "rrddata",
            ]))
        },
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/lxc/{vmid}",
        &[],
        Everyone,
        |_| {
            Ok(index(&[
                "config",
                "pending",
                "status",
                "snapshot",
                "interfaces",
                "firewall",
                "rrddata",
            ]))
        },
    ),
    on(&calls::guests::CONFIG.qemu, CONFIG, AUDIT, |call| {
        config(call, GuestType::Qemu)
    }),
    on(&calls::guests::CONFIG.lxc, CONFIG, AUDIT, |call| {
        config(call, GuestType::Lxc)
    }),
    on(&calls::guests::PENDING.qemu, &[], AUDIT, |call| {
        pending(call, GuestType::Qemu)
    }),
    on(&calls::guests::PENDING.lxc, &[], AUDIT, |call| {
        pending(call, GuestType::Lxc)
    }),
    on(&calls::guests::STATUS.qemu, &[], AUDIT, |call| {
        current(call, GuestType::Qemu)
    }),
    on(&calls::guests::STATUS.lxc, &[], AUDIT, |call| {
        current(call, GuestType::Lxc)
    }),
    on(&calls::guests::METRICS.qemu, RRD, AUDIT, |call| {
        rrddata(call, GuestType::Qemu)
    })
    .local(),
    on(&calls::guests::METRICS.lxc, RRD, AUDIT, |call| {
        rrddata(call, GuestType::Lxc)
    })
    .local(),
    on(&calls::snapshots::LIST.qemu, &[], AUDIT, |call| {
        snapshots(call, GuestType::Qemu)
    }),
    on(&calls::snapshots::LIST.lxc, &[], AUDIT, |call| {
        snapshots(call, GuestType::Lxc)
    }),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config",
        &[],
        SNAPSHOTS,
        |call| snapshot_config(call, GuestType::Qemu),
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
        &[],
        SNAPSHOTS,
        |call| snapshot_config(call, GuestType::Lxc),
    ),
    on(&calls::guests::CONTAINER_INTERFACES, &[], AUDIT, interfaces),
];

fn index(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"subdir": name})).collect()
}

/// The guest of the path.
pub(crate) fn found<'a>(call: &'a Call<'_>, kind: GuestType) -> Result<&'a Guest, Fail> {
    call.cluster.guest(&call.node(), kind, call.vmid())
}

fn list(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let node = call.node();
    let time = now_exact();
    let full = call.flag("full");
    let seen = call
        .cluster
        .guests
        .values()
        .filter(|guest| guest.kind == kind && guest.node == node)
        .filter(|guest| call.may(&format!("/vms/{}", guest.vmid), "VM.Audit"));
    Ok(seen
        .map(|guest| Value::Object(status(guest, time, full)))
        .collect())
}

const PRESSURES: [&str; 6] = [
    "pressurecpusome",
    "pressurecpufull",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
];

/// What both the list and `status/current` say of a guest.
fn status(guest: &Guest, time: f64, full: bool) -> Map<String, Value> {
    let running = guest.is_running();
    let traffic = traffic(guest);
    let memory = guest.memory_at(time);
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("vmid", json!(guest.vmid));
    set("name", json!(guest.name()));
    set("status", json!(if running { "running" } else { "stopped" }));
    set("cpus", cpus(guest.cpus()));
    set("cpu", json!(guest.cpu_at(time)));
    set("mem", json!(memory));
    set("maxmem", json!(guest.memory()));
    set("maxdisk", json!(guest.disk_size()));
    set("uptime", json!(guest.uptime()));
    set("netin", json!(traffic));
    set("netout", json!(traffic / 3));
    for key in ["tags", "lock"] {
        if let Some(value) = guest.get(key) {
            set(key, json!(value));
        }
    }
    if guest.is_template() {
        set("template", json!(1));
    }
    if running {
        set("pid", json!(guest.pid));
    }
    match guest.kind {
        GuestType::Qemu => {
            set("disk", json!(0));
            set("memhost", json!(memory));
            if running {
                for name in PRESSURES {
                    set(name, json!(0));
                }
            }
            if full {
                let state = match guest.power {
                    Power::Stopped => "stopped",
                    Power::Running => "running",
                    Power::Paused => "paused",
                };
                set("qmpstatus", json!(state));
                if running {
                    let nic = |(number, _): (u32, &str)| {
                        (
                            format!("tap{}i{number}", guest.vmid),
                            json!({"netin": traffic, "netout": traffic / 3}),
                        )
                    };
                    set("nics", Value::Object(guest.nics().map(nic).collect()));
                }
            }
        }
        GuestType::Lxc => {
            set("type", json!("lxc"));
            set(
                "disk",
                json!(if running { guest.disk_size() / 3 } else { 0 }),
            );
            set("swap", json!(0));
            set("maxswap", json!(guest.swap()));
            set("diskread", json!(traffic * 2));
            set("diskwrite", json!(traffic));
            if running {
                for name in PRESSURES {
                    set(name, Value::Null);
                }
            }
        }
    }
    fields
}

fn current(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let guest = found(call, kind)?;
    let mut fields = status(guest, now_exact(), true);
    let ha = match call.cluster.ha.get(&guest.ha_sid()) {
        Some(ha) => json!({"managed": 1, "state": ha.state}),
        None => json!({"managed": 0}),
    };
    fields.insert("ha".into(), ha);
    if kind == GuestType::Qemu && guest.agent_enabled() {
        fields.insert("agent".into(), json!(1));
    }
    Ok(Value::Object(fields))
}

/// A stored value as it is shown: secrets are masked, numbers are numbers.
fn visible(guest: &Guest, key: &str, value: &str) -> Value {
    if key == "cipassword" {
        json!("**********")
    } else {
        shown(guest.kind, key, value)
    }
}

/// Reading a configuration shows it with its pending changes, unless `current` is asked for.
fn config(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let guest = found(call, kind)?;
    let mut config = match call.get("snapshot") {
        None => guest.config.clone(),
        Some(name) => {
            let snapshot = guest.snapshots.get(name);
            snapshot
                .ok_or_else(|| Fail::die(format!("snapshot '{name}' does not exist")))?
                .config
                .clone()
        }
    };
    if call.get("snapshot").is_none() && !call.flag("current") {
        for (key, value) in &guest.pending {
            match value {
                Some(value) => config.insert(key.clone(), value.clone()),
                None => config.remove(key),
            };
        }
    }
    let mut fields: Map<String, Value> = config
        .iter()
        .map(|(key, value)| (key.clone(), visible(guest, key, value)))
        .collect();
    fields.insert("digest".into(), json!(guest.digest()));
    Ok(Value::Object(fields))
}

fn pending(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let guest = found(call, kind)?;
    let mut list = Vec::new();
    for (key, value) in &guest.config {
        let mut entry = json!({"key": key, "value": visible(guest, key, value)});
        if let Some(fields) = entry.as_object_mut() {
            match guest.pending.get(key) {
                Some(Some(new)) => fields.insert("pending".into(), visible(guest, key, new)),
                Some(None) => fields.insert("delete".into(), json!(1)),
                None => None,
            };
        }
        list.push(entry);
    }
    let new = guest
        .pending
        .iter()
        .filter(|(key, _)| !guest.config.contains_key(*key));
    list.extend(new.filter_map(|(key, value)| {
        Some(json!({"key": key, "pending": visible(guest, key, value.as_ref()?)}))
    }));
    list.push(json!({"key": "digest", "value": guest.digest()}));
    Ok(Value::Array(list))
}

fn snapshots(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let guest = found(call, kind)?;
    let mut list: Vec<Value> = guest
        .snapshots
        .iter()
        .map(|(name, snapshot)| {
            let mut entry = json!({
                "name": name,
                "snaptime": snapshot.time,
                "description": snapshot.description.as_deref().unwrap_or_default(),
            });
            if let Some(fields) = entry.as_object_mut() {
                if kind == GuestType::Qemu {
                    fields.insert("vmstate".into(), json!(i32::from(snapshot.vmstate)));
                }
                if let Some(parent) = &snapshot.parent {
                    fields.insert("parent".into(), json!(parent));
                }
            }
            entry
        })
        .collect();
    let mut now = json!({
        "name": "current",
        "description": "You are here!",
        "digest": guest.digest(),
        "running": i32::from(guest.is_running()),
    });
    if let (Some(fields), Some(parent)) = (now.as_object_mut(), guest.get("parent")) {
        fields.insert("parent".into(), json!(parent));
    }
    list.push(now);
    Ok(Value::Array(list))
}

fn snapshot_config(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let guest = found(call, kind)?;
    let name = call.text("snapname");
    let snapshot = guest
        .snapshots
        .get(&name)
        .ok_or_else(|| Fail::die(format!("snapshot '{name}' does not exist")))?;
    let mut fields: Map<String, Value> = snapshot
        .config
        .iter()
        .map(|(key, value)| (key.clone(), visible(guest, key, value)))
        .collect();
    fields.insert("snaptime".into(), json!(snapshot.time));
    if let Some(parent) = &snapshot.parent {
        fields.insert("parent".into(), json!(parent));
    }
    if let Some(description) = &snapshot.description {
        fields.insert("description".into(), json!(description));
    }
    Ok(Value::Object(fields))
}

fn rrddata(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let guest = found(call, kind)?;
    let up = guest.power == Power::Running && call.cluster.is_online(&guest.node);
    rrd::points(
        call.get("timeframe").unwrap_or_default(),
        guest.since,
        up,
        |time| {
            let busy = wave(u64::from(guest.vmid), time, guest.load);
            let memory = scaled(
                guest.memory(),
                wave(u64::from(guest.vmid) + 7919, time / 20.0, guest.memory_use).clamp(0.02, 0.98),
            );
            // A guest that computes next to nothing transfers next to nothing.
            let share = if guest.load < 0.02 { 0.01 } else { 1.0 };
            let rate =
                |seed: u32, mean: f64| wave(u64::from(guest.vmid + seed), time, 0.4) * mean * share;
            json!({
                "cpu": busy,
                "maxcpu": cpus(guest.cpus()),
                "mem": memory,
                "maxmem": guest.memory(),
                "disk": if kind == GuestType::Lxc { guest.disk_size() / 3 } else { 0 },
                "maxdisk": guest.disk_size(),
                "netin": rate(1, 120_000.0),
                "netout": rate(2, 45_000.0),
                "diskread": rate(3, 300_000.0),
                "diskwrite": rate(4, 150_000.0),
            })
        },
    )
}

/// A container's addresses, which need no agent; none when it is stopped.
fn interfaces(call: &mut Call<'_>) -> Answer {
    let guest = found(call, GuestType::Lxc)?;
    if !guest.is_running() {
        return Ok(Value::Null);
    }
    let mut list = vec![interface(
        "lo",
        "00:00:00:00:00:00",
        &["127.0.0.1/8".into(), "::1/128".into()],
    )];
    for (number, value) in guest.nics() {
        let name = crate::formats::field(value, "name")
            .map_or_else(|| format!("eth{number}"), str::to_owned);
        let mac = mac_of(value).unwrap_or_default().to_ascii_lowercase();
        list.push(interface(&name, &mac, &guest.nic_addresses(number)));
    }
    Ok(Value::Array(list))
}

fn interface(name: &str, mac: &str, addresses: &[String]) -> Value {
    let mut entry = json!({"name": name, "hwaddr": mac, "hardware-address": mac});
    let Some(fields) = entry.as_object_mut() else {
        return entry;
    };
    let kind = |address: &str| {
        if address.contains(':') {
            "inet6"
        } else {
            "inet"
        }
    };
    let list: Value = addresses
        .iter()
        .filter_map(|address| address.split_once('/'))
        .map(
            |(ip, prefix)| json!({"ip-address": ip, "prefix": prefix, "ip-address-type": kind(ip)}),
        )
        .collect();
    fields.insert("ip-addresses".into(), list);
    // The last of each kind is the one that is shown next to the list.
    for address in addresses {
        fields.insert(kind(address).into(), json!(address));
    }
    entry
}
