//! `set_backup_job`: adds a backup job, or changes one.
//!
//! At each run, a job deletes what its retention does not keep of the guests that
//! it selects, whatever has made those backups; without a retention of its own, that
//! of the storage or the node applies. So a new job, another guest, storage or
//! schedule, and a job that is enabled again could each delete backups. All of
//! these are sent with `keep-all=1`, and the policy lets nothing else through. The
//! retention of another job counts the new backups too, so a new job needs a storage
//! where no other one deletes backups of the same guests.

use std::collections::BTreeSet;

use pve_api::{Grammar, calls};
use schemars::JsonSchema;

use super::create_backup::Mode;
use super::job::{
    Configured, RawJob, Selection, VmidList, configured, is_kept, jobs, retention, vmids,
};
use crate::clock;
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order::Ordered as _;
use crate::pve::{At, Failure, Flag, Format, Guest, Params, Pve, Text, Vmid, guests};
use crate::tool::declared::Calls;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// A job that is added or changed.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetBackupJob {
    /// Job to change. Default: a new one.
    #[schemars(length(min = 1))]
    job: Option<String>,
    /// Guests to add to it.
    add_vmids: Option<Vec<Vmid>>,
    /// All its guests, instead of those before.
    vmids: Option<Vec<Vmid>>,
    /// True: all guests, also future ones.
    all: Option<bool>,
    /// Guests of this pool.
    pool: Option<String>,
    /// Where the backups go.
    storage: Option<String>,
    /// At most once an hour: daily, mon..fri 02:30.
    #[schemars(length(min = 1, max = 128))]
    schedule: Option<String>,
    /// Default snapshot; the others interrupt guests.
    mode: Option<Mode>,
    /// Default of a new job: true.
    enabled: Option<bool>,
    /// One line.
    #[schemars(length(max = 512))]
    comment: Option<String>,
    /// True: switch off a retention that could delete more because of the change.
    keep_all: Option<bool>,
    /// True: guests may be left without a job.
    accept_fewer_guests: Option<bool>,
}

impl Run for SetBackupJob {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::ADD_BACKUP_JOB),
        Calls::One(&calls::cluster::BACKUP_JOBS),
        Calls::One(&calls::cluster::RESOURCES),
        Calls::One(&calls::cluster::SET_BACKUP_JOB),
        Calls::One(&calls::storage::CONFIGURED),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        self.check()?;
        let all = jobs(pve)?;
        let guests = guests(pve)?;
        self.check_guests(pve, &guests)?;
        let storages = configured(pve).unwrap_or_default();
        let picture = Picture {
            jobs: &all,
            guests: &guests,
            storages: &storages,
            are_all_guests: pve.sees_all_guests(),
        };
        let report = match &self.job {
            None => self.add(pve, &picture)?,
            Some(id) => {
                let old = all.iter().find(|job| job.id.0 == *id).ok_or_else(|| {
                    let ids = all.iter().map(|job| job.id.0.as_str());
                    Error::NotFound(format!(
                        "there is no backup job {}; the jobs are: {}; leave job out for a new one",
                        text::quoted(id),
                        text::names(ids)
                    ))
                })?;
                self.change(pve, &picture, old)?
            }
        };
        Ok(Reply::report(report))
    }
}

/// What a job is compared with.
struct Picture<'a> {
    jobs: &'a [RawJob],
    guests: &'a [Guest],
    /// Empty if the token sees none.
    storages: &'a [Configured],
    /// Whether the token sees every guest.
    are_all_guests: bool,
}

/// A change of a job.
struct Draft {
    form: Params,
    report: Report,
    /// Whether it could make Proxmox delete backups that it keeps now.
    may_delete: bool,
}

