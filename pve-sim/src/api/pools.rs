//! `/pools`.

use serde_json::{Value, json};

use crate::api::cluster::{guest_resource, storage_resource};
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::POOL;
use crate::params::{TEXT, opt};
use crate::permission::Permission::{All, Everyone};
use pve_api::{Method, calls};

const KINDS: &[&str] = &["qemu", "lxc", "storage"];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::access::POOLS,
        &[
            opt("poolid", POOL),
            opt("type", TEXT.choices(KINDS)).requires("poolid"),
        ],
        Everyone,
        list,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/pools/{poolid}",
        &[opt("type", TEXT.choices(KINDS))],
        All("/pool/{poolid}", &["Pool.Audit"]),
        show,
    ),
];

fn list(call: &mut Call<'_>) -> Answer {
    if let Some(pool) = call.get("poolid").map(str::to_owned) {
        // The members are shown to everyone, with what each may see of them.
        let mut entry = members(call, &pool)?;
        if let Some(fields) = entry.as_object_mut() {
            fields.insert("poolid".into(), json!(pool));
        }
        return Ok(json!([entry]));
    }
    let pools = call.cluster.pools.iter().filter(|(name, _)| {
        let path = format!("/pool/{name}");
        call.may(&path, "Pool.Audit") || call.may(&path, "Pool.Allocate")
    });
    let entries = pools.map(|(name, pool)| {
        let mut entry = json!({"poolid": name});
        if let Some(fields) = entry.as_object_mut().filter(|_| !pool.comment.is_empty()) {
            fields.insert("comment".into(), json!(pool.comment));
        }
        entry
    });
    Ok(entries.collect())
}

fn show(call: &mut Call<'_>) -> Answer {
    let pool = call.text("poolid");
    members(call, &pool)
}

fn members(call: &Call<'_>, name: &str) -> Answer {
    let pool = call
        .cluster
        .pools
        .get(name)
        .ok_or_else(|| Fail::die(format!("pool '{name}' does not exist")))?;
    let wanted = call.get("type");
    let guests = pool
        .guests
        .iter()
        .filter_map(|vmid| call.cluster.guests.get(vmid))
        .filter(|guest| wanted.is_none_or(|kind| kind == guest.kind.as_str()))
        .map(|guest| guest_resource(call, guest));
    let storages = pool
        .storages
        .iter()
        .filter(|_| wanted.is_none_or(|kind| kind == "storage"))
        .flat_map(|id| {
            let storage = call.cluster.storage(id);
            storage.into_iter().flat_map(|storage| {
                call.cluster
                    .nodes
                    .iter()
                    .filter(|node| storage.on(&node.name))
                    .map(|node| storage_resource(call, storage, node))
            })
        });
    let members: Vec<Value> = guests.chain(storages).collect();
    Ok(json!({"comment": pool.comment, "members": members}))
}
