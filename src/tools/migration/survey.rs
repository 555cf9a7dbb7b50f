//! All that can be known before a migration.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::preflight::{LocalDisk, Preflight, RawDisk};
use super::refusal::{is_about_storages, refusal_reasons, unavailable};
use super::storage_map::StorageMap;
use crate::error::{Error, Result};
use crate::json::SerializeFields;
use crate::pve::{
    Disk, Guest, GuestConfig, GuestType, NodeState, Pve, StorageResource, storage_resources,
};
use crate::{text, tool_names};

/// What kind of migration it would be now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// A running VM keeps running.
    Live,
    /// The guest is stopped and stays stopped.
    Offline,
    /// A running container is shut down, moved and started.
    Restart,
}

#[derive(Debug, Clone, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct Target {
    pub(super) node: String,
    pub(super) allowed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) reasons: Vec<String>,
}

/// All that can be known before a migration.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) running: bool,
    pub(super) local_disks: Vec<LocalDisk>,
    pub(super) local_resources: Vec<String>,
    pub(super) mapped_resources: Vec<String>,
    /// Those of them that prevent a live migration.
    not_live: Vec<String>,
    pub(super) moves_along: Vec<String>,
    /// A container's mount points outside the storages.
    pub(super) bound: Vec<String>,
    /// A VM's disks that are devices of the node.
    passed_through: Vec<String>,
    /// Storages with volumes of a container.
    storages: BTreeSet<String>,
    storage_resources: Vec<StorageResource>,
    allowed: Option<Vec<String>>,
    refused: BTreeMap<String, Value>,
    /// What may still go wrong.
    pub(super) warnings: Vec<String>,
}

impl Survey {
    /// Reads the guest's state, Proxmox's own check and the configuration. Fails
    /// with [`Error::Conflict`] if the guest is locked.
    pub(super) fn make(pve: &Pve, guest: &Guest) -> Result<Self> {
        let storages = || storage_resources(pve);
        Ok(Self::with_config(pve, guest, storages)?.0)
    }

    /// The same together with the configuration; absent of a VM if it could not
    /// be read. `storages` is asked for a container alone.
    pub(super) fn with_config(
        pve: &Pve,
        guest: &Guest,
        storages: impl Fn() -> Result<Vec<StorageResource>>,
    ) -> Result<(Self, Option<GuestConfig>)> {
        let state = guest.state(pve)?;
        state.unlocked(guest)?;
        let preflight = Preflight::read(pve, guest, &state)?;
        match guest.kind {
            GuestType::Qemu => match GuestConfig::read(pve, guest) {
                Ok(config) => {
                    let survey = Self::of_vm(guest, preflight, &config.disks());
                    Ok((survey, Some(config)))
                }
                // A token that may not read it still gets the preflight.
                Err(failure) => {
                    let mut survey = Self::of_vm(guest, preflight, &[]);
                    survey.warnings.push(format!(
                        "the configuration could not be read, so disks and drives of node {} \
                         itself, which would hold the VM there, may have been missed: {}",
                        guest.node,
                        text::cut(&Error::from(failure).message(), 300)
                    ));
                    Ok((survey, None))
                }
            },
            GuestType::Lxc => {
                let config = GuestConfig::read(pve, guest)?;
                let survey = Self::of_container(preflight, &config, storages()?);
                Ok((survey, Some(config)))
            }
        }
    }

