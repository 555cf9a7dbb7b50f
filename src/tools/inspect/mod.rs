//! A closer look: what keeps a guest from running, how well a node is, networks,
//! high availability, pools, who may do what, and what may not be needed.

mod audit_access;
mod diagnose_guest;
mod diagnosis;
mod get_guest_agent_info;
mod get_ha;
mod get_node_health;
mod health;
mod list_networks;
mod list_pools;
mod report_waste;
mod risk;
mod waste;

use audit_access::AuditAccess;
use diagnose_guest::DiagnoseGuest;
use get_guest_agent_info::GetGuestAgentInfo;
use get_ha::GetHa;
use get_node_health::GetNodeHealth;
use list_networks::ListNetworks;
use list_pools::ListPools;
use report_waste::ReportWaste;

use crate::tool::{READ, Tool, Toolset};

const TOOLSET: Toolset = Toolset("inspect");
const REPORTS_TOOLSET: Toolset = Toolset("reports");
const HARDWARE_TOOLSET: Toolset = Toolset("hardware");
const AGENT_TOOLSET: Toolset = Toolset("agent");
const HA_TOOLSET: Toolset = Toolset("ha");
const ACCESS_TOOLSET: Toolset = Toolset("access");

/// The tools of the set `inspect`, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<DiagnoseGuest>(TOOLSET, "diagnose_guest", "Diagnose a guest", READ,
        "Why a guest does not start, or cannot be reached: state, lock, HA, last tasks and logs, storages, memory, bridges, agent, addresses, firewall. Causes ranked, with evidence and fix."),
    Tool::new::<GetNodeHealth>(TOOLSET, "get_node_health", "Check a node's health", READ,
        "What is wrong with a node or soon will be: services, disks (SMART, wear), pools, Ceph, certificates, updates, pressure, clock. Findings with the next step."),
];

/// The tools of the set `reports`.
#[rustfmt::skip]
pub(crate) const REPORTS: &[Tool] = &[
    Tool::new::<ReportWaste>(REPORTS_TOOLSET, "report_waste", "Report waste", READ,
        "What may not be needed, largest first: idle, oversized and long-stopped guests, old snapshots, unused disks, orphaned volumes, ISO images in no drive; with evidence and next step."),
];

/// A part of the set `hardware`.
#[rustfmt::skip]
pub(crate) const NETWORKS: &[Tool] = &[
    Tool::new::<ListNetworks>(HARDWARE_TOOLSET, "list_networks", "List networks", READ,
        "Bridges, SDN vnets, bonds and VLANs of the nodes that guests can be attached to, with ports, addresses, VLAN awareness and MTU."),
];

/// A part of the set `agent`.
#[rustfmt::skip]
pub(crate) const AGENT: &[Tool] = &[
    Tool::new::<GetGuestAgentInfo>(AGENT_TOOLSET, "get_guest_agent_info", "Get a VM's system", READ,
        "The system inside a running VM: OS, kernel, host name, time zone, logged-in users, filesystems and how full they are. Needs the QEMU guest agent."),
];

/// A part of the set `ha`.
#[rustfmt::skip]
pub(crate) const HA: &[Tool] = &[
    Tool::new::<GetHa>(HA_TOOLSET, "get_ha", "Get high availability", READ,
        "High availability in one answer: manager and node state, resources, affinity rules, what is in error and why."),
];

/// The tools of the set `access`.
#[rustfmt::skip]
pub(crate) const ACCESS: &[Tool] = &[
    Tool::new::<ListPools>(ACCESS_TOOLSET, "list_pools", "List pools", READ,
        "Resource pools with their number of guests; one pool with its guests."),
    Tool::new::<AuditAccess>(ACCESS_TOOLSET, "audit_access", "Audit access", READ,
        "Users, API tokens and roles with what is risky about them; with a vmid, who may do what to that guest. Shows no secrets."),
];
