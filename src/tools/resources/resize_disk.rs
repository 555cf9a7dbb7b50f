//! `resize_disk`: grows a disk. Disks never shrink.

use pve_api::{calls, size};
use schemars::JsonSchema;

use super::guard::{self, Guarded};
use super::settings::unreadable;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{
    Content, Disk, Guest, GuestConfig, GuestType, Params, Pve, Source, Started, Vmid, volumes,
};
use crate::tool::declared::{Calls, GUARDED, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Finished, Outcome, Reply, Run};
use crate::{text, tool_names};

/// Grows a disk.
#[derive(Debug, SerializeFields, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResizeDisk {
    pub(super) vmid: Vmid,
    /// scsi0, virtio0, rootfs, mp0, …
    #[schemars(length(min = 1, max = 20))]
    pub(super) disk: String,
    /// +10G grows by 10 GiB; 40G grows to 40 GiB. Units K, M, G, T or GB, GiB
    /// (1024).
    #[schemars(length(min = 1, max = 30))]
    pub(super) size: String,
    /// False: do not follow the task.
    pub(super) wait: Option<bool>,
    /// Take a snapshot first, check the guest afterwards, report how to roll back.
    pub(super) safe: Option<bool>,
}

impl Run for ResizeDisk {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(GUARDED),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::RESIZE),
        Calls::One(&calls::storage::CONTENT),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[("id", "disk")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        if self.safe == Some(true) && self.wait == Some(false) {
            return Err(Error::argument(
                "wait",
                "must not be false with safe: the guest is checked after the change",
            ));
        }
        guard::run(self.safe, self, pve)
    }

    fn resume(pve: &Pve, state: &str) -> Result<Outcome> {
        guard::resume::<Self>(pve, state)
    }

    fn cancel(pve: &Pve, state: &str) -> Result<Finished> {
        guard::cancel::<Self>(pve, state)
    }
}

impl Guarded for ResizeDisk {
    const TOOL: &'static str = tool_names::RESIZE_DISK;
    const PURPOSE: &'static str = "disk_size";

    fn vmid(&self) -> Vmid {
        self.vmid
    }

    fn change(&self, pve: &Pve, is_dry: bool) -> Result<Option<Reply<Report>>> {
        let size = Size::parse(&self.size)?;
        let (guest, (from, to, started)) = Guest::with(pve, self.vmid, |guest| {
            let config = GuestConfig::read(pve, guest)?;
            if config.is_unreadable(&self.disk) {
                return Err(unreadable(
                    guest,
                    &format!("the values of {}", self.disk),
                    "resize it there",
                ));
            }
            let disk = self.disk(guest, config.disks())?;
            let from = current_size(pve, guest, &disk)?;
            let to = match (from, size) {
                (Some(from), _) => Some(size.against(from, &disk.id)?),
                // Proxmox adds it to the disk's size at that time.
                (None, Size::By(_)) => None,
                (None, Size::To(_)) => return Err(unknown_size(guest, &disk)),
            };
            if to.is_some() && to == from {
                return Ok((from, to, None));
            }
            guest.state(pve)?.unlocked(guest)?;
            if is_dry {
                return Ok((from, to, None));
            }
            let form = Params::new()
                .set("disk", &disk.id)
                .set("size", size.parameter())
                .opt("digest", config.digest());
            let started = pve.send::<Started>(&guest.request(&calls::guests::RESIZE), &form)?;
            Ok((from, to, Some(started)))
        })?;
        let how = match (to, size) {
            (Some(to), _) | (None, Size::To(to)) => format!("to {}", text::bytes(to)),
            (None, Size::By(more)) => format!("by {}", text::bytes(more)),
        };
        let action = format!("grow {} of {} {how}", self.disk, guest.label());
        let Some(started) = started else {
            let is_met = to.is_some() && to == from;
            let report = Reply::report(Report::unchanged(action).on(&guest));
            return Ok(is_met.then_some(report));
        };
        let mut report = Report::done(action).on(&guest);
        if let (Some(from), Some(to)) = (from, to) {
            report = report.change(
                self.disk.clone(),
                Some(text::bytes(from)),
                Some(text::bytes(to)),
            );
        }
        if guest.kind == GuestType::Qemu {
            report = report.next(
                "grow the partition and the file system inside the guest; cloud images do so at \
                 their next start",
            );
        }
        // Older versions grow it at once and name no task.
        if matches!(started, Started::WithoutTask(_))
            && to.is_some_and(|to| self.has_grown(pve, &guest, to))
        {
            return Ok(Some(Reply::report(report)));
        }
        report.started(&started, self.wait).map(Some)
    }
}

