//! What a cluster has besides its guests: HA rules, virtual networks and users.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::digest::sha1_hex;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::params::{BOOL, TEXT, opt};
use crate::permission::Permission::{All, Everyone};
use pve_api::calls;

pub(crate) static ENDPOINTS: &[Endpoint] = &[
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
