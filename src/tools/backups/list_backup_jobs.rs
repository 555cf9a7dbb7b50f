//! `list_backup_jobs`: scheduled backups, and the guests that none of them
//! covers.
//!
//! Proxmox's own list of guests without a job counts disabled jobs as well, and
//! `all` jobs that are pinned to another node. So who is covered is worked out
//! here, from the jobs and the guests.

use std::collections::BTreeSet;

use pve_api::calls;
use pve_api::grammar::list;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::order;
use crate::pve::{
    At, Flag, Guest, GuestType, NodeState, Num, Params, Pve, Text, Vmid, guests, nodes,
};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Reply, Run, bounds};
use crate::tools::finding::{Finding, Severity, summary, visible};

/// Backup jobs, and the guests without one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListBackupJobs {
    /// Only jobs that cover this guest.
    vmid: Option<Vmid>,
    /// Of jobs, and of guests without one. Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

const DEFAULT_LIMIT: u32 = 50;

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct JobList {
    /// The most urgent first.
    findings: Vec<Finding>,
    /// Guests that no enabled job covers; templates are left out.
    uncovered: Vec<Uncovered>,
    uncovered_total: usize,
    jobs: Vec<Job>,
    /// Also those that are not shown.
    total: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_visible: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Uncovered {
    vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    kind: GuestType,
    node: String,
    /// Disabled jobs that would cover it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disabled_jobs: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Job {
    job: String,
    enabled: bool,
    /// A systemd calendar event, in the time zone of each node.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<String>,
    /// `snapshot`, or `suspend` and `stop`, which interrupt the guests.
    mode: String,
    /// What is kept: `keep-daily=7`. Absent: nothing is pruned, as far as is
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<String>,
    /// Whether the retention is the storage's own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retention_of_storage: bool,
    /// Guests of this node alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    selection: Selection,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// The guests that it names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vmids: Vec<Vmid>,
    /// The guests that it leaves out of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    excluded_vmids: Vec<Vmid>,
    /// How many of the guests that there are now it backs up.
    guests_covered: usize,
    /// Whether a missed run is made up for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeat_missed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Selection {
    All,
    Pool,
    Vmids,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawJob {
    id: Text,
    enabled: Option<Flag>,
    schedule: Option<Text>,
    /// Also of a disabled job.
    next_run: Option<Num<u64>>,
    storage: Option<Text>,
    mode: Option<String>,
    node: Option<String>,
    #[serde(default)]
    all: Flag,
    vmid: Option<VmidList>,
    #[serde(default)]
    exclude: VmidList,
    pool: Option<String>,
    prune_backups: Option<Value>,
    #[serde(default)]
    repeat_missed: Flag,
    comment: Option<String>,
    /// Before PVE 7: a time and days of the week.
    starttime: Option<Text>,
    dow: Option<Text>,
}

/// The vmids in a list; one alone may come as a number.
#[derive(Debug, Default)]
struct VmidList(BTreeSet<Vmid>);

impl<'de> Deserialize<'de> for VmidList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        Ok(Self(list(&text.0).filter_map(Vmid::parse).collect()))
    }
}

impl VmidList {
    fn has(&self, guest: &Guest) -> bool {
        self.0.contains(&guest.vmid)
    }

    fn shown(&self) -> Vec<Vmid> {
        self.0.iter().copied().take(MOST_VMIDS).collect()
    }
}

/// A storage as it is configured.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Configured {
    storage: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    disable: Flag,
    nodes: Option<Text>,
    prune_backups: Option<Value>,
}

const MOST_FINDINGS: usize = 50;
const MOST_VMIDS: usize = 100;
const COMMENT_LENGTH: usize = 120;

impl Run for ListBackupJobs {
    type Output = JobList;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::BACKUP_JOBS),
        Calls::One(&calls::cluster::RESOURCES),
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::CONFIGURED),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<JobList>> {
        let jobs: Vec<RawJob> = pve.send(&calls::cluster::BACKUP_JOBS.at([]), &Params::new())?;
        let guests = guests(pve)?;
        let mut not_visible = Vec::new();
        let storages: Option<Vec<Configured>> = visible(
            pve.send(&calls::storage::CONFIGURED.at([]), &Params::new()),
            "storages",
            &mut not_visible,
        );
        let picture = Picture {
            guests: &guests,
            nodes: &nodes(pve)?,
            // Under a scope, what is missing from a list may be outside it.
            storages: storages.as_deref().filter(|all| !all.is_empty()),
            is_scoped: pve.scope().is_some(),
        };
        let mut list = picture.list(jobs, self.vmid, not_visible);
        let text = list.text();
        let mut notes = Vec::new();
        if guests.is_empty() {
            notes.push(pve.empty_hint("VM.Audit", "/vms"));
        }
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT) as usize;
        list.shorten(limit, notes);
        Ok(Reply::Done(list, text))
    }
}

