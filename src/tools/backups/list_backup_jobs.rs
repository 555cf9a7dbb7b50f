//! `list_backup_jobs`: scheduled backups, and the guests that none of them
//! covers.
//!
//! Proxmox's own list of guests without a job counts disabled jobs as well, and
//! `all` jobs that are pinned to another node. So who is covered is worked out
//! here, from the jobs and the guests.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;
use schemars::JsonSchema;

use super::job::{Configured, RawJob, Selection, VmidList, configured, jobs, retention, vmids};
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order::{self, Ordered as _};
use crate::pve::{
    At, Flag, Guest, GuestType, Listed, NodeState, Num, Params, Pve, Text, Vmid, guests, nodes,
};
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Part, Reply, Run, bounds};
use crate::tools::finding::{Finding, Severity, summary, visible};
use crate::{text, tool_names};

/// Backup jobs, and the guests without one.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListBackupJobs {
    /// Only jobs that cover this guest.
    vmid: Option<Vmid>,
    /// Of jobs, and of guests without one. Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    /// Guests without a job to skip.
    offset: Option<Offset>,
}

const DEFAULT_LIMIT: u32 = 50;

#[derive(Debug, SerializeFields, JsonSchema)]
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

#[derive(Debug, SerializeFields, JsonSchema)]
struct Uncovered {
    vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    kind: GuestType,
    node: String,
    /// Disabled jobs that would cover it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disabled_jobs: Vec<String>,
    /// Enabled jobs that would cover it, but cannot write to their storage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failing_jobs: Vec<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
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

/// What a job backs up of its guests.
#[derive(Debug, Default, DeserializeFields)]
#[serde(default)]
struct RawVolumes {
    children: Vec<RawVolumesOf>,
}

#[derive(Debug, DeserializeFields)]
struct RawVolumesOf {
    /// The vmid.
    id: Num<u32>,
    #[serde(default)]
    children: Vec<RawVolume>,
}

#[derive(Debug, DeserializeFields)]
struct RawVolume {
    /// `100:scsi0`.
    id: Text,
    #[serde(default)]
    included: Flag,
    /// `not a volume` of a bind mount, which no job can back up.
    reason: Option<String>,
}

/// The volumes of guests, and whether some job backs each up.
type Volumes = BTreeMap<u32, BTreeMap<String, bool>>;

const MOST_FINDINGS: usize = 50;

/// How many jobs are named beside a guest.
const MOST_JOBS: usize = 10;
const COMMENT_LENGTH: usize = 120;

/// Of how many jobs the volumes are read.
const MOST_READ: usize = 20;

impl Run for ListBackupJobs {
    type Output = JobList;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::BACKUP_JOBS),
        Calls::One(&calls::cluster::BACKUP_VOLUMES),
        Calls::One(&calls::cluster::RESOURCES),
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::CONFIGURED),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<JobList>> {
        let jobs = jobs(pve)?;
        let guests = guests(pve)?;
        if let Some(vmid) = self.vmid
            && !guests.iter().any(|guest| guest.vmid == vmid)
        {
            Guest::find(pve, vmid)?;
        }
        let mut not_visible = Vec::new();
        let storages = visible(configured(pve), "storages", &mut not_visible);
        let mut picture = Picture {
            guests: &guests,
            nodes: &nodes(pve)?,
            storages: storages.as_deref().filter(|all| !all.is_empty()),
            sees_all_storages: false,
            is_scoped: pve.scope().is_some(),
            volumes: Volumes::new(),
        };
        // Asked for where it matters only. Under a scope, what is missing from a
        // list may be outside it.
        if !picture.is_scoped && jobs.iter().any(|job| picture.lacks_storage(job)) {
            let sees = ["Datastore.Audit", "Datastore.AllocateSpace"];
            picture.sees_all_storages = pve
                .held()
                .is_some_and(|held| held.has_any_below(&sees, "/storage"));
        }
        picture.volumes = picture.read_volumes(pve, &jobs, self.vmid, &mut not_visible);
        let mut list = picture.list(jobs, self.vmid, not_visible);
        let text = list.text();
        let mut notes = Vec::new();
        if guests.is_empty() {
            notes.push(pve.empty_hint(Listed::Guests));
        }
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let part = list.shorten(page, notes);
        Ok(Reply::Listed(list, text, part))
    }
}

/// What the jobs are compared with.
struct Picture<'a> {
    guests: &'a [Guest],
    nodes: &'a [NodeState],
    /// Absent where the token sees none.
    storages: Option<&'a [Configured]>,
    /// Whether a storage that is not among them does not exist.
    sees_all_storages: bool,
    is_scoped: bool,
    /// Those in jobs that run; empty where they cannot be read.
    volumes: Volumes,
}

