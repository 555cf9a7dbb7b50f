//! A guest's configuration and state, read from its node.

use pve_api::calls;
use schemars::JsonSchema;

use crate::error::{Error, Result};
use crate::json::SerializeFields;
use crate::pve::{
    Failure, Guest, GuestConfig, GuestState, GuestType, Params, PendingChange, PendingConfig, Pve,
    Setting,
};
use crate::text;
use crate::tool::secret::HIDDEN;

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct Pending {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// Absent where it will be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
}

/// A guest's configuration and state, read from its node.
#[derive(Debug, Default)]
pub(super) struct NodeData {
    pub(super) settings: PendingConfig,
    /// Absent where it could not be read.
    pub(super) current: Option<GuestState>,
    pub(super) raw_lxc: Vec<String>,
    pub(super) incomplete: Vec<String>,
}

impl NodeData {
    pub(super) fn new(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let mut read = Self::default();
        let mut config = None;
        let config_too = (guest.kind == GuestType::Lxc).then_some(&calls::guests::CONFIG);
        let more = [&calls::guests::STATUS].into_iter().chain(config_too);
        pve.start(more.map(|call| (guest.request(call), Params::new())));
        match PendingConfig::read(pve, guest) {
            Ok(settings) => read.settings = settings,
            // What waits for a restart is one thing, the settings another.
            Err(Failure::Api(error))
                if matches!(error.status, 500 | 501) && !error.is_missing_guest() =>
            {
                let Ok(settings) = GuestConfig::read(pve, guest) else {
                    return Err(Failure::Api(error));
                };
                read.settings = PendingConfig::from(&settings);
                config = Some(settings);
                read.incomplete.push(format!(
                    "pending changes cannot be read, and settings that wait are shown as if they \
                     were in force: {}",
                    Error::from(Failure::Api(error)).message()
                ));
            }
            Err(failure) => return Err(failure),
        }
        match guest.state(pve) {
            Ok(current) => read.current = Some(current),
            Err(Failure::Api(error)) if error.is_missing_guest() => {
                return Err(Failure::Api(error));
            }
            Err(failure) => read.incomplete.push(format!(
                "its current state cannot be read, so the status is from the cluster's list: {}",
                Error::from(failure).message()
            )),
        }
        // Of a container's raw settings the other calls say nothing.
        if guest.kind == GuestType::Lxc {
            let config = match config {
                Some(config) => Ok(config),
                None => GuestConfig::read(pve, guest),
            };
            match config {
                Ok(config) => read.raw_lxc = config.raw_lxc().to_vec(),
                Err(failure) => read.incomplete.push(format!(
                    "its raw LXC settings cannot be read: {}",
                    Error::from(failure).message()
                )),
            }
        }
        Ok(read)
    }
}

/// QEMU's name for the state, if it is more precise.
pub(crate) fn shown(state: &GuestState) -> Option<String> {
    state
        .qmpstatus
        .as_deref()
        .filter(|status| *status != "prelaunch" || state.is_running())
        .into_iter()
        .chain([state.status()])
        .find(|status| !status.is_empty())
        .map(str::to_owned)
}

impl Pending {
    pub(super) fn new(setting: &Setting, change: &PendingChange) -> Self {
        let show = |value: &str| {
            if setting.key == "cipassword" {
                HIDDEN.to_owned()
            } else {
                text::cut(value, 300)
            }
        };
        Self {
            key: setting.key.clone(),
            current: setting.value.as_deref().map(show),
            new: match change {
                PendingChange::Set(value) => Some(show(value)),
                PendingChange::Remove => None,
            },
        }
    }
}
