//! `/cluster/backup`: backup jobs. They never run.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::backup::PRUNE;
use crate::clock::now;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::{CONFIG_IDS, Format, NODE, STORAGE, check_configid, field, split_list};
use crate::params::{BOOL, INT, Kind, Param, TEXT, matches_whole, opt, req};
use crate::permission::Permission::All;
use crate::state::Guest;
use pve_api::calls;

const MODIFY: crate::permission::Permission = All("/", &["Sys.Modify"]);
const ID: Kind = TEXT.format(Format::Named("pve-configid", check_configid));
const SCHEDULE: Kind = TEXT
    .max_len(128)
    .format(Format::Named("pve-calendar-event", check_schedule));
const VMIDS: Kind = TEXT.format(Format::List("pve-vmid", super::backup::check_vmid));

/// What a job may have, but for its id.
const SETTINGS: [Param; 20] = [
    opt("all", BOOL),
    opt("bwlimit", INT.min(0)),
    opt("comment", TEXT.max_len(512)),
    opt("compress", TEXT.choices(&["0", "1", "gzip", "lzo", "zstd"])),
    opt("dumpdir", TEXT),
    opt("enabled", BOOL),
    opt("exclude", VMIDS),
    opt("mode", TEXT.choices(&["snapshot", "suspend", "stop"])),
    opt("node", NODE),
    opt("notes-template", TEXT.max_len(1024)).requires("storage"),
    opt("pool", TEXT),
    opt("protected", BOOL).requires("storage"),
    opt(
        "prune-backups",
        TEXT.format(Format::NamedProps("prune-backups", &PRUNE)),
    ),
    opt("remove", BOOL),
    opt("repeat-missed", BOOL),
    opt("schedule", SCHEDULE),
    opt("script", TEXT),
    opt("storage", STORAGE),
    opt("tmpdir", TEXT),
    opt("vmid", VMIDS),
];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::cluster::BACKUP_JOBS,
        &[],
        All("/", &["Sys.Audit"]),
        list,
    ),
    on(
        &calls::cluster::BACKUP_VOLUMES,
        &[req("id", TEXT.max_len(50).pattern(r"\S+"))],
        All("/", &["Sys.Audit"]),
        volumes,
    ),
    on(
        &calls::cluster::ADD_BACKUP_JOB,
        &[opt("id", ID)],
        MODIFY,
        add,
    )
    .with(&SETTINGS),
    on(
        &calls::cluster::SET_BACKUP_JOB,
        &[
            req("id", TEXT.max_len(50).pattern("\\S+")),
            opt("delete", CONFIG_IDS),
        ],
        MODIFY,
        set,
    )
    .with(&SETTINGS),
];

fn check_schedule(text: &str) -> Result<(), String> {
    if matches_whole("[a-z0-9*/,.:~ -]+", text) && !text.starts_with("every") {
        return Ok(());
    }
    Err(format!(
        "invalid calendar event '{text}' - unable to parse calendar event '{text}'\n\n"
    ))
}

const DAY: i64 = 86_400;

/// All that is set is text, but for switches and the retention.
fn shown(call: &Call<'_>, id: &str, job: &BTreeMap<String, String>) -> Value {
    let mut fields = Map::from_iter([
        ("id".to_owned(), json!(id)),
        ("type".to_owned(), json!("vzdump")),
    ]);
    for (name, value) in job {
        let value = match name.as_str() {
            "all" | "enabled" | "repeat-missed" | "protected" => json!(i32::from(value == "1")),
            "node" if value == "@local" => json!(call.cluster.local),
            "prune-backups" => {
                let pairs = value.split(',').filter_map(|pair| pair.split_once('='));
                pairs
                    .map(|(key, value)| (key.to_owned(), json!(value)))
                    .collect()
            }
            _ => json!(value),
        };
        fields.insert(name.clone(), value);
    }
    Value::Object(fields)
}

/// The disks of the guests of a job. `backup=0` leaves one out.
fn volumes(call: &mut Call<'_>) -> Answer {
    let id = call.text("id");
    let Some(job) = call.cluster.backup_jobs.get(&id) else {
        return Err(Fail::param("id", format!("No such job '{id}'")));
    };
    let names = |key: &str, vmid: u32| {
        let listed = job.get(key).map(String::as_str).unwrap_or_default();
        listed.split(',').any(|one| one == vmid.to_string())
    };
    let is_selected = |guest: &Guest| match job.get("pool") {
        Some(pool) => call
            .cluster
            .pools
            .get(pool)
            .is_some_and(|pool| pool.guests.contains(&guest.vmid)),
        None if job.contains_key("vmid") => names("vmid", guest.vmid),
        None => !names("exclude", guest.vmid),
    };
    let selected = call.cluster.guests.values();
    let selected = selected.filter(|guest| is_selected(guest));
    let children: Vec<Value> = selected
        .map(|guest| {
            let disks = guest.disks().map(|(key, value)| {
                let is_in = field(value, "backup") != Some("0");
                json!({
                    "id": format!("{}:{key}", guest.vmid), "name": value, "leaf": 1,
                    "included": i32::from(is_in),
                    "reason": if is_in { "backup=yes" } else { "backup=no" },
                })
            });
            json!({
                "id": guest.vmid, "type": guest.kind.as_str(), "leaf": 0,
                "children": disks.collect::<Vec<Value>>(),
            })
        })
        .collect();
    Ok(json!({"children": children}))
}

