//! Backups: what there is, making one, and restoring one as a new guest.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};
use crate::pve::{
    Content, Disk, Failure, Format, Guest, GuestConfig, Kind, Num, Params, Path, Place, Pve,
    Started, StorageStatus, TaskLog, Upid, Volume, check_node_name, choose, guests, places,
    shelves, volumes,
};
use crate::text;
use crate::tool::bounds;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;
use crate::tools::nodes::check_node;
use crate::tools::storage::unknown_node;

/// The backups of all guests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListBackups {
    /// Only of this guest, which may be gone.
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: Option<u32>,
    /// Only on this storage.
    storage: Option<String>,
    /// Only on storages of this node.
    node: Option<String>,
    /// Default 50. Every guest's newest comes before any guest's second.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BackupList {
    /// By vmid.
    guests: Vec<GuestBackups>,
    /// How many fit the filters, also where not all are shown.
    total: usize,
    total_bytes: u64,
    /// Guests without any finished backup, where no filter is set and every
    /// storage could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    guests_without_backup: Option<Vec<u32>>,
    /// In its place where storages could not be read: guests of which no
    /// finished backup was found, and which may have some there.
    #[serde(skip_serializing_if = "Option::is_none")]
    guests_whose_backup_is_not_known: Option<Vec<u32>>,
    /// Storages that could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct GuestBackups {
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<u32>,
    /// Of the guest that has this vmid now.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether there is such a guest now, as far as the token sees.
    exists: bool,
    /// How many there are, also where not all are shown.
    count: usize,
    /// Newest first.
    backups: Vec<Backup>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Backup {
    volid: String,
    /// Where it is; absent on a shared storage, where every node of the storage
    /// sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    size_is_approximate: bool,
    /// It is being made, or broke off: it cannot be restored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unfinished: bool,
    /// Whether it is kept from being removed.
    protected: bool,
    /// The fingerprint of the key that it is encrypted with, or true.
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<String>,
    /// What a Proxmox Backup Server's check of it said: ok, failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;

/// How many are named of a cluster's guests and storages.
const MOST_GUESTS: usize = 500;
const MOST_UNAVAILABLE: usize = 50;

impl Run for ListBackups {
    type Output = BackupList;

    fn run(self, pve: &Pve) -> Result<Reply<BackupList>> {
        let all = places(pve)?;
        if let Some(storage) = &self.storage {
            able(&all, storage)?;
        }
        if let Some(node) = &self.node
            && !all.is_empty()
            && !all.iter().any(|place| place.node == *node)
        {
            return Err(unknown_node(pve, node, &all));
        }
        let none_seen = all.is_empty();
        let fits = all
            .into_iter()
            .filter(|place| place.may_hold(Content::Backup))
            .filter(|place| {
                self.storage
                    .as_ref()
                    .is_none_or(|name| *name == place.storage)
            })
            .filter(|place| self.node.as_ref().is_none_or(|node| *node == place.node))
            .collect();
        let mut found = Vec::new();
        let mut unavailable = Vec::new();
        for shelf in shelves(pve, fits, Some(Content::Backup), self.vmid) {
            let place = shelf.place;
            match shelf.volumes {
                Ok(volumes) => found.extend(
                    volumes
                        .into_iter()
                        .filter(|volume| volume.content == Content::Backup.as_str())
                        .map(|volume| (home(&place), volume)),
                ),
                // One storage that does not answer must not hide the others.
                Err(error) => unavailable.push(format!(
                    "{} on {}: {}",
                    place.storage,
                    place.node,
                    error.message()
                )),
            }
        }
        let filtered = self.vmid.is_some() || self.storage.is_some() || self.node.is_some();
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT) as usize;
        let mut list = BackupList::new(found, &guests(pve)?, limit, clock::now());
        if none_seen {
            list.hint = Some(pve.empty_hint("Datastore.Audit", "/storage"));
        }
        if filtered || none_seen {
            list.guests_without_backup = None;
        }
        list.set_unavailable(unavailable);
        list.shorten();
        let text = list.text();
        Ok(Reply::Done(list, text))
    }
}

/// Makes a backup.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBackup {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// Default: the only one that holds backups.
    storage: Option<String>,
    /// Default snapshot: the guest keeps running. stop shuts it down meanwhile.
    mode: Option<Mode>,
    /// Default zstd.
    compress: Option<Compression>,
    /// Default {{guestname}}; {{node}}, {{vmid}} and {{cluster}} are filled in too.
    #[schemars(length(max = 1024))]
    notes: Option<String>,
    /// Keep it from being removed or pruned. Default false.
    protected: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Snapshot,
    Suspend,
    Stop,
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Suspend => "suspend",
            Self::Stop => "stop",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Compression {
    #[default]
    Zstd,
    Gzip,
    Lzo,
    None,
}

impl Compression {
    /// Proxmox's word.
    fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Lzo => "lzo",
            Self::None => "0",
        }
    }
}

