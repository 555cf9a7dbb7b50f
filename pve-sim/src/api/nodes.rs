//! `/nodes` and what each node says of itself.

use serde_json::{Value, json};

use crate::api::cluster::node_status;
use crate::api::rrd;
use crate::clock::{now, now_exact, syslog};
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::figures::{cpu, memory_used, rootfs_used, uptime};
use crate::params::{BOOL, INT, TEXT, opt, req};
use crate::permission::Permission::{All, Everyone};
use crate::state::{Node, scaled, wave};
use pve_api::{GuestType, Method, calls};

const SYSLOG_TIME: &str = r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}(:\d{2})?)?";

/// What `GET /nodes/{node}/network` may be limited to.
const NETWORK_TYPES: &[&str] = &[
    "bridge",
    "bond",
    "eth",
    "alias",
    "vlan",
    "fabric",
    "OVSBridge",
    "OVSBond",
    "OVSPort",
    "OVSIntPort",
    "vnet",
    "any_bridge",
    "any_local_bridge",
    "include_sdn",
];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(&calls::nodes::LIST, &[], Everyone, list),
    on(
        &calls::nodes::STATUS,
        &[],
        All("/nodes/{node}", &["Sys.Audit"]),
        status,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/version",
        &[],
        Everyone,
        version,
    ),
    on(
        &calls::nodes::TIME,
        &[],
        All("/nodes/{node}", &["Sys.Audit"]),
        time,
    ),
    on(
        &calls::nodes::METRICS,
        &[
            req("timeframe", TEXT.choices(rrd::NODE_TIMEFRAMES)),
            opt("cf", TEXT.choices(rrd::FUNCTIONS)),
        ],
        All("/nodes/{node}", &["Sys.Audit"]),
        rrddata,
    )
    .local(),
    on(
        &calls::nodes::NETWORK,
        &[opt("type", TEXT.choices(NETWORK_TYPES))],
        Everyone,
        network,
    ),
    on(
        &calls::nodes::SYSLOG,
        &[
            opt("limit", INT.min(0)),
            opt("service", TEXT.max_len(128)),
            opt("since", TEXT.pattern(SYSLOG_TIME)),
            opt("start", INT.min(0)),
            opt("until", TEXT.pattern(SYSLOG_TIME)),
        ],
        All("/nodes/{node}", &["Sys.Syslog"]),
        read_syslog,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/journal",
        &[
            opt("endcursor", TEXT),
            opt("lastentries", INT.min(0)),
            opt("since", INT.min(0)),
            opt("startcursor", TEXT),
            opt("until", INT.min(0)),
            opt("structured", BOOL),
        ],
        All("/nodes/{node}", &["Sys.Syslog"]),
        journal,
    ),
];

fn list(call: &mut Call<'_>) -> Answer {
    let nodes = call.cluster.nodes.iter().map(|node| {
        let mut fields = node_status(call, node);
        fields.insert("node".into(), json!(node.name));
        fields.insert("id".into(), json!(format!("node/{}", node.name)));
        fields.insert("type".into(), json!("node"));
        let known = node.online.then(|| json!(node.fingerprint));
        fields.insert("ssl_fingerprint".into(), known.unwrap_or_default());
        Value::Object(fields)
    });
    Ok(nodes.collect())
}

/// The node of the path, which has been reached.
fn node<'a>(call: &'a Call<'_>) -> Result<&'a Node, Fail> {
    call.cluster
        .node(&call.node())
        .ok_or_else(|| Fail::die("no such cluster node"))
}

