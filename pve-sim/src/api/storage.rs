//! `/storage` and `/nodes/{node}/storage`.

use serde_json::{Map, Value, json};

use crate::digest::sha1_hex;
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::{CONTENT_KIND, CONTENT_KINDS, NODE, STORAGE, VMID, split_list};
use crate::params::{BOOL, TEXT, opt};
use crate::permission::Permission::{All, Any, Everyone};
use crate::state::{Storage, Volume};
use pve_api::{Method, calls};

const USE: &[&str] = &["Datastore.Audit", "Datastore.AllocateSpace"];
const PLUGINS: &[&str] = &[
    "btrfs",
    "cephfs",
    "cifs",
    "dir",
    "esxi",
    "iscsi",
    "iscsidirect",
    "lvm",
    "lvmthin",
    "nfs",
    "pbs",
    "rbd",
    "zfs",
    "zfspool",
];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::storage::CONFIGURED,
        &[opt("type", TEXT.choices(PLUGINS))],
        Everyone,
        configured,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/storage/{storage}",
        &[],
        All("/storage/{storage}", &["Datastore.Allocate"]),
        configuration,
    ),
    on(
        &calls::storage::LIST,
        &[
            opt("content", CONTENT_KINDS),
            opt("enabled", BOOL),
            opt("format", BOOL),
            opt("storage", STORAGE),
            opt("target", NODE),
        ],
        Everyone,
        list,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/storage/{storage}/status",
        &[],
        Any("/storage/{storage}", USE),
        status,
    ),
    on(
        &calls::storage::CONTENT,
        &[opt("content", CONTENT_KIND), opt("vmid", VMID)],
        Any("/storage/{storage}", USE),
        content,
    ),
];

fn sees(call: &Call<'_>, storage: &Storage) -> bool {
    let path = format!("/storage/{}", storage.id);
    USE.iter().any(|privilege| call.may(&path, privilege))
}

fn settings(call: &Call<'_>, storage: &Storage) -> Map<String, Value> {
    let names: Vec<&str> = call
        .cluster
        .storages
        .iter()
        .map(|storage| storage.id.as_str())
        .collect();
    let mut fields = Map::new();
    fields.insert("storage".into(), json!(storage.id));
    fields.insert("type".into(), json!(storage.plugin));
    fields.insert("content".into(), json!(storage.content.join(",")));
    fields.insert("digest".into(), json!(sha1_hex(&names.join("\n"))));
    if let Some(path) = &storage.path {
        fields.insert("path".into(), json!(path));
    }
    if storage.shared {
        fields.insert("shared".into(), json!(1));
    }
    if !storage.nodes.is_empty() {
        fields.insert("nodes".into(), json!(storage.nodes.join(",")));
    }
    if !storage.enabled {
        fields.insert("disable".into(), json!(1));
    }
    fields
}

fn configured(call: &mut Call<'_>) -> Answer {
    let wanted = call.get("type");
    let seen = call.cluster.storages.iter().filter(|storage| {
        let path = format!("/storage/{}", storage.id);
        let any = [
            "Datastore.Allocate",
            "Datastore.AllocateSpace",
            "Datastore.AllocateTemplate",
            "Datastore.Audit",
        ];
        any.iter().any(|privilege| call.may(&path, privilege))
            && wanted.is_none_or(|plugin| plugin == storage.plugin)
    });
    Ok(seen
        .map(|storage| Value::Object(settings(call, storage)))
        .collect())
}

fn configuration(call: &mut Call<'_>) -> Answer {
    let id = call.text("storage");
    let storage = call
        .cluster
        .storage(&id)
        .ok_or_else(|| Fail::die(format!("storage '{id}' does not exist")))?;
    Ok(Value::Object(settings(call, storage)))
}

