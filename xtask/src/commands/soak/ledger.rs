//! Which writes the calls may cause, and which came in.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Each write has a name. What only one call can have caused, such as a
/// snapshot, is named by what is unique in it; all else by its guest.
#[derive(Default)]
pub(super) struct Ledger(Mutex<BTreeMap<String, u64>>);

/// What came in.
pub(super) struct Arrivals {
    pub(super) reads: u64,
    pub(super) writes: u64,
    /// Writes that only one call can have caused.
    pub(super) unique: u64,
}

impl Ledger {
    /// A call is made that may cause this write, once.
    pub(super) fn allow(&self, write: &str) {
        let mut allowed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *allowed.entry(write.to_owned()).or_default() += 1;
    }

    /// Whether each write came in no more often than it was called for, by
    /// pve-sim's record of all requests, those that a fault struck included.
    pub(super) fn check(&self, record: &str) -> Result<Arrivals> {
        let mut reads = 0;
        let mut arrived = BTreeMap::<String, u64>::new();
        for line in record.lines() {
            let request: Value = serde_json::from_str(line)
                .with_context(|| format!("pve-sim recorded no JSON: {line}"))?;
            if request.get("method").and_then(Value::as_str) == Some("GET") {
                reads += 1;
                continue;
            }
            let write = name(&request).with_context(|| format!("no call writes this: {line}"))?;
            *arrived.entry(write).or_default() += 1;
        }
        let allowed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let excess: Vec<_> = arrived
            .iter()
            .filter_map(|(write, times)| {
                let calls = allowed.get(write).copied().unwrap_or_default();
                (*times > calls).then(|| format!("{write}: sent {times} times for {calls} calls"))
            })
            .collect();
        if !excess.is_empty() {
            bail!(
                "writes were sent more often than called for:\n{}",
                excess.join("\n")
            );
        }
        Ok(Arrivals {
            reads,
            writes: arrived.values().sum(),
            unique: arrived
                .iter()
                .filter(|(write, _)| write.contains("soak-"))
                .map(|(_, times)| times)
                .sum(),
        })
    }
}

/// What a request writes.
fn name(request: &Value) -> Option<String> {
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
    let path: Vec<&str> = text("/path")?.split('/').collect();
    let ["", "nodes", _, "qemu" | "lxc", vmid, rest @ ..] = path.as_slice() else {
        return None;
    };
    Some(match (text("/method")?, rest) {
        ("POST", ["snapshot"]) => snapshot(text("/params/snapname")?),
        ("DELETE", ["snapshot", name]) => no_snapshot(name),
        ("POST", ["firewall", "rules"]) => rule(text("/params/comment")?),
        ("PUT", ["config"]) => match text("/params/description") {
            Some(text) => notes(text),
            None => resources(vmid),
        },
        ("POST", ["status", "start"]) => power("start_guest", vmid),
        ("POST", ["status", "shutdown" | "stop"]) => power("stop_guest", vmid),
        ("POST", ["status", "reboot" | "reset"]) => power("restart_guest", vmid),
        _ => return None,
    })
}

/// A snapshot is taken.
pub(super) fn snapshot(name: &str) -> String {
    format!("snapshot {name}")
}

/// A snapshot is removed.
pub(super) fn no_snapshot(name: &str) -> String {
    format!("no more snapshot {name}")
}

/// A firewall rule is added.
pub(super) fn rule(comment: &str) -> String {
    format!("rule {comment}")
}

/// A guest gets a description.
pub(super) fn notes(text: &str) -> String {
    format!("notes {}", text.trim_end())
}

/// A guest's resources are set.
pub(super) fn resources(vmid: &str) -> String {
    format!("resources of {vmid}")
}

/// A guest is started, stopped or restarted.
pub(super) fn power(tool: &str, vmid: &str) -> String {
    format!("{tool} of {vmid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEN: &str = r#"{"method":"POST","path":"/nodes/pve1/qemu/1000/snapshot","params":{"snapname":"soak-1"}}"#;

    #[test]
    fn a_write_that_comes_twice_is_found() {
        let ledger = Ledger::default();
        ledger.allow(&snapshot("soak-1"));
        let once = format!("{}\n{TAKEN}\n", r#"{"method":"GET","path":"/nodes"}"#);
        let arrivals = ledger.check(&once).unwrap();
        assert_eq!(
            (arrivals.reads, arrivals.writes, arrivals.unique),
            (1, 1, 1)
        );
        let twice = format!("{TAKEN}\n{TAKEN}\n");
        assert!(ledger.check(&twice).is_err());
    }

    #[test]
    fn a_write_without_a_call_is_found() {
        let ledger = Ledger::default();
        assert!(ledger.check(TAKEN).is_err());
        let unknown = r#"{"method":"DELETE","path":"/nodes/pve1/qemu/1000","params":{}}"#;
        assert!(ledger.check(unknown).is_err());
    }
}
