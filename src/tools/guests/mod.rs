//! Guests: the list, one in full, its addresses and its load.

mod config;
mod find_address;
mod get_guest;
mod get_guest_metrics;
mod get_guest_network;
mod list_guests;
mod read;
mod tags;
#[cfg(test)]
mod tests;

use get_guest::GetGuest;
use get_guest_metrics::GetGuestMetrics;
use get_guest_network::GetGuestNetwork;
pub(crate) use get_guest_network::{InsideInterface, addresses, inside_interfaces, is_reachable};
use list_guests::ListGuests;
pub(crate) use read::shown;

use crate::tool::{READ, Tool, Toolset};

const TOOLSET: Toolset = Toolset("guests");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<ListGuests>(TOOLSET, "list_guests", "List guests", READ,
        "VMs (qemu) and containers (lxc) of the cluster with status, node, CPU, memory, tags; filtered and sorted. Start here to find a vmid, also by an IP address."),
    Tool::new::<GetGuest>(TOOLSET, "get_guest", "Get a guest", READ,
        "One guest in full: CPU, memory, disks, network cards, boot order, cloud-init settings, lock, HA, pending changes, description."),
    Tool::new::<GetGuestNetwork>(TOOLSET, "get_guest_network", "Get a guest's IP addresses", READ,
        "IP addresses and interfaces inside a running guest. A VM needs the QEMU guest agent."),
    Tool::new::<GetGuestMetrics>(TOOLSET, "get_guest_metrics", "Get a guest's load", READ,
        "Min, mean, max and last of a guest's CPU, memory, network and disk load over a timeframe."),
];
