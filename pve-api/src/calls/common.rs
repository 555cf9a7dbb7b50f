//! Privileges and grammars that calls of several areas share.

use crate::call::{Param, opt};
use crate::grammar::Grammar as G;

/// Any token may make the call.
pub(super) const ANYONE: &str = "";
pub(super) const AUDIT_CLUSTER: &str = "Sys.Audit on /";
pub(super) const AUDIT_NODE: &str = "Sys.Audit on /nodes/{node}";
pub(super) const AUDIT_GUEST: &str = "VM.Audit on /vms/{vmid}";
pub(super) const MODIFY_CLUSTER: &str = "Sys.Modify on /";
pub(super) const MODIFY_NODE: &str = "Sys.Modify on /nodes/{node}";
pub(super) const POWER: &str = "VM.PowerMgmt on /vms/{vmid}";
pub(super) const SNAPSHOT: &str = "VM.Snapshot on /vms/{vmid}";
pub(super) const CONFIG_NETWORK: &str = "VM.Config.Network on /vms/{vmid}";
pub(super) const CONFIG_DISK: &str = "VM.Config.Disk on /vms/{vmid}";
pub(super) const AGENT_UNRESTRICTED: &str = "VM.GuestAgent.Unrestricted on /vms/{vmid}";
pub(super) const ALLOCATE_SPACE: &str = "Datastore.AllocateSpace on each storage in use";

pub(super) const ON_STORAGE: &str = "Datastore.AllocateSpace on /storage/{storage}";

pub(super) const COUNT: G = G::Int(0, 1_000_000);
/// A timeout, up to a day.
pub(super) const SECONDS: G = G::Int(0, 86_400);
/// KiB/s.
pub(super) const BANDWIDTH: G = G::Int(0, 1_000_000_000);
pub(super) const DIGEST: Param = opt("digest", G::Hex);
pub(super) const DESCRIPTION: Param = opt("description", G::Text);
/// Proxmox refuses the call without the parameter.
pub(super) const REQUIRED: &str = "Proxmox requires it";