impl Run for CreateBackup {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        let notes = self.notes()?;
        let mode = self.mode.unwrap_or_default();
        let (guest, job) = self.start(pve, mode, &notes)?;
        let Job {
            storage,
            running,
            left_out,
            started,
        } = job;
        let action = format!("back up {} to {}", guest.label(), storage.storage);
        let mut report = Report::done(action).on(&guest);
        if running && mode != Mode::Snapshot {
            report = report.warn(match mode {
                Mode::Stop => "the guest is shut down for the backup and started again afterwards",
                _ => "the guest is suspended for a while during the backup",
            });
        }
        if is_backup_server(&storage) && self.compress.is_some() {
            report = report.warn(format!(
                "{} is a Proxmox Backup Server, which does its own compression: compress was left out",
                storage.storage
            ));
        }
        match left_out {
            Ok(disks) if disks.is_empty() => {}
            Ok(disks) => {
                report = report.warn(format!(
                    "the backup does not hold these: {}",
                    disks.join(", ")
                ));
            }
            Err(why) => {
                report = report.warn(format!(
                    "the configuration could not be read, so whether the backup leaves out any \
                     disk is not known: {why}"
                ));
            }
        }
        report.started(&started, self.wait)
    }

    /// Adds the backup that the task has made, from its log.
    fn complete(pve: &Pve, upid: &Upid, mut report: Report) -> Report {
        // The name is logged before the first line of progress. The backup has
        // been made even where its log cannot be read.
        let log = TaskLog::page(pve, upid, 0, 500);
        report.volid = log.ok().and_then(|log| archives(&log.lines));
        report
    }
}

/// A backup that was started.
struct Job {
    storage: StorageStatus,
    running: bool,
    /// Disks that the backup does not hold, and why; or why they are not known.
    left_out: Result<Vec<String>, String>,
    started: Started,
}

impl CreateBackup {
    /// Starts the backup. Of a guest that has left the node in the meantime
    /// Proxmox says "OK" and makes no backup: such a guest is found again, once.
    fn start(&self, pve: &Pve, mode: Mode, notes: &str) -> Result<(Guest, Job)> {
        for _ in 0..ATTEMPTS {
            let (guest, job) = Guest::attempt(pve, self.vmid, |guest| {
                let storage = choose(pve, &guest.node, Content::Backup, self.storage.as_deref())?;
                let state = guest.state(pve)?;
                state.unlocked(guest)?;
                // What is not in it is worth a warning, not a failure.
                let left_out = GuestConfig::read(pve, guest)
                    .map(|config| left_out(guest.kind, &config.disks()))
                    .map_err(|failure| text::cut(&Error::from(failure).message(), 300));
                let params = self.params(mode, &storage, notes);
                let path = Path::new(["nodes", &guest.node, "vzdump"]);
                Ok(Job {
                    storage,
                    running: state.is_running(),
                    left_out,
                    started: pve.post(&path, &params)?,
                })
            })?;
            // Any other answer may mean a backup that is being made.
            let is_elsewhere =
                matches!(&job.started, Started::WithoutTask(Some(said)) if said == "OK");
            if !is_elsewhere {
                return Ok((guest, job));
            }
        }
        Err(Error::Conflict(format!(
            "no backup was made: the guest {} is not on the node that Proxmox lists it on, most \
             likely since it is being moved; {} shows where it is, then call again",
            self.vmid,
            tool_names::GET_GUEST
        )))
    }

    /// The notes as vzdump takes them: on one line.
    fn notes(&self) -> Result<String> {
        let notes = notes_template(self.notes.as_deref().unwrap_or("{{guestname}}"));
        if let Some(unknown) = unknown_variable(&notes) {
            return Err(Error::argument(
                "notes",
                format!(
                    "must not hold {{{{{}}}}}: only {{{{guestname}}}}, {{{{node}}}}, {{{{vmid}}}} and \
                     {{{{cluster}}}} can be filled in",
                    text::cut(unknown, 40)
                ),
            ));
        }
        if notes.chars().count() > 1024 {
            return Err(Error::argument(
                "notes",
                "must be at most 1024 characters long, where a line break and a backslash count as \
                 two",
            ));
        }
        Ok(notes)
    }

    fn params(&self, mode: Mode, storage: &StorageStatus, notes: &str) -> Params {
        let compress = self.compress.unwrap_or_default();
        Params::new()
            .set("vmid", self.vmid)
            .set("storage", &storage.storage)
            .set("mode", mode.as_str())
            .opt(
                "compress",
                (!is_backup_server(storage)).then_some(compress.as_str()),
            )
            .opt("notes-template", (!notes.is_empty()).then_some(notes))
            .opt_flag("protected", self.protected.filter(|protected| *protected))
            // Without this, vzdump removes older backups beyond the storage's
            // retention, which is not what the caller asked for.
            .flag("remove", false)
    }
}

/// The disks that a backup of a guest does not hold.
fn left_out(kind: Kind, disks: &[Disk]) -> Vec<String> {
    disks
        .iter()
        .filter(|disk| !disk.cdrom && !disk.id.starts_with("unused"))
        .filter_map(|disk| {
            let why = match kind {
                Kind::Lxc if disk.volid.starts_with('/') => "a path of the node, not a volume",
                // Mount points are backed up only where they say so.
                Kind::Lxc if disk.id.starts_with("mp") && disk.backup != Some(true) => {
                    "its backup option is off"
                }
                Kind::Qemu if disk.backup == Some(false) => "its backup option is off",
                _ => return None,
            };
            Some(format!("{} ({}: {why})", disk.id, disk.volid))
        })
        .collect()
}

