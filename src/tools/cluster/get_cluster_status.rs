//! `get_cluster_status`: quorum, nodes and high availability.

use pve_api::calls;
use schemars::JsonSchema;

use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{At, ClusterEntry, Failure, HaEntry, Params, Pve};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Reply, Run, bounds};

/// The cluster's state.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetClusterStatus {}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct ClusterStatus {
    /// Absent for a node that is in no cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
    nodes: Vec<Member>,
    /// The node that this was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_from_node: Option<String>,
    ha: Ha,
    /// What needs a person's attention.
    problems: Vec<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Cluster {
    name: String,
    /// Absent where Proxmox does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    quorate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_nodes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_version: Option<u64>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Member {
    node: String,
    /// Absent where Proxmox does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<u64>,
}

#[derive(Debug, Default, SerializeFields, JsonSchema)]
struct Ha {
    /// The node that decides, where anything is managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    master: Option<String>,
    /// Those with a problem first.
    services: Vec<Service>,
    /// How many there are, where not all are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    services_total: Option<usize>,
    /// Why the state is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<String>,
    /// What is wrong with HA itself, and the node on which it is.
    #[serde(skip)]
    problems: Vec<(Option<String>, String)>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Service {
    /// `vm:100`, `ct:200`.
    sid: String,
    node: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<String>,
}

/// How many HA services and problems are shown: a cluster may have thousands of
/// guests.
const MOST_SERVICES: usize = 100;
const MOST_PROBLEMS: usize = 100;

impl Service {
    fn has_problem(&self) -> bool {
        matches!(self.state.as_str(), "error" | "fence" | "recovery")
    }
}

impl Member {
    fn problem(&self) -> Option<String> {
        match self.online {
            Some(true) => None,
            Some(false) => Some(format!("node {} is offline", self.node)),
            None => Some(format!(
                "Proxmox does not say whether node {} is online",
                self.node
            )),
        }
    }
}

impl Run for GetClusterStatus {
    type Output = ClusterStatus;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::HA_STATUS),
        Calls::One(&calls::cluster::STATUS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<ClusterStatus>> {
        let request = calls::cluster::HA_STATUS.at([]);
        pve.start([(request.clone(), Params::new())]);
        let entries: Vec<ClusterEntry> =
            pve.send(&calls::cluster::STATUS.at([]), &Params::new())?;
        let ha = match pve.send::<Vec<HaEntry>>(&request, &Params::new()) {
            Ok(entries) => Ha::new(entries),
            // Without quorum the HA state may be unavailable; the rest of the
            // status is what matters then.
            Err(failure @ Failure::Api(_)) => Ha {
                unavailable: Some(Error::from(failure).message()),
                ..Ha::default()
            },
            Err(failure) => return Err(failure.into()),
        };
        let status = ClusterStatus::new(entries, ha);
        let text = status.text();
        Ok(Reply::Done(status, text))
    }
}

impl ClusterStatus {
    fn new(entries: Vec<ClusterEntry>, ha: Ha) -> Self {
        let mut status = Self {
            cluster: None,
            nodes: Vec::new(),
            read_from_node: None,
            ha,
            problems: Vec::new(),
        };
        let mut nameless = Vec::new();
        for entry in entries {
            let name = entry.name().map(str::to_owned);
            match (entry.kind.as_str(), name) {
                ("cluster", name) => {
                    status.cluster = Some(Cluster {
                        name: name.unwrap_or_default(),
                        quorate: entry.quorate.map(|quorate| quorate.0),
                        expected_nodes: entry.nodes.map(|nodes| nodes.0),
                        config_version: entry.version.map(|version| version.0),
                    });
                }
                ("node", Some(name)) => {
                    if entry.local.0 {
                        status.read_from_node = Some(name.clone());
                    }
                    status.nodes.push(Member {
                        node: name,
                        online: entry.online.map(|online| online.0),
                        ip: entry.ip,
                        node_id: entry.nodeid.map(|id| id.0),
                    });
                }
                ("node", None) => nameless.push(match entry.online.map(|online| online.0) {
                    Some(true) => "Proxmox lists a node without its name, which is online",
                    Some(false) => "a node that Proxmox lists without its name is offline",
                    None => "Proxmox lists a node without its name and without its state",
                }),
                _ => {}
            }
        }
        order::by(&mut status.nodes, |a, b| a.node.cmp(&b.node));
        let mut problems = status.quorum_problems();
        problems.extend(status.nodes.iter().filter_map(Member::problem));
        problems.extend(nameless.into_iter().map(str::to_owned));
        problems.extend(status.ha_problems());
        let mut more = Vec::new();
        bounds::keep(&mut problems, MOST_PROBLEMS, "problems", &mut more);
        problems.extend(more);
        status.problems = problems;
        status
    }

