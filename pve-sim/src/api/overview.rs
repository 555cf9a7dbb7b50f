//! What a cluster has besides its guests: backup jobs, HA rules, virtual networks and users.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clock::now;
use crate::digest::sha1_hex;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::params::{BOOL, TEXT, opt};
use crate::permission::Permission::{All, Everyone};
use pve_api::calls;

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::cluster::BACKUP_JOBS,
        &[],
        All("/", &["Sys.Audit"]),
        backup_jobs,
    ),
    on(
        &calls::cluster::HA_RULES,
        &[
            opt("resource", TEXT),
            opt(
                "type",
                TEXT.choices(&["node-affinity", "resource-affinity"]),
            ),
        ],
        All("/", &["Sys.Audit"]),
        ha_rules,
    ),
    on(
        &calls::cluster::SDN_VNETS,
        &[opt("pending", BOOL), opt("running", BOOL)],
        Everyone,
        |_| Ok(json!([])),
    ),
    on(
        &calls::access::USERS,
        &[opt("enabled", BOOL), opt("full", BOOL)],
        Everyone,
        users,
    ),
];

const DAY: i64 = 86_400;

/// A job for nearly all guests, one that is disabled, and one that names a guest that is gone.
fn backup_jobs(call: &mut Call<'_>) -> Answer {
    let midnight = (now() / DAY + 1) * DAY;
    Ok(json!([
        {
            "id": "nightly", "type": "vzdump", "all": 1, "exclude": "102,103", "enabled": 1,
            "schedule": "daily", "next-run": midnight, "storage": "nas", "mode": "snapshot",
            "compress": "zstd", "prune-backups": {"keep-daily": "7", "keep-weekly": "4"},
            "comment": "all but two",
        },
        {
            "id": "lab", "type": "vzdump", "pool": "lab", "enabled": 0, "schedule": "sat 03:15",
            "next-run": midnight + DAY, "storage": "nas", "mode": "stop",
        },
        {
            "id": "by-hand", "type": "vzdump", "vmid": "102,9999", "enabled": 1,
            "schedule": "mon..fri 02:00", "next-run": midnight, "storage": "local",
            "node": call.cluster.local,
        },
    ]))
}

/// Each resource of HA prefers the node that it is on.
fn ha_rules(call: &mut Call<'_>) -> Answer {
    let wanted = call.get("resource");
    if call.get("type") == Some("resource-affinity") {
        return Ok(json!([]));
    }
    let digest = sha1_hex("rules");
    let rules = call
        .cluster
        .ha
        .keys()
        .filter(|sid| wanted.is_none_or(|wanted| wanted == sid.as_str()))
        .enumerate()
        .map(|(order, sid)| {
            json!({
                "rule": format!("prefer-{}", sid.replace(':', "-")), "type": "node-affinity",
                "resources": sid, "nodes": format!("{}:2", crate::api::ha::node_of(call.cluster, sid)),
                "strict": 0, "order": order + 1, "digest": digest,
            })
        });
    Ok(rules.collect())
}

/// Every user that has a token, and root; to those alone who may audit users.
fn users(call: &mut Call<'_>) -> Answer {
    let may = ["Sys.Audit", "User.Modify"]
        .iter()
        .any(|privilege| call.may("/access/groups", privilege));
    if !may {
        return Ok(json!([]));
    }
    let mut users: BTreeMap<&str, Vec<Value>> = BTreeMap::from([("root@pam", Vec::new())]);
    for token in &call.cluster.access.tokens {
        let name = token.id.split_once('!').map_or("", |(_, name)| name);
        users.entry(token.user()).or_default().push(json!({
            "tokenid": name, "privsep": i32::from(token.separated), "expire": 0,
        }));
    }
    let full = call.flag("full");
    let entries = users.into_iter().map(|(user, tokens)| {
        let realm = user.split_once('@').map_or("pve", |(_, realm)| realm);
        let mut fields = Map::from_iter([
            ("userid".to_owned(), json!(user)),
            ("realm-type".to_owned(), json!(realm)),
            ("enable".to_owned(), json!(1)),
            ("expire".to_owned(), json!(0)),
        ]);
        // Proxmox keeps the second factors elsewhere, and this in their place.
        if user == "root@pam" {
            fields.insert("keys".to_owned(), json!("x"));
        }
        if full {
            fields.insert("groups".to_owned(), json!(""));
            fields.insert("tokens".to_owned(), Value::Array(tokens));
        }
        Value::Object(fields)
    });
    Ok(entries.collect())
}
