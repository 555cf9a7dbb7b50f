//! Guests of which pvestatd has reported nothing.
//!
//! `/cluster/resources` has a guest's status, name and load as the pvestatd of
//! its node reported them, every ten seconds. It knows nothing of a new guest
//! until then, and nothing of any guest of a node where pvestatd hangs. The
//! node's own list is always up to date.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::{GuestType, Vmid, calls};

use super::client::Pve;
use super::guest::Guest;
use super::node::nodes;
use super::num::{Flag, Num};
use super::params::Params;
use super::request::At;
use crate::error::Error;
use crate::json::DeserializeFields;
use crate::order::Ordered as _;
use crate::text;

/// How many nodes are asked for what pvestatd has not reported.
const MOST_NODES: usize = 8;

/// A guest in its node's own list.
#[derive(Debug, DeserializeFields)]
struct NodeGuest {
    vmid: Num<Vmid>,
    status: Option<String>,
    qmpstatus: Option<String>,
    name: Option<String>,
    tags: Option<String>,
    lock: Option<String>,
    #[serde(default)]
    template: Flag,
    cpu: Option<Num<f64>>,
    cpus: Option<Num<f64>>,
    mem: Option<Num<u64>>,
    maxmem: Option<Num<u64>>,
    maxdisk: Option<Num<u64>>,
    uptime: Option<Num<u64>>,
}

/// Completes the guests whose status is unknown from the lists of their nodes,
/// and says for each such node why it was unknown. Sends nothing where every
/// status is known.
pub(crate) fn complete_from_nodes(pve: &Pve, guests: &mut [Guest]) -> Vec<String> {
    let mut missing: BTreeMap<String, BTreeSet<GuestType>> = BTreeMap::new();
    for guest in guests.iter().filter(|guest| !guest.has_known_status()) {
        missing
            .entry(guest.node.clone())
            .or_default()
            .insert(guest.kind);
    }
    if missing.is_empty() {
        return Vec::new();
    }
    let members = pve.membership();
    let mut reasons = Vec::new();
    for (asked, (node, kinds)) in missing.into_iter().enumerate() {
        // Where corosync's list lacks a node, the list of nodes may know of it.
        let is_offline = members.has_lost(&node)
            || !members.has(&node)
                && nodes(pve).is_ok_and(|nodes| {
                    nodes.iter().any(|one| one.node == node && one.is_offline())
                });
        if is_offline {
            reasons.push(format!(
                "node {node} is offline: the status of its guests is unknown"
            ));
            continue;
        }
        let silent = format!(
            "Proxmox does not know the status of some guests because the pvestatd of node {node} \
             has not reported them: this is normal for about ten seconds after a guest is made or \
             the node joins; if it lasts, run systemctl restart pvestatd on the node"
        );
        if asked >= MOST_NODES {
            reasons.push(silent);
            continue;
        }
        let mut failed = None;
        for kind in kinds {
            let request = calls::guests::LIST.of(kind).at([node.as_str()]);
            match pve.send::<Vec<NodeGuest>>(&request, &Params::new()) {
                Ok(listed) => fill(guests, &node, kind, listed),
                Err(failure) => failed = Some(Error::from(failure)),
            }
        }
        reasons.push(match failed {
            None => format!("{silent} (the values shown are from the node itself)"),
            Some(Error::Unreachable(message)) => text::cut(&message, 300),
            Some(error) => format!(
                "{silent}; the node's own list cannot be read: {}",
                text::cut(&error.message(), 300)
            ),
        });
    }
    reasons
}

fn fill(guests: &mut [Guest], node: &str, kind: GuestType, listed: Vec<NodeGuest>) {
    let mut listed: BTreeMap<Vmid, NodeGuest> =
        listed.into_iter().map(|one| (one.vmid.0, one)).ordered();
    let unknown = guests
        .iter_mut()
        .filter(|guest| guest.node == node && guest.kind == kind && !guest.has_known_status());
    for guest in unknown {
        let Some(one) = listed.remove(&guest.vmid) else {
            continue;
        };
        if let Some(status) = one.qmpstatus.or(one.status) {
            guest.status = status;
        }
        guest.name = one.name.or(guest.name.take());
        guest.tags = one.tags.or(guest.tags.take());
        guest.lock = one.lock.or(guest.lock.take());
        guest.template = Flag(guest.template.0 || one.template.0);
        guest.cpu = one.cpu.or(guest.cpu);
        guest.maxcpu = one.cpus.or(guest.maxcpu);
        guest.mem = one.mem.or(guest.mem);
        guest.maxmem = one.maxmem.or(guest.maxmem);
        guest.maxdisk = one.maxdisk.or(guest.maxdisk);
        guest.uptime = one.uptime.or(guest.uptime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_node_knows_fills_what_the_cluster_does_not() {
        let mut guests: Vec<Guest> = serde_json::from_value(json!([
            {"vmid": 100, "type": "qemu", "node": "pve1", "status": "running", "name": "web01"},
            {"vmid": 610, "type": "qemu", "node": "pve1", "status": "unknown", "lock": "clone"},
            {"vmid": 611, "type": "qemu", "node": "pve2", "status": "unknown"},
        ]))
        .unwrap();
        let listed = serde_json::from_value(json!([
            {"vmid": 100, "status": "stopped", "name": "other"},
            {"vmid": "610", "status": "stopped", "name": "new", "cpus": 2, "maxmem": 5},
            {"vmid": 611, "status": "running"},
        ]))
        .unwrap();
        fill(&mut guests, "pve1", GuestType::Qemu, listed);
        let of = |index: usize| (guests[index].status.as_str(), guests[index].name.as_deref());
        assert_eq!(of(0), ("running", Some("web01")));
        assert_eq!(of(1), ("stopped", Some("new")));
        assert_eq!(guests[1].lock.as_deref(), Some("clone"));
        assert_eq!(of(2), ("unknown", None));
    }
}
