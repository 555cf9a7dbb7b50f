//! What a call does, in the words of a policy.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a call does, in the words of a policy.
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
    /// Makes a guest from an image, a template or nothing.
    Create,
    /// Adds or changes network cards, adds disks, and changes CD-ROMs.
    Hardware,
    /// Converts a guest to a template, for good.
    Template,
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
    /// Adds a backup job, or changes the comment of one.
    BackupJob,
    /// Changes what a backup job does: guests could be left without backups.
    BackupJobChange,
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
    /// Puts a guest under high availability, or changes what it does with one.
    HighAvailability,
    /// Runs a command inside a guest.
    GuestExec,
}

/// Every action, mildest first, with its name in a policy.
pub const ACTIONS: [(Action, &str); 27] = [
    (Action::Read, "read"),
    (Action::Power, "power"),
    (Action::Shutdown, "shutdown"),
    (Action::Snapshot, "snapshot"),
    (Action::SnapshotDelete, "snapshot-delete"),
    (Action::Backup, "backup"),
    (Action::BackupJob, "backup-job"),
    (Action::Restore, "restore"),
    (Action::Clone, "clone"),
    (Action::Create, "create"),
    (Action::CloudInit, "cloud-init"),
    (Action::Resources, "resources"),
    (Action::Options, "options"),
    (Action::Hardware, "hardware"),
    (Action::Resize, "resize"),
    (Action::Migrate, "migrate"),
    (Action::FirewallRule, "firewall-rule"),
    (Action::FirewallOptions, "firewall-options"),
    (Action::Download, "download"),
    (Action::StopTask, "stop-task"),
    (Action::HardStop, "hard-stop"),
    (Action::Rollback, "rollback"),
    (Action::FirewallDelete, "firewall-delete"),
    (Action::Template, "template"),
    (Action::HighAvailability, "high-availability"),
    (Action::BackupJobChange, "backup-job-change"),
    (Action::GuestExec, "guest-exec"),
];

impl Action {
    /// Its name in a policy.
    pub fn name(self) -> &'static str {
        let mut all = ACTIONS.into_iter();
        all.find(|(action, _)| *action == self)
            .map_or("?", |(_, name)| name)
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
                | Self::Template
                | Self::GuestExec
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = ACTIONS.into_iter();
        all.find(|(_, name)| *name == text)
            .map(|(action, _)| action)
            .ok_or_else(|| {
                let names = ACTIONS.map(|(_, name)| name).join(", ");
                format!("unknown action {text:?}; choose one of {names}")
            })
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Action {
    fn schema_name() -> Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = ACTIONS.map(|(_, name)| name);
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}