fn figures(call: &Call<'_>, storage: &Storage, node: &str) -> Map<String, Value> {
    let used = call.cluster.used(storage, node);
    let mut fields = Map::new();
    fields.insert("type".into(), json!(storage.plugin));
    fields.insert("content".into(), json!(storage.content.join(",")));
    fields.insert("shared".into(), json!(i32::from(storage.shared)));
    fields.insert("enabled".into(), json!(i32::from(storage.enabled)));
    fields.insert("active".into(), json!(i32::from(storage.enabled)));
    fields.insert("total".into(), json!(storage.total));
    fields.insert("used".into(), json!(used));
    fields.insert("avail".into(), json!(storage.total - used));
    fields
}

fn list(call: &mut Call<'_>) -> Answer {
    let node = call.node();
    let wanted: Option<Vec<String>> = call
        .get("content")
        .map(|list| split_list(list).map(str::to_owned).collect());
    let only = call.get("storage");
    let target = call.get("target");
    if let Some(id) = only {
        call.cluster.usable_storage(id, &node)?;
    }
    let seen = call.cluster.storages.iter().filter(|storage| {
        storage.on(&node)
            && sees(call, storage)
            && (storage.enabled || !call.flag("enabled"))
            && only.is_none_or(|id| id == storage.id)
            && target.is_none_or(|target| storage.on(target))
            && wanted
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|kind| storage.holds(kind)))
    });
    let entries = seen.map(|storage| {
        let mut fields = figures(call, storage, &node);
        fields.insert("storage".into(), json!(storage.id));
        #[expect(clippy::cast_precision_loss, reason = "a fraction needs no precision")]
        let fraction = call.cluster.used(storage, &node) as f64 / storage.total.max(1) as f64;
        fields.insert("used_fraction".into(), json!(fraction));
        Value::Object(fields)
    });
    Ok(entries.collect())
}

fn status(call: &mut Call<'_>) -> Answer {
    let (id, node) = (call.text("storage"), call.node());
    let storage = call
        .cluster
        .storage(&id)
        .filter(|storage| storage.on(&node))
        .ok_or_else(|| Fail::param("storage", "No such storage."))?;
    Ok(Value::Object(figures(call, storage, &node)))
}

fn content(call: &mut Call<'_>) -> Answer {
    let (id, node) = (call.text("storage"), call.node());
    call.cluster.usable_storage(&id, &node)?;
    let wanted = call.get("content");
    let vmid = call.get("vmid").and_then(|vmid| vmid.parse().ok());
    let seen = call.cluster.volumes_on(&id, &node).filter(|volume| {
        wanted.is_none_or(|kind| kind == volume.content)
            && (vmid.is_none() || volume.vmid == vmid)
            && readable(call, volume)
    });
    Ok(seen.map(volume_json).collect())
}

/// Guests' volumes are shown to those who may see the guest, or manage the storage.
fn readable(call: &Call<'_>, volume: &Volume) -> bool {
    let storage = format!("/storage/{}", volume.storage);
    let Some(vmid) = volume.vmid else { return true };
    let guest = format!("/vms/{vmid}");
    call.may(&storage, "Datastore.Allocate")
        || match volume.content {
            "backup" => {
                call.may(&storage, "Datastore.AllocateSpace") && call.may(&guest, "VM.Backup")
            }
            _ => call.may(&guest, "VM.Config.Disk"),
        }
}

/// A volume as an entry of a storage's content.
pub(crate) fn volume_json(volume: &Volume) -> Value {
    let mut fields = Map::new();
    fields.insert("volid".into(), json!(volume.volid));
    fields.insert("content".into(), json!(volume.content));
    fields.insert("format".into(), json!(volume.format));
    fields.insert("size".into(), json!(volume.size));
    fields.insert("ctime".into(), json!(volume.ctime));
    if let Some(vmid) = volume.vmid {
        fields.insert("vmid".into(), json!(vmid));
    }
    if matches!(volume.content, "images" | "rootdir") {
        fields.insert("used".into(), json!(volume.used));
        fields.insert("parent".into(), json!(volume.parent));
    }
    if let Some(archive) = &volume.archive {
        fields.insert("subtype".into(), json!(archive.kind.as_str()));
    }
    if let Some(notes) = &volume.notes {
        fields.insert("notes".into(), json!(notes));
    }
    if volume.protected {
        fields.insert("protected".into(), json!(1));
    }
    Value::Object(fields)
}