impl SetBackupJob {
    fn check(&self) -> Result<()> {
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        if let Some(schedule) = &self.schedule
            && !Grammar::Schedule.fits(schedule.trim())
        {
            return Err(Error::argument(
                "schedule",
                format!(
                    "must be {}, not {}",
                    Grammar::Schedule.wanted(),
                    text::quoted(schedule)
                ),
            ));
        }
        let given = [
            self.add_vmids.is_some(),
            self.vmids.is_some(),
            self.all.is_some(),
            self.pool.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            return Err(Error::argument(
                "vmids",
                "only one of add_vmids, vmids, all and pool selects the guests",
            ));
        }
        if self.all == Some(false) {
            return Err(Error::argument(
                "all",
                "must be true or left out: name the guests in vmids instead",
            ));
        }
        for (name, list) in [("add_vmids", &self.add_vmids), ("vmids", &self.vmids)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return Err(Error::argument(name, "must name a guest"));
            }
        }
        if self.job.is_some() {
            return Ok(());
        }
        if !given.contains(&true) {
            return Err(Error::argument(
                "vmids",
                "is missing: a new job needs its guests, by vmids, all or pool",
            ));
        }
        for (name, is_missing) in [
            ("storage", self.storage.is_none()),
            ("schedule", self.schedule.is_none()),
        ] {
            if is_missing {
                return Err(Error::argument(
                    name,
                    "is missing: a new job needs a storage and a schedule",
                ));
            }
        }
        Ok(())
    }

    /// Proxmox takes guests that do not exist, and each run then ends in an error.
    fn check_guests(&self, pve: &Pve, guests: &[Guest]) -> Result<()> {
        for vmid in self.vmids.iter().chain(&self.add_vmids).flatten() {
            if !guests.iter().any(|guest| guest.vmid == *vmid) {
                return Err(Error::NotFound(format!(
                    "there is no guest {vmid}, or {}",
                    pve.unseen(Some(*vmid))
                )));
            }
        }
        Ok(())
    }

    fn add(&self, pve: &Pve, picture: &Picture<'_>) -> Result<Report> {
        let id = picture.free_id();
        let mode = self.mode.unwrap_or_default();
        let mut new = RawJob::new(&id);
        self.apply(&mut new)?;
        picture.check_storage(&new)?;
        picture.check_others(&new)?;
        let form = Params::new()
            .set("id", &id)
            .opt("schedule", new.schedule_text())
            .opt("storage", self.storage.as_deref())
            .set("mode", mode.as_str())
            .set("prune-backups", KEEP_ALL)
            .set("compress", "zstd")
            .set("notes-template", "{{guestname}}")
            .opt_flag("enabled", self.enabled)
            .opt("comment", self.comment.as_deref());
        let form = match new.selection() {
            Selection::Vmids => form.opt("vmid", list(&new)),
            Selection::Pool => form.opt("pool", self.pool.as_deref()),
            Selection::All => form.flag("all", true),
        };
        pve.send::<Option<()>>(&calls::cluster::ADD_BACKUP_JOB.at([]), &form)?;
        let covered = picture.guests.iter().filter(|guest| new.selects(guest));
        let report = Report::done(format!(
            "add backup job {id} for {} to {}",
            text::count(covered.count(), "guest"),
            new.storage_name()
        ));
        Ok(self.noted(read_back(pve, report, &new), picture, &new))
    }

    fn change(&self, pve: &Pve, picture: &Picture<'_>, old: &RawJob) -> Result<Report> {
        let id = &old.id.0;
        let mut new = old.clone();
        self.apply(&mut new)?;
        let selects = |job: &RawJob| -> Vec<Vmid> {
            let guests = picture.guests.iter().filter(|guest| job.selects(guest));
            guests.map(|guest| guest.vmid).collect()
        };
        let Draft {
            mut form,
            mut report,
            may_delete,
        } = self.draft(picture, old, &new)?;
        let kept = retention(old.prune_backups.as_ref());
        let is_kept = kept.as_deref() == Some(KEEP_ALL);
        if may_delete || self.keep_all == Some(true) && !is_kept {
            picture.check_retention(old, self.keep_all)?;
            if may_delete && new.is_enabled() {
                picture.check_others(&new)?;
            }
            form = form.set("prune-backups", KEEP_ALL);
            if !is_kept {
                report = report.change("retention", kept, Some(KEEP_ALL));
            }
        }
        if form.is_empty() {
            return Ok(Report::unchanged(format!("change backup job {id}")));
        }
        picture.check_coverage(old, &new, self.accept_fewer_guests)?;
        let (before, after) = (selects(old), selects(&new));
        match pve.send::<Option<()>>(&calls::cluster::SET_BACKUP_JOB.at([id]), &form) {
            Err(failure @ Failure::Refused(_)) => return Err(only_new(failure)),
            sent => sent?,
        };
        if before != after {
            report.action.push_str(&format!(
                ": {} instead of {}",
                text::count(after.len(), "guest"),
                before.len()
            ));
        }
        Ok(self.noted(read_back(pve, report, &new), picture, &new))
    }

    /// What differs between a job as it is and as it is to be, but for its retention.
    fn draft(&self, picture: &Picture<'_>, old: &RawJob, new: &RawJob) -> Result<Draft> {
        let mut report = Report::done(format!("change backup job {}", old.id.0));
        let mut form = Params::new();
        let mut may_delete = false;
        if old.schedule_text() != new.schedule_text() {
            form = form.opt("schedule", new.schedule_text());
            report = report.change("schedule", old.schedule_text(), new.schedule_text());
            may_delete = true;
        }
        if old.storage != new.storage {
            picture.check_storage(new)?;
            form = form.opt("storage", self.storage.as_deref());
            report = report.change(
                "storage",
                Some(old.storage_name()),
                Some(new.storage_name()),
            );
            may_delete = true;
        }
        if old.mode() != new.mode() {
            form = form.set("mode", new.mode());
            report = report.change("mode", Some(old.mode()), Some(new.mode()));
        }
        if old.is_enabled() != new.is_enabled() {
            form = form.flag("enabled", new.is_enabled());
            let word = |job: &RawJob| Some(job.is_enabled().to_string());
            report = report.change("enabled", word(old), word(new));
            may_delete |= new.is_enabled();
        }
        if old.comment != new.comment {
            form = form.opt("comment", new.comment.as_deref());
            report = report.change("comment", old.comment.as_deref(), new.comment.as_deref());
        }
        if old.described() != new.described() {
            form = match new.selection() {
                Selection::Vmids => form.opt("vmid", list(new)),
                Selection::Pool => form.opt("pool", new.pool.as_deref()),
                Selection::All if new.exclude.0.is_empty() && old.all.0 => {
                    form.set("delete", "exclude")
                }
                Selection::All if old.all.0 => form.set("exclude", comma(&new.exclude.0)),
                Selection::All => form.flag("all", true),
            };
            report = report.change("guests", Some(old.described()), Some(new.described()));
            may_delete = true;
        }
        Ok(Draft {
            form,
            report,
            may_delete,
        })
    }

    /// Makes the changes in a job.
    fn apply(&self, job: &mut RawJob) -> Result<()> {
        if let Some(schedule) = &self.schedule {
            job.schedule = Some(Text(schedule.trim().to_owned()));
        }
        if let Some(storage) = &self.storage {
            job.storage = Some(Text(storage.clone()));
        }
        if let Some(mode) = self.mode {
            job.mode = Some(mode.as_str().to_owned());
        }
        if let Some(enabled) = self.enabled {
            job.enabled = Some(Flag(enabled));
        }
        if let Some(comment) = &self.comment {
            job.comment = Some(comment.clone());
        }
        if let Some(vmids) = &self.vmids {
            job.select_vmids(vmids.iter().copied().ordered());
        } else if let Some(pool) = &self.pool {
            job.select_vmids(BTreeSet::new());
            job.vmid = None;
            job.pool = Some(pool.clone());
        } else if self.all == Some(true) {
            job.vmid = None;
            job.pool = None;
            job.exclude = VmidList::default();
            job.all = Flag(true);
        } else if let Some(more) = &self.add_vmids {
            match job.selection() {
                Selection::Vmids => {
                    let mut vmids = job.vmid.take().unwrap_or_default().0;
                    vmids.extend(more);
                    job.select_vmids(vmids);
                }
                Selection::All if job.all.0 => {
                    for vmid in more {
                        job.exclude.0.remove(vmid);
                    }
                }
                Selection::All => job.select_vmids(more.iter().copied().ordered()),
                Selection::Pool => {
                    return Err(Error::Conflict(format!(
                        "job {} backs up the guests of pool {}: add the guests to that pool in the \
                         web interface, or leave job out for a job of their own",
                        job.id.0,
                        job.pool.as_deref().unwrap_or_default()
                    )));
                }
            }
        }
        Ok(())
    }

    /// What there is to know about the job.
    fn noted(&self, report: Report, picture: &Picture<'_>, job: &RawJob) -> Report {
        let mut report = report.next(format!(
            "{} shows when it runs next, and which guests no job covers",
            tool_names::LIST_BACKUP_JOBS
        ));
        let elsewhere: Vec<Vmid> = picture
            .guests
            .iter()
            .filter(|guest| job.selects(guest) && !job.covers(guest))
            .map(|guest| guest.vmid)
            .collect();
        if let Some(node) = job.node.as_ref().filter(|_| !elsewhere.is_empty()) {
            report = report.warn(format!(
                "the job runs on node {node} only, and leaves out guests that are elsewhere: {}",
                vmids(&elsewhere)
            ));
        }
        if !picture.guests.iter().any(|guest| job.covers(guest)) {
            report = report.warn("the job covers no guest, so it backs up nothing");
        }
        let apart: Vec<Vmid> = picture
            .storage(job)
            .map(|storage| picture.apart(job, storage))
            .unwrap_or_default();
        if !apart.is_empty() {
            report = report.warn(format!(
                "storage {} is not on the nodes of these guests, whose backups will fail: {}; choose \
                 another storage, or add their nodes to it",
                job.storage_name(),
                vmids(&apart)
            ));
        }
        if !job.is_enabled() {
            report = report.warn("the job is disabled, so it backs up nothing");
        } else if self.job.is_none() || self.keep_all == Some(true) {
            report = report.warn(format!(
                "the job keeps every backup, so storage {} will eventually fill up: set a retention in \
                 the web interface, under Datacenter, Backup",
                job.storage_name()
            ));
        }
        report
    }
}

