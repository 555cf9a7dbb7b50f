//! Cloud-init: the settings from which a VM sets itself up when it boots.

pub(crate) mod address;
mod drive;
mod get_cloud_init;
pub(in crate::tools) mod keys;
mod mask;
pub(in crate::tools) mod set_cloud_init;
#[cfg(test)]
mod tests;

use get_cloud_init::GetCloudInit;
use set_cloud_init::SetCloudInit;

use crate::tool::{READ, SET, Tool, Toolset};

const TOOLSET: Toolset = Toolset("cloudinit");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<GetCloudInit>(TOOLSET, "get_cloud_init", "Get cloud-init settings", READ,
        "A VM's cloud-init settings, those not on its drive yet, and the generated documents; passwords hidden."),
    Tool::new::<SetCloudInit>(TOOLSET, "set_cloud_init", "Set cloud-init", SET,
        "Set a VM's cloud-init user, password, SSH keys, addresses, DNS; others stay. Regenerates the drive; the VM reads it at boot."),
];