/// Restores a backup as a new guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreBackup {
    /// The backup, as list_backups returns it.
    #[schemars(length(min = 3, max = 255))]
    volid: String,
    /// Default: the next free one.
    #[schemars(range(min = 100, max = 999_999_999))]
    new_vmid: Option<u32>,
    /// For its disks. Default: a VM's original ones, or the only one for containers.
    storage: Option<String>,
    /// Default: one that reaches the backup, the original guest's where it can.
    node: Option<String>,
    /// A new name.
    name: Option<String>,
    /// Keep the MAC addresses. Default false: new ones, so that it may run beside the original.
    keep_macs: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

/// How many times a free vmid is asked for: another client may take it first.
const ATTEMPTS: u32 = 2;

impl Run for RestoreBackup {
    type Output = Report;
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[
        ("archive", "volid"),
        ("vmid", "new_vmid"),
        ("newid", "new_vmid"),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let storage = self.check()?;
        if let Some(node) = &self.node {
            check_node(pve, "node", node)?;
        }
        let places = places(pve)?;
        let all = guests(pve)?;
        if let Some(taken) = all.iter().find(|guest| Some(guest.vmid) == self.new_vmid) {
            return Err(Error::Conflict(format!(
                "new_vmid {} is taken by {}, and a restore only ever makes a new guest: choose another, \
                 or leave it out for the next free one",
                taken.vmid,
                taken.label()
            )));
        }
        let (node, volume) = self.locate(pve, &places, &all, storage)?;
        let Some(kind) = kind_of(&volume) else {
            return Err(Error::Conflict(format!(
                "{} is not a backup of a VM or container: neither its format nor its name says \
                 which it is",
                self.volid
            )));
        };
        let target = match kind {
            Kind::Qemu if self.storage.is_none() => None,
            Kind::Qemu => Some(choose(
                pve,
                &node,
                Content::Images,
                self.storage.as_deref(),
            )?),
            // Proxmox would use `local` by default, suitable or not.
            Kind::Lxc => Some(choose(
                pve,
                &node,
                Content::Rootdir,
                self.storage.as_deref(),
            )?),
        };
        let target = target.as_ref().map(|storage| storage.storage.as_str());
        let (vmid, started) = self.start(pve, &node, kind, target)?;
        self.report(&node, kind, &volume, vmid, &all)
            .started(&started, self.wait)
    }
}

impl RestoreBackup {
    /// Checks what needs no request, and returns the backup's storage.
    fn check(&self) -> Result<&str> {
        let wrong = || {
            Error::argument(
                "volid",
                format!(
                    "must be a backup's volid as {} lists it, such as \
                     local:backup/vzdump-qemu-100-2026_11_22-08_00_00.vma.zst",
                    tool_names::LIST_BACKUPS
                ),
            )
        };
        let Some((storage, path)) = self.volid.split_once(':') else {
            return Err(wrong());
        };
        let plain = !path.is_empty()
            && !path.contains(char::is_whitespace)
            && !path.contains(char::is_control)
            && !path.split('/').any(|part| part == "..");
        if !Format::Storage.fits(storage) || !plain {
            return Err(wrong());
        }
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        check_node_name("node", self.node.as_deref())?;
        Format::DnsName.check_opt("name", self.name.as_deref())?;
        Ok(storage)
    }

    /// The node that restores it, and the volume as that node sees it.
    fn locate(
        &self,
        pve: &Pve,
        places: &[Place],
        all: &[Guest],
        storage: &str,
    ) -> Result<(String, Volume)> {
        let mut candidates = able(places, storage)?;
        if let Some(node) = &self.node {
            let known = listed(candidates.iter().map(|place| place.node.as_str()));
            candidates.retain(|place| place.node == *node);
            if candidates.is_empty() {
                return Err(Error::NotFound(format!(
                    "node {node} has no storage {storage} with backups: {known} have it"
                )));
            }
        }
        let (mut candidates, away): (Vec<&Place>, Vec<&Place>) = candidates
            .into_iter()
            .partition(|place| !place.is_offline());
        let away = listed(away.iter().map(|place| place.node.as_str()));
        if candidates.is_empty() {
            return Err(Error::Unreachable(format!(
                "storage {storage} is not available now on {away}: look at the storage and its node"
            )));
        }
        let original = vmid_in(&self.volid)
            .and_then(|vmid| all.iter().find(|guest| guest.vmid == vmid))
            .map(|guest| guest.node.as_str());
        candidates.sort_by_key(|place| original != Some(place.node.as_str()));
        let mut failed = None;
        let mut unfinished = None;
        for place in &candidates {
            match volumes(pve, &place.node, storage, Some(Content::Backup), None) {
                Ok(volumes) => {
                    let mut volumes = volumes.into_iter();
                    match volumes.find(|volume| volume.volid == self.volid) {
                        // Another node may have a whole one of this name.
                        Some(volume) if volume.is_unfinished() => {
                            unfinished.get_or_insert(place.node.as_str());
                        }
                        Some(volume) => return Ok((place.node.clone(), volume)),
                        None => {}
                    }
                    if place.shared.0 {
                        break;
                    }
                }
                // Another node may have it.
                Err(failure) => failed = Some(failure),
            }
        }
        if let Some(node) = unfinished {
            return Err(Error::Conflict(format!(
                "backup {} on {node} is unfinished: it is still being made, or was interrupted, and \
                 a restore of it would lack data; nothing was restored: wait for its task ({}), or \
                 choose another backup ({})",
                self.volid,
                tool_names::LIST_TASKS,
                tool_names::LIST_BACKUPS
            )));
        }
        if let Some(failure) = failed {
            return Err(failure.into());
        }
        let away = if away.is_empty() {
            String::new()
        } else {
            format!(" (on {away} the storage is not available now)")
        };
        Err(Error::NotFound(format!(
            "there is no backup {} on {}{away}: {} lists the backups",
            self.volid,
            listed(candidates.iter().map(|place| place.node.as_str())),
            tool_names::LIST_BACKUPS
        )))
    }