/// A host that lets jobs be added may still refuse to change one.
fn only_new(failure: Failure) -> Error {
    let message = Error::from(failure).message();
    Error::Denied(format!(
        "{message}; where this server may add jobs, leave job out for a new one, or change this \
         one in the web interface, under Datacenter, Backup"
    ))
}

const KEEP_ALL: &str = "keep-all=1";

/// A job that runs next after this time leaves its guests without new backups.
const LONGEST_PAUSE_DAYS: u64 = 31;

/// Reads the job again, and warns where it is not as it was to be.
fn read_back(pve: &Pve, report: Report, wanted: &RawJob) -> Report {
    let id = &wanted.id.0;
    let Ok(all) = jobs(pve) else {
        return report;
    };
    let Some(now) = all.iter().find(|job| job.id.0 == *id) else {
        return report.warn(format!(
            "Proxmox accepted the change, but lists no job {id}"
        ));
    };
    let differing = wanted.differing(now);
    let mut report = report;
    if !differing.is_empty() {
        report = report.warn(format!(
            "Proxmox accepted the change, but the job is not as requested: {}",
            differing.join("; ")
        ));
    }
    if let Some(next) = now.next_run.map(|time| time.0)
        && now.is_enabled()
        && next > clock::now().saturating_add(LONGEST_PAUSE_DAYS * clock::DAY)
    {
        report = report.warn(format!(
            "the job runs next at {}, more than {LONGEST_PAUSE_DAYS} days from now",
            text::time(next)
        ));
    }
    report
}

