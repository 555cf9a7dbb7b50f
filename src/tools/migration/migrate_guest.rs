//! `migrate_guest`: moves a guest to another node.

use pve_api::calls;
use schemars::JsonSchema;

use super::preflight::LocalDisk;
use super::storage_map::StorageMap;
use super::survey::{How, Survey, is_ha_managed};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{
    Content, Guest, GuestType, Params, Pve, Started, Vmid, check_node_name, choose, choose_node,
};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::expected::{Cause, EndState, Expected};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// How long a container may take to shut down by default.
const SHUTDOWN_SECONDS: u32 = 180;

/// How long a guest is followed that the HA manager moves.
const HA_SECONDS: u32 = 900;

/// A move to another node.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MigrateGuest {
    vmid: Vmid,
    /// Node to move it to.
    target_node: String,
    /// Live or not, for a VM. Default: live if it runs.
    online: Option<bool>,
    /// False: refuse if disks on local storage would have to be copied. Default true.
    with_local_disks: Option<bool>,
    /// Storage for the disks there: NAME, or pairs FROM:TO by comma. Default: the same names.
    target_storage: Option<String>,
    /// How long a running container may take to shut down. Default 180.
    #[schemars(range(min = 1, max = 86_400))]
    shutdown_timeout_seconds: Option<u32>,
    /// Limit in KiB/s; 0 for none.
    bandwidth_limit_kibps: Option<u32>,
    /// False: do not follow the task.
    wait: Option<bool>,
    /// Whether a container that runs is refused: [`Self::restarting`].
    #[serde(skip)]
    keeps_running: bool,
}

/// A migration that was started, with what its report needs.
struct StartedMigration {
    how: How,
    local_disks: Vec<LocalDisk>,
    moves_along: Vec<String>,
    warnings: Vec<String>,
    downgraded: bool,
    started: Started,
}

impl Run for MigrateGuest {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::MIGRATE_TO),
        Calls::Guest(&calls::guests::MIGRATION_TARGETS),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::LIST),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[("target", "target_node")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_node_name("target_node", Some(&self.target_node))?;
        let storages = self
            .target_storage
            .as_deref()
            .map(StorageMap::parse)
            .transpose()?;
        let guest = Guest::find(pve, self.vmid)?;
        if guest.node == self.target_node {
            return Ok(Reply::report(self.unchanged(&guest)));
        }
        choose_node(pve, "target_node", Some(&self.target_node))?;
        if let Some(storages) = &storages {
            let content = Content::of_disks(guest.kind);
            for name in storages.targets() {
                choose(pve, &self.target_node, content, Some(name))?;
            }
        }
        guest.reachable(pve)?;
        self.begin(pve, guest, storages.as_ref())
    }
}

impl MigrateGuest {
    /// A move with the default for all else.
    pub(super) fn to(vmid: Vmid, target_node: &str) -> Self {
        Self {
            vmid,
            target_node: target_node.to_owned(),
            online: None,
            with_local_disks: None,
            target_storage: None,
            shutdown_timeout_seconds: None,
            bandwidth_limit_kibps: None,
            wait: None,
            keeps_running: false,
        }
    }

    /// The same, but without consent to the restart of a container, which may have been
    /// started since the move was planned.
    pub(super) fn restarting(self, may_restart: bool) -> Self {
        Self {
            keeps_running: !may_restart,
            ..self
        }
    }

    /// The same without copying local disks, if so wanted, or to these storages.
    pub(super) fn disks(
        self,
        with_local_disks: Option<bool>,
        target_storage: Option<&str>,
    ) -> Self {
        Self {
            with_local_disks,
            target_storage: target_storage.map(str::to_owned),
            ..self
        }
    }

    /// Moves a guest that was found to be on another node, which is reachable.
    /// The target node and the storages have been checked.
    pub(super) fn begin(
        self,
        pve: &Pve,
        guest: Guest,
        storages: Option<&StorageMap>,
    ) -> Result<Reply<Report>> {
        let (guest, migration) = guest.retry_if_moved(pve, |guest| {
            if guest.node == self.target_node {
                return Ok(None);
            }
            self.start(pve, guest, storages).map(Some)
        })?;
        match migration {
            Some(migration) => self.report(&guest, migration),
            None => Ok(Reply::report(self.unchanged(&guest))),
        }
    }

    /// The report if the guest is on the target node already.
    fn unchanged(&self, guest: &Guest) -> Report {
        let action = format!("migrate {} to {}", guest.label(), self.target_node);
        let report = Report::unchanged(action).on(guest);
        match &self.target_storage {
            None => report,
            Some(storage) => report
                .warn(format!(
                    "the guest is already on node {}. A migration moves disks only together with \
                     the guest, so its disks were not moved to {storage}",
                    guest.node
                ))
                .next(format!(
                    "{} moves a disk to another storage of its node",
                    tool_names::MOVE_DISK
                )),
        }
    }

