//! What the clients call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use fastrand::Rng;
use serde_json::{Value, json};

use super::ledger;

/// The first of the guests that pve-sim adds.
const FIRST_VMID: u64 = 1000;

/// Random calls, some of them mistaken.
pub(super) struct Load {
    guests: u64,
    last_mark: AtomicU64,
    /// Snapshots that there are, with their guests.
    snapshots: Mutex<Vec<(u64, String)>>,
}

/// One tool call.
pub(super) struct Call {
    pub(super) tool: &'static str,
    pub(super) arguments: Value,
    /// The one write that it may cause, as the ledger calls it.
    pub(super) write: Option<String>,
}

impl Load {
    pub(super) fn new(guests: u64) -> Self {
        Self {
            guests,
            last_mark: AtomicU64::new(0),
            snapshots: Mutex::default(),
        }
    }

    /// The next call: three reads for two writes.
    pub(super) fn next(&self, random: &mut Rng) -> Call {
        let vmid = FIRST_VMID + random.u64(..self.guests);
        let guest = json!({"vmid": vmid});
        match random.u64(..100) {
            0..14 => read(
                "list_guests",
                json!({"sort": "cpu", "limit": 1 + random.u64(..100)}),
            ),
            14..26 => read("get_guest", guest),
            26..32 => read("list_nodes", json!({})),
            32..36 => read("get_guest_metrics", guest),
            36..41 => read("list_tasks", json!({"limit": 20})),
            41..46 => read("list_snapshots", guest),
            46..49 => read("list_storage", json!({})),
            49..52 => read("get_cluster_status", json!({})),
            52..55 => read("list_backups", json!({})),
            55..58 => read("get_guest_network", guest),
            58 => read("get_guest", json!({"vmid": 999_999})),
            59 => read("get_guest", json!({"vmid": "web01"})),
            60 => read("delete_guest", guest),
            61..70 => self.take_snapshot(vmid, random),
            70..77 => self
                .remove_snapshot(random)
                .unwrap_or_else(|| read("get_guest", guest)),
            77..83 => power("start_guest", vmid, json!({"wait": random.u8(..100) < 70})),
            83..86 => power("stop_guest", vmid, json!({"mode": "hard"})),
            86..88 => power("stop_guest", vmid, json!({"timeout_seconds": 5})),
            88..90 => power("restart_guest", vmid, json!({})),
            90..94 => {
                let mark = self.mark();
                let arguments = json!({"vmid": vmid, "description": mark});
                write("set_guest_options", arguments, ledger::notes(&mark))
            }
            94..97 => {
                let arguments = json!({"vmid": vmid, "cores": 1 + random.u64(..4)});
                write(
                    "set_guest_resources",
                    arguments,
                    ledger::resources(&vmid.to_string()),
                )
            }
            _ => {
                let mark = self.mark();
                let arguments = json!({
                    "vmid": vmid, "direction": "in", "action": "ACCEPT",
                    "proto": "tcp", "dport": "443", "comment": mark,
                });
                write("add_firewall_rule", arguments, ledger::rule(&mark))
            }
        }
    }

    /// A call was answered well.
    pub(super) fn done(&self, call: &Call) {
        let text = |key| call.arguments.get(key);
        if call.tool == "create_snapshot"
            && let Some(vmid) = text("vmid").and_then(Value::as_u64)
            && let Some(name) = text("snapshot").and_then(Value::as_str)
        {
            let mut snapshots = self
                .snapshots
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            snapshots.push((vmid, name.to_owned()));
        }
    }

    fn take_snapshot(&self, vmid: u64, random: &mut Rng) -> Call {
        let mark = self.mark();
        let arguments = json!({"vmid": vmid, "snapshot": mark, "wait": random.u8(..100) < 70});
        write("create_snapshot", arguments, ledger::snapshot(&mark))
    }

    /// Of one that is there; no two calls remove the same.
    fn remove_snapshot(&self, random: &mut Rng) -> Option<Call> {
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if snapshots.is_empty() {
            return None;
        }
        let index = random.usize(..snapshots.len());
        let (vmid, name) = snapshots.swap_remove(index);
        let removal = ledger::no_snapshot(&name);
        Some(write(
            "delete_snapshot",
            json!({"vmid": vmid, "snapshot": name}),
            removal,
        ))
    }

    /// A text that no other call has.
    fn mark(&self) -> String {
        format!("soak-{}", self.last_mark.fetch_add(1, Ordering::Relaxed))
    }
}

fn read(tool: &'static str, arguments: Value) -> Call {
    Call {
        tool,
        arguments,
        write: None,
    }
}

fn write(tool: &'static str, arguments: Value, write: String) -> Call {
    Call {
        tool,
        arguments,
        write: Some(write),
    }
}

fn power(tool: &'static str, vmid: u64, mut arguments: Value) -> Call {
    if let Some(arguments) = arguments.as_object_mut() {
        arguments.insert("vmid".to_owned(), json!(vmid));
    }
    write(tool, arguments, ledger::power(tool, &vmid.to_string()))
}
