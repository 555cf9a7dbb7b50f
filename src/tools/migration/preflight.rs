//! Proxmox's own check before a migration.

use std::collections::BTreeMap;

use pve_api::{calls, size};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Failure, Flag, Guest, GuestState, GuestType, Num, Params, Pve};

#[derive(Debug, Clone, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct LocalDisk {
    /// The configuration's key, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk: Option<String>,
    pub(super) volid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) cdrom: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unused: bool,
}

/// The result of Proxmox's check. VMs and containers name its fields differently.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Preflight {
    #[serde(default)]
    pub(super) running: Flag,
    /// Of a guest that is not running only.
    #[serde(default, alias = "allowed-nodes")]
    pub(super) allowed_nodes: Option<Vec<String>>,
    #[serde(default, alias = "not-allowed-nodes")]
    pub(super) not_allowed_nodes: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(super) local_disks: Option<Vec<RawDisk>>,
    #[serde(default)]
    pub(super) local_resources: Option<Vec<String>>,
    #[serde(default, rename = "mapped-resources")]
    pub(super) mapped_resources: Option<Vec<String>>,
    #[serde(default, rename = "mapped-resource-info")]
    pub(super) mapped_resource_info: Option<BTreeMap<String, RawMapped>>,
    #[serde(default, rename = "dependent-ha-resources")]
    pub(super) dependent: Option<Vec<String>>,
}

#[derive(Debug, DeserializeFields)]
pub(super) struct RawDisk {
    pub(super) volid: String,
    /// The configuration's key.
    #[serde(default)]
    pub(super) drivename: Option<String>,
    #[serde(default)]
    size: Option<Value>,
    #[serde(default)]
    cdrom: Flag,
    #[serde(default)]
    is_unused: Flag,
}

#[derive(Debug, Default, DeserializeFields)]
pub(super) struct RawMapped {
    #[serde(default, rename = "live-migration")]
    pub(super) live_migration: Flag,
}

impl Preflight {
    /// Reads it. If it does not say whether the guest is running, the guest's node does: the
    /// list of guests lags behind.
    pub(super) fn read(pve: &Pve, guest: &Guest, state: &GuestState) -> Result<Self, Failure> {
        let mut preflight = match pve.send(
            &guest.request(&calls::guests::MIGRATION_TARGETS),
            &Params::new(),
        ) {
            // Before Proxmox VE 9 containers had no preflight.
            Err(Failure::Api(error)) if error.status == 501 && guest.kind == GuestType::Lxc => {
                Self::default()
            }
            other => other?,
        };
        preflight.running.0 |= state.is_running();
        Ok(preflight)
    }
}

impl From<RawDisk> for LocalDisk {
    fn from(raw: RawDisk) -> Self {
        Self {
            disk: raw.drivename,
            volid: raw.volid,
            // Bytes, or as the configuration has it: `32G`.
            size_bytes: raw.size.and_then(|size| match size {
                Value::String(text) => size::parse(&text),
                other => serde_json::from_value::<Num<u64>>(other)
                    .ok()
                    .map(|size| size.0),
            }),
            cdrom: raw.cdrom.0,
            unused: raw.is_unused.0,
        }
    }
}
