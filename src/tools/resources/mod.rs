//! CPU, memory, disk sizes and options of a guest.

mod change;
mod resize_disk;
mod set_guest_options;
mod set_guest_resources;
mod settings;
#[cfg(test)]
mod tests;

use resize_disk::ResizeDisk;
use set_guest_options::SetGuestOptions;
use set_guest_resources::SetGuestResources;

use crate::tool::{SET, Tool, Toolset, WRITE};

const TOOLSET: Toolset = Toolset("resources");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<SetGuestResources>(TOOLSET, "set_guest_resources", "Set CPU and memory", SET,
        "Set a guest's CPU and memory; others stay. Shows what took effect and what is pending until a restart."),
    Tool::new::<ResizeDisk>(TOOLSET, "resize_disk", "Grow a disk", WRITE,
        "Grow a guest's disk. Disks never shrink."),
    Tool::new::<SetGuestOptions>(TOOLSET, "set_guest_options", "Set name, notes and tags", SET,
        "Set a guest's name, description, tags, start at boot and protection; others stay. All but name also of several guests."),
];
