//! Templates and images, and new guests made of them.

mod appliance;
mod clone_guest;
mod clone_source;
mod create_container;
mod create_vm;
mod creation;
mod download_iso;
mod download_template;
mod image_file;
mod list_templates;
mod preflight;
#[cfg(test)]
mod tests;

use clone_guest::CloneGuest;
use create_container::CreateContainer;
use create_vm::CreateVm;
use download_iso::DownloadIso;
use download_template::DownloadTemplate;
use list_templates::ListTemplates;

use crate::tool::{READ, Tool, Toolset, WRITE};

const TOOLSET: Toolset = Toolset("provisioning");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<ListTemplates>(TOOLSET, "list_templates", "List templates", READ,
        "VM and container templates to clone, container templates on storages, and those of the appliance index."),
    Tool::new::<CloneGuest>(TOOLSET, "clone_guest", "Clone a guest", WRITE,
        "Make a new VM or container from a template, a guest or a snapshot. vmid in the result is the new guest."),
    Tool::new::<CreateVm>(TOOLSET, "create_vm", "Create a VM", WRITE,
        "Make a new VM from an ISO image, or from a cloud image with its cloud-init settings. preview shows the plan."),
    Tool::new::<CreateContainer>(TOOLSET, "create_container", "Create a container", WRITE.open(),
        "Make a new, unprivileged container from a template. preview shows the plan."),
    Tool::new::<DownloadTemplate>(TOOLSET, "download_template", "Download a container template", WRITE.open(),
        "Download a container template from the appliance index to a storage."),
    Tool::new::<DownloadIso>(TOOLSET, "download_iso", "Download an ISO or disk image", WRITE.open(),
        "Let a node download an ISO, disk image or container template from a URL. Never replaces a file."),
];