impl ResizeDisk {
    fn has_grown(&self, pve: &Pve, guest: &Guest, to: u64) -> bool {
        GuestConfig::read(pve, guest).is_ok_and(|config| {
            let mut disks = config.disks().into_iter();
            disks
                .find(|disk| disk.id == self.disk)
                .and_then(|disk| disk.size_bytes)
                .is_some_and(|size| size >= to)
        })
    }

    /// The disk of this name. Fails if it cannot grow.
    pub(super) fn disk(&self, guest: &Guest, disks: Vec<Disk>) -> Result<Disk> {
        // A bind mount, a device passed through and an empty drive are not
        // volumes. The firmware's and the TPM's have to keep their size.
        let grows = |disk: &Disk| !disk.cdrom && disk.holds_data() && disk.storage.is_some();
        let known = disks
            .iter()
            .filter(|disk| grows(disk))
            .map(|disk| match disk.size_bytes {
                Some(size) => format!("{} ({})", disk.id, text::bytes(size)),
                None => disk.id.clone(),
            })
            .collect::<Vec<_>>();
        let known = text::names(known.iter().map(String::as_str));
        let known = if known.is_empty() {
            format!("{} has none", guest.label())
        } else {
            format!("{} has {known}", guest.label())
        };
        let Some(disk) = disks.into_iter().find(|disk| disk.id == self.disk) else {
            return Err(Error::argument(
                "disk",
                format!("must be a disk of the guest: {known}"),
            ));
        };
        if !grows(&disk) {
            let what = if disk.cdrom {
                "a CD-ROM drive".to_owned()
            } else if disk.source == Source::Path {
                format!(
                    "a path of the node ({}), not a volume on a storage",
                    disk.volid
                )
            } else if disk.storage.is_none() {
                "not a volume on a storage".to_owned()
            } else {
                "not in use".to_owned()
            };
            return Err(Error::argument(
                "disk",
                format!(
                    "must be a disk that can grow, but {} is {what}: {known}",
                    disk.id
                ),
            ));
        }
        Ok(disk)
    }
}

/// A disk's wanted size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    By(u64),
    To(u64),
}

impl Size {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::argument(
                "size",
                format!(
                    "must be +10G to grow by 10 GiB or 40G to grow to 40 GiB, a number with one of \
                     the units K, M, G, T, not {}",
                    text::quoted(text)
                ),
            )
        };
        let (by, digits) = match text.trim().strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // Proxmox takes a number alone as bytes, which is never meant.
        if !digits.contains(|letter: char| letter.is_ascii_alphabetic()) {
            return Err(wrong());
        }
        match size::bytes(digits)
            .filter(|size| *size > 0)
            .map(size::whole)
        {
            Some(size) if by => Ok(Self::By(size)),
            Some(size) => Ok(Self::To(size)),
            None => Err(wrong()),
        }
    }

    /// The size in Proxmox's form.
    pub(super) fn parameter(self) -> String {
        match self {
            Self::By(bytes) => format!("+{}", size::parameter(bytes)),
            Self::To(bytes) => size::parameter(bytes),
        }
    }

    /// The disk's new size. Fails if it is smaller than the current one.
    pub(super) fn against(self, from: u64, disk: &str) -> Result<u64> {
        let to = match self {
            Self::By(more) => from.checked_add(more).ok_or_else(|| {
                Error::argument("size", "must be less: no disk can be that large")
            })?,
            Self::To(to) => to,
        };
        if to < from {
            return Err(Error::argument(
                "size",
                format!(
                    "must be more than {}, as {disk} has that already: a disk can grow, never \
                     shrink; to grow it by so much, write + before it",
                    text::bytes(from)
                ),
            ));
        }
        Ok(to)
    }
}

/// A disk's exact size, by the configuration or else by its storage; none if
/// neither has it.
fn current_size(pve: &Pve, guest: &Guest, disk: &Disk) -> Result<Option<u64>> {
    if let Some(size) = disk.size_bytes {
        return Ok(Some(size));
    }
    let content = Content::of_disks(guest.kind);
    let storage = disk.storage.as_deref().unwrap_or_default();
    let found = volumes(pve, &guest.node, storage, Some(content), Some(guest.vmid))?
        .into_iter()
        .find(|volume| volume.volid == disk.volid)
        .and_then(|volume| volume.size);
    Ok(found.map(|size| size.0))
}

fn unknown_size(guest: &Guest, disk: &Disk) -> Error {
    Error::Conflict(format!(
        "neither the configuration nor storage {} gives the exact size of {} ({}), so that growing \
         it to a size cannot be checked: give what to add, such as +10G, or rescan the disks on node \
         {} with qm rescan or pct rescan",
        disk.storage.as_deref().unwrap_or_default(),
        disk.id,
        disk.volid,
        guest.node
    ))
}
