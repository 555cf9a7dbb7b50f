//! The table of all tools: the one place where a tool's name, toolset,
//! annotations, schemas and handler meet.

pub(crate) mod agent;
pub(crate) mod backups;
pub(crate) mod cloudinit;
pub(crate) mod cluster;
pub(crate) mod console;
pub(crate) mod firewall;
pub(crate) mod freshness;
pub(crate) mod guests;
pub(crate) mod migration;
pub(crate) mod nodes;
pub(crate) mod power;
pub(crate) mod provisioning;
pub(crate) mod resources;
pub(crate) mod snapshots;
pub(crate) mod storage;

use serde_json::{Map, Value};

use crate::error::{Error, Problem, Result};
use crate::pve::Pve;
use crate::text;
use crate::tool::ticket::{self, Ticket};
use crate::tool::{DESTROY, Finished, Outcome, READ, SET, Tool, Toolset, WRITE};

const NODES: Toolset = Toolset("nodes");
const GUESTS: Toolset = Toolset("guests");
const POWER: Toolset = Toolset("power");
const CONSOLE: Toolset = Toolset("console");
const PROVISIONING: Toolset = Toolset("provisioning");
const CLOUDINIT: Toolset = Toolset("cloudinit");
const RESOURCES: Toolset = Toolset("resources");
const MIGRATION: Toolset = Toolset("migration");
const SNAPSHOTS: Toolset = Toolset("snapshots");
const BACKUPS: Toolset = Toolset("backups");
const FIREWALL: Toolset = Toolset("firewall");
const STORAGE: Toolset = Toolset("storage");
const CLUSTER: Toolset = Toolset("cluster");
const AGENT: Toolset = Toolset("agent");

