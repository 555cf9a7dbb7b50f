//! `create_backup`: backs up one guest with vzdump.

use pve_api::calls;
use pve_api::slot::Bus;
use schemars::JsonSchema;
use serde::Deserialize;

use super::archive::archives;
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{
    At, Content, Disk, Format, Guest, GuestConfig, GuestType, Params, Pve, Started, StorageStatus,
    TaskLog, Upid, Vmid, choose,
};
use crate::tool::bulk::{Begun, ChangeGuest, OnGuests, Pace, Selector, selector};
use crate::tool::declared::Calls;
use crate::tool::report::{Report, Status};
use crate::{text, tool_names};

/// Makes a backup.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBackup {
    vmid: Option<Vmid>,
    /// Several, at most 25.
    #[schemars(extend("x-splits" = "words"))]
    vmids: Option<Vec<Vmid>>,
    /// All with this tag.
    tag: Option<String>,
    /// All in this pool.
    pool: Option<String>,
    /// All on this node.
    node: Option<String>,
    /// Only show what would be done.
    preview: Option<bool>,
    /// Default: the only one that holds backups.
    storage: Option<String>,
    /// Default snapshot: the guest keeps running. stop shuts it down for the
    /// backup.
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
pub(super) enum Mode {
    #[default]
    Snapshot,
    Suspend,
    Stop,
}

impl Mode {
    pub(super) fn as_str(self) -> &'static str {
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
    /// Proxmox's name for it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Lzo => "lzo",
            Self::None => "0",
        }
    }
}

impl OnGuests for CreateBackup {
    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::backup::CREATE),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::storage::LIST),
    ];

    /// Adds the backup that the task has made, from its log.
    fn complete(pve: &Pve, upid: &Upid, mut report: Report) -> Report {
        // The name is logged before the first line of progress. The backup has
        // been made even where its log cannot be read.
        let log = TaskLog::page(pve, upid, 0, 500);
        report.volid = log.ok().and_then(|log| archives(&log.lines));
        report
    }
}

impl ChangeGuest for CreateBackup {
    fn selector(&self) -> Selector<'_> {
        selector!(self)
    }

    fn check(&self) -> Result<()> {
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        self.notes().map(|_| ())
    }

    fn wait(&self) -> Option<bool> {
        self.wait
    }

    fn verb(&self) -> String {
        "back up".into()
    }

    fn pace(&self) -> Pace {
        Pace::OnePerNode
    }

    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun> {
        let mode = self.mode.unwrap_or_default();
        let storage = choose(pve, &guest.node, Content::Backup, self.storage.as_deref())?;
        let state = guest.state(pve)?;
        state.unlocked(guest)?;
        // What is not in it is worth a warning, not a failure.
        let left_out = GuestConfig::read(pve, guest)
            .map(|config| left_out(guest.kind, &config.disks()))
            .map_err(|failure| text::cut(&Error::from(failure).message(), 300));
        let action = format!("back up {} to {}", guest.label(), storage.storage);
        let report = Report::done(action).on(guest);
        let report = self.warned(report, mode, &storage, state.is_running(), left_out);
        if preview {
            return Ok(Begun::Ended(Report {
                status: Status::Preview,
                ..report
            }));
        }
        let params = self.params(guest.vmid, mode, &storage, &self.notes()?);
        let request = calls::backup::CREATE.at([&guest.node]);
        for _ in 0..ATTEMPTS {
            let started = pve.send(&request, &params)?;
            // For a guest that has left the node in the meantime, Proxmox returns "OK" and
            // makes no backup. Any other answer may mean a backup that is being made.
            let is_elsewhere = matches!(&started, Started::WithoutTask(Some(said)) if said == "OK");
            if !is_elsewhere {
                return Ok(Begun::Started(report, started, None));
            }
            if Guest::find(pve, guest.vmid)?.node != guest.node {
                return Err(Error::GuestMoved(not_made(guest)));
            }
        }
        Err(Error::Conflict(not_made(guest)))
    }
}

