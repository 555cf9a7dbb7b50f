//! Named sets of actions.

use super::naming::by_name;
use pve_api::{ACTIONS, Action};

/// How much an operator trusts the assistant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Preset {
    /// Looks, and changes nothing.
    Observe,
    /// Runs guests: whatever it does can be undone, or only adds.
    #[default]
    Operate,
    /// May also lose data and interrupt guests.
    Admin,
}

by_name!(Preset, Preset::ALL, "preset");

impl Preset {
    /// All, with their names in a policy.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Observe, "observe"),
        (Self::Operate, "operate"),
        (Self::Admin, "admin"),
    ];

    /// What it allows.
    pub fn actions(self) -> impl Iterator<Item = Action> {
        ACTIONS
            .into_iter()
            .map(|(action, _)| action)
            .filter(move |action| self >= Self::least(*action))
    }

    /// The mildest preset with an action.
    pub(crate) fn least(action: Action) -> Self {
        match action {
            Action::Read => Self::Observe,
            Action::HardStop
            | Action::Rollback
            | Action::FirewallDelete
            | Action::Template
            | Action::HighAvailability
            | Action::BackupJobChange
            | Action::GuestExec => Self::Admin,
            _ => Self::Operate,
        }
    }
}

/// Why a request for an action is refused, and what allows it.
pub(crate) fn refusal(action: Action) -> String {
    let name = action.name();
    let preset = Preset::least(action).name();
    format!(
        "the policy of this server does not allow {name}: its operator can, by --preset {preset} \
         or by adding {name:?} to allow_actions in its policy file"
    )
}