/// Every tool, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) static TOOLS: &[Tool] = &[
    // nodes
    Tool::new::<nodes::ListNodes>(NODES, "list_nodes", "List nodes", READ,
        "All nodes with status, CPU, memory, disk use and uptime. Offline nodes are listed too."),
    Tool::new::<nodes::GetNode>(NODES, "get_node", "Get a node", READ,
        "One node in full: load, CPU model, memory, swap, root filesystem, Proxmox version, kernel."),
    // guests
    Tool::new::<guests::ListGuests>(GUESTS, "list_guests", "List guests", READ,
        "VMs (qemu) and containers (lxc) of the whole cluster with status, node, CPU, memory, tags; filtered and sorted. Start here to find a vmid."),
    Tool::new::<guests::GetGuest>(GUESTS, "get_guest", "Get a guest", READ,
        "One guest in full: CPU, memory, disks, network cards, boot order, cloud-init settings, lock, HA, pending changes, description."),
    Tool::new::<guests::GetGuestNetwork>(GUESTS, "get_guest_network", "Get a guest's IP addresses", READ,
        "IP addresses and interfaces inside a running guest. A VM needs the QEMU guest agent."),
    Tool::new::<guests::GetGuestMetrics>(GUESTS, "get_guest_metrics", "Get a guest's load", READ,
        "Min, mean, max and last of a guest's CPU, memory, network and disk load over a timeframe."),
    // power
    Tool::new::<power::StartGuest>(POWER, "start_guest", "Start a guest", SET,
        "Start a VM or container; one suspended to disk resumes where it left off."),
    Tool::new::<power::StopGuest>(POWER, "stop_guest", "Stop a guest", DESTROY.idempotent(),
        "Shut a guest down, or cut its power."),
    Tool::new::<power::RestartGuest>(POWER, "restart_guest", "Restart a guest", DESTROY,
        "Reboot or reset a running guest."),
    Tool::new::<power::SuspendGuest>(POWER, "suspend_guest", "Suspend a guest", DESTROY.idempotent(),
        "Pause a running VM, or save its memory to disk and stop it."),
    Tool::new::<power::ResumeGuest>(POWER, "resume_guest", "Resume a guest", SET,
        "Resume a paused or suspended guest."),
    // console
    Tool::new::<console::GetConsoleUrl>(CONSOLE, "get_console_url", "Get a console's address", READ,
        "The address of a guest's console in the web interface, for a browser that is logged in there."),
    // provisioning
    Tool::new::<provisioning::ListTemplates>(PROVISIONING, "list_templates", "List templates", READ,
        "VM and container templates to clone, container templates on storages, and those of the appliance index."),
    Tool::new::<provisioning::CloneGuest>(PROVISIONING, "clone_guest", "Clone a guest", WRITE,
        "Make a new VM or container from a template, a guest or a snapshot. vmid in the result is the new guest."),
    Tool::new::<provisioning::DownloadTemplate>(PROVISIONING, "download_template", "Download a container template", WRITE.open(),
        "Download a container template from the appliance index to a storage."),
    Tool::new::<provisioning::DownloadIso>(PROVISIONING, "download_iso", "Download an ISO or disk image", WRITE.open(),
        "Let a node fetch an ISO, disk image or container template from a URL to a storage. An existing file is never replaced."),
    // cloudinit
    Tool::new::<cloudinit::GetCloudInit>(CLOUDINIT, "get_cloud_init", "Get cloud-init settings", READ,
        "A VM's cloud-init settings, what is not on its drive yet, and the documents that it reads; passwords hidden."),
    Tool::new::<cloudinit::SetCloudInit>(CLOUDINIT, "set_cloud_init", "Set cloud-init", SET,
        "Set a VM's cloud-init user, password, SSH keys, addresses, DNS; only what is given changes. Renews the drive; the VM reads it when it boots."),
    // resources
    Tool::new::<resources::SetGuestResources>(RESOURCES, "set_guest_resources", "Set CPU and memory", SET,
        "Set a guest's CPU and memory; only what is given changes. Shows what took effect and what waits for a restart."),
    Tool::new::<resources::ResizeDisk>(RESOURCES, "resize_disk", "Grow a disk", WRITE,
        "Grow a guest's disk. Disks never shrink."),
    Tool::new::<resources::SetGuestOptions>(RESOURCES, "set_guest_options", "Set name, notes and tags", SET,
        "Set a guest's name, description, tags, start at boot and protection; only what is given changes."),
    // migration
    Tool::new::<migration::CheckMigration>(MIGRATION, "check_migration", "Check a migration", READ,
        "To which nodes a guest can move now and how (live, offline, by restart); for the others why not; local disks and devices."),
    Tool::new::<migration::MigrateGuest>(MIGRATION, "migrate_guest", "Migrate a guest", DESTROY.idempotent(),
        "Move a guest to another node: a running VM live, a running container by shutdown and start. Obstacles are reported before anything starts."),
    // snapshots
    Tool::new::<snapshots::ListSnapshots>(SNAPSHOTS, "list_snapshots", "List snapshots", READ,
        "A guest's snapshots as a tree: parents, which one the present state is based on, time, description, RAM."),
    Tool::new::<snapshots::CreateSnapshot>(SNAPSHOTS, "create_snapshot", "Take a snapshot", WRITE,
        "Take a snapshot of a guest's disks and settings, of a running VM's RAM too on request."),
    Tool::new::<snapshots::RollbackSnapshot>(SNAPSHOTS, "rollback_snapshot", "Roll back to a snapshot", DESTROY,
        "Roll a guest's disks and settings back to a snapshot. What was written since is lost; a running guest is switched off. preview shows this without doing it."),
    Tool::new::<snapshots::DeleteSnapshot>(SNAPSHOTS, "delete_snapshot", "Remove a snapshot", DESTROY,
        "Remove a snapshot of a guest; the guest's present state stays as it is."),
    // backups
    Tool::new::<backups::ListBackups>(BACKUPS, "list_backups", "List backups", READ,
        "Backups on all storages by guest, newest first, with size, age, protection and verification; guests without any are named."),
    Tool::new::<backups::CreateBackup>(BACKUPS, "create_backup", "Back up a guest", WRITE,
        "Back up a guest with vzdump. Older backups are kept."),
    Tool::new::<backups::RestoreBackup>(BACKUPS, "restore_backup", "Restore a backup as a new guest", WRITE,
        "Restore a backup as a new guest, which is not started. It never overwrites a guest."),
    // firewall
    Tool::new::<firewall::AuditFirewall>(FIREWALL, "audit_firewall", "Audit a firewall", READ,
        "Rules, switches, policies and network card flags of a guest, a node or the cluster, with findings. Cluster rules protect the nodes, not the guests."),
    Tool::new::<firewall::AddFirewallRule>(FIREWALL, "add_firewall_rule", "Add a firewall rule", WRITE,
        "Add a rule to the firewall of a guest, a node or the cluster, and report whether it has any effect. The first rule that matches decides."),
    Tool::new::<firewall::UpdateFirewallRule>(FIREWALL, "update_firewall_rule", "Change a firewall rule", DESTROY,
        "Change or move a rule. Only what is given changes; an empty text removes a field."),
    Tool::new::<firewall::DeleteFirewallRule>(FIREWALL, "delete_firewall_rule", "Delete a firewall rule", DESTROY,
        "Remove a rule by its position. The positions of the rules after it shift by one."),
    Tool::new::<firewall::SetFirewallOptions>(FIREWALL, "set_firewall_options", "Set firewall options", DESTROY.idempotent(),
        "Switch the firewall of a guest, a node or the cluster on or off, set its policies and filters."),
    // storage
    Tool::new::<storage::ListStorage>(STORAGE, "list_storage", "List storages", READ,
        "Storages with type, allowed content, use and nodes; shared storages are listed once."),
    Tool::new::<storage::ListStorageContent>(STORAGE, "list_storage_content", "List volumes", READ,
        "ISO images, container templates, backups and disks on the storages, filtered."),
    // cluster
    Tool::new::<cluster::GetClusterStatus>(CLUSTER, "get_cluster_status", "Get the cluster's state", READ,
        "Quorum, nodes, high availability, and what needs attention."),
    Tool::new::<cluster::ListTasks>(CLUSTER, "list_tasks", "List tasks", READ,
        "Tasks (starts, clones, backups, migrations) with user, time and how they ended, newest first."),
    Tool::new::<cluster::GetTask>(CLUSTER, "get_task", "Get a task", READ,
        "One task's status and the last lines of its log, without waiting."),
    Tool::new::<cluster::WaitTask>(CLUSTER, "wait_task", "Wait for a task", READ,
        "Follow a running task to its end. A task that failed is an error with the log's last lines."),
    Tool::new::<cluster::StopTask>(CLUSTER, "stop_task", "Stop a task", DESTROY.idempotent(),
        "Abort a running task. What it has done so far is not undone."),
    Tool::new::<cluster::GetClusterLog>(CLUSTER, "get_cluster_log", "Get the cluster's log", READ,
        "What was done in the cluster, by whom: logins, tasks, failures; newest first."),
    Tool::new::<cluster::GetNodeLog>(CLUSTER, "get_node_log", "Get a node's log", READ,
        "The last lines of a node's journal, filtered by unit, word and time."),
    // agent
    Tool::new::<agent::RunInGuest>(AGENT, "run_in_guest", "Run a command in a VM", DESTROY.open().dangerous(),
        "Run a command inside a running VM through its QEMU guest agent, usually as root; returns exit code and output."),
];

