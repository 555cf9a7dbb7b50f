//! What goes wrong meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::simulator::Simulator;

/// The node that goes down and comes back; no guest is on it at first.
pub(super) const LATE_NODE: &str = "pve3";

const PATHS: [&str; 6] = [
    "^/cluster/resources$",
    "/status/",
    "/snapshot",
    "/config$",
    "/tasks/",
    "/nodes",
];

/// Switches faults on and off until the end; tells how often which.
pub(super) fn rage(
    simulator: &mut Simulator,
    mut random: Rng,
    ended: &AtomicBool,
) -> Result<BTreeMap<String, u64>> {
    let mut faults = BTreeMap::new();
    while !ended.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50 + random.u64(..250)));
        let command = change(&mut random);
        simulator.control(&command)?;
        let kind = ["kind", "task", "cmd"]
            .iter()
            .find_map(|key| command.get(key)?.as_str())
            .unwrap_or_default();
        *faults.entry(kind.to_owned()).or_default() += 1;
    }
    simulator.control(&json!({"cmd": "clear-faults"}))?;
    simulator.control(&json!({"cmd": "node", "node": LATE_NODE, "online": true}))?;
    Ok(faults)
}

fn change(random: &mut Rng) -> Value {
    match random.u64(..100) {
        0..25 => return json!({"cmd": "clear-faults"}),
        25..28 => {
            let online = random.u8(..100) < 60;
            return json!({"cmd": "node", "node": LATE_NODE, "online": online});
        }
        28..34 => {
            let task = random.choice(&["qmsnapshot", "qmstart", "qmstop", "vzstart"]);
            return match random.u8(..100) < 50 {
                true => json!({"cmd": "fault", "task": task, "error": "no space left on device"}),
                false => json!({"cmd": "fault", "task": task, "warnings": 2}),
            };
        }
        34..37 => {
            let mut outage = json!({"cmd": "outage", "ms": 200 + random.u64(..1300)});
            if random.u8(..100) < 50
                && let Some(outage) = outage.as_object_mut()
            {
                let status = random.choice(&[595, 502, 503]);
                outage.insert("answer".into(), json!(status));
            }
            return outage;
        }
        _ => {}
    }
    let mut fault = match random.u64(..100) {
        0..20 => json!({"kind": "latency", "ms": 20 + random.u64(..1500)}),
        20..36 => json!({"kind": "cut"}),
        36..50 => json!({"kind": "cut-after"}),
        50..62 => json!({"kind": "half-body"}),
        62..74 => json!({"kind": "garbage"}),
        74..80 => json!({"kind": "drip", "ms": 1 + random.u64(..5)}),
        80..83 => json!({"kind": "redirect", "url": "https://127.0.0.1:1/"}),
        83..86 => json!({"kind": "huge", "bytes": (1 + random.u64(..20)) << 20}),
        86..88 => json!({"kind": "hang"}),
        88..92 => json!({"kind": "status", "code": 595, "reason": "No route to host"}),
        92..96 => json!({"kind": "status", "code": 502, "body": "<html>bad gateway</html>"}),
        _ => json!({"kind": "status", "code": 500, "reason": "got timeout"}),
    };
    // Those that hold a turn for long, or need much memory, come one by one.
    let slow = matches!(
        fault.get("kind").and_then(Value::as_str),
        Some("hang" | "huge" | "drip")
    );
    let times = if slow { 1 } else { 1 + random.u64(..12) };
    if let Some(fault) = fault.as_object_mut() {
        fault.insert("cmd".into(), json!("fault"));
        fault.insert("times".into(), json!(times));
        if random.u8(..100) < 50 {
            fault.insert(
                "method".into(),
                json!(random.choice(&["GET", "POST", "PUT", "DELETE"])),
            );
        }
        if random.u8(..100) < 50 {
            fault.insert("path".into(), json!(random.choice(&PATHS)));
        }
    }
    fault
}