/// What the jobs are compared with.
struct Picture<'a> {
    guests: &'a [Guest],
    nodes: &'a [NodeState],
    /// Absent where the token sees none.
    storages: Option<&'a [Configured]>,
    is_scoped: bool,
}

/// `{"keep-daily": "7"}`, or the same as a text.
fn retention(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Object(fields) if !fields.is_empty() => {
            let parts: Vec<String> = fields
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => format!("{key}={text}"),
                    other => format!("{key}={other}"),
                })
                .collect();
            Some(parts.join(","))
        }
        _ => None,
    }
}

fn vmids<'a>(vmids: impl IntoIterator<Item = &'a Vmid>) -> String {
    let all: Vec<String> = vmids.into_iter().map(ToString::to_string).collect();
    text::names(all.iter().map(String::as_str))
}

impl RawJob {
    fn is_enabled(&self) -> bool {
        self.enabled.is_none_or(|flag| flag.0)
    }

    /// Proxmox looks at the pool first, then at the vmids, then at `all`.
    fn selection(&self) -> Selection {
        match (&self.pool, &self.vmid) {
            (Some(_), _) => Selection::Pool,
            (None, Some(_)) => Selection::Vmids,
            (None, None) => Selection::All,
        }
    }

    /// Whether it selects a guest, on whatever node.
    fn selects(&self, guest: &Guest) -> bool {
        match self.selection() {
            Selection::Pool => guest.pool == self.pool,
            Selection::Vmids => self.vmid.as_ref().is_some_and(|vmids| vmids.has(guest)),
            Selection::All => self.all.0 && !self.exclude.has(guest),
        }
    }

    /// Whether it backs a guest up where the guest is now.
    fn covers(&self, guest: &Guest) -> bool {
        self.selects(guest) && self.node.as_ref().is_none_or(|node| *node == guest.node)
    }
}