impl CreateBackup {
    fn warned(
        &self,
        mut report: Report,
        mode: Mode,
        storage: &StorageStatus,
        is_running: bool,
        left_out: Result<Vec<String>, String>,
    ) -> Report {
        if is_running && mode != Mode::Snapshot {
            report = report.warn(match mode {
                Mode::Stop => "the guest is shut down for the backup and started again afterwards",
                _ => "the guest is suspended for a while during the backup",
            });
        }
        if is_backup_server(storage) && self.compress.is_some() {
            report = report.warn(format!(
                "{} is a Proxmox Backup Server, which does its own compression: compress was \
                 ignored",
                storage.storage
            ));
        }
        match left_out {
            Ok(disks) if disks.is_empty() => report,
            Ok(disks) => report.warn(format!(
                "the backup does not contain these: {}",
                disks.join(", ")
            )),
            Err(why) => report.warn(format!(
                "the configuration could not be read, so whether the backup leaves out any disk \
                 is not known: {why}"
            )),
        }
    }

    /// The notes as vzdump takes them: on one line.
    pub(super) fn notes(&self) -> Result<String> {
        let notes = notes_template(self.notes.as_deref().unwrap_or("{{guestname}}"));
        if let Some(unknown) = unknown_variable(&notes) {
            return Err(Error::argument(
                "notes",
                format!(
                    "must not contain {{{{{}}}}}: only {{{{guestname}}}}, {{{{node}}}}, \
                     {{{{vmid}}}} and {{{{cluster}}}} can be filled in",
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

    pub(super) fn params(
        &self,
        vmid: Vmid,
        mode: Mode,
        storage: &StorageStatus,
        notes: &str,
    ) -> Params {
        let compress = self.compress.unwrap_or_default();
        Params::new()
            .set("vmid", vmid)
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

/// How many times a backup is requested on the node that Proxmox lists a guest on.
const ATTEMPTS: u32 = 2;

fn not_made(guest: &Guest) -> String {
    format!(
        "no backup was made: the guest {} is not on the node that Proxmox lists it on, most likely \
         because it is being moved; {} shows where it is, then call again",
        guest.vmid,
        tool_names::GET_GUEST
    )
}

/// The disks that a backup of a guest leaves out.
fn left_out(kind: GuestType, disks: &[Disk]) -> Vec<String> {
    disks
        .iter()
        .filter(|disk| !disk.cdrom && !disk.is_unused())
        .filter_map(|disk| {
            let why = match kind {
                GuestType::Lxc if disk.volid.starts_with('/') => "a path of the node, not a volume",
                // Mount points are backed up only where they say so.
                GuestType::Lxc
                    if disk.bus() == Some(Bus::MountPoint) && disk.backup != Some(true) =>
                {
                    "its backup option is off"
                }
                GuestType::Qemu if disk.backup == Some(false) => "its backup option is off",
                _ => return None,
            };
            Some(format!("{} ({}: {why})", disk.id, disk.volid))
        })
        .collect()
}

fn is_backup_server(storage: &StorageStatus) -> bool {
    storage.kind == "pbs"
}

/// Notes on one line, as vzdump takes them.
pub(super) fn notes_template(notes: &str) -> String {
    notes
        .replace('\\', "\\\\")
        .replace("\r\n", "\n")
        .replace(['\r', '\n'], "\\n")
}

/// A variable in notes that vzdump does not know, and refuses.
pub(super) fn unknown_variable(notes: &str) -> Option<&str> {
    notes
        .split("{{")
        .skip(1)
        .filter_map(|part| part.split_once("}}"))
        .map(|(name, _)| name.trim_start_matches('{'))
        .filter(|name| !name.is_empty() && !name.contains(char::is_whitespace))
        .filter(|name| !name.contains(['{', '}']))
        .find(|name| !matches!(*name, "cluster" | "guestname" | "node" | "vmid"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let told = left_out(GuestType::Lxc, &disks).join("; ");
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
            left_out(GuestType::Qemu, &disks),
            ["scsi1 (local:100/vm-100-disk-1.qcow2: its backup option is off)"]
        );
    }
}
