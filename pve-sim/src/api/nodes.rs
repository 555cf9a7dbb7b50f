//! `/nodes` and what each node says of itself.

use serde_json::{Value, json};

use crate::api::cluster::node_status;
use crate::api::rrd;
use crate::auth::Access::{All, Everyone};
use crate::clock::{now, now_exact, syslog};
use crate::params::{BOOL, INT, TEXT, opt, req};
use crate::router::{Answer, Call, Endpoint, Fail, get};
use crate::state::{Cluster, GuestKind, Node, scaled, wave};

const SYSLOG_TIME: &str = r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}(:\d{2})?)?";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    get("/nodes", &[], Everyone, list),
    get(
        "/nodes/{node}/status",
        &[],
        All("/nodes/{node}", &["Sys.Audit"]),
        status,
    ),
    get("/nodes/{node}/version", &[], Everyone, version),
    get(
        "/nodes/{node}/time",
        &[],
        All("/nodes/{node}", &["Sys.Audit"]),
        time,
    ),
    get(
        "/nodes/{node}/rrddata",
        &[
            req("timeframe", TEXT.choices(rrd::NODE_TIMEFRAMES)),
            opt("cf", TEXT.choices(rrd::FUNCTIONS)),
        ],
        All("/nodes/{node}", &["Sys.Audit"]),
        rrddata,
    )
    .local(),
    get(
        "/nodes/{node}/syslog",
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
    get(
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

/// CPU use of a node, from 0 to 1: its own load and that of its guests.
pub(crate) fn cpu(cluster: &Cluster, node: &Node, time: f64) -> f64 {
    let guests: f64 = cluster
        .guests
        .values()
        .filter(|guest| guest.node == node.name)
        .map(|guest| guest.cpu_at(time) * guest.cpus() / f64::from(node.cpus))
        .sum();
    (wave(u64::from(node.id) + 17, time, node.load) + guests).min(0.97)
}

pub(crate) fn memory_used(cluster: &Cluster, node: &Node, time: f64) -> u64 {
    let guests: u64 = cluster
        .guests
        .values()
        .filter(|guest| guest.node == node.name)
        .map(|guest| guest.memory_at(time))
        .sum();
    (scaled(node.memory, 0.09) + guests).min(scaled(node.memory, 0.96))
}

pub(crate) fn rootfs_used(node: &Node) -> u64 {
    scaled(node.rootfs, 0.11 + 0.03 * f64::from(node.id))
}

pub(crate) fn uptime(node: &Node) -> i64 {
    now() - node.booted
}

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
                "netin": wave(3, time, 0.4) * 2.0e6,
                "netout": wave(5, time, 0.4) * 1.0e6,
            })
        },
    )
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
    for guest in running.filter(|guest| guest.kind == GuestKind::Qemu) {
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