/// Whether a schedule has pauses of more than a month: it names a year, a month, or a period
/// that is longer.
fn is_rare(schedule: &str) -> bool {
    let is_date = |word: &str| {
        let mut parts: Vec<&str> = word.split('-').collect();
        // The last part is the day.
        parts.pop().is_some() && parts.iter().any(|part| *part != "*")
    };
    const LONG: &[&str] = &[
        "yearly",
        "annually",
        "quarterly",
        "semiannually",
        "semi-annually",
    ];
    schedule.split_whitespace().any(|word| {
        let word = word.to_ascii_lowercase();
        LONG.contains(&word.as_str()) || word.contains('-') && is_date(&word)
    })
}

/// The vmids that a job names.
fn list(job: &RawJob) -> Option<String> {
    Some(comma(&job.vmid.as_ref()?.0))
}

fn comma(vmids: &BTreeSet<Vmid>) -> String {
    let all: Vec<String> = vmids.iter().map(ToString::to_string).collect();
    all.join(",")
}

impl Picture<'_> {
    /// An id that no job has.
    fn free_id(&self) -> String {
        let mut number = clock::now();
        loop {
            let id = format!("backup-{number:x}");
            if !self.jobs.iter().any(|job| job.id.0 == id) {
                return id;
            }
            number += 1;
        }
    }

    fn storage(&self, job: &RawJob) -> Option<&Configured> {
        let name = &job.storage.as_ref()?.0;
        self.storages.iter().find(|one| one.storage == *name)
    }

    /// The guests that a job covers on nodes that a storage is not on.
    fn apart(&self, job: &RawJob, storage: &Configured) -> Vec<Vmid> {
        self.guests
            .iter()
            .filter(|guest| job.covers(guest) && !storage.is_on(&guest.node))
            .map(|guest| guest.vmid)
            .collect()
    }

    /// What a job keeps, if it deletes anything: by its own retention, or else by
    /// that of its storage.
    fn pruned_to(&self, job: &RawJob) -> Option<String> {
        let own = job.prune_backups.as_ref();
        let of_storage = || self.storage(job)?.prune_backups.as_ref();
        let value = own.or_else(of_storage);
        retention(value).filter(|_| !is_kept(value))
    }

    fn check_storage(&self, job: &RawJob) -> Result<()> {
        let name = job.storage_name();
        if self.storages.is_empty() {
            return Ok(());
        }
        let Some(storage) = self.storage(job) else {
            let able = self.storages.iter().filter(|one| one.holds_backups());
            return Err(Error::NotFound(format!(
                "there is no storage {}, or this token may not see it; backups can go to: {}",
                text::quoted(name),
                text::names(able.map(|one| one.storage.as_str()))
            )));
        };
        if !storage.holds_backups() {
            return Err(Error::Conflict(format!(
                "storage {name} does not hold backups: {} shows which do",
                tool_names::LIST_STORAGE
            )));
        }
        if storage.disable.0 {
            return Err(Error::Conflict(format!("storage {name} is disabled")));
        }
        Ok(())
    }

    /// Refuses a change of a job that deletes backups, unless its retention may be
    /// switched off.
    fn check_retention(&self, old: &RawJob, keep_all: Option<bool>) -> Result<()> {
        let is_hidden =
            retention(old.prune_backups.as_ref()).is_none() && self.storage(old).is_none();
        if is_hidden && keep_all != Some(true) {
            return Err(Error::Conflict(format!(
                "the retention of storage {}, by which job {} deletes backups, is not visible (it \
                 needs Datastore.Audit on /storage/{}), so this change could make it delete existing \
                 backups: set keep_all to keep them all, or leave job out to make another job",
                old.storage_name(),
                old.id.0,
                old.storage_name()
            )));
        }
        let Some(kept) = self.pruned_to(old).filter(|_| keep_all != Some(true)) else {
            return Ok(());
        };
        Err(Error::Conflict(format!(
            "job {} keeps only {kept} of each of its guests, so this change could make it delete \
             existing backups, which this server never does: leave job out to make another job for \
             these guests, which keeps all backups, or set keep_all to switch the job's retention \
             off with the change",
            old.id.0
        )))
    }

    /// Refuses a job that writes where another one deletes backups of the same
    /// guests: the new backups would take the place of older ones.
    fn check_others(&self, new: &RawJob) -> Result<()> {
        for other in self.jobs {
            if other.id.0 == new.id.0 || !other.is_enabled() || other.storage != new.storage {
                continue;
            }
            let Some(kept) = self.pruned_to(other) else {
                continue;
            };
            let both: Vec<Vmid> = self
                .guests
                .iter()
                .filter(|guest| other.selects(guest) && new.selects(guest))
                .map(|guest| guest.vmid)
                .collect();
            if !both.is_empty() {
                return Err(Error::Conflict(format!(
                    "job {} also backs up {} to {} and keeps only {kept} there: it would count the \
                     new backups and delete older ones sooner; choose another storage, or leave \
                     out these guests, which have a job",
                    other.id.0,
                    vmids(&both),
                    new.storage_name()
                )));
            }
        }
        Ok(())
    }

    /// Refuses a change that leaves guests without an enabled job, unless that was
    /// accepted.
    fn check_coverage(&self, old: &RawJob, new: &RawJob, accepted: Option<bool>) -> Result<()> {
        if accepted == Some(true) {
            return Ok(());
        }
        let by_others = |guest: &Guest| {
            let mut others = self.jobs.iter().filter(|job| job.id.0 != old.id.0);
            others.any(|job| job.protects() && job.covers(guest))
        };
        let lost: Vec<Vmid> = self
            .guests
            .iter()
            .filter(|guest| old.protects() && old.covers(guest))
            .filter(|guest| !(by_others(guest) || new.protects() && new.covers(guest)))
            .map(|guest| guest.vmid)
            .collect();
        if old.protects() && new.is_enabled() && new.is_rare() && !lost.is_empty() {
            return Err(Error::Conflict(format!(
                "with the schedule {}, more than {LONGEST_PAUSE_DAYS} days can pass without a backup \
                 of {}: {}; set accept_fewer_guests if that is intended",
                text::quoted(new.schedule_text().unwrap_or_default()),
                text::count(lost.len(), "guest"),
                vmids(&lost)
            )));
        }
        let hidden = self.hidden_losses(old, new);
        if !hidden.is_empty() {
            return Err(Error::Conflict(format!(
                "the job would no longer cover guests that do not exist, or that this token may not \
                 see: {}; set accept_fewer_guests if that is intended",
                vmids(&hidden)
            )));
        }
        if lost.is_empty() && self.may_lose_hidden(old, new) {
            return Err(Error::Conflict(
                "the job may cover guests that this token does not see, and would no longer cover \
                 them: set accept_fewer_guests if that is intended"
                    .into(),
            ));
        }
        if lost.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "no enabled job would cover {} any more: {}; set accept_fewer_guests if that is intended",
            text::count(lost.len(), "guest"),
            vmids(&lost)
        )))
    }
}