impl Picture<'_> {
    fn list(&self, raw: Vec<RawJob>, vmid: Option<Vmid>, not_visible: Vec<String>) -> JobList {
        let mut findings: Vec<Finding> = raw.iter().flat_map(|job| self.look_at(job)).collect();
        let is_covered =
            |guest: &Guest| raw.iter().any(|job| job.is_enabled() && job.covers(guest));
        let uncovered: Vec<Uncovered> = self
            .guests
            .iter()
            .filter(|guest| !guest.template.0 && vmid.is_none_or(|vmid| vmid == guest.vmid))
            .filter(|guest| !is_covered(guest))
            .map(|guest| Uncovered {
                vmid: guest.vmid,
                name: guest.name.clone(),
                kind: guest.kind,
                node: guest.node.clone(),
                disabled_jobs: raw
                    .iter()
                    .filter(|job| !job.is_enabled() && job.covers(guest))
                    .map(|job| job.id.0.clone())
                    .collect(),
            })
            .collect();
        if !uncovered.is_empty() {
            let evidence = vmids(uncovered.iter().map(|guest| &guest.vmid));
            findings.push(
                Finding::new(
                    Severity::High,
                    format!(
                        "no enabled backup job covers {}",
                        text::count(uncovered.len(), "guest")
                    ),
                    "add them to a job, or enable the one that names them, in the web interface \
                     under Datacenter, Backup",
                )
                .on(format!("vmids {evidence}")),
            );
        }
        order::by_key(&mut findings, |finding| finding.severity);
        let guest = vmid.and_then(|vmid| self.guests.iter().find(|guest| guest.vmid == vmid));
        let jobs: Vec<Job> = raw
            .iter()
            .filter(|job| vmid.is_none() || guest.is_some_and(|guest| job.covers(guest)))
            .map(|job| self.job(job))
            .collect();
        JobList {
            findings,
            uncovered_total: uncovered.len(),
            uncovered,
            total: jobs.len(),
            jobs,
            not_visible,
            hint: None,
        }
    }

    /// How many guests a job backs up where they are now.
    fn covered_by(&self, job: &RawJob) -> usize {
        self.guests.iter().filter(|guest| job.covers(guest)).count()
    }

    fn storage(&self, job: &RawJob) -> Option<&Configured> {
        let name = &job.storage.as_ref()?.0;
        self.storages?.iter().find(|one| one.storage == *name)
    }

    fn job(&self, raw: &RawJob) -> Job {
        let own = retention(raw.prune_backups.as_ref());
        let of_storage = self
            .storage(raw)
            .and_then(|storage| retention(storage.prune_backups.as_ref()));
        let schedule = raw.schedule.clone().or_else(|| {
            let time = raw.starttime.clone()?;
            Some(match &raw.dow {
                Some(days) => Text(format!("{days} {time}")),
                None => time,
            })
        });
        Job {
            job: raw.id.0.clone(),
            enabled: raw.is_enabled(),
            schedule: schedule.map(|schedule| schedule.0),
            next_run_at: raw
                .next_run
                .filter(|time| raw.is_enabled() && time.0 > 0)
                .map(|time| text::time(time.0)),
            storage: raw.storage.as_ref().map(|storage| storage.0.clone()),
            mode: raw.mode.clone().unwrap_or_else(|| "snapshot".to_owned()),
            retention_of_storage: own.is_none() && of_storage.is_some(),
            retention: own.or(of_storage),
            node: raw.node.clone(),
            selection: raw.selection(),
            pool: raw.pool.clone(),
            vmids: raw.vmid.as_ref().map(VmidList::shown).unwrap_or_default(),
            excluded_vmids: raw.exclude.shown(),
            guests_covered: self.covered_by(raw),
            repeat_missed: raw.repeat_missed.0,
            comment: raw
                .comment
                .as_deref()
                .and_then(|comment| text::short(comment, COMMENT_LENGTH)),
        }
    }

    /// What is wrong with a job.
    fn look_at(&self, job: &RawJob) -> Vec<Finding> {
        let mut findings = Vec::new();
        let id = &job.id.0;
        // A disabled job fails at nothing.
        let grave = |severity| {
            if job.is_enabled() {
                severity
            } else {
                Severity::Low
            }
        };
        let edit = format!("correct job {id} in the web interface under Datacenter, Backup");
        if !job.is_enabled() {
            let count = self.covered_by(job);
            findings.push(Finding::new(
                Severity::Low,
                format!(
                    "job {id} is disabled ({} would be covered)",
                    text::count(count, "guest")
                ),
                format!("enable job {id}, or remove it if it is not needed any more"),
            ));
        }
        let known: BTreeSet<Vmid> = self.guests.iter().map(|guest| guest.vmid).collect();
        let gone: Vec<Vmid> = job
            .vmid
            .iter()
            .flat_map(|vmids| vmids.0.difference(&known))
            .copied()
            .collect();
        if !gone.is_empty() && !known.is_empty() {
            findings.push(
                Finding::new(
                    grave(Severity::Medium),
                    format!(
                        "job {id} names guests that do not exist, or that this token may not see: \
                         a run with a missing guest ends in an error"
                    ),
                    format!("remove them from the job: {edit}"),
                )
                .on(format!("vmids {}", vmids(&gone))),
            );
        }
        if let Some(node) = &job.node {
            findings.extend(self.look_at_node(job, node, &edit, grave(Severity::High)));
        }
        findings.extend(self.look_at_storage(job, &edit, &grave));
        let selects_none = !self.guests.iter().any(|guest| job.selects(guest));
        if selects_none && gone.is_empty() && !known.is_empty() {
            findings.push(Finding::new(
                grave(Severity::Medium),
                match &job.pool {
                    Some(pool) => format!("job {id} backs up nothing: no guest is in pool {pool}"),
                    None => format!("job {id} backs up nothing: it selects no guest"),
                },
                edit,
            ));
        }
        findings
    }

    /// A job that is pinned to a node silently leaves out the guests that moved
    /// away.
    fn look_at_node(
        &self,
        job: &RawJob,
        node: &str,
        edit: &str,
        severity: Severity,
    ) -> Option<Finding> {
        let id = &job.id.0;
        match self.nodes.iter().find(|one| one.node == node) {
            None if !self.nodes.is_empty() => {
                return Some(Finding::new(
                    severity,
                    format!("job {id} runs on node {node}, which does not exist"),
                    edit,
                ));
            }
            Some(one) if one.is_offline() => {
                return Some(Finding::new(
                    severity.max(Severity::Medium),
                    format!("job {id} runs on node {node}, which is offline"),
                    "bring the node back, or let the job run on all nodes",
                ));
            }
            _ => {}
        }
        if job.selection() == Selection::All {
            return None;
        }
        let moved: Vec<Vmid> = self
            .guests
            .iter()
            .filter(|guest| job.selects(guest) && guest.node != node)
            .map(|guest| guest.vmid)
            .collect();
        (!moved.is_empty()).then(|| {
            Finding::new(
                severity,
                format!(
                    "job {id} backs up guests on node {node} only, and silently leaves out those \
                     of its guests that are elsewhere"
                ),
                format!("let the job run on all nodes: {edit}"),
            )
            .on(format!("vmids {}", vmids(&moved)))
        })
    }

    fn look_at_storage(
        &self,
        job: &RawJob,
        edit: &str,
        grave: &dyn Fn(Severity) -> Severity,
    ) -> Vec<Finding> {
        let (Some(name), Some(_)) = (&job.storage, self.storages) else {
            return Vec::new();
        };
        let id = &job.id.0;
        let Some(storage) = self.storage(job) else {
            if self.is_scoped {
                return Vec::new();
            }
            return vec![Finding::new(
                grave(Severity::High),
                format!(
                    "job {id} writes to storage {name}, which does not exist, or which this token \
                     may not see"
                ),
                edit,
            )];
        };
        let mut findings = Vec::new();
        if storage.disable.0 {
            findings.push(Finding::new(
                grave(Severity::High),
                format!("job {id} writes to storage {name}, which is disabled"),
                format!("enable the storage, or {edit}"),
            ));
        }
        let holds_backups = list(&storage.content).any(|content| content == "backup");
        if !storage.content.is_empty() && !holds_backups {
            findings.push(Finding::new(
                grave(Severity::High),
                format!("job {id} writes to storage {name}, which does not hold backups"),
                format!("add the content type backup to the storage, or {edit}"),
            ));
        }
        if let Some(only) = storage.nodes.as_ref().filter(|nodes| !nodes.0.is_empty()) {
            let has = |node: &str| list(&only.0).any(|one| one == node);
            let apart: Vec<Vmid> = self
                .guests
                .iter()
                .filter(|guest| job.covers(guest) && !has(&guest.node))
                .map(|guest| guest.vmid)
                .collect();
            if !apart.is_empty() {
                findings.push(
                    Finding::new(
                        grave(Severity::High),
                        format!("job {id} covers guests on nodes that storage {name} is not on"),
                        format!("add the nodes to the storage, or {edit}"),
                    )
                    .on(format!(
                        "vmids {}; the storage is on {}",
                        vmids(&apart),
                        only.0
                    )),
                );
            }
        }
        let is_kept = |value: Option<&Value>| {
            retention(value).is_some_and(|kept| !kept.contains("keep-all=1"))
        };
        // A Proxmox Backup Server prunes by its own jobs.
        if job.is_enabled()
            && storage.kind != "pbs"
            && !is_kept(job.prune_backups.as_ref())
            && !is_kept(storage.prune_backups.as_ref())
        {
            findings.push(Finding::new(
                Severity::Low,
                format!("job {id} keeps every backup: storage {name} fills up"),
                "set a retention, in the job or of the storage",
            ));
        }
        findings
    }
}