fn status(call: &mut Call<'_>) -> Answer {
    let node = node(call)?;
    let time = now_exact();
    let busy = cpu(call.cluster, node, time);
    let used = memory_used(call.cluster, node, time);
    let load = |factor: f64| format!("{:.2}", busy * f64::from(node.cpus) * factor);
    let swap = if node.memory > 32 << 30 {
        8u64 << 30
    } else {
        0
    };
    let rootfs = rootfs_used(node);
    let version = "#1 SMP PREEMPT_DYNAMIC PMX 6.17.2-1 (2026-10-21T09:55Z)";
    Ok(json!({
        "cpu": busy,
        "wait": busy * 0.02,
        "idle": 0,
        "uptime": uptime(node),
        "loadavg": [load(1.05), load(0.97), load(0.9)],
        "kversion": format!("Linux 6.17.2-1-pve {version}"),
        "current-kernel": {"sysname": "Linux", "release": "6.17.2-1-pve", "version": version, "machine": "x86_64"},
        "pveversion": "pve-manager/9.2.11/14a22df35955d97d",
        "boot-info": {"mode": "efi", "secureboot": 0},
        "cpuinfo": {
            "model": node.cpu_model,
            "vendor": "AuthenticAMD",
            "family": "25",
            "sockets": 1,
            "cores": node.cpus / 2,
            "cpus": node.cpus,
            "mhz": "3998.211",
            "hvm": "1",
            "user_hz": 100,
            "flags": "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx svm aes avx avx2",
        },
        "memory": {
            "total": node.memory,
            "used": used,
            "free": (node.memory - used) / 3,
            "available": node.memory - used,
        },
        "swap": {"total": swap, "used": swap / 50, "free": swap - swap / 50},
        "rootfs": {"total": node.rootfs, "used": rootfs, "free": node.rootfs - rootfs, "avail": scaled(node.rootfs - rootfs, 0.95)},
        "ksm": {"shared": 0},
    }))
}

fn version(_: &mut Call<'_>) -> Answer {
    Ok(json!({"release": "9.2", "version": "9.2.11", "repoid": "14a22df35955d97d"}))
}

fn rrddata(call: &mut Call<'_>) -> Answer {
    let node = node(call)?;
    let (first, up) = (node.booted, node.online);
    rrd::points(
        call.get("timeframe").unwrap_or_default(),
        first,
        up,
        |time| {
            let busy = cpu(call.cluster, node, time);
            let used = memory_used(call.cluster, node, time);
            json!({
                "cpu": busy,
                "maxcpu": node.cpus,
                "iowait": busy * 0.02,
                "loadavg": busy * f64::from(node.cpus),
                "memtotal": node.memory,
                "memused": used,
                "memavailable": node.memory - used,
                "swaptotal": 0,
                "swapused": 0,
                "roottotal": node.rootfs,
                "rootused": rootfs_used(node),
                "arcsize": 0,
                "pressurecpusome": busy * 10.0,
                "pressureiosome": 0.3,
                "pressureiofull": 0.2,
                "pressurememorysome": 0,
                "pressurememoryfull": 0,
                "netin": wave(3, time, 0.4) * 2.0e6,
                "netout": wave(5, time, 0.4) * 1.0e6,
            })
        },
    )
}

/// The interfaces of a node: a network card, and a bridge on it.
fn network(call: &mut Call<'_>) -> Answer {
    let node = node(call)?;
    let wanted = match call.get("type") {
        None | Some("include_sdn") => None,
        Some("any_bridge" | "any_local_bridge") => Some("bridge"),
        other => other,
    };
    let card = json!({
        "iface": "nic0",
        "type": "eth",
        "active": 1,
        "method": "manual",
        "method6": "manual",
        "families": ["inet"],
        "priority": 3,
    });
    let bridge = json!({
        "iface": "vmbr0",
        "type": "bridge",
        "active": 1,
        "autostart": 1,
        "method": "static",
        "method6": "manual",
        "families": ["inet"],
        "address": node.ip,
        "netmask": "24",
        "cidr": format!("{}/24", node.ip),
        "gateway": "192.0.2.1",
        "bridge_ports": "nic0",
        "bridge_fd": "0",
        "bridge_stp": "off",
        "priority": 4,
    });
    // Of whatever type the list is.
    let shows_bridge = ["SDN.Audit", "SDN.Use"]
        .iter()
        .any(|privilege| call.may("/sdn/zones/localnetwork/vmbr0", privilege));
    let interfaces = [
        ("eth", Some(card)),
        ("bridge", shows_bridge.then_some(bridge)),
    ];
    Ok(interfaces
        .into_iter()
        .filter_map(|(kind, interface)| Some((kind, interface?)))
        .filter(|(kind, _)| wanted.is_none_or(|wanted| wanted == *kind))
        .map(|(_, interface)| interface)
        .collect())
}

/// A node's clock. All of a simulated cluster lives in one time zone.
fn time(call: &mut Call<'_>) -> Answer {
    node(call)?;
    Ok(json!({"time": now(), "localtime": now(), "timezone": "Etc/UTC"}))
}