impl Picture<'_> {
    /// Whether a job of all guests, or of a pool, would select fewer of them, where the
    /// token may not see them all.
    fn may_lose_hidden(&self, old: &RawJob, new: &RawJob) -> bool {
        if self.are_all_guests || !old.protects() {
            return false;
        }
        if !new.protects() {
            return old.selection() != Selection::Vmids;
        }
        let excludes_more = || {
            new.exclude
                .0
                .iter()
                .any(|vmid| !old.exclude.0.contains(vmid))
        };
        match (old.selection(), new.selection()) {
            (Selection::Vmids, _) => false,
            (Selection::All, Selection::All) => !new.all.0 && old.all.0 || excludes_more(),
            (Selection::Pool, Selection::Pool) => old.pool != new.pool,
            (Selection::Pool, Selection::All) => !new.all.0 || excludes_more(),
            _ => true,
        }
    }

    /// The guests that a job named, that it would no longer cover, and that the token does not
    /// see: they may exist.
    fn hidden_losses(&self, old: &RawJob, new: &RawJob) -> Vec<Vmid> {
        let (Some(before), Selection::Vmids) = (&old.vmid, old.selection()) else {
            return Vec::new();
        };
        if self.are_all_guests || !old.protects() {
            return Vec::new();
        }
        let is_seen = |vmid: Vmid| self.guests.iter().any(|guest| guest.vmid == vmid);
        let stays = |vmid: &Vmid| match new.selection() {
            _ if !new.protects() => false,
            Selection::Vmids => new.vmid.as_ref().is_some_and(|list| list.0.contains(vmid)),
            Selection::All => new.all.0 && !new.exclude.0.contains(vmid),
            Selection::Pool => false,
        };
        before
            .0
            .iter()
            .filter(|vmid| !is_seen(**vmid) && !stays(vmid))
            .copied()
            .collect()
    }
}

