//! What a request does, in the words of a policy.

use super::naming::by_name;
use super::preset::Preset;

/// What a request does, in the words of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Changes nothing.
    Read,
    /// Starts and resumes.
    Power,
    /// Shuts down, reboots and suspends, or interrupts the guest by the way.
    Shutdown,
    /// Switches off or resets without asking the guest.
    HardStop,
    /// Makes a guest from another.
    Clone,
    /// Changes cloud-init settings.
    CloudInit,
    /// Changes processors and memory.
    Resources,
    /// Changes name, description, tags, start at boot, protection.
    Options,
    /// Grows a disk.
    Resize,
    /// Moves a guest to another node.
    Migrate,
    /// Makes a snapshot.
    Snapshot,
    /// Removes a snapshot.
    SnapshotDelete,
    /// Goes back to a snapshot.
    Rollback,
    /// Makes a backup.
    Backup,
    /// Makes a guest from a backup.
    Restore,
    /// Adds or changes a firewall rule.
    FirewallRule,
    /// Removes a firewall rule.
    FirewallDelete,
    /// Switches a firewall, or changes its defaults.
    FirewallOptions,
    /// Puts an image or a template on a storage.
    Download,
    /// Stops a task.
    StopTask,
    /// Runs a command inside a guest.
    GuestExec,
}

/// Every action, mildest first, with its name in a policy.
pub const ACTIONS: [(Action, &str); 21] = [
    (Action::Read, "read"),
    (Action::Power, "power"),
    (Action::Shutdown, "shutdown"),
    (Action::Snapshot, "snapshot"),
    (Action::SnapshotDelete, "snapshot-delete"),
    (Action::Backup, "backup"),
    (Action::Restore, "restore"),
    (Action::Clone, "clone"),
    (Action::CloudInit, "cloud-init"),
    (Action::Resources, "resources"),
    (Action::Options, "options"),
    (Action::Resize, "resize"),
    (Action::Migrate, "migrate"),
    (Action::FirewallRule, "firewall-rule"),
    (Action::FirewallOptions, "firewall-options"),
    (Action::Download, "download"),
    (Action::StopTask, "stop-task"),
    (Action::HardStop, "hard-stop"),
    (Action::Rollback, "rollback"),
    (Action::FirewallDelete, "firewall-delete"),
    (Action::GuestExec, "guest-exec"),
];

by_name!(Action, ACTIONS, "action");

impl Action {
    /// Why a request for it is refused, and what allows it.
    pub(crate) fn refusal(self) -> String {
        let name = self.name();
        let preset = Preset::least(self).name();
        format!(
            "the policy of this server does not allow {name}: its operator can, by --preset \
             {preset} or by adding {name:?} to allow_actions in its policy file"
        )
    }

    /// Whether it can do what no request shows: it takes more than a preset to
    /// allow it.
    pub fn is_dangerous(self) -> bool {
        self == Self::GuestExec
    }

    /// Whether it loses data or interrupts a guest.
    pub fn is_destructive(self) -> bool {
        matches!(
            self,
            Self::Shutdown
                | Self::HardStop
                | Self::Rollback
                | Self::SnapshotDelete
                | Self::FirewallDelete
                | Self::StopTask
                | Self::GuestExec
        )
    }
}