fn list(call: &mut Call<'_>) -> Answer {
    let midnight = (now() / DAY + 1) * DAY;
    let jobs = call.cluster.backup_jobs.iter().map(|(id, job)| {
        let mut shown = shown(call, id, job);
        let is_weekly = job
            .get("schedule")
            .is_some_and(|when| when.starts_with("sat"));
        if let Some(fields) = shown.as_object_mut() {
            let next = midnight + if is_weekly { DAY } else { 0 };
            fields.insert("next-run".into(), json!(next));
        }
        shown
    });
    Ok(jobs.collect())
}

/// What a request sets, once its sender may.
fn given(call: &Call<'_>) -> Result<BTreeMap<String, String>, Fail> {
    for name in ["tmpdir", "dumpdir", "script"] {
        if call.has(name) {
            return Err(Fail::param(name, "Only root may set this option."));
        }
    }
    if let Some(pool) = call.get("pool")
        && !call.cluster.pools.contains_key(pool)
    {
        return Err(Fail::denied(&format!("pool '{pool}' does not exist")));
    }
    let names = SETTINGS.iter().map(|param| param.name);
    Ok(names
        .filter_map(|name| Some((name.to_owned(), call.get(name)?.to_owned())))
        .collect())
}

/// An error that names its parameter in the text alone.
fn unnamed(name: &str, why: &str) -> Fail {
    Fail::die(format!("400 Parameter verification failed.\n{name}: {why}"))
}

fn check_selection(job: &BTreeMap<String, String>) -> Result<(), Fail> {
    let is_all = job.get("all").is_some_and(|all| all == "1");
    if is_all && job.contains_key("vmid") {
        return Err(unnamed("all", "option conflicts with option 'vmid'"));
    }
    if !is_all && !job.contains_key("vmid") && !job.contains_key("pool") {
        return Err(unnamed("vmid", "property is missing"));
    }
    Ok(())
}

fn add(call: &mut Call<'_>) -> Answer {
    let mut job = given(call)?;
    let storage = call.get("storage").unwrap_or("local");
    call.require(&format!("/storage/{storage}"), "Datastore.Allocate")?;
    if !job.contains_key("schedule") {
        let why = "neither 'starttime' nor 'schedule' were set";
        return Err(Fail::param("schedule", why));
    }
    check_selection(&job)?;
    let id = match call.get("id") {
        Some(id) => id.to_owned(),
        None => format!("0f0dfb98-{:04x}", call.cluster.backup_jobs.len()),
    };
    if call.cluster.backup_jobs.contains_key(&id) {
        return Err(Fail::die(format!("Job '{id}' already exists")));
    }
    job.entry("enabled".into()).or_insert_with(|| "1".into());
    call.cluster.backup_jobs.insert(id, job);
    Ok(Value::Null)
}

fn set(call: &mut Call<'_>) -> Answer {
    let changes = given(call)?;
    let id = call.text("id");
    if let Some(storage) = call.get("storage") {
        call.require(&format!("/storage/{storage}"), "Datastore.Allocate")?;
    }
    let removed: Vec<String> = call
        .get("delete")
        .into_iter()
        .flat_map(split_list)
        .map(str::to_owned)
        .collect();
    let Some(job) = call.cluster.backup_jobs.get(&id) else {
        return Err(Fail::die("no such vzdump job"));
    };
    let mut job = job.clone();
    for name in removed {
        job.remove(&name);
    }
    // One way to select guests replaces the others.
    let replaced: &[&str] = if changes.contains_key("vmid") {
        &["all", "exclude", "pool"]
    } else if changes.get("all").is_some_and(|all| all == "1") {
        &["vmid", "pool"]
    } else if changes.contains_key("pool") {
        &["vmid", "all", "exclude"]
    } else {
        &[]
    };
    for name in replaced {
        job.remove(*name);
    }
    job.extend(changes);
    check_selection(&job)?;
    call.cluster.backup_jobs.insert(id, job);
    Ok(Value::Null)
}
