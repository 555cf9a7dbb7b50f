//! `rollback_snapshot`: rolls a guest back, or previews what that would lose.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;
use pve_api::slot::Bus;
use schemars::JsonSchema;

use super::snapshot::{Snapshot, Snapshots, check_name};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order::Ordered as _;
use crate::pve::{Disk, Guest, GuestConfig, Params, Pve, Started, Vmid};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::expected::{Cause, EndState, Expected};
use crate::tool::report::{Change, Report, Status};
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// How long a guest that a rollback starts may take to run.
const START_SECONDS: u32 = 60;

/// Rolls a guest back to a snapshot.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackSnapshot {
    vmid: Vmid,
    /// The snapshot; case matters.
    #[schemars(length(min = 1, max = 40))]
    snapshot: String,
    /// Start the guest afterwards. Default false; with RAM it runs anyway.
    start: Option<bool>,
    /// True: only show what would be lost.
    preview: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for RollbackSnapshot {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::snapshots::LIST),
        Calls::Guest(&calls::snapshots::ROLLBACK),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] =
        &[("name", "snapshot"), ("snapname", "snapshot")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_name(&self.snapshot)?;
        let start = self.start == Some(true);
        let preview = self.preview == Some(true);
        let (guest, (loss, started)) = Guest::with(pve, self.vmid, |guest| {
            let snapshots = Snapshots::read(pve, guest)?;
            let snapshot = snapshots.find(guest, &self.snapshot)?;
            if let Some(broken) = &snapshot.snapstate {
                return Err(Error::Conflict(format!(
                    "snapshot {} of {} is incomplete ({broken}) and cannot be rolled back \
                     to: remove it with {}",
                    self.snapshot,
                    guest.label(),
                    tool_names::DELETE_SNAPSHOT
                )));
            }
            let then = GuestConfig::of_snapshot(pve, guest, &self.snapshot)?;
            let now = GuestConfig::read(pve, guest)?;
            let state = guest.state(pve)?;
            let loss = Loss::new(snapshot, &now, &then, state.is_running(), start);
            if preview {
                return Ok((loss, None));
            }
            state.unlocked(guest)?;
            let request = guest.request_named(&calls::snapshots::ROLLBACK, [&self.snapshot]);
            let params = Params::new().opt_flag("start", start.then_some(true));
            Ok((loss, Some(pve.send::<Started>(&request, &params)?)))
        })?;
        let action = format!(
            "roll {} back to snapshot {}{}",
            guest.label(),
            self.snapshot,
            loss.when
        );
        // The start is a separate task, which the rollback does not wait for.
        let finish = if start {
            Some(Expected::new(
                self.vmid,
                EndState::Running,
                Cause::Start,
                START_SECONDS,
            ))
        } else {
            None
        };
        let report = loss
            .report(Report::done(action).on(&guest))
            .snapshot(&self.snapshot);
        match started {
            Some(started) => report.started_until(&started, self.wait, finish),
            None => Ok(Reply::report(Report {
                status: Status::Preview,
                next_step: Some(
                    "nothing has been changed: call again without preview to roll back".into(),
                ),
                ..report
            })),
        }
    }
}

/// What a rollback loses.
#[derive(Debug, Default, PartialEq)]
struct Loss {
    /// " of 2023-11-14T22:15:00Z".
    when: String,
    changes: Vec<Change>,
    told: Vec<String>,
    next: Option<String>,
}

impl Loss {
    fn new(
        snapshot: &Snapshot,
        now: &GuestConfig,
        then: &GuestConfig,
        running: bool,
        start: bool,
    ) -> Self {
        let (kept, detached) = disks(now.disks(), &then.disks());
        let since = snapshot.snaptime.map_or_else(
            || "since then".into(),
            |time| format!("since {}", text::time(time.0)),
        );
        let mut told = Vec::new();
        if !kept.is_empty() {
            told.push(format!(
                "everything written {since} to {} is lost",
                kept.join(", ")
            ));
        }
        if !detached.is_empty() {
            told.push(format!(
                "{} did not exist then: detached, and kept as unused volumes",
                detached.join(", ")
            ));
        }
        let mut next = None;
        if snapshot.has_ram() {
            told.push("the RAM is restored too: the guest continues from the snapshot".into());
        } else if running && start {
            told.push(
                "the running guest is switched off without a shutdown and started again".into(),
            );
        } else if running {
            told.push("the running guest is switched off without a shutdown".into());
            next = Some(format!(
                "the guest is stopped afterwards: {} starts it",
                tool_names::START_GUEST
            ));
        }
        let owned = |config: &GuestConfig| -> BTreeMap<String, String> {
            config
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .ordered()
        };
        Self {
            when: snapshot.when(),
            changes: differences(&owned(now), &owned(then)),
            told,
            next,
        }
    }