    /// Sends the request. A free vmid that was taken meanwhile is replaced by
    /// the next one, once.
    fn start(
        &self,
        pve: &Pve,
        node: &str,
        kind: Kind,
        target: Option<&str>,
    ) -> Result<(u32, Started)> {
        let path = Path::new(["nodes", node, kind.as_str()]);
        let mut attempt = 1;
        loop {
            let vmid = match self.new_vmid {
                Some(vmid) => vmid,
                None => {
                    pve.get::<Num<u32>>(&Path::new(["cluster", "nextid"]), &Params::new())?
                        .0
                }
            };
            match pve.post(&path, &self.params(kind, vmid, target)) {
                Ok(started) => return Ok((vmid, started)),
                Err(Failure::Api(error)) if error.says("already exists") => {
                    if self.new_vmid.is_some() || attempt == ATTEMPTS {
                        return Err(Error::Conflict(format!(
                            "vmid {vmid} is taken by a guest that was made just now, or that the \
                             token {} does not see; nothing was restored: choose another vmid",
                            pve.token_name()
                        )));
                    }
                }
                Err(failure) => return Err(failure.into()),
            }
            attempt += 1;
        }
    }

    /// `force`, which would overwrite a guest, is not among them.
    fn params(&self, kind: Kind, vmid: u32, target: Option<&str>) -> Params {
        let params = Params::new().set("vmid", vmid);
        let params = match kind {
            Kind::Qemu => params
                .set("archive", &self.volid)
                .opt("name", self.name.as_deref()),
            Kind::Lxc => params
                .set("ostemplate", &self.volid)
                .flag("restore", true)
                .opt("hostname", self.name.as_deref()),
        };
        params
            .opt("storage", target)
            .flag("unique", self.keep_macs != Some(true))
    }

    fn report(&self, node: &str, kind: Kind, volume: &Volume, vmid: u32, all: &[Guest]) -> Report {
        let action = format!("restore {} as {} guest {vmid}", self.volid, kind.as_str());
        let mut report = Report::done(action);
        report.vmid = Some(vmid);
        report.node = Some(node.to_owned());
        let original = volume
            .vmid
            .map(|vmid| vmid.0)
            .or_else(|| vmid_in(&volume.volid));
        if let Some(original) = all.iter().find(|guest| Some(guest.vmid) == original) {
            let macs = if self.keep_macs == Some(true) {
                ", its MAC addresses"
            } else {
                ""
            };
            report = report.warn(format!(
                "{} still exists: the restored one may have its fixed addresses{macs} and host name; \
                 change them before both run",
                original.label()
            ));
        }
        report.next(format!("{} starts it", tool_names::START_GUEST))
    }
}

impl BackupList {
    fn new(found: Vec<(Option<String>, Volume)>, all: &[Guest], limit: usize, now: u64) -> Self {
        let total = found.len();
        let total_bytes = found
            .iter()
            .filter_map(|(_, volume)| volume.size_bytes())
            .fold(0u64, u64::saturating_add);
        let mut by_guest: BTreeMap<Option<u32>, Vec<(Option<String>, Volume)>> = BTreeMap::new();
        for (node, volume) in found {
            let vmid = volume
                .vmid
                .map(|vmid| vmid.0)
                .or_else(|| vmid_in(&volume.volid));
            by_guest.entry(vmid).or_default().push((node, volume));
        }
        let without = all
            .iter()
            .filter(|guest| {
                let backups = by_guest.get(&Some(guest.vmid)).into_iter().flatten();
                let mut finished = backups.filter(|(_, volume)| !volume.is_unfinished());
                !guest.template.0 && finished.next().is_none()
            })
            .map(|guest| guest.vmid)
            .collect();
        for backups in by_guest.values_mut() {
            backups.sort_by(|(_, a), (_, b)| {
                let key = |volume: &Volume| volume.ctime.map_or(0, |time| time.0);
                (key(b), &b.volid).cmp(&(key(a), &a.volid))
            });
        }
        let shares = shares(&by_guest.values().map(Vec::len).collect::<Vec<_>>(), limit);
        let shown: usize = shares.iter().sum();
        let guests = by_guest
            .into_iter()
            .zip(shares)
            .filter(|(_, share)| *share > 0)
            .map(|((vmid, backups), share)| {
                let guest = all.iter().find(|guest| Some(guest.vmid) == vmid);
                GuestBackups {
                    vmid,
                    name: guest.and_then(|guest| guest.name.clone()),
                    exists: guest.is_some(),
                    count: backups.len(),
                    backups: backups
                        .into_iter()
                        .take(share)
                        .map(|(node, volume)| Backup::new(node, volume, now))
                        .collect(),
                }
            })
            .collect();
        Self {
            guests,
            total,
            total_bytes,
            guests_without_backup: Some(without),
            guests_whose_backup_is_not_known: None,
            unavailable: Vec::new(),
            hint: (shown < total).then(|| {
                format!(
                    "{shown} of {total} are shown, every guest's newest first: raise limit, or \
                     narrow by vmid, storage or node"
                )
            }),
        }
    }

