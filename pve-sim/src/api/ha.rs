//! `/cluster/ha`.

use serde_json::{Value, json};

use super::power;
use crate::clock::{asctime, now};
use crate::digest::sha1_hex;
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::{CONFIG_IDS, Format};
use crate::params::{BOOL, INT, Kind, Param, TEXT, opt, req};
use crate::permission::Permission::All;
use crate::state::{Cluster, HaResource};
use pve_api::{Method, calls};

const AUDIT: crate::permission::Permission = All("/", &["Sys.Audit"]);

const SID: Kind = TEXT.format(Format::Named("pve-ha-resource-or-vm-id", check_sid));

/// `vm:100`, or a bare id.
fn check_sid(text: &str) -> Result<(), String> {
    if crate::params::matches_whole("((vm|ct):)?[0-9]+", text) {
        return Ok(());
    }
    Err(format!(
        "value '{text}' does not look like a valid HA resource ID\n"
    ))
}

const STATE: Param = opt(
    "state",
    TEXT.choices(&["started", "stopped", "enabled", "disabled", "ignored"]),
);

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(&calls::cluster::HA_STATUS, &[], AUDIT, current),
    on(
        &calls::cluster::HA_RESOURCES,
        &[opt("type", TEXT.choices(&["ct", "vm"]))],
        AUDIT,
        list,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/cluster/ha/resources/{sid}",
        &[req("sid", SID)],
        AUDIT,
        show,
    ),
    on(
        &calls::cluster::SET_HA_RESOURCE,
        &[
            opt("comment", TEXT.max_len(4096)),
            opt("delete", CONFIG_IDS.max_len(4096)),
            opt("digest", TEXT.max_len(64)),
            opt("failback", BOOL),
            opt("max_relocate", INT.min(0)),
            opt("max_restart", INT.min(0)),
            req("sid", SID),
            STATE,
        ],
        All("/", &["Sys.Console"]),
        set,
    ),
    on(
        &calls::cluster::ADD_HA_RESOURCE,
        &[
            opt("comment", TEXT.max_len(4096)),
            opt("failback", BOOL),
            opt("max_relocate", INT.min(0)),
            opt("max_restart", INT.min(0)),
            req("sid", SID),
            STATE,
            opt("type", TEXT.choices(&["ct", "vm"])),
        ],
        All("/", &["Sys.Console"]),
        add,
    ),
    apart(
        Why::Refused,
        Method::Delete,
        "/cluster/ha/resources/{sid}",
        &[opt("purge", BOOL), req("sid", SID)],
        All("/", &["Sys.Console"]),
        remove,
    ),
];

/// Which node runs a service.
pub(crate) fn node_of<'a>(cluster: &'a Cluster, sid: &str) -> &'a str {
    let vmid = sid.split_once(':').and_then(|(_, vmid)| vmid.parse().ok());
    let guest = vmid.and_then(|vmid: u32| cluster.guests.get(&vmid));
    guest.map_or(cluster.local.as_str(), |guest| guest.node.as_str())
}

fn current(call: &mut Call<'_>) -> Answer {
    let cluster = &call.cluster;
    let quorum = if cluster.quorate {
        "OK"
    } else {
        "No quorum on node"
    };
    let mut list = vec![
        json!({"id": "quorum", "node": cluster.local, "quorate": i32::from(cluster.quorate), "status": quorum, "type": "quorum"}),
        json!({
            "id": "fencing",
            "node": cluster.local,
            "status": if cluster.ha.is_empty() { "standby (CRM watchdog standby)" } else { "armed (CRM watchdog active)" },
            "armed-state": if cluster.ha.is_empty() { "standby" } else { "armed" },
            "type": "fencing",
        }),
    ];
    if !cluster.ha.is_empty() {
        let time = now();
        let active = |name: &str| format!("{name} (active, {})", asctime(time));
        list.push(json!({"id": "master", "node": cluster.local, "status": active(&cluster.local), "timestamp": time, "type": "master"}));
        for node in &cluster.nodes {
            let status = if node.online {
                active(&node.name)
            } else {
                format!(
                    "{} (old timestamp - dead?, {})",
                    node.name,
                    asctime(time - 9000)
                )
            };
            list.push(json!({"id": format!("lrm:{}", node.name), "node": node.name, "status": status, "timestamp": time, "type": "lrm"}));
        }
    }
    list.extend(cluster.ha.iter().map(|(sid, ha)| service(cluster, sid, ha)));
    Ok(Value::Array(list))
}

fn service(cluster: &Cluster, sid: &str, ha: &HaResource) -> Value {
    let node = node_of(cluster, sid);
    json!({
        "id": format!("service:{sid}"),
        "sid": sid,
        "node": node,
        "state": ha.state,
        "crm_state": ha.state,
        "request_state": ha.state,
        "status": format!("{sid} ({node}, {})", ha.state),
        "max_restart": ha.max_restart,
        "max_relocate": ha.max_relocate,
        "failback": i32::from(ha.failback),
        "type": "service",
    })
}