    fn report(self, mut report: Report) -> Report {
        report.changes = self.changes;
        report.warnings = self.told;
        report.next_step = self.next;
        report
    }
}

/// The disks whose contents are reset, and those that did not exist yet.
fn disks(now: Vec<Disk>, then: &[Disk]) -> (Vec<String>, Vec<String>) {
    let real = |disk: &Disk| !disk.cdrom && !disk.is_unused();
    let was_there = |disk: &Disk| then.iter().any(|old| real(old) && old.volid == disk.volid);
    let (kept, detached): (Vec<Disk>, Vec<Disk>) = now
        .into_iter()
        .filter(|disk| real(disk))
        .partition(was_there);
    let ids = |disks: Vec<Disk>| disks.into_iter().map(|disk| disk.id).collect();
    (ids(kept), ids(detached))
}

/// What a rollback changes in the configuration. The description, unused
/// volumes and Proxmox's own notes stay as they are.
fn differences(now: &BTreeMap<String, String>, then: &BTreeMap<String, String>) -> Vec<Change> {
    let stays = |key: &str| {
        matches!(
            key,
            "description"
                | "digest"
                | "lock"
                | "parent"
                | "snaptime"
                | "snapstate"
                | "vmstate"
                | "vmgenid"
                | "runningmachine"
                | "runningcpu"
                | "running-nets-host-mtu"
        ) || Bus::of(key) == Some(Bus::Unused)
    };
    let keys: BTreeSet<&String> = now.keys().chain(then.keys()).ordered();
    keys.into_iter()
        .filter(|key| !stays(key))
        .filter_map(|key| {
            let (from, to) = (now.get(key), then.get(key));
            if from == to {
                return None;
            }
            if key == "cipassword" {
                // Masked in one place or both: only its presence can be compared.
                return (from.is_some() != to.is_some()).then(|| Change {
                    what: key.clone(),
                    from: from.map(|_| "a password".into()),
                    to: to.map(|_| "a password".into()),
                    waits_for_reboot: false,
                });
            }
            Some(Change {
                what: key.clone(),
                from: from.map(|value| text::cut(value, 160)),
                to: to.map(|value| text::cut(value, 160)),
                waits_for_reboot: false,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rollback_changes() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let now = map(&[
            ("cores", "2"),
            ("memory", "2048"),
            ("description", "now"),
            ("digest", "a"),
            ("parent", "clean"),
            ("cipassword", "**********"),
            ("unused0", "local:x"),
            ("onboot", "1"),
        ]);
        let then = map(&[
            ("cores", "1"),
            ("memory", "2048"),
            ("description", "before"),
            ("snaptime", "1"),
            ("cipassword", "$5$hash"),
            ("net1", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
        ]);
        let changes = differences(&now, &then);
        let told: Vec<_> = changes
            .iter()
            .map(|change| {
                (
                    change.what.as_str(),
                    change.from.as_deref(),
                    change.to.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("cores", Some("2"), Some("1")),
                ("net1", None, Some("virtio=BC:24:11:00:00:01,bridge=vmbr0")),
                ("onboot", Some("1"), None),
            ]
        );
        let removed = differences(&now, &BTreeMap::new());
        assert!(
            removed
                .iter()
                .all(|change| !format!("{change:?}").contains('*'))
        );
    }

    #[test]
    fn disks_that_go_back_and_disks_that_stay() {
        let now = vec![
            Disk::parse("scsi0", "local:100/vm-100-disk-0.qcow2,size=64M"),
            Disk::parse("scsi1", "local:100/vm-100-disk-1.qcow2,size=64M"),
            Disk::parse("ide2", "local:iso/a.iso,media=cdrom"),
            Disk::parse("unused0", "local:100/vm-100-disk-9.qcow2"),
        ];
        let then = [Disk::parse(
            "scsi0",
            "local:100/vm-100-disk-0.qcow2,size=32M",
        )];
        assert_eq!(
            disks(now, &then),
            (vec!["scsi0".into()], vec!["scsi1".into()])
        );
    }
}