    /// Checks the obstacles to the move and starts it.
    fn start(
        &self,
        pve: &Pve,
        guest: &Guest,
        storages: Option<&StorageMap>,
    ) -> Result<StartedMigration> {
        let survey = Survey::make(pve, guest)?;
        let running = survey.running;
        if self.keeps_running && survey.how(guest.kind) == How::Restart {
            return Err(Error::Conflict(
                "it was started in the meantime, and a running container moves only by shutdown \
                 and start: call again with accept_container_restart"
                    .into(),
            ));
        }
        self.check_online(guest, running)?;
        // The HA manager ignores it.
        let storages = storages.filter(|_| !is_ha_managed(guest));
        self.check_obstacles(guest, &survey, storages)?;
        let copied = survey.copied();
        let how = survey.how(guest.kind);
        let mut form = Params::new().set("target", &self.target_node);
        form = match guest.kind {
            GuestType::Qemu => {
                if how == How::Live {
                    form = form.flag("online", true);
                }
                if !copied.is_empty() || storages.is_some() {
                    form = form.flag("with-local-disks", true);
                }
                form.opt("targetstorage", storages)
            }
            GuestType::Lxc => {
                if how == How::Restart {
                    form = form
                        .flag("restart", true)
                        .set("timeout", self.shutdown_timeout());
                }
                form.opt("target-storage", storages)
            }
        }
        .opt("bwlimit", self.bandwidth_limit_kibps);
        let started = pve.send(&guest.request(&calls::guests::MIGRATE_TO), &form)?;
        Ok(StartedMigration {
            how,
            local_disks: copied.into_iter().cloned().collect(),
            moves_along: survey.moves_along,
            warnings: survey.warnings,
            downgraded: self.online == Some(true) && !running,
            started,
        })
    }

    fn check_online(&self, guest: &Guest, running: bool) -> Result<()> {
        match (guest.kind, self.online) {
            (GuestType::Lxc, Some(true)) => Err(Error::argument(
                "online",
                "must be left out for a container: containers cannot be migrated live; a running \
                 one is shut down, moved and started",
            )),
            (_, Some(false)) if running => Err(Error::Conflict(format!(
                "{} is running, and online is false: stop it first with {}, or leave online out to \
                 move it {}",
                guest.label(),
                tool_names::STOP_GUEST,
                match guest.kind {
                    GuestType::Qemu => "while it runs",
                    GuestType::Lxc => "by shutdown and start",
                }
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a move that Proxmox would start and then fail. Whether the target
    /// node is online has been checked.
    fn check_obstacles(
        &self,
        guest: &Guest,
        survey: &Survey,
        storages: Option<&StorageMap>,
    ) -> Result<()> {
        let mut reasons = survey.blockers(guest);
        reasons.extend(
            survey
                .judge(guest, &[], &self.target_node, storages)
                .reasons,
        );
        let copied = survey.copied();
        if self.with_local_disks == Some(false) && !copied.is_empty() {
            reasons.push(format!(
                "with_local_disks is false, and {} would have to be copied",
                volids(copied)
            ));
        }
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "{} cannot move to {}: {}; {} shows where it can",
            guest.label(),
            self.target_node,
            reasons.join("; "),
            tool_names::CHECK_MIGRATION
        )))
    }

    fn shutdown_timeout(&self) -> u32 {
        self.shutdown_timeout_seconds.unwrap_or(SHUTDOWN_SECONDS)
    }

    fn report(self, guest: &Guest, migration: StartedMigration) -> Result<Reply<Report>> {
        // Proxmox hands an HA guest to the HA manager, whose own task does it.
        let by_ha = match &migration.started {
            Started::Task(upid) => upid.kind().starts_with("ha"),
            Started::WithoutTask(_) => false,
        };
        let how = match migration.how {
            How::Live => "live",
            How::Offline => "offline",
            How::Restart => "by restart",
        };
        let what = format!(
            "{} from {} to {}",
            guest.label(),
            guest.node,
            self.target_node
        );
        let mut report = Report::done(format!("migrate {what}, {how}"))
            .on(guest)
            .change("node", Some(&guest.node), Some(&self.target_node));
        let finish = if by_ha {
            let node = EndState::On(self.target_node.clone());
            Some(Expected::by_ha(guest.vmid, node, HA_SECONDS))
        } else if matches!(migration.started, Started::WithoutTask(_)) {
            let node = EndState::On(self.target_node.clone());
            Some(Expected::new(guest.vmid, node, Cause::Unnamed, HA_SECONDS))
        } else {
            report.node = Some(self.target_node.clone());
            None
        };
        report.warnings = self.warnings(&migration);
        if by_ha && (self.target_storage.is_some() || self.bandwidth_limit_kibps.is_some()) {
            report = report.warn(
                "the HA manager does not take a target storage or a bandwidth limit: both were \
                 ignored",
            );
        }
        report.started_until(&migration.started, self.wait, finish)
    }

    /// What the caller should know about the move.
    fn warnings(&self, migration: &StartedMigration) -> Vec<String> {
        let mut warnings = Vec::new();
        if migration.how == How::Restart {
            warnings.push(format!(
                "containers cannot be migrated live: it is shut down (within {} s), moved and \
                 started on {}, and is unavailable meanwhile",
                self.shutdown_timeout(),
                self.target_node
            ));
        }
        if migration.downgraded {
            warnings.push("it is not running, so it is moved offline".to_owned());
        }
        if !migration.local_disks.is_empty() {
            let disks = &migration.local_disks;
            let bytes: u64 = disks.iter().filter_map(|disk| disk.size_bytes).sum();
            let size = match bytes {
                0 => String::new(),
                bytes => format!(" ({})", text::bytes(bytes)),
            };
            warnings.push(format!(
                "{} on local storage {} copied over the network: {}{size}",
                text::count(disks.len(), "disk"),
                if disks.len() == 1 { "is" } else { "are" },
                volids(disks),
            ));
        }
        if !migration.moves_along.is_empty() {
            warnings.push(format!(
                "an HA rule keeps these with it, so they move along: {}",
                migration.moves_along.join(", ")
            ));
        }
        warnings.extend(migration.warnings.iter().cloned());
        warnings
    }
}

fn volids<'a>(disks: impl IntoIterator<Item = &'a LocalDisk>) -> String {
    let volids: Vec<&str> = disks.into_iter().map(|disk| disk.volid.as_str()).collect();
    volids.join(", ")
}