impl RawJob {
    /// Whether it backs up its guests at least every month.
    fn protects(&self) -> bool {
        self.is_enabled() && !self.is_rare()
    }

    /// Whether it may not run for more than a month.
    fn is_rare(&self) -> bool {
        self.schedule_text().is_some_and(is_rare)
    }

    /// What another reading of the job has otherwise.
    fn differing(&self, now: &Self) -> Vec<String> {
        let mut differing = Vec::new();
        for (what, wanted, is) in [
            ("schedule", self.schedule_text(), now.schedule_text()),
            (
                "storage",
                Some(self.storage_name()),
                Some(now.storage_name()),
            ),
            ("mode", Some(self.mode()), Some(now.mode())),
            (
                "guests",
                Some(self.described().as_str()),
                Some(now.described().as_str()),
            ),
        ] {
            if wanted != is {
                let word = |text: Option<&str>| text.unwrap_or("none").to_owned();
                differing.push(format!("{what}: {} instead of {}", word(is), word(wanted)));
            }
        }
        if self.is_enabled() != now.is_enabled() {
            let word = if now.is_enabled() {
                "enabled"
            } else {
                "disabled"
            };
            differing.push(format!("it is {word}"));
        }
        differing
    }

    fn new(id: &str) -> Self {
        Self {
            id: Text(id.to_owned()),
            enabled: None,
            schedule: None,
            next_run: None,
            storage: None,
            mode: None,
            node: None,
            all: Flag(false),
            vmid: None,
            exclude: VmidList::default(),
            pool: None,
            prune_backups: None,
            repeat_missed: Flag(false),
            comment: None,
            starttime: None,
            dow: None,
        }
    }