    pub(super) fn of_vm(guest: &Guest, preflight: Preflight, disks: &[Disk]) -> Self {
        let running = preflight.running.0;
        let (paths, local_disks): (Vec<RawDisk>, Vec<RawDisk>) = preflight
            .local_disks
            .unwrap_or_default()
            .into_iter()
            .partition(|disk| is_device(&disk.volid));
        let configured = disks
            .iter()
            .filter(|disk| is_device(&disk.volid))
            .map(|disk| (Some(disk.id.clone()), disk.volid.clone()));
        let mut passed_through = BTreeMap::new();
        for (id, path) in paths
            .into_iter()
            .map(|disk| (disk.drivename, disk.volid))
            .chain(configured)
        {
            let known = passed_through.entry(path).or_insert_with(|| id.clone());
            if known.is_none() {
                *known = id;
            }
        }
        let info = preflight.mapped_resource_info.unwrap_or_default();
        let mapped = preflight.mapped_resources.unwrap_or_default();
        // The drive is created again on the other node.
        let cloud_init = format!("vm-{}-cloudinit", guest.vmid);
        Self {
            running,
            not_live: mapped
                .iter()
                .filter(|key| running && !info.get(*key).is_some_and(|one| one.live_migration.0))
                .cloned()
                .collect(),
            passed_through: passed_through
                .into_iter()
                .map(|(path, id)| match id {
                    Some(id) => format!("{id} ({path})"),
                    None => path,
                })
                .collect(),
            local_disks: local_disks
                .into_iter()
                .filter(|disk| !disk.volid.contains(&cloud_init))
                .map(LocalDisk::from)
                .collect(),
            local_resources: preflight.local_resources.unwrap_or_default(),
            mapped_resources: mapped,
            moves_along: preflight.dependent.unwrap_or_default(),
            bound: Vec::new(),
            storages: BTreeSet::new(),
            storage_resources: Vec::new(),
            allowed: preflight.allowed_nodes.filter(|_| !running),
            refused: preflight.not_allowed_nodes.unwrap_or_default(),
            warnings: Vec::new(),
        }
    }

    /// For a container, Proxmox's check covers HA only, so the volumes are checked here.
    pub(super) fn of_container(
        preflight: Preflight,
        config: &GuestConfig,
        storage_resources: Vec<StorageResource>,
    ) -> Self {
        let is_shared = |storage: &str| {
            storage_resources
                .iter()
                .any(|resource| resource.storage == storage && resource.shared.0)
        };
        let mut local_disks = Vec::new();
        let mut bound = Vec::new();
        let mut storages = BTreeSet::new();
        for disk in config.disks() {
            let unused = disk.is_unused();
            let Some(storage) = disk.storage.filter(|_| !disk.volid.starts_with('/')) else {
                if !disk.options.iter().any(|option| option == "shared=1") {
                    bound.push(format!("{} ({})", disk.id, disk.volid));
                }
                continue;
            };
            if !is_shared(&storage) {
                local_disks.push(LocalDisk {
                    unused,
                    disk: Some(disk.id),
                    volid: disk.volid,
                    size_bytes: disk.size_bytes,
                    cdrom: false,
                });
            }
            storages.insert(storage);
        }
        Self {
            running: preflight.running.0,
            local_disks,
            local_resources: Vec::new(),
            mapped_resources: Vec::new(),
            not_live: Vec::new(),
            moves_along: preflight.dependent.unwrap_or_default(),
            passed_through: Vec::new(),
            bound,
            storages,
            storage_resources,
            // It holds for a running container as well, which is shut down.
            allowed: preflight.allowed_nodes,
            refused: preflight.not_allowed_nodes.unwrap_or_default(),
            warnings: node_parts(config).into_iter().collect(),
        }
    }

    pub(super) fn how(&self, kind: GuestType) -> How {
        match kind {
            _ if !self.running => How::Offline,
            GuestType::Qemu => How::Live,
            GuestType::Lxc => How::Restart,
        }
    }

    /// The local disks that are copied; an ISO image is none of them.
    pub(super) fn copied(&self) -> Vec<&LocalDisk> {
        self.local_disks.iter().filter(|disk| !disk.cdrom).collect()
    }

    /// Obstacles to a move to any node.
    pub(super) fn blockers(&self, guest: &Guest) -> Vec<String> {
        let mut blockers = Vec::new();
        for disk in self.local_disks.iter().filter(|disk| disk.cdrom) {
            blockers.push(format!(
                "the CD-ROM drive contains {}, which is on local storage: eject it first with {}",
                disk.volid,
                tool_names::SET_CDROM
            ));
        }
        if !self.passed_through.is_empty() {
            blockers.push(format!(
                "it uses disks or drives of node {} itself, which cannot move: {}; detach them \
                 first",
                guest.node,
                self.passed_through.join(", ")
            ));
        }
        if !self.local_resources.is_empty() {
            blockers.push(format!(
                "it uses devices of node {}: {}; remove them in the web interface first, or replace \
                 them by resource mappings that other nodes have too",
                guest.node,
                self.local_resources.join(", ")
            ));
        }
        if !self.not_live.is_empty() {
            blockers.push(format!(
                "it is running with mapped devices that cannot move live: {}; stop it first with {}",
                self.not_live.join(", "),
                tool_names::STOP_GUEST
            ));
        }
        if !self.bound.is_empty() {
            blockers.push(format!(
                "mount points outside the storages cannot move unless they are marked shared=1: {}; \
                 where every node has the folder, set that on the node with pct set",
                self.bound.join(", ")
            ));
        }
        blockers
    }