fn digest(cluster: &Cluster) -> String {
    let text: String = cluster
        .ha
        .iter()
        .map(|(sid, ha)| format!("{sid}\n\tstate {}\n", ha.state))
        .collect();
    sha1_hex(&text)
}

fn resource(cluster: &Cluster, sid: &str, ha: &HaResource) -> Value {
    let kind = sid.split(':').next().unwrap_or_default();
    let mut entry = json!({"sid": sid, "type": kind, "state": ha.state, "digest": digest(cluster)});
    if let Some(fields) = entry.as_object_mut() {
        if let Some(comment) = &ha.comment {
            fields.insert("comment".into(), json!(comment));
        }
        for (name, number) in [
            ("max_restart", ha.max_restart),
            ("max_relocate", ha.max_relocate),
        ] {
            if number != 1 {
                fields.insert(name.into(), json!(number));
            }
        }
        if !ha.failback {
            fields.insert("failback".into(), json!(0));
        }
    }
    entry
}

fn list(call: &mut Call<'_>) -> Answer {
    let wanted = call.get("type");
    let entries = call
        .cluster
        .ha
        .iter()
        .filter(|(sid, _)| wanted.is_none_or(|kind| sid.starts_with(kind)));
    Ok(entries
        .map(|(sid, ha)| resource(call.cluster, sid, ha))
        .collect())
}

fn show(call: &mut Call<'_>) -> Answer {
    let sid = call.text("sid");
    let ha = call
        .cluster
        .ha
        .get(&sid)
        .ok_or_else(|| Fail::die(format!("no such resource '{sid}'")))?;
    Ok(resource(call.cluster, &sid, ha))
}

/// `vm:100` from either that or `100`.
fn full_sid(call: &Call<'_>) -> Result<String, Fail> {
    let sid = call.text("sid");
    if sid.contains(':') {
        return Ok(sid);
    }
    let guest = sid
        .parse()
        .ok()
        .and_then(|vmid: u32| call.cluster.guests.get(&vmid));
    guest
        .map(crate::state::Guest::ha_sid)
        .ok_or_else(|| Fail::die(format!("unable to find VM '{sid}'")))
}

fn add(call: &mut Call<'_>) -> Answer {
    let sid = full_sid(call)?;
    let vmid = sid
        .split_once(':')
        .and_then(|(_, vmid)| vmid.parse::<u32>().ok())
        .unwrap_or_default();
    if call
        .cluster
        .guests
        .get(&vmid)
        .is_none_or(|guest| guest.ha_sid() != sid)
    {
        return Err(Fail::die(match call.cluster.guests.get(&vmid) {
            None => format!("resource '{sid}' does not exist in cluster"),
            Some(_) => {
                let kind = if sid.starts_with("vm") { "VM" } else { "CT" };
                format!("resource '{sid}' - guest with ID {vmid} is not a {kind}")
            }
        }));
    }
    if call.cluster.ha.contains_key(&sid) {
        return Err(Fail::die(format!(
            "create resource failed: resource ID '{sid}' already defined"
        )));
    }
    let number = |name: &str| {
        call.int(name)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(1)
    };
    let ha = HaResource {
        state: call.get("state").unwrap_or("started").to_owned(),
        comment: call.get("comment").map(str::to_owned),
        max_restart: number("max_restart"),
        max_relocate: number("max_relocate"),
        failback: call.get("failback") != Some("0"),
    };
    call.cluster.ha.insert(sid.clone(), ha);
    power::follow_ha(call.cluster, &sid);
    Ok(Value::Null)
}

fn set(call: &mut Call<'_>) -> Answer {
    let sid = full_sid(call)?;
    if let Some(given) = call.get("digest")
        && given != digest(call.cluster)
    {
        return Err(Fail::die(
            "update resources config failed: detected modified configuration - file changed by \
             other user? Try again.",
        ));
    }
    let number = |name: &str| call.int(name).and_then(|number| u32::try_from(number).ok());
    let (restart, relocate) = (number("max_restart"), number("max_relocate"));
    let failback = call.has("failback").then(|| call.flag("failback"));
    let state = call.get("state").map(str::to_owned);
    let comment = call.get("comment").map(str::to_owned);
    let Some(ha) = call.cluster.ha.get_mut(&sid) else {
        return Err(Fail::die(format!("no such resource '{sid}'")));
    };
    ha.max_restart = restart.unwrap_or(ha.max_restart);
    ha.max_relocate = relocate.unwrap_or(ha.max_relocate);
    ha.failback = failback.unwrap_or(ha.failback);
    ha.state = state.unwrap_or_else(|| ha.state.clone());
    ha.comment = comment.or_else(|| ha.comment.take());
    power::follow_ha(call.cluster, &sid);
    Ok(Value::Null)
}

fn remove(call: &mut Call<'_>) -> Answer {
    let sid = call.text("sid");
    match call.cluster.ha.remove(&sid) {
        Some(_) => Ok(Value::Null),
        None => Err(Fail::die(format!(
            "cannot delete service '{sid}', not HA managed!"
        ))),
    }
}