    fn quorum_problems(&self) -> Vec<String> {
        let quorate = self.cluster.as_ref().map(|cluster| cluster.quorate);
        let problem = match quorate {
            Some(Some(false)) => {
                "no quorum: guests keep running, but nothing can be changed until most nodes are \
                 back"
            }
            Some(None) => "Proxmox does not say whether the cluster has quorum",
            Some(Some(true)) | None => return Vec::new(),
        };
        vec![problem.to_owned()]
    }

    /// Problems of high availability. Those that follow from an offline node are
    /// left out.
    fn ha_problems(&self) -> Vec<String> {
        let is_offline = |node: &str| {
            self.nodes
                .iter()
                .any(|one| one.node == node && one.online == Some(false))
        };
        let of_nodes = self
            .ha
            .problems
            .iter()
            .filter(|(node, _)| !node.as_deref().is_some_and(is_offline))
            .map(|(_, problem)| problem.clone());
        let of_services = self
            .ha
            .services
            .iter()
            .filter(|service| service.has_problem())
            .map(|service| format!("{} is in HA state {}", service.sid, service.state));
        of_nodes.chain(of_services).collect()
    }

    fn text(&self) -> String {
        let online = self
            .nodes
            .iter()
            .filter(|node| node.online == Some(true))
            .count();
        let nodes = text::count(self.nodes.len(), "node");
        let name = match &self.cluster {
            Some(cluster) => match cluster.quorate {
                Some(true) => format!("cluster {}, quorate", cluster.name),
                Some(false) => format!("cluster {}, without quorum", cluster.name),
                None => format!("cluster {}, quorum unknown", cluster.name),
            },
            None => "no cluster".to_owned(),
        };
        format!("{name}: {nodes}, {online} online")
    }
}

/// What is wrong with this part of HA, and on which node.
fn problem_of(entry: &HaEntry) -> Option<(Option<String>, String)> {
    let said = text::cut(entry.said().trim(), 160);
    let is_lost = HaEntry::is_lost(&said);
    let node = entry.node.clone().filter(|node| !node.is_empty());
    match entry.kind.as_str() {
        "quorum" if entry.quorate.is_some_and(|quorate| !quorate.0) => Some((
            None,
            "HA has no quorum: it starts, stops and moves nothing".to_owned(),
        )),
        "master" if is_lost => Some((
            None,
            format!(
                "the HA master does not work: {said}; check pve-ha-crm on the nodes, because \
                 no guest is recovered until one is active"
            ),
        )),
        "lrm" if is_lost => Some((
            node,
            format!(
                "HA does not work on a node: {said}; check pve-ha-lrm there, because its \
                 guests under HA are neither started nor stopped"
            ),
        )),
        "fencing" if said.contains("disarm") => {
            Some((None, format!("HA is disarmed, or about to be: {said}")))
        }
        _ => None,
    }
}

impl Ha {
    fn new(entries: Vec<HaEntry>) -> Self {
        let master = entries
            .iter()
            .find(|entry| entry.kind == "master")
            .map(|entry| entry.on_node().to_owned());
        let mut problems: Vec<_> = entries.iter().filter_map(problem_of).collect();
        let mut services = Vec::new();
        for entry in entries {
            if entry.kind != "service" {
                continue;
            }
            let sid = entry.service().map(str::to_owned);
            let node = entry.on_node().to_owned();
            let said = entry.said().to_owned();
            let state = entry.state.unwrap_or(said);
            match sid {
                Some(sid) => services.push(Service {
                    sid,
                    node,
                    state,
                    requested: entry.request_state,
                }),
                None => problems.push((
                    None,
                    format!(
                        "Proxmox lists an HA service without saying which, in state {}",
                        text::cut(&state, 80)
                    ),
                )),
            }
        }
        order::by_key(&mut services, |service| !service.has_problem());
        let total = services.len();
        services.truncate(MOST_SERVICES);
        Self {
            master,
            services_total: (services.len() < total).then_some(total),
            services,
            unavailable: None,
            problems,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cluster_with_an_offline_node() {
        let entries = serde_json::from_value(json!([
            {"nodes": 2, "type": "cluster", "version": 2, "quorate": 1, "id": "cluster", "name": "testcl"},
            {"type": "node", "level": "", "local": 0, "nodeid": 2, "name": "pve2", "online": 0},
            {"type": "node", "ip": "192.0.2.11", "nodeid": 1, "local": 1, "name": "pve1", "online": 1},
        ]))
        .unwrap();
        let ha = serde_json::from_value(json!([
            {"id": "quorum", "status": "OK", "node": "pve1", "quorate": 1, "type": "quorum"},
            {"node": "pve1", "state": "error", "sid": "vm:9000", "type": "service",
                "request_state": "stopped", "id": "service:vm:9000", "status": "vm:9000 (pve1, error)"},
        ]))
        .unwrap();
        let status = ClusterStatus::new(entries, Ha::new(ha));
        assert_eq!(status.text(), "cluster testcl, quorate: 2 nodes, 1 online");
        assert_eq!(
            status.problems,
            ["node pve2 is offline", "vm:9000 is in HA state error"]
        );
    }

    #[test]
    fn an_odd_field_hides_no_entry() {
        let entries: Vec<ClusterEntry> = serde_json::from_value(json!([
            {"type": "cluster", "name": "lab", "quorate": "1", "nodes": "2", "version": null},
            {"type": "node", "name": "pve1", "online": null, "nodeid": null, "local": 1},
            {"type": "node", "online": 1},
            {"type": "qdevice", "name": "q"},
        ]))
        .unwrap();
        let status = ClusterStatus::new(entries, Ha::default());
        let cluster = status.cluster.unwrap();
        assert!(cluster.quorate == Some(true) && cluster.config_version.is_none());
        assert_eq!(cluster.expected_nodes, Some(2));
        assert_eq!(status.nodes.len(), 1);
        assert_eq!(status.nodes[0].online, None);
        assert_eq!(
            status.problems,
            [
                "Proxmox does not say whether node pve1 is online",
                "Proxmox lists a node without its name, which is online"
            ]
        );
    }

    #[test]
    fn ha_that_does_not_work_is_a_problem() {
        let entries: Vec<ClusterEntry> = serde_json::from_value(json!([
            {"type": "cluster", "name": "lab", "quorate": 1},
            {"type": "node", "name": "pve1", "online": 1},
            {"type": "node", "id": "node/pve2", "name": null, "online": 0},
            {"type": "node", "name": null, "online": 0},
        ]))
        .unwrap();
        let ha: Vec<HaEntry> = serde_json::from_value(json!([
            {"type": "quorum", "status": "No quorum!", "quorate": "0", "node": "pve1"},
            {"type": "master", "node": "pve1", "status": "pve1 (old timestamp - dead?, Thu)"},
            {"type": "lrm", "node": "pve1", "status": "pve1 (unable to read lrm status)"},
            {"type": "lrm", "node": "pve2", "status": "pve2 (old timestamp - dead?, Thu)"},
            {"type": "lrm", "node": "pve3", "status": "pve3 (idle, Thu)"},
            {"type": "fencing", "status": "armed (CRM watchdog active)"},
            {"type": "service", "sid": null, "id": "service:vm:100", "state": "started"},
            {"type": "service", "sid": null, "state": "error"},
        ]))
        .unwrap();
        let status = ClusterStatus::new(entries, Ha::new(ha));
        assert_eq!(status.ha.services[0].sid, "vm:100");
        let expected = [
            "node pve2 is offline",
            "a node that Proxmox lists without its name is offline",
            "HA has no quorum",
            "the HA master does not work: pve1 (old timestamp",
            "HA does not work on a node: pve1 (unable",
            "Proxmox lists an HA service without saying which, in state error",
        ];
        assert_eq!(
            status.problems.len(),
            expected.len(),
            "{:?}",
            status.problems
        );
        for (problem, start) in status.problems.iter().zip(expected) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }

    #[test]
    fn single_node() {
        let entries = serde_json::from_value(json!([
            {"type": "node", "local": 1, "name": "pve", "online": 1, "nodeid": 0}
        ]))
        .unwrap();
        let status = ClusterStatus::new(entries, Ha::default());
        assert!(status.cluster.is_none() && status.problems.is_empty());
    }
}