    /// Obstacles to a move to one node.
    pub(super) fn judge(
        &self,
        guest: &Guest,
        nodes: &[NodeState],
        target: &str,
        storages: Option<&StorageMap>,
    ) -> Target {
        let mut reasons = Vec::new();
        if target == guest.node {
            reasons.push("the guest is already on this node".to_owned());
        }
        if nodes
            .iter()
            .any(|node| node.node == target && node.is_offline())
        {
            reasons.push("the node is offline".into());
        }
        let mut lifted = false;
        if let Some(refusal) = self.refused.get(target) {
            // A running VM, and one whose disks go elsewhere, needs no storage
            // of the same name there.
            lifted = storages.is_some() && is_about_storages(refusal);
            if !lifted {
                reasons.extend(refusal_reasons(refusal));
            }
        }
        let missing = self.missing_storages(target, storages);
        reasons.extend(missing.filter(|missing| !reasons.contains(missing)));
        if let Some(allowed) = &self.allowed
            && reasons.is_empty()
            && !lifted
            && !allowed.iter().any(|node| node == target)
        {
            reasons.push("Proxmox does not allow it and gives no reason".into());
        }
        Target {
            node: target.to_owned(),
            allowed: reasons.is_empty(),
            reasons,
        }
    }

    fn missing_storages(&self, target: &str, storages: Option<&StorageMap>) -> Option<String> {
        // A token that may see no storage cannot know.
        if self.storage_resources.is_empty() {
            return None;
        }
        let missing: Vec<&str> = self
            .storages
            .iter()
            .map(|storage| storages.map_or(storage.as_str(), |map| map.of(storage)))
            .filter(|storage| {
                !self
                    .storage_resources
                    .iter()
                    .any(|resource| resource.node == target && resource.storage == *storage)
            })
            .collect();
        (!missing.is_empty()).then(|| unavailable(&missing))
    }
}

/// Devices and folders of the node that a container uses. Proxmox moves such a
/// container without a warning, and it may not start on a node that lacks them.
fn node_parts(config: &GuestConfig) -> Option<String> {
    let is_device = |key: &str| {
        key.strip_prefix("dev")
            .is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut parts: Vec<String> = config
        .iter()
        .filter(|(key, _)| is_device(key))
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    parts.extend(
        config
            .raw_lxc()
            .iter()
            .filter(|line| {
                ["lxc.mount.", "lxc.cgroup2.devices", "lxc.cgroup.devices"]
                    .iter()
                    .any(|key| line.starts_with(key))
            })
            .cloned(),
    );
    (!parts.is_empty()).then(|| {
        format!(
            "it uses devices or folders of its node, and may not start where they are missing: {}",
            text::cut(&parts.join(", "), 600)
        )
    })
}

/// Whether the HA manager moves it.
pub(super) fn is_ha_managed(guest: &Guest) -> bool {
    guest
        .hastate
        .as_deref()
        .is_some_and(|state| !state.is_empty() && state != "ignored")
}

/// Whether a disk is a device or file of the node, not a volume on a storage.
/// `cdrom` is the node's own drive.
fn is_device(volid: &str) -> bool {
    volid.starts_with('/') || volid == "cdrom"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_of_the_node_in_a_container() {
        let config = GuestConfig::sample(
            GuestType::Lxc,
            json!({
                "dev0": "/dev/ttyUSB0,mode=0660", "description": "dev",
                "lxc": [["lxc.cgroup2.devices.allow", "c 226:* rwm"], ["lxc.apparmor.profile", "x"]]
            }),
        );
        let warning = node_parts(&config).unwrap();
        assert!(
            warning.ends_with(
                "missing: dev0: /dev/ttyUSB0,mode=0660, lxc.cgroup2.devices.allow = c 226:* rwm"
            ),
            "{warning}"
        );
    }
}