    fn select_vmids(&mut self, vmids: BTreeSet<Vmid>) {
        self.all = Flag(false);
        self.pool = None;
        self.exclude = VmidList::default();
        self.vmid = Some(VmidList(vmids));
    }

    fn mode(&self) -> &str {
        self.mode.as_deref().unwrap_or("snapshot")
    }

    fn schedule_text(&self) -> Option<&str> {
        self.schedule.as_ref().map(|schedule| schedule.0.as_str())
    }

    fn storage_name(&self) -> &str {
        self.storage
            .as_ref()
            .map_or("local", |storage| storage.0.as_str())
    }

    /// The guests that it selects, in words.
    fn described(&self) -> String {
        match (self.selection(), &self.pool, &self.vmid) {
            (Selection::Pool, Some(pool), _) => format!("pool {pool}"),
            (Selection::Vmids, _, Some(list)) => vmids(&list.0),
            _ if self.exclude.0.is_empty() => "all".to_owned(),
            _ => format!("all but {}", vmids(&self.exclude.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn picture<T>(
        jobs: Value,
        storages: Value,
        then: impl FnOnce(&Picture<'_>, &[RawJob]) -> T,
    ) -> T {
        let jobs: Vec<RawJob> = serde_json::from_value(jobs).unwrap();
        let storages: Vec<Configured> = serde_json::from_value(storages).unwrap();
        let guests: Vec<Guest> = serde_json::from_value(json!([
            {"vmid": 100, "type": "qemu", "node": "alpha", "pool": "lab"},
            {"vmid": 101, "type": "qemu", "node": "alpha"},
            {"vmid": 200, "type": "lxc", "node": "beta"},
        ]))
        .unwrap();
        let picture = Picture {
            jobs: &jobs,
            guests: &guests,
            storages: &storages,
            are_all_guests: false,
        };
        then(&picture, &jobs)
    }

    fn changed(old: &RawJob, arguments: Value) -> RawJob {
        let tool: SetBackupJob = serde_json::from_value(arguments).unwrap();
        let mut new = old.clone();
        tool.apply(&mut new).unwrap();
        new
    }

    #[test]
    fn guests_that_lose_their_only_job_are_named() {
        let jobs = json!([
            {"id": "nightly", "vmid": "100,101,200", "storage": "nas"},
            {"id": "lab", "pool": "lab", "storage": "nas"},
        ]);
        picture(jobs, json!([]), |picture, jobs| {
            let [nightly, _] = jobs else { panic!() };
            let lost = |arguments: Value, accepted| {
                let new = changed(nightly, arguments);
                let checked = picture.check_coverage(nightly, &new, accepted);
                checked.err().map(|error| error.message())
            };
            // The pool's job still covers 100.
            let message = lost(json!({"vmids": [200]}), None).unwrap();
            assert!(message.contains("1 guest any more: 101;"), "{message}");
            let message = lost(json!({"enabled": false}), None).unwrap();
            assert!(
                message.contains("2 guests any more: 101, 200;"),
                "{message}"
            );
            assert!(lost(json!({"enabled": false}), Some(true)).is_none());
            assert!(lost(json!({"all": true}), None).is_none());
            assert!(lost(json!({"add_vmids": [100]}), None).is_none());
        });
    }

    #[test]
    fn rare_runs_and_hidden_guests_count_as_losses() {
        let jobs = json!([
            {"id": "nightly", "vmid": "100,900", "storage": "nas", "schedule": "02:00"},
        ]);
        picture(jobs, json!([]), |picture, jobs| {
            let [nightly] = jobs else { panic!() };
            let lost = |arguments: Value| {
                let new = changed(nightly, arguments);
                let checked = picture.check_coverage(nightly, &new, None);
                checked
                    .err()
                    .map_or_else(String::new, |error| error.message())
            };
            let message = lost(json!({"vmids": [100, 101]}));
            assert!(
                message.contains("this token may not see: 900;"),
                "{message}"
            );
            assert_eq!(lost(json!({"add_vmids": [101]})), "");
            assert_eq!(lost(json!({"all": true})), "");
            let message = lost(json!({"schedule": "2030-01-01 02:00"}));
            assert!(message.contains("31 days can pass"), "{message}");
        });
        for (schedule, rare) in [
            ("daily", false),
            ("mon..fri 02:30", false),
            ("*-*-01 03:00", false),
            ("monthly", false),
            ("*-01,07-01 03:00", true),
            ("yearly", true),
            ("2030-1-1", true),
        ] {
            assert_eq!(is_rare(schedule), rare, "{schedule}");
        }
    }

    #[test]
    fn a_storage_that_cannot_be_seen_may_delete_backups() {
        let jobs = json!([{"id": "nightly", "vmid": "100,200", "storage": "nas"}]);
        let storages = json!([{"storage": "other", "type": "dir", "content": "backup"},
            {"storage": "far", "type": "dir", "content": "backup", "nodes": "beta"}]);
        picture(jobs, storages, |picture, jobs| {
            let [nightly] = jobs else { panic!() };
            let message = picture
                .check_retention(nightly, None)
                .unwrap_err()
                .message();
            assert!(message.contains("is not visible"), "{message}");
            assert!(picture.check_retention(nightly, Some(true)).is_ok());
            let far = changed(nightly, json!({"storage": "far"}));
            let apart = picture.apart(&far, picture.storage(&far).unwrap());
            assert_eq!(vmids(&apart), "100");
            assert_eq!(far.differing(nightly), ["storage: nas instead of far"]);
        });
    }

    #[test]
    fn a_retention_is_the_jobs_or_the_storages() {
        let jobs = json!([
            {"id": "own", "all": 1, "storage": "nas", "prune-backups": {"keep-last": "3"}},
            {"id": "kept", "all": 1, "storage": "nas", "prune-backups": {"keep-all": "1"}},
            {"id": "storage", "all": 1, "storage": "nas"},
            {"id": "none", "all": 1, "storage": "plain"},
        ]);
        let storages = json!([
            {"storage": "nas", "type": "nfs", "content": "backup", "prune-backups": "keep-daily=7"},
            {"storage": "plain", "type": "dir", "content": "backup,iso"},
        ]);
        picture(jobs, storages, |picture, jobs| {
            let refused: Vec<bool> = jobs
                .iter()
                .map(|job| picture.check_retention(job, None).is_err())
                .collect();
            assert_eq!(refused, [true, false, true, false]);
            for job in jobs {
                assert!(picture.check_retention(job, Some(true)).is_ok());
            }
        });
    }

    #[test]
    fn a_job_beside_one_that_deletes_needs_another_storage() {
        let jobs = json!([
            {"id": "nightly", "vmid": "100", "storage": "nas", "prune-backups": "keep-last=3"},
            {"id": "off", "vmid": "101", "storage": "nas", "prune-backups": "keep-last=3",
                "enabled": 0},
        ]);
        picture(jobs, json!([]), |picture, _| {
            let check = |vmid: u32, storage: &str| {
                let arguments = json!({"vmids": [vmid], "storage": storage, "schedule": "daily"});
                picture.check_others(&changed(&RawJob::new("new"), arguments))
            };
            let message = check(100, "nas").unwrap_err().message();
            assert!(
                message.contains("job nightly also backs up 100 to nas"),
                "{message}"
            );
            assert!(check(100, "local").is_ok() && check(101, "nas").is_ok());
        });
    }

    #[test]
    fn guests_are_added_in_the_jobs_own_way() {
        let of = |job: Value| -> RawJob { serde_json::from_value(job).unwrap() };
        let add = json!({"job": "x", "add_vmids": [101]});
        let listed = of(json!({"id": "x", "vmid": "100"}));
        assert_eq!(changed(&listed, add.clone()).described(), "100, 101");
        let all = of(json!({"id": "x", "all": 1, "exclude": "101,200"}));
        assert_eq!(changed(&all, add.clone()).described(), "all but 200");
        let pool = of(json!({"id": "x", "pool": "lab"}));
        let tool: SetBackupJob = serde_json::from_value(add).unwrap();
        let error = tool.apply(&mut pool.clone()).unwrap_err();
        assert!(error.message().contains("pool lab"), "{error:?}");
        let moved = changed(&listed, json!({"job": "x", "pool": "lab"}));
        assert_eq!(moved.described(), "pool lab");
        assert_eq!(
            changed(&moved, json!({"job": "x", "all": true})).described(),
            "all"
        );
        let mut except: RawJob = changed(&moved, json!({"job": "x", "all": true}));
        except.exclude = VmidList(BTreeSet::from([Vmid::new(105).unwrap()]));
        assert_eq!(
            changed(&except, json!({"job": "x", "all": true})).described(),
            "all"
        );
    }
}
