//! `/cluster`: the cluster as a whole.

use serde_json::{Map, Value, json};

use crate::clock::now;
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::VMID;
use crate::params::{INT, TEXT, opt};
use crate::permission::Permission::{All, Everyone};
use crate::state::{Guest, Node, Storage};
use pve_api::{Method, calls};

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::cluster::RESOURCES,
        &[opt("type", TEXT.choices(&["vm", "storage", "node", "sdn"]))],
        Everyone,
        resources,
    ),
    on(
        &calls::cluster::STATUS,
        &[],
        All("/", &["Sys.Audit"]),
        status,
    ),
    on(&calls::cluster::TASKS, &[], Everyone, tasks),
    on(
        &calls::cluster::LOG,
        &[opt("max", INT.min(1))],
        Everyone,
        log,
    ),
    on(
        &calls::cluster::NEXT_ID,
        &[opt("vmid", VMID)],
        Everyone,
        next_id,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/cluster/options",
        &[],
        All("/", &["Sys.Audit"]),
        options,
    ),
    on(&calls::cluster::REPLICATION, &[], Everyone, replication),
    on(
        &calls::cluster::NODE_REPLICATION,
        &[opt("guest", VMID)],
        Everyone,
        node_replication,
    ),
];

/// A replication job. There is one for each of these guests that a cluster has,
/// unless the guest is on the target.
struct ReplicationJob {
    guest: u32,
    target: &'static str,
    schedule: &'static str,
    /// What only the source node knows.
    state: fn() -> Value,
    /// What only some jobs have in their configuration.
    config: fn() -> Value,
}

const REPLICATION: &[ReplicationJob] = &[
    ReplicationJob {
        guest: 100,
        target: "pve2",
        schedule: "*/15",
        config: || json!({"rate": 10}),
        state: || {
            let last = now() - 300;
            json!({"last_sync": last, "last_try": last, "next_sync": last + 900, "duration": 2.5, "fail_count": 0})
        },
    },
    ReplicationJob {
        guest: 102,
        target: "pve2",
        schedule: "02:00",
        config: || json!({"comment": "nightly"}),
        state: || {
            json!({
                "last_sync": now() - 90_000,
                "last_try": now() - 600,
                "next_sync": now() + 1200,
                "fail_count": 2,
                "error": "command 'zfs snapshot tank/vm-102-disk-0@__replicate_102-0__' failed: exit code 1",
            })
        },
    },
    ReplicationJob {
        guest: 103,
        target: "pve2",
        schedule: "*/30",
        config: || json!({"disable": 1}),
        state: || json!({"last_sync": 0, "last_try": 0, "next_sync": 1800, "fail_count": 0}),
    },
];

/// The jobs that the token may see, each with its guest.
fn replication_jobs<'a>(
    call: &'a Call<'_>,
) -> impl Iterator<Item = (&'a Guest, &'static ReplicationJob, Map<String, Value>)> {
    REPLICATION.iter().filter_map(|job| {
        let guest = call.cluster.guests.get(&job.guest)?;
        call.cluster.node(job.target)?;
        if guest.node == job.target || !call.may(&format!("/vms/{}", job.guest), "VM.Audit") {
            return None;
        }
        let mut fields = Map::new();
        fields.insert("id".into(), json!(format!("{}-0", job.guest)));
        fields.insert("jobnum".into(), json!(0));
        fields.insert("guest".into(), json!(job.guest));
        fields.insert("type".into(), json!("local"));
        fields.insert("source".into(), json!(guest.node));
        fields.insert("target".into(), json!(job.target));
        fields.insert("schedule".into(), json!(job.schedule));
        extend(&mut fields, (job.config)());
        Some((guest, job, fields))
    })
}

fn extend(fields: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        fields.extend(more);
    }
}

fn replication(call: &mut Call<'_>) -> Answer {
    let jobs = replication_jobs(call).map(|(.., fields)| Value::Object(fields));
    Ok(jobs.collect())
}

