//! CPU, memory, disks, drives, network cards and options of a guest.

mod add_disk;
mod change;
mod convert_to_template;
mod guard;
pub(in crate::tools) mod hardware;
mod move_disk;
mod resize_disk;
mod set_cdrom;
mod set_guest_agent;
pub(in crate::tools) mod set_guest_options;
mod set_guest_resources;
pub(in crate::tools) mod set_nic;
mod settings;
#[cfg(test)]
mod tests;

use add_disk::AddDisk;
use convert_to_template::ConvertToTemplate;
use move_disk::MoveDisk;
use resize_disk::ResizeDisk;
use set_cdrom::SetCdrom;
use set_guest_agent::SetGuestAgent;
use set_guest_options::SetGuestOptions;
use set_guest_resources::SetGuestResources;
use set_nic::SetNic;

use crate::tool::{DESTROY, SET, Tool, Toolset, WRITE};

const TOOLSET: Toolset = Toolset("resources");
const HARDWARE_TOOLSET: Toolset = Toolset("hardware");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<SetGuestResources>(TOOLSET, "set_guest_resources", "Set CPU and memory", DESTROY.idempotent(),
        "Set a guest's CPU and memory; others stay. Shows what took effect and what is pending until a restart."),
    Tool::new::<ResizeDisk>(TOOLSET, "resize_disk", "Grow a disk", WRITE,
        "Grow a guest's disk. Disks never shrink."),
    Tool::new::<SetGuestOptions>(TOOLSET, "set_guest_options", "Set name, notes and tags", SET,
        "Set a guest's name, description, tags, start at boot and protection; others stay. All but name also of several guests."),
];

/// Network cards, disks and drives, and what makes a template of a guest.
#[rustfmt::skip]
pub(crate) const HARDWARE: &[Tool] = &[
    Tool::new::<SetNic>(HARDWARE_TOOLSET, "set_nic", "Add or change a network card", DESTROY.idempotent(),
        "Add a network card, or change its bridge, VLAN, firewall switch, rate, model, link, or a container's addresses; all else stays, the MAC too."),
    Tool::new::<AddDisk>(HARDWARE_TOOLSET, "add_disk", "Add a disk", DESTROY,
        "Add a new, empty disk to a VM, or a new volume to a container at mount_point, in a free slot."),
    Tool::new::<SetCdrom>(HARDWARE_TOOLSET, "set_cdrom", "Insert or eject a CD", DESTROY.idempotent(),
        "Insert an ISO image into a VM's CD drive, or eject it. Adds a drive where there is none."),
    Tool::new::<MoveDisk>(HARDWARE_TOOLSET, "move_disk", "Move a disk to another storage", WRITE,
        "Copy a guest's disk to another storage and use the copy. The old volume stays, as an unused disk."),
    Tool::new::<SetGuestAgent>(HARDWARE_TOOLSET, "set_guest_agent", "Switch the guest agent", SET,
        "Tell Proxmox whether a VM has the QEMU guest agent, which has to be installed inside the guest."),
    Tool::new::<ConvertToTemplate>(HARDWARE_TOOLSET, "convert_to_template", "Convert to a template", DESTROY,
        "Convert a stopped guest to a template, to be cloned. Cannot be undone: a template does not start."),
];