/// The tool of a name.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// Calls a tool by its name.
pub(crate) fn call(
    pve: impl FnOnce() -> Result<Pve>,
    name: &str,
    arguments_json: &str,
) -> Result<Outcome> {
    let Some(tool) = find(name) else {
        return Err(Error::UnknownTool(
            match text::nearest(name, TOOLS.iter().map(|tool| tool.name)) {
                Some(near) => format!("there is no tool of this name, {near} is probably meant"),
                None => "there is no tool of this name: the tool list shows what there is".into(),
            },
        ));
    };
    let arguments = match arguments_json.trim() {
        "" | "null" => Value::Object(Map::new()),
        json => serde_json::from_str(json).map_err(|error| {
            Error::InvalidArguments(vec![Problem {
                pointer: String::new(),
                message: format!(
                    "the arguments are not JSON (line {}, column {}): give a JSON object",
                    error.line(),
                    error.column()
                ),
            }])
        })?,
    };
    tool.call(pve, arguments)
}

/// Looks once at what a call has left running.
pub(crate) fn resume(pve: impl FnOnce() -> Result<Pve>, ticket: Ticket) -> Result<Outcome> {
    let tool = find(&ticket.tool).ok_or_else(ticket::refused)?;
    tool.resume(&pve()?, ticket.pending)
}

/// Stops what a call has left running.
pub(crate) fn cancel(pve: impl FnOnce() -> Result<Pve>, ticket: Ticket) -> Result<Finished> {
    let tool = find(&ticket.tool).ok_or_else(ticket::refused)?;
    tool.cancel(&pve()?, ticket.pending)
}

#[cfg(test)]
mod tests;