/// Those whose guest is on the node, with their state.
fn node_replication(call: &mut Call<'_>) -> Answer {
    let (node, wanted) = (call.node(), call.int("guest"));
    let jobs = replication_jobs(call)
        .filter(|(guest, ..)| guest.node == node)
        .filter(|(guest, ..)| wanted.is_none_or(|vmid| vmid == i64::from(guest.vmid)))
        .map(|(guest, job, mut fields)| {
            fields.insert("vmtype".into(), json!(guest.kind.as_str()));
            extend(&mut fields, (job.state)());
            Value::Object(fields)
        });
    Ok(jobs.collect())
}

fn resources(call: &mut Call<'_>) -> Answer {
    let wanted = call.get("type");
    let shows = |kind: &str| wanted.is_none_or(|wanted| wanted == kind);
    let mut list = Vec::new();
    if wanted.is_none() {
        for name in call
            .cluster
            .pools
            .keys()
            .filter(|name| call.may(&format!("/pool/{name}"), "Pool.Audit"))
        {
            list.push(json!({"id": format!("/pool/{name}"), "pool": name, "type": "pool"}));
        }
    }
    if shows("vm") {
        let visible = call
            .cluster
            .guests
            .values()
            .filter(|guest| call.may(&format!("/vms/{}", guest.vmid), "VM.Audit"));
        list.extend(visible.map(|guest| guest_resource(call, guest)));
    }
    if shows("node") {
        list.extend(
            call.cluster
                .nodes
                .iter()
                .map(|node| node_resource(call, node)),
        );
    }
    if shows("storage") {
        for storage in call
            .cluster
            .storages
            .iter()
            .filter(|storage| storage.enabled)
        {
            if !call.may(&format!("/storage/{}", storage.id), "Datastore.Audit") {
                continue;
            }
            let nodes = call
                .cluster
                .nodes
                .iter()
                .filter(|node| storage.on(&node.name));
            list.extend(nodes.map(|node| storage_resource(call, storage, node)));
        }
    }
    if shows("sdn") && call.may("/sdn/zones/localnetwork", "SDN.Audit") {
        list.extend(call.cluster.nodes.iter().map(|node| {
            json!({
                "id": format!("network/{}/zone/localnetwork", node.name),
                "network": "localnetwork",
                "network-type": "zone",
                "node": node.name,
                "status": "ok",
                "type": "network",
            })
        }));
    }
    Ok(Value::Array(list))
}

/// A guest as an entry of `/cluster/resources`: what pvestatd last reported, and what the
/// cluster knows at once.
pub(crate) fn guest_resource(call: &Call<'_>, guest: &Guest) -> Value {
    let kind = guest.kind.as_str();
    let mut entry = json!({"id": format!("{kind}/{}", guest.vmid), "vmid": guest.vmid, "type": kind, "node": guest.node, "status": "unknown"});
    let Some(fields) = entry.as_object_mut() else {
        return entry;
    };
    if let Some(pool) = call.cluster.pool_of(guest.vmid)
        && call.may(&format!("/pool/{pool}"), "Pool.Audit")
    {
        fields.insert("pool".into(), json!(pool));
    }
    if let Some(ha) = call.cluster.ha.get(&guest.ha_sid()) {
        fields.insert("hastate".into(), json!(ha.state));
    }
    for key in ["tags", "lock"] {
        if let Some(value) = guest.get(key) {
            fields.insert(key.into(), json!(value));
        }
    }
    if let Some(figures) = call.cluster.reported_guest(guest.vmid) {
        fields.extend(figures.clone());
    }
    entry
}

/// A node's status as the cluster has it, and its figures if they are known and may be seen.
/// A node that is online and has not reported for long is `unknown`.
pub(crate) fn node_status(call: &Call<'_>, node: &Node) -> Map<String, Value> {
    let mut fields = Map::new();
    let reported = call.cluster.reported_node(&node.name);
    let status = match (node.online, reported) {
        (false, _) => "offline",
        (true, None) => "unknown",
        (true, Some(_)) => "online",
    };
    fields.insert("status".into(), json!(status));
    if let Some(figures) = reported.filter(|_| node.online) {
        fields.insert("level".into(), json!(""));
        if call.may(&format!("/nodes/{}", node.name), "Sys.Audit") {
            fields.extend(figures.clone());
        }
    }
    fields
}

