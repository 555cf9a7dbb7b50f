//! Control for tests: one JSON object in, one JSON object out.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::faults::AnyFault;
use crate::outage::Outage;
use crate::server::Server;
use crate::state::{Cluster, Guest, Token};

/// Does what a control object says. `cmd` names it; every answer has `ok`.
pub(crate) fn run(server: &Server, command: &Value) -> Value {
    let Some(fields) = command.as_object() else {
        return failed("a control line is a JSON object");
    };
    let mut fields = fields.clone();
    let cmd = fields.remove("cmd");
    let cmd = cmd.as_ref().and_then(Value::as_str).unwrap_or_default();
    let result = match cmd {
        "fault" => add_fault(server, fields),
        "clear-faults" => {
            server
                .faults
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            server.cluster().tasks.faults.clear();
            Ok(json!({}))
        }
        "outage" => Outage::from_fields(fields).map(|outage| {
            server.outages.plan(outage);
            json!({})
        }),
        "requests" => Ok(json!({"requests": server.served()})),
        "ping" => Ok(json!({})),
        other => {
            let mut cluster = server.cluster();
            match other {
                "advance" => {
                    let seconds = fields.get("seconds").and_then(Value::as_f64);
                    match seconds.map(Duration::try_from_secs_f64) {
                        Some(Ok(by)) => {
                            cluster.clock.advance(by);
                            cluster.settle();
                            Ok(json!({}))
                        }
                        _ => Err("'seconds' is missing or not a length of time".into()),
                    }
                }
                "pvestatd" => run_pvestatd(&mut cluster, &fields),
                "node" => set_node(&mut cluster, &fields),
                "guest" => set_guest(&mut cluster, &fields),
                "get" => guest(&mut cluster, &fields).map(|guest| show(guest)),
                "remove-guest" => {
                    guest(&mut cluster, &fields)
                        .map(|guest| guest.vmid)
                        .map(|vmid| {
                            cluster.guests.remove(&vmid);
                            json!({})
                        })
                }
                "quorate" => {
                    cluster.quorate = fields.get("value").and_then(Value::as_bool).unwrap_or(true);
                    Ok(json!({}))
                }
                "token" => add_token(&mut cluster, &fields),
                "pveum" => text(&fields, "line")
                    .and_then(|line| cluster.access.pveum(line))
                    .map(|()| json!({})),
                "permissions" => {
                    text(&fields, "id").map(|who| json!({"permissions": cluster.permissions(who)}))
                }
                "task-seconds" => {
                    cluster.tasks.seconds =
                        fields.get("value").and_then(Value::as_f64).unwrap_or(0.5);
                    Ok(json!({}))
                }
                _ => Err(format!("no such control command '{other}'")),
            }
        }
    };
    match result {
        Ok(mut answer) => {
            if let Some(fields) = answer.as_object_mut() {
                fields.insert("ok".into(), json!(true));
            }
            answer
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> Value {
    json!({"ok": false, "error": error})
}

fn add_fault(server: &Server, fields: Map<String, Value>) -> Result<Value, String> {
    match AnyFault::from_fields(fields)? {
        AnyFault::Request(fault) => {
            server
                .faults
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(fault);
        }
        AnyFault::Task(fault) => server.cluster().tasks.faults.push(fault),
    }
    Ok(json!({}))
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Result<&'a str, String> {
    fields
        .get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("'{key}' is missing or no string"))
}

fn guest<'a>(
    cluster: &'a mut Cluster,
    fields: &Map<String, Value>,
) -> Result<&'a mut Guest, String> {
    let vmid = fields
        .get("vmid")
        .and_then(Value::as_u64)
        .and_then(|vmid| u32::try_from(vmid).ok());
    let vmid = vmid.ok_or("'vmid' is missing or no number")?;
    cluster
        .guests
        .get_mut(&vmid)
        .ok_or_else(|| format!("no guest {vmid}"))
}

fn node_name(cluster: &Cluster, fields: &Map<String, Value>) -> Result<String, String> {
    let name = text(fields, "node")?;
    match cluster.node(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(format!("no node '{name}'")),
    }
}