impl JobList {
    fn text(&self) -> String {
        let enabled = self.jobs.iter().filter(|job| job.enabled).count();
        format!(
            "{}, {enabled} enabled; {} without an enabled job; {}",
            text::count(self.jobs.len(), "backup job"),
            text::count(self.uncovered_total, "guest"),
            summary(&self.findings)
        )
    }

    fn shorten(&mut self, limit: usize, mut notes: Vec<String>) {
        bounds::keep(&mut self.findings, MOST_FINDINGS, "findings", &mut notes);
        bounds::keep(&mut self.uncovered, limit, "uncovered guests", &mut notes);
        bounds::keep(&mut self.jobs, limit, "jobs", &mut notes);
        self.hint = (!notes.is_empty()).then(|| notes.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn guests() -> Vec<Guest> {
        serde_json::from_value(json!([
            {"vmid": 100, "type": "qemu", "node": "alpha", "name": "web", "pool": "lab"},
            {"vmid": 101, "type": "qemu", "node": "beta"},
            {"vmid": 200, "type": "lxc", "node": "beta", "pool": "lab"},
            {"vmid": 201, "type": "lxc", "node": "alpha"},
            {"vmid": 900, "type": "qemu", "node": "alpha", "template": 1},
        ]))
        .unwrap()
    }

    fn look(jobs: Value, storages: Option<Value>) -> JobList {
        let nodes: Vec<NodeState> = serde_json::from_value(json!([
            {"node": "alpha", "status": "online"}, {"node": "beta", "status": "online"},
        ]))
        .unwrap();
        let storages: Option<Vec<Configured>> =
            storages.map(|all| serde_json::from_value(all).unwrap());
        let picture = Picture {
            guests: &guests(),
            nodes: &nodes,
            storages: storages.as_deref(),
            is_scoped: false,
        };
        picture.list(serde_json::from_value(jobs).unwrap(), None, Vec::new())
    }

    fn uncovered(list: &JobList) -> Vec<u32> {
        list.uncovered
            .iter()
            .map(|guest| guest.vmid.get())
            .collect()
    }

    fn says(list: &JobList, words: &str) -> Severity {
        list.findings
            .iter()
            .find(|one| one.finding.contains(words))
            .unwrap_or_else(|| panic!("{words}: {:#?}", list.findings))
            .severity
    }

    #[test]
    fn a_disabled_job_covers_no_guest() {
        let job = |enabled: u8| {
            json!([{"id": "nightly", "type": "vzdump", "all": 1, "exclude": "101",
                "enabled": enabled, "schedule": "daily", "next-run": 1_795_737_600,
                "storage": "nas", "prune-backups": {"keep-daily": "7", "keep-weekly": "4"}}])
        };
        let on = look(job(1), None);
        assert_eq!(uncovered(&on), [101]);
        assert_eq!(on.jobs[0].guests_covered, 4);
        assert_eq!(
            on.jobs[0].retention.as_deref(),
            Some("keep-daily=7,keep-weekly=4")
        );
        assert_eq!(
            on.jobs[0].next_run_at.as_deref(),
            Some("2026-11-27T00:00:00Z")
        );
        let off = look(job(0), None);
        assert_eq!(uncovered(&off), [100, 101, 200, 201]);
        assert_eq!(off.uncovered[0].disabled_jobs, ["nightly"]);
        assert!(off.jobs[0].next_run_at.is_none());
        says(&off, "job nightly is disabled");
        assert!(
            off.text().contains("0 enabled; 4 guests without"),
            "{}",
            off.text()
        );
    }

    #[test]
    fn jobs_that_miss_their_guests() {
        let list = look(
            json!([
                {"id": "ids", "vmid": "100,101,999", "node": "alpha", "storage": "nas"},
                {"id": "pool", "pool": "lab", "storage": "gone"},
                {"id": "one", "vmid": 201, "storage": "off", "schedule": "sat 03:15"},
                {"id": "nobody", "pool": "empty", "storage": "iso"},
                {"id": "lost", "all": 1, "node": "gamma", "storage": "local"},
            ]),
            Some(json!([
                {"storage": "nas", "type": "nfs", "content": "backup,iso", "nodes": "beta"},
                {"storage": "off", "type": "dir", "content": "backup", "disable": 1},
                {"storage": "iso", "type": "dir", "content": "iso"},
                {"storage": "local", "type": "pbs", "content": "backup"},
            ])),
        );
        assert_eq!(uncovered(&list), [101]);
        assert_eq!(
            says(&list, "job ids names guests that do not exist"),
            Severity::Medium
        );
        assert_eq!(
            says(&list, "job ids backs up guests on node alpha only"),
            Severity::High
        );
        says(&list, "nodes that storage nas is not on");
        says(&list, "storage gone, which does not exist");
        says(&list, "storage off, which is disabled");
        says(&list, "storage iso, which does not hold backups");
        says(&list, "no guest is in pool empty");
        says(&list, "node gamma, which does not exist");
        says(&list, "job ids keeps every backup");
        assert!(
            !list
                .findings
                .iter()
                .any(|one| one.finding.contains("job lost keeps"))
        );
    }

    #[test]
    fn a_cluster_without_jobs() {
        let none = look(json!([]), None);
        assert_eq!(none.uncovered_total, 4);
        assert_eq!(
            says(&none, "no enabled backup job covers 4 guests"),
            Severity::High
        );
    }
}