/// The lines of a node's journal, with those that its tasks left.
fn journal_lines(call: &Call<'_>, node: &Node) -> Vec<(i64, String)> {
    let mut lines: Vec<(i64, String)> = node
        .journal
        .iter()
        .map(|(time, text)| (*time, format!("{} {} {text}", syslog(*time), node.name)))
        .collect();
    for entry in call
        .cluster
        .log
        .iter()
        .filter(|entry| entry.node == node.name)
    {
        let text = format!(
            "{} {} {}[{}]: <{}> {}",
            syslog(entry.time),
            node.name,
            entry.tag,
            entry.pid,
            entry.user,
            entry.text
        );
        lines.push((entry.time, text));
    }
    let running = call
        .cluster
        .guests
        .values()
        .filter(|guest| guest.node == node.name && guest.is_running());
    for guest in running.filter(|guest| guest.kind == GuestType::Qemu) {
        let text = format!(
            "{} {} systemd[1]: Started {}.scope.",
            syslog(guest.since),
            node.name,
            guest.vmid
        );
        lines.push((guest.since, text));
    }
    // Those of one second stay in the order in which they came.
    lines.sort_by_key(|(time, _)| *time);
    lines
}

fn read_syslog(call: &mut Call<'_>) -> Answer {
    let node = node(call)?;
    let service = call.get("service").map(|service| format!(" {service}["));
    let (since, until) = (
        call.get("since").and_then(read_time),
        call.get("until").and_then(read_time),
    );
    let lines: Vec<String> = journal_lines(call, node)
        .into_iter()
        .filter(|(time, _)| {
            since.is_none_or(|since| *time >= since) && until.is_none_or(|until| *time <= until)
        })
        .map(|(_, line)| line)
        .filter(|line| {
            service
                .as_ref()
                .is_none_or(|service| line.contains(service.as_str()))
        })
        .collect();
    let lines = if lines.is_empty() {
        vec!["-- No entries --".to_owned()]
    } else {
        lines
    };
    let (start, limit) = (
        call.int("start").unwrap_or(0),
        call.int("limit").unwrap_or(50),
    );
    let data = numbered(lines.iter().map(String::as_str), start, limit);
    call.total = Some(lines.len());
    Ok(data)
}

/// Lines with their number, as logs are shown in parts; a limit of 0 shows all.
pub(crate) fn numbered<'a>(lines: impl Iterator<Item = &'a str>, start: i64, limit: i64) -> Value {
    let count = |number: i64| usize::try_from(number).unwrap_or(0);
    let limit = if limit == 0 { usize::MAX } else { count(limit) };
    lines
        .enumerate()
        .skip(count(start))
        .take(limit)
        .map(|(at, line)| json!({"n": at + 1, "t": line}))
        .collect()
}

/// `2026-11-22 08:04:13`, the time of day being optional, in seconds since 1970.
fn read_time(text: &str) -> Option<i64> {
    let mut numbers = text
        .split(['-', ' ', ':'])
        .map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let mut rest = || numbers.next().flatten().unwrap_or(0);
    let (hour, minute, second) = (rest(), rest(), rest());
    // Days since 1970, with years that begin in March.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn journal(call: &mut Call<'_>) -> Answer {
    let node = node(call)?;
    let (since, until) = (call.int("since"), call.int("until"));
    let mut lines: Vec<String> = journal_lines(call, node)
        .into_iter()
        .filter(|(time, _)| {
            since.is_none_or(|since| *time >= since) && until.is_none_or(|until| *time <= until)
        })
        .map(|(_, line)| line)
        .collect();
    if let Some(last) = call
        .int("lastentries")
        .and_then(|last| usize::try_from(last).ok())
    {
        lines.drain(..lines.len().saturating_sub(last));
    }
    // The first and the last line are cursors.
    let mut all = vec![json!("s=0;i=1")];
    all.extend(lines.into_iter().map(Value::String));
    all.push(json!("s=0;i=2"));
    Ok(Value::Array(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(read_time("2026-11-22 08:04:13"), Some(1_795_334_653));
        assert_eq!(read_time("1970-01-01"), Some(0));
        assert_eq!(read_time("2000-02-29 00:00"), Some(951_782_400));
    }
}