/// `{"cmd":"pvestatd","node":"pve1","runs":false}`.
fn run_pvestatd(cluster: &mut Cluster, fields: &Map<String, Value>) -> Result<Value, String> {
    let name = node_name(cluster, fields)?;
    let runs = fields.get("runs").and_then(Value::as_bool);
    cluster.run_pvestatd(&name, runs.ok_or("'runs' is missing or not a boolean")?);
    Ok(json!({}))
}

/// `{"cmd":"node","node":"pve2","online":true}`, as if it had been so for long; with
/// `"silent":true`, it has just come and not reported yet.
fn set_node(cluster: &mut Cluster, fields: &Map<String, Value>) -> Result<Value, String> {
    let name = node_name(cluster, fields)?;
    let Some(online) = fields.get("online").and_then(Value::as_bool) else {
        return Ok(json!({}));
    };
    if let Some(node) = cluster.nodes.iter_mut().find(|node| node.name == name) {
        node.online = online;
    }
    cluster.forget_reports(&name);
    if online {
        cluster.run_pvestatd(&name, true);
        if fields.get("silent") != Some(&Value::Bool(true)) {
            cluster.report(&name);
        }
    }
    Ok(json!({}))
}

/// `{"cmd":"guest","vmid":100,"config":{"lock":"backup","tags":null},"running":true,"agent":false,"node":"pve2",…}`:
/// changes a guest behind the API's back, as if it had been so for long; with `"lag":true`, just
/// now, so that pvestatd has not reported it yet.
fn set_guest(cluster: &mut Cluster, fields: &Map<String, Value>) -> Result<Value, String> {
    if let Some(node) = fields.get("node").and_then(Value::as_str)
        && cluster.node(node).is_none()
    {
        return Err(format!("no node '{node}'"));
    }
    let at = cluster.clock.at();
    let guest = guest(cluster, fields)?;
    let vmid = guest.vmid;
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("vmid" | "lag", _) => {}
            ("node", Value::String(node)) => guest.node.clone_from(node),
            ("config", Value::Object(config)) => {
                for (key, value) in config {
                    match value {
                        Value::Null => guest.config.remove(key),
                        Value::String(text) => guest.config.insert(key.clone(), text.clone()),
                        other => guest.config.insert(key.clone(), other.to_string()),
                    };
                }
            }
            ("running", Value::Bool(true)) => guest.power_on(at),
            ("running", Value::Bool(false)) => guest.power_off(),
            ("agent", Value::Bool(inside)) => guest.agent_inside = *inside,
            ("obeys_shutdown", Value::Bool(obeys)) => guest.obeys_shutdown = *obeys,
            ("load", Value::Number(load)) => guest.load = load.as_f64().unwrap_or_default(),
            ("memory_use", Value::Number(share)) => {
                guest.memory_use = share.as_f64().unwrap_or_default();
            }
            _ => return Err(format!("'{key}' cannot be set to {value}")),
        }
    }
    if fields.get("lag") != Some(&Value::Bool(true)) {
        cluster.report_guest(vmid);
    }
    Ok(json!({}))
}

fn show(guest: &Guest) -> Value {
    json!({
        "vmid": guest.vmid,
        "kind": guest.kind.as_str(),
        "node": guest.node,
        "running": guest.is_running(),
        "config": guest.config,
        "pending": guest.pending,
        "snapshots": guest.snapshots.keys().collect::<Vec<_>>(),
        "generation": guest.generation,
    })
}

/// `{"cmd":"token","id":"ops@pve!t","secret":"…","rights":"/vms/100=VM.Audit"}`. Its user may the
/// same, or what `user_rights` says; `"privsep":false` makes a full token.
fn add_token(cluster: &mut Cluster, fields: &Map<String, Value>) -> Result<Value, String> {
    let mut token = Token::new(
        text(fields, "id")?,
        text(fields, "secret")?,
        text(fields, "rights")?,
    )?;
    if let Some(separated) = fields.get("privsep").and_then(Value::as_bool) {
        token.separated = separated;
    }
    let user = token.user().to_owned();
    cluster.access.add_token(token)?;
    if let Some(rights) = fields.get("user_rights").and_then(Value::as_str) {
        cluster.access.grant(&user, rights)?;
    }
    Ok(json!({}))
}