    /// What could not be read may hold what seems not to be there.
    fn set_unavailable(&mut self, unavailable: Vec<String>) {
        if !unavailable.is_empty() {
            self.guests_whose_backup_is_not_known = self.guests_without_backup.take();
        }
        self.unavailable = unavailable;
    }

    /// Leaves out what is beyond all reading, and says so.
    fn shorten(&mut self) {
        let mut notes: Vec<String> = self.hint.take().into_iter().collect();
        for list in [
            &mut self.guests_without_backup,
            &mut self.guests_whose_backup_is_not_known,
        ]
        .into_iter()
        .flatten()
        {
            let what = "guests without a known backup";
            bounds::keep(list, MOST_GUESTS, what, &mut notes);
        }
        let what = "storages that could not be read";
        bounds::keep(&mut self.unavailable, MOST_UNAVAILABLE, what, &mut notes);
        self.hint = (!notes.is_empty()).then(|| notes.join("; "));
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} of {}, {}",
            text::count(self.total, "backup"),
            text::count(self.guests.len(), "guest"),
            text::bytes(self.total_bytes)
        );
        if !self.unavailable.is_empty() {
            text.push_str(&format!(
                "; {} could not be read",
                text::count(self.unavailable.len(), "storage")
            ));
        }
        text
    }
}

impl Backup {
    fn new(node: Option<String>, volume: Volume, now: u64) -> Self {
        let kind = kind_of(&volume);
        let notes = volume
            .notes
            .as_deref()
            .map(str::trim)
            .filter(|notes| !notes.is_empty());
        Self {
            shared: node.is_none(),
            node,
            kind,
            size_is_approximate: volume.has_approximate_size(),
            unfinished: volume.is_unfinished(),
            encrypted: volume.encryption(),
            created_at: volume.ctime.map(|time| text::time(time.0)),
            age_seconds: volume.ctime.map(|time| now.saturating_sub(time.0)),
            size_bytes: volume.size_bytes(),
            protected: volume.protected.0,
            verification: volume
                .verification
                .and_then(|verification| verification.state),
            notes: notes.map(|notes| text::cut(notes, 160)),
            volid: volume.volid,
        }
    }
}

/// The node that a storage belongs to; none has a shared one to itself.
fn home(place: &Place) -> Option<String> {
    (!place.shared.0).then(|| place.node.clone())
}

/// How many each may show of what it has: the first of all before the second
/// of any, up to a limit in all.
fn shares(counts: &[usize], limit: usize) -> Vec<usize> {
    let mut shares = vec![0; counts.len()];
    let mut left = limit;
    let mut gave = true;
    while left > 0 && gave {
        gave = false;
        for (share, count) in shares.iter_mut().zip(counts) {
            if left > 0 && *share < *count {
                *share += 1;
                left -= 1;
                gave = true;
            }
        }
    }
    shares
}

/// Where a storage with backups is; refuses one that is nowhere.
fn able<'a>(places: &'a [Place], storage: &str) -> Result<Vec<&'a Place>> {
    let found: Vec<&Place> = places
        .iter()
        .filter(|place| place.storage == storage)
        .collect();
    let able: Vec<&Place> = found
        .iter()
        .copied()
        .filter(|place| place.may_hold(Content::Backup))
        .collect();
    if !able.is_empty() {
        return Ok(able);
    }
    let able = places.iter().filter(|place| place.holds(Content::Backup));
    let known: BTreeSet<&str> = able.map(|place| place.storage.as_str()).collect();
    let known = if known.is_empty() {
        "no storage that the token sees does".to_owned()
    } else {
        format!("these do: {}", listed(known.into_iter()))
    };
    Err(if found.is_empty() {
        Error::NotFound(format!(
            "there is no storage {storage} that the token sees, to hold backups; {known}"
        ))
    } else {
        Error::Conflict(format!("storage {storage} does not hold backups; {known}"))
    })
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn is_backup_server(storage: &StorageStatus) -> bool {
    storage.kind == "pbs"
}