impl Picture<'_> {
    fn list(&self, raw: Vec<RawJob>, vmid: Option<Vmid>, not_visible: Vec<String>) -> JobList {
        let guest = vmid.and_then(|vmid| self.guests.iter().find(|guest| guest.vmid == vmid));
        let is_asked =
            |job: &RawJob| vmid.is_none() || guest.is_some_and(|guest| job.selects(guest));
        let mut findings: Vec<Finding> = raw
            .iter()
            .filter(|job| is_asked(job))
            .flat_map(|job| self.look_at(job))
            .collect();
        let uncovered: Vec<Uncovered> = self
            .guests
            .iter()
            .filter(|guest| !guest.template.0 && vmid.is_none_or(|vmid| vmid == guest.vmid))
            .filter(|guest| !raw.iter().any(|job| self.backs_up(job, guest)))
            .map(|guest| Uncovered::new(guest, &raw))
            .collect();
        findings.extend(not_covered(&uncovered));
        findings.extend(self.look_at_volumes(vmid));
        order::by_key(&mut findings, |finding| finding.severity);
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

    /// Whether a job backs a guest up, as far as can be told before it runs.
    fn backs_up(&self, job: &RawJob, guest: &Guest) -> bool {
        job.is_enabled() && job.covers(guest) && self.can_write(job, &guest.node)
    }

    /// Whether a job can write to its storage on a node, as far as is known.
    fn can_write(&self, job: &RawJob, node: &str) -> bool {
        match self.storage(job) {
            Some(storage) => !storage.disable.0 && storage.holds_backups() && storage.is_on(node),
            None => !(self.sees_all_storages && self.lacks_storage(job)),
        }
    }

    /// Whether a job names a storage that is not among those that the token sees.
    fn lacks_storage(&self, job: &RawJob) -> bool {
        job.storage.is_some() && self.storages.is_some() && self.storage(job).is_none()
    }

    /// The volumes in the jobs that run, and whether some job backs each up. If one
    /// answer is missing, none is judged: another job may back the volume up.
    fn read_volumes(
        &self,
        pve: &Pve,
        jobs: &[RawJob],
        vmid: Option<Vmid>,
        not_visible: &mut Vec<String>,
    ) -> Volumes {
        let is_asked = |guest: &&Guest| vmid.is_none_or(|vmid| vmid == guest.vmid);
        let jobs: Vec<&RawJob> = jobs
            .iter()
            .filter(|job| {
                let mut guests = self.guests.iter().filter(is_asked);
                guests.any(|guest| self.backs_up(job, guest))
            })
            .collect();
        if jobs.len() > MOST_READ {
            not_visible.push(format!(
                "volumes in backups: there are too many jobs to check ({}); name a vmid",
                jobs.len()
            ));
            return Volumes::new();
        }
        let request = |job: &RawJob| calls::cluster::BACKUP_VOLUMES.at([&job.id.0]);
        pve.start(jobs.iter().map(|job| (request(job), Params::new())));
        let mut volumes = Volumes::new();
        for job in jobs {
            let answer = pve.send::<RawVolumes>(&request(job), &Params::new());
            let Some(read) = visible(answer, "volumes in backups", not_visible) else {
                return Volumes::new();
            };
            self.add_volumes(job, read, &mut volumes);
        }
        volumes
    }

    fn add_volumes(&self, job: &RawJob, read: RawVolumes, volumes: &mut Volumes) {
        for of in read.children {
            let guest = self.guests.iter().find(|guest| guest.vmid.get() == of.id.0);
            if !guest.is_some_and(|guest| !guest.template.0 && self.backs_up(job, guest)) {
                continue;
            }
            let known = volumes.entry(of.id.0).or_default();
            for volume in of.children {
                if volume.reason.as_deref() != Some("not a volume") {
                    *known.entry(volume.id.0).or_default() |= volume.included.0;
                }
            }
        }
    }

    /// Guests in a job of whose disks nothing, or not all, is in a backup.
    fn look_at_volumes(&self, vmid: Option<Vmid>) -> Vec<Finding> {
        let asked = self
            .volumes
            .iter()
            .filter(|(id, _)| vmid.is_none_or(|vmid| vmid.get() == **id));
        let (mut without, mut left_out) = (Vec::new(), Vec::new());
        for (id, volumes) in asked {
            let missing = volumes.iter().filter(|(_, included)| !**included);
            let missing: Vec<&str> = missing.map(|(volume, _)| volume.as_str()).collect();
            if !missing.is_empty() && missing.len() == volumes.len() {
                without.push(id.to_string());
            } else {
                left_out.extend(missing);
            }
        }
        let mut findings = Vec::new();
        let fix = "a VM's disk is left out by backup=0, and a container's mount point is in only with \
                   backup=1: change it in the guest's hardware or resources in the web interface";
        if !without.is_empty() {
            findings.push(
                Finding::new(
                    Severity::High,
                    format!(
                        "{} in a backup job without any disk in the backup",
                        text::count(without.len(), "guest")
                    ),
                    fix,
                )
                .on(format!(
                    "vmids {}",
                    text::names(without.iter().map(String::as_str))
                )),
            );
        }
        if !left_out.is_empty() {
            findings.push(
                Finding::new(
                    Severity::Low,
                    format!(
                        "{} of guests in a backup job left out of every backup",
                        text::count(left_out.len(), "disk")
                    ),
                    format!("make sure that this is intended: {fix}"),
                )
                .on(text::names(left_out)),
            );
        }
        findings
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
        let edit = format!("correct job {id} in the web interface, under Datacenter, Backup");
        let set = format!("correct job {id} with {}", tool_names::SET_BACKUP_JOB);
        if !job.is_enabled() {
            let count = self.covered_by(job);
            findings.push(Finding::new(
                Severity::Low,
                format!(
                    "job {id} is disabled ({} would be covered)",
                    text::count(count, "guest")
                ),
                format!(
                    "enable it with {} (job: {id}, enabled: true), or remove it in the web interface \
                     if it is not needed any more",
                    tool_names::SET_BACKUP_JOB
                ),
            ));
        }
        let known: BTreeSet<Vmid> = self.guests.iter().map(|guest| guest.vmid).ordered();
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
                    format!(
                        "name the other guests in vmids of {} for job {id}, without these",
                        tool_names::SET_BACKUP_JOB
                    ),
                )
                .on(format!("vmids {}", vmids(&gone))),
            );
        }
        if let Some(node) = &job.node {
            findings.extend(self.look_at_node(job, node, &edit, grave(Severity::High)));
        }
        findings.extend(self.look_at_storage(job, &set, &grave));
        let selects_none = !self.guests.iter().any(|guest| job.selects(guest));
        if selects_none && gone.is_empty() && !known.is_empty() {
            findings.push(Finding::new(
                grave(Severity::Medium),
                match &job.pool {
                    Some(pool) => format!("job {id} backs up nothing: no guest is in pool {pool}"),
                    None => format!("job {id} backs up nothing: it selects no guest"),
                },
                set,
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
        if !storage.holds_backups() {
            findings.push(Finding::new(
                grave(Severity::High),
                format!("job {id} writes to storage {name}, which does not hold backups"),
                format!("add the content type backup to the storage, or {edit}"),
            ));
        }
        if let Some(only) = storage.nodes.as_ref().filter(|nodes| !nodes.0.is_empty()) {
            let apart: Vec<Vmid> = self
                .guests
                .iter()
                .filter(|guest| job.covers(guest) && !storage.is_on(&guest.node))
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
        findings.extend(look_at_retention(job, storage));
        findings
    }
}

/// Whether a job keeps every backup: its own retention decides, and without one,
/// that of its storage. What vzdump.conf says on each node comes last.
fn look_at_retention(job: &RawJob, storage: &Configured) -> Option<Finding> {
    let (id, name) = (&job.id.0, &storage.storage);
    // A Proxmox Backup Server prunes by its own jobs.
    if !job.is_enabled() || storage.kind == "pbs" {
        return None;
    }
    let own = retention(job.prune_backups.as_ref());
    let kept = own.or_else(|| retention(storage.prune_backups.as_ref()));
    let finding = match kept {
        None => format!(
            "neither job {id} nor storage {name} limits how many backups are kept: unless \
             vzdump.conf on the nodes does, the storage fills up"
        ),
        Some(kept) if kept.contains("keep-all=1") => {
            format!("job {id} keeps every backup: storage {name} fills up")
        }
        Some(_) => return None,
    };
    Some(Finding::new(
        Severity::Low,
        finding,
        "set a retention, in the job or of the storage",
    ))
}

/// The finding about guests that no job backs up.
fn not_covered(uncovered: &[Uncovered]) -> Option<Finding> {
    let evidence = vmids(uncovered.iter().map(|guest| &guest.vmid));
    (!uncovered.is_empty()).then(|| {
        Finding::new(
            Severity::High,
            format!(
                "no enabled backup job covers {}",
                text::count(uncovered.len(), "guest")
            ),
            format!(
                "add them to a job, or enable or correct the one that names them: {}",
                tool_names::SET_BACKUP_JOB
            ),
        )
        .on(format!("vmids {evidence}"))
    })
}

impl Uncovered {
    /// A guest that none of the jobs backs up.
    fn new(guest: &Guest, jobs: &[RawJob]) -> Self {
        let would_cover = |is_enabled: bool| -> Vec<String> {
            jobs.iter()
                .filter(|job| job.is_enabled() == is_enabled && job.covers(guest))
                .map(|job| job.id.0.clone())
                .take(MOST_JOBS)
                .collect()
        };
        Self {
            vmid: guest.vmid,
            name: guest.name.clone(),
            kind: guest.kind,
            node: guest.node.clone(),
            disabled_jobs: would_cover(false),
            failing_jobs: would_cover(true),
        }
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

    /// `offset` applies to the guests without a job, which are more by far in a large
    /// cluster.
    fn shorten(&mut self, page: Page, mut notes: Vec<String>) -> Part {
        bounds::keep(&mut self.findings, MOST_FINDINGS, "findings", &mut notes);
        let part = page.cut(&mut self.uncovered, "/uncovered", "vmid");
        let part = part.named("guests without a job");
        notes.extend(part.note());
        bounds::keep(&mut self.jobs, page.limit, "jobs", &mut notes);
        self.hint = (!notes.is_empty()).then(|| notes.join("; "));
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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
            sees_all_storages: true,
            is_scoped: false,
            volumes: Volumes::new(),
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
        // Only a job without an obstacle covers: not one that writes to a storage
        // that is missing, disabled, of other content or on other nodes.
        assert_eq!(uncovered(&list), [100, 101, 200, 201]);
        assert_eq!(list.uncovered[0].failing_jobs, ["ids", "pool"]);
        assert_eq!(list.uncovered[3].failing_jobs, ["one"]);
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
        says(&list, "neither job ids nor storage nas limits");
        assert!(
            !list
                .findings
                .iter()
                .any(|one| one.finding.contains("job lost keeps"))
        );
    }

    #[test]
    fn the_retention_of_the_job_comes_first() {
        let of = |job: Value, storage: Value| {
            let job: RawJob = serde_json::from_value(
                json!({"id": "a", "all": 1, "storage": "nas", "prune-backups": job}),
            )
            .unwrap();
            let storage: Configured = serde_json::from_value(
                json!({"storage": "nas", "type": "dir", "prune-backups": storage}),
            )
            .unwrap();
            look_at_retention(&job, &storage).map(|one| one.finding)
        };
        let all = json!({"keep-all": "1"});
        let some = json!("keep-last=3");
        assert!(
            of(all.clone(), some.clone())
                .unwrap()
                .contains("keeps every")
        );
        assert!(
            of(Value::Null, all.clone())
                .unwrap()
                .contains("keeps every")
        );
        assert!(
            of(Value::Null, Value::Null)
                .unwrap()
                .contains("vzdump.conf")
        );
        assert_eq!(of(some.clone(), all), None);
        assert_eq!(of(Value::Null, some), None);
    }

    #[test]
    fn disks_that_no_backup_has() {
        let jobs: Vec<RawJob> = serde_json::from_value(json!([
            {"id": "a", "all": 1}, {"id": "b", "vmid": "101"}, {"id": "off", "all": 1, "enabled": 0},
        ]))
        .unwrap();
        let mut picture = Picture {
            guests: &guests(),
            nodes: &[],
            storages: None,
            sees_all_storages: false,
            is_scoped: false,
            volumes: Volumes::new(),
        };
        let volume = |id: &str, included: u8, reason: &str| {
            json!({"id": id, "included": included,
            "reason": reason, "name": "x", "leaf": 1})
        };
        let a = json!({"children": [
            {"id": 100, "type": "qemu", "children": [volume("100:scsi0", 0, "backup=no")]},
            {"id": 101, "type": "qemu", "children": [volume("101:scsi0", 0, "backup=no")]},
            {"id": 200, "type": "lxc", "children": [volume("200:rootfs", 1, "rootfs"),
                volume("200:mp0", 0, "disabled"), volume("200:mp1", 0, "not a volume")]},
            {"id": 201, "type": "lxc", "children": []},
            {"id": 900, "type": "qemu", "children": [volume("900:scsi0", 0, "backup=no")]},
        ]});
        let b = json!({"children": [
            {"id": 101, "type": "qemu", "children": [volume("101:scsi0", 1, "backup=yes")]}]});
        let mut volumes = Volumes::new();
        for (job, read) in jobs.iter().zip([a, b]) {
            picture.add_volumes(job, serde_json::from_value(read).unwrap(), &mut volumes);
        }
        picture.volumes = volumes;
        let found = picture.look_at_volumes(None);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert_eq!(found[0].severity, Severity::High);
        assert_eq!(found[0].evidence.as_deref(), Some("vmids 100"));
        assert_eq!(found[1].evidence.as_deref(), Some("200:mp0"));
        assert!(picture.look_at_volumes(Vmid::parse("101")).is_empty());
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