fn node_resource(call: &Call<'_>, node: &Node) -> Value {
    let mut fields = node_status(call, node);
    fields.insert("id".into(), json!(format!("node/{}", node.name)));
    fields.insert("node".into(), json!(node.name));
    fields.insert("type".into(), json!("node"));
    if node.online && call.cluster.has_reported(&node.name) {
        fields.insert("cgroup-mode".into(), json!(2));
    }
    Value::Object(fields)
}

/// A storage on a node as an entry of `/cluster/resources`.
pub(crate) fn storage_resource(call: &Call<'_>, storage: &Storage, node: &Node) -> Value {
    let mut entry = json!({
        "id": format!("storage/{}/{}", node.name, storage.id),
        "type": "storage",
        "storage": storage.id,
        "node": node.name,
        "content": storage.content.join(","),
        "plugintype": storage.plugin,
        "shared": i32::from(storage.shared),
        "status": "unknown",
    });
    if let Some(figures) = call.cluster.reported_storage(&node.name, &storage.id)
        && let Some(fields) = entry.as_object_mut()
    {
        fields.extend(figures.clone());
    }
    entry
}

fn status(call: &mut Call<'_>) -> Answer {
    let cluster = &call.cluster;
    let mut list = vec![json!({
        "id": "cluster",
        "type": "cluster",
        "name": cluster.name,
        "nodes": cluster.nodes.len(),
        "quorate": i32::from(cluster.quorate),
        "version": cluster.nodes.len(),
    })];
    for node in &cluster.nodes {
        let mut entry = json!({
            "id": format!("node/{}", node.name),
            "type": "node",
            "name": node.name,
            "nodeid": node.id,
            "local": i32::from(node.name == cluster.local),
            "online": i32::from(node.online),
            "level": "",
        });
        if node.online
            && let Some(fields) = entry.as_object_mut()
        {
            fields.insert("ip".into(), json!(node.ip));
        }
        list.push(entry);
    }
    Ok(Value::Array(list))
}

fn tasks(call: &mut Call<'_>) -> Answer {
    let own = call.auth.token.id.clone();
    let mut list: Vec<_> = call
        .cluster
        .tasks
        .list
        .iter()
        .filter(|task| task.user == own || call.may(&format!("/nodes/{}", task.node), "Sys.Audit"))
        .collect();
    list.sort_by_key(|task| {
        (
            task.status.is_some(),
            std::cmp::Reverse((task.start, task.pid)),
        )
    });
    Ok(list
        .into_iter()
        .take(100)
        .map(|task| task.cluster_json())
        .collect())
}

fn log(call: &mut Call<'_>) -> Answer {
    let max = call
        .int("max")
        .and_then(|max| usize::try_from(max).ok())
        .unwrap_or(50);
    let all = call.may("/", "Sys.Syslog");
    let own = call.auth.token.id.as_str();
    let entries = call
        .cluster
        .log
        .iter()
        .rev()
        .filter(|entry| all || entry.user == own)
        .take(max)
        .map(|entry| {
            json!({
                "id": format!("{}:{}", entry.uid, entry.node),
                "uid": entry.uid.to_string(),
                "time": entry.time,
                "node": entry.node,
                "pid": entry.pid,
                "tag": entry.tag,
                "user": entry.user,
                "pri": entry.priority,
                "msg": entry.text,
            })
        });
    Ok(entries.collect())
}

fn next_id(call: &mut Call<'_>) -> Answer {
    let Some(vmid) = call.get("vmid") else {
        return Ok(json!(call.cluster.next_id().to_string()));
    };
    let taken = vmid
        .parse()
        .is_ok_and(|vmid: u32| call.cluster.guests.contains_key(&vmid));
    if taken {
        return Err(Fail::param("vmid", format!("VM {vmid} already exists")));
    }
    Ok(json!(vmid))
}

fn options(_: &mut Call<'_>) -> Answer {
    Ok(json!({"keyboard": "en-us", "mac_prefix": "BC:24:11"}))
}