/// Notes on one line, as vzdump takes them.
fn notes_template(notes: &str) -> String {
    notes
        .replace('\\', "\\\\")
        .replace("\r\n", "\n")
        .replace(['\r', '\n'], "\\n")
}

/// A variable in notes that vzdump does not know, and refuses.
fn unknown_variable(notes: &str) -> Option<&str> {
    notes
        .split("{{")
        .skip(1)
        .filter_map(|part| part.split_once("}}"))
        .map(|(name, _)| name.trim_start_matches('{'))
        .filter(|name| !name.is_empty() && !name.contains(char::is_whitespace))
        .filter(|name| !name.contains(['{', '}']))
        .find(|name| !matches!(*name, "cluster" | "guestname" | "node" | "vmid"))
}

/// What a backup is of: by what Proxmox says, else by its name.
fn kind_of(volume: &Volume) -> Option<Kind> {
    let format = volume.format.as_deref().unwrap_or_default();
    let name = volume.volid.split_once(':').map_or("", |(_, path)| path);
    let says = |subtype: &str, marks: [&str; 3]| {
        volume.subtype.as_deref() == Some(subtype)
            || marks
                .iter()
                .any(|mark| format == *mark || name.contains(mark))
    };
    if says("qemu", ["pbs-vm", "vzdump-qemu-", "backup/vm/"]) {
        Some(Kind::Qemu)
    } else if says("lxc", ["pbs-ct", "vzdump-lxc-", "backup/ct/"]) {
        Some(Kind::Lxc)
    } else {
        None
    }
}

/// The vmid in a backup's name: `…/vzdump-lxc-200-…`, `backup/vm/100/…`.
fn vmid_in(volid: &str) -> Option<u32> {
    ["vzdump-qemu-", "vzdump-lxc-", "backup/vm/", "backup/ct/"]
        .iter()
        .find_map(|mark| volid.split_once(mark))
        .and_then(|(_, rest)| rest.split(['-', '/']).next()?.parse().ok())
}

/// The volids of what a vzdump log says that it made.
fn archives(lines: &[String]) -> Option<String> {
    let storage = lines
        .iter()
        .find_map(|line| line.split_once("starting new backup job: vzdump "))
        .and_then(|(_, arguments)| {
            let mut words = arguments.split_whitespace();
            words
                .find_map(|word| match word.strip_prefix("--storage") {
                    Some("") => Some(None),
                    Some(rest) => rest.strip_prefix('=').map(Some),
                    None => None,
                })?
                .or_else(|| words.next())
        });
    let quoted = |line: &'_ str, before: &str| -> Option<String> {
        let (_, rest) = line.split_once(before)?;
        Some(rest.split_once('\'')?.0.to_owned())
    };
    let archives: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            if let Some(path) = quoted(line, "creating Proxmox Backup Server archive '") {
                return Some(
                    storage.map_or(path.clone(), |storage| format!("{storage}:backup/{path}")),
                );
            }
            let path = quoted(line, "creating vzdump archive '")?;
            let name = path.rsplit('/').next().unwrap_or(&path);
            Some(storage.map_or(path.clone(), |storage| format!("{storage}:backup/{name}")))
        })
        .collect();
    (!archives.is_empty()).then(|| archives.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn volume(value: Value) -> Volume {
        serde_json::from_value(value).unwrap()
    }

    fn storage(kind: &str) -> StorageStatus {
        serde_json::from_value(json!({"storage": "nas", "type": kind, "content": "backup"}))
            .unwrap()
    }

    fn pairs(params: &Params) -> Vec<String> {
        params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    fn create(arguments: Value) -> CreateBackup {
        serde_json::from_value(arguments).unwrap()
    }

    fn restore(arguments: Value) -> RestoreBackup {
        serde_json::from_value(arguments).unwrap()
    }

    #[test]
    fn what_a_backup_leaves_out() {
        let disks = [
            Disk::parse("rootfs", "local:200/vm-200-disk-0.raw,size=8G"),
            Disk::parse("mp0", "/srv/media,mp=/media"),
            Disk::parse("mp1", "bulk:200/vm-200-disk-1.raw,mp=/data,size=8G"),
            Disk::parse(
                "mp2",
                "bulk:200/vm-200-disk-2.raw,mp=/kept,backup=1,size=8G",
            ),
        ];
        let told = left_out(Kind::Lxc, &disks).join("; ");
        assert!(
            told.contains("mp0 (/srv/media: a path") && told.contains("mp1 (bulk:"),
            "{told}"
        );
        assert!(!told.contains("rootfs") && !told.contains("mp2"), "{told}");
        let disks = [
            Disk::parse("scsi0", "local:100/vm-100-disk-0.qcow2,size=8G"),
            Disk::parse("scsi1", "local:100/vm-100-disk-1.qcow2,backup=0,size=8G"),
            Disk::parse("ide2", "none,media=cdrom"),
        ];
        assert_eq!(
            left_out(Kind::Qemu, &disks),
            ["scsi1 (local:100/vm-100-disk-1.qcow2: its backup option is off)"]
        );
    }

    #[test]
    fn compression_in_proxmox_words() {
        for (compress, sent) in [
            ("zstd", "zstd"),
            ("gzip", "gzip"),
            ("lzo", "lzo"),
            ("none", "0"),
        ] {
            let create = create(json!({"vmid": 100, "compress": compress}));
            let params = create.params(Mode::Snapshot, &storage("dir"), "");
            assert!(
                pairs(&params).contains(&format!("compress={sent}")),
                "{params:?}"
            );
        }
        let plain = create(json!({"vmid": 100}));
        assert_eq!(
            pairs(&plain.params(Mode::Stop, &storage("nfs"), &plain.notes().unwrap())),
            [
                "vmid=100",
                "storage=nas",
                "mode=stop",
                "compress=zstd",
                "notes-template={{guestname}}",
                "remove=0"
            ]
        );
        let pbs = create(json!({"vmid": 100, "protected": true, "notes": ""}));
        assert_eq!(
            pairs(&pbs.params(Mode::Snapshot, &storage("pbs"), &pbs.notes().unwrap())),
            [
                "vmid=100",
                "storage=nas",
                "mode=snapshot",
                "protected=1",
                "remove=0"
            ]
        );
    }

    #[test]
    fn variables_in_notes() {
        for notes in [
            "{{guestname}} {{vmid}}",
            "{{ x }}",
            "{{}}",
            "{x}",
            "{{x",
            "}}{{",
        ] {
            assert_eq!(unknown_variable(notes), None, "{notes}");
        }
        assert_eq!(unknown_variable("{{node}} {{{date}}}"), Some("date"));
        let wrong = create(json!({"vmid": 100, "notes": "{{date}}"}));
        assert_eq!(
            wrong.notes().unwrap_err().message(),
            "notes: must not hold {{date}}: only {{guestname}}, {{node}}, {{vmid}} and {{cluster}} \
             can be filled in"
        );
    }

    #[test]
    fn restores_are_never_forced() {
        let vm = restore(json!({"volid": "nas:backup/vzdump-qemu-100-x.vma.zst", "name": "web02"}));
        assert_eq!(
            pairs(&vm.params(Kind::Qemu, 105, None)),
            [
                "vmid=105",
                "archive=nas:backup/vzdump-qemu-100-x.vma.zst",
                "name=web02",
                "unique=1"
            ]
        );
        let ct = restore(json!({"volid": "nas:a", "name": "ct3", "keep_macs": true}));
        assert_eq!(
            pairs(&ct.params(Kind::Lxc, 106, Some("bulk"))),
            [
                "vmid=106",
                "ostemplate=nas:a",
                "restore=1",
                "hostname=ct3",
                "storage=bulk",
                "unique=0"
            ]
        );
    }

    #[test]
    fn archives_that_are_none() {
        for archive in [
            "backup",
            "a:b",
            "local:",
            "local: x",
            "local:../x",
            "local:backup/../../etc",
            "/x:y",
            "local:a\nb",
        ] {
            assert!(
                restore(json!({"volid": archive})).check().is_err(),
                "{archive}"
            );
        }
        for (name, value) in [("name", "web_1"), ("storage", "x y"), ("node", "a/b")] {
            let wrong = restore(json!({"volid": "local:backup/x", name: value}));
            assert!(wrong.check().unwrap_err().message().starts_with(name));
        }
        let pbs = restore(json!({"volid": "pbs:backup/vm/100/2026-11-22T08:04:13Z"}));
        assert_eq!(pbs.check().unwrap(), "pbs");
    }

    #[test]
    fn kinds_and_vmids() {
        for (entry, kind, vmid) in [
            (
                json!({"volid": "local:backup/vzdump-lxc-200-2026.tar.zst", "subtype": "lxc"}),
                Some(Kind::Lxc),
                Some(200),
            ),
            (
                json!({"volid": "local:backup/vzdump-qemu-100-2026.vma.zst"}),
                Some(Kind::Qemu),
                Some(100),
            ),
            (
                json!({"volid": "pbs:backup/vm/100/2026", "format": "pbs-vm"}),
                Some(Kind::Qemu),
                Some(100),
            ),
            (
                json!({"volid": "pbs:backup/ct/7/2026"}),
                Some(Kind::Lxc),
                Some(7),
            ),
            (json!({"volid": "local:backup/other.tgz"}), None, None),
        ] {
            let volume = volume(entry);
            assert_eq!(
                (kind_of(&volume), vmid_in(&volume.volid)),
                (kind, vmid),
                "{}",
                volume.volid
            );
        }
    }

    #[test]
    fn made_by_a_task() {
        let lines = |text: &[&str]| {
            text.iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            archives(&lines(&[
                "INFO: starting new backup job: vzdump 200 --storage local --mode stop --compress zstd",
                "INFO: Starting Backup of VM 200 (lxc)",
                "INFO: creating vzdump archive '/var/lib/vz/dump/vzdump-lxc-200-2026_11_22-08_04_13.tar.zst'",
                "INFO: archive file size: 1MB",
            ])),
            Some("local:backup/vzdump-lxc-200-2026_11_22-08_04_13.tar.zst".into())
        );
        assert_eq!(
            archives(&lines(&[
                "INFO: starting new backup job: vzdump 100 101 --mode snapshot --storage=pbs",
                "INFO: creating Proxmox Backup Server archive 'vm/100/2026-11-22T08:04:13Z'",
                "INFO: creating Proxmox Backup Server archive 'vm/101/2026-11-22T08:05:13Z'",
            ])),
            Some(
                "pbs:backup/vm/100/2026-11-22T08:04:13Z, pbs:backup/vm/101/2026-11-22T08:05:13Z"
                    .into()
            )
        );
        assert_eq!(archives(&lines(&["INFO: nothing"])), None);
    }

    fn guest(vmid: u32, template: u8) -> Guest {
        serde_json::from_value(json!({
            "vmid": vmid, "type": "qemu", "node": "pve1", "status": "running",
            "name": format!("vm{vmid}"), "template": template
        }))
        .unwrap()
    }

    #[test]
    fn by_guest_newest_first() {
        let backup = |vmid: u32, time: u64| {
            let volid = format!("nas:backup/vzdump-qemu-{vmid}-{time}.vma.zst");
            let entry = json!({"volid": volid, "vmid": vmid, "ctime": time, "size": "10",
                "content": "backup", "protected": 1, "notes": "web\n", "verification": {"state": "ok"}});
            (Some("pve1".to_owned()), volume(entry))
        };
        let found = vec![
            backup(100, 10),
            backup(100, 30),
            backup(100, 20),
            backup(77, 5),
        ];
        let all = [guest(100, 0), guest(101, 0), guest(9000, 1)];
        let list = BackupList::new(found, &all, 3, 100);
        assert_eq!((list.total, list.total_bytes), (4, 40));
        assert_eq!(list.guests_without_backup, Some(vec![101]));
        let [gone, web] = list.guests.as_slice() else {
            panic!("{list:?}");
        };
        assert_eq!((gone.vmid, gone.exists, gone.count), (Some(77), false, 1));
        assert_eq!(
            (web.name.as_deref(), web.exists, web.count),
            (Some("vm100"), true, 3)
        );
        let ages: Vec<_> = web.backups.iter().map(|one| one.age_seconds).collect();
        assert_eq!(ages, [Some(70), Some(80)]);
        let first = &web.backups[0];
        assert!(first.protected);
        assert_eq!(first.verification.as_deref(), Some("ok"));
        assert_eq!(first.notes.as_deref(), Some("web"));
        assert!(list.hint.unwrap().starts_with("3 of 4"));
    }

    #[test]
    fn a_guest_is_without_backup_only_where_that_is_known() {
        let broken = volume(
            json!({"volid": "pbs:backup/vm/100/2026-11-01T02:00:00Z", "vmid": 100,
            "content": "backup", "size": 1, "ctime": 30}),
        );
        let mut list = BackupList::new(vec![(None, broken)], &[guest(100, 0)], 9, 100);
        let backup = &list.guests[0].backups[0];
        assert!(backup.unfinished && backup.shared && backup.node.is_none());
        assert_eq!(list.guests_without_backup, Some(vec![100]));
        list.set_unavailable(vec!["nas on pve1: not reachable".into()]);
        assert_eq!(list.guests_without_backup, None);
        assert_eq!(list.guests_whose_backup_is_not_known, Some(vec![100]));
    }

    #[test]
    fn storages_that_hold_backups() {
        let places: Vec<Place> = serde_json::from_value(json!([
            {"storage": "local", "node": "pve1", "status": "available", "content": "iso,backup"},
            {"storage": "bulk", "node": "pve1", "status": "available", "content": "images"},
        ]))
        .unwrap();
        assert_eq!(able(&places, "local").unwrap().len(), 1);
        assert!(
            matches!(able(&places, "bulk"), Err(Error::Conflict(m)) if m.ends_with("these do: local"))
        );
        assert!(
            matches!(able(&places, "nas"), Err(Error::NotFound(m)) if m.ends_with("these do: local"))
        );
    }

    proptest! {
        #[test]
        fn shares_are_fair(counts in prop::collection::vec(0usize..9, 0..9), limit in 0usize..40) {
            let shares = shares(&counts, limit);
            prop_assert_eq!(shares.iter().sum::<usize>(), limit.min(counts.iter().sum()));
            for (share, count) in shares.iter().zip(&counts) {
                prop_assert!(share <= count);
                prop_assert!(share == count || shares.iter().all(|other| *other <= share + 1));
            }
        }

        #[test]
        fn any_notes_survive(notes in "[^\r]{0,40}") {
            let sent = notes_template(&notes);
            prop_assert!(!sent.contains('\n'));
            // As vzdump reads it back.
            let mut back = String::new();
            let mut chars = sent.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => match chars.next() {
                        Some('n') => back.push('\n'),
                        Some('\\') => back.push('\\'),
                        other => prop_assert!(false, "{:?}", other),
                    },
                    c => back.push(c),
                }
            }
            prop_assert_eq!(back, notes);
        }

        #[test]
        fn any_volid_is_safe(volid in any::<String>()) {
            let restore = RestoreBackup {
                volid, new_vmid: None, storage: None, node: None, name: None, keep_macs: None, wait: None,
            };
            let _ = (restore.check(), vmid_in(&restore.volid));
        }
    }
}
