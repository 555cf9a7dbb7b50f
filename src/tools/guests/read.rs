//! What a guest's node knows of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pve::{Failure, Flag, Guest, GuestConfig, Kind, Num, Params, Pve, Text};
use crate::text;

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Pending {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// Absent where it will be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
}

/// An entry of the `pending` call: the configuration as it is in force, and
/// what waits.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Option<Text>,
    pending: Option<Text>,
    delete: Option<Num<u8>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Current {
    #[serde(default)]
    status: String,
    qmpstatus: Option<String>,
    pub(super) lock: Option<String>,
    pub(super) cpu: Option<Num<f64>>,
    pub(super) mem: Option<Num<u64>>,
    pub(super) uptime: Option<Num<u64>>,
    #[serde(default)]
    pub(super) ha: RawHa,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RawHa {
    #[serde(default)]
    pub(super) managed: Flag,
    pub(super) state: Option<String>,
}

/// What a guest's node knows of it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) entries: Vec<Entry>,
    /// Absent where it could not be read.
    pub(super) current: Option<Current>,
    pub(super) raw_lxc: Vec<String>,
    pub(super) incomplete: Vec<String>,
}

impl Read {
    pub(super) fn new(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let mut read = Self::default();
        let mut config = None;
        match pve.get(&guest.path(["pending"]), &Params::new()) {
            Ok(entries) => read.entries = entries,
            // What waits for a restart is one thing, the settings another.
            Err(Failure::Api(error))
                if matches!(error.status, 500 | 501) && !error.is_missing_guest() =>
            {
                let Ok(settings) = GuestConfig::read(pve, guest) else {
                    return Err(Failure::Api(error));
                };
                read.entries = settings.iter().map(Entry::in_force).collect();
                config = Some(settings);
                read.incomplete.push(format!(
                    "pending changes cannot be read, and settings that wait are shown as if they \
                     were in force: {}",
                    Error::from(Failure::Api(error)).message()
                ));
            }
            Err(failure) => return Err(failure),
        }
        match pve.get(&guest.path(["status", "current"]), &Params::new()) {
            Ok(current) => read.current = Some(current),
            Err(Failure::Api(error)) if error.is_missing_guest() => {
                return Err(Failure::Api(error));
            }
            Err(failure) => read.incomplete.push(format!(
                "its present state cannot be read, the status is from the cluster's list: {}",
                Error::from(failure).message()
            )),
        }
        // Of a container's raw settings the other calls say nothing.
        if guest.kind == Kind::Lxc {
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

impl Current {
    /// The state in QEMU's own word, where it says more.
    pub(super) fn shown(&self) -> Option<String> {
        self.qmpstatus
            .as_ref()
            .filter(|status| *status != "prelaunch" || self.status == "running")
            .into_iter()
            .chain([&self.status])
            .find(|status| !status.is_empty())
            .cloned()
    }
}

impl Entry {
    fn in_force((key, value): (&str, &str)) -> Self {
        Self {
            key: key.to_owned(),
            value: Some(Text(value.to_owned())),
            pending: None,
            delete: None,
        }
    }

    pub(super) fn waiting(&self) -> Option<Pending> {
        let removed = self.delete.is_some_and(|delete| delete.0 > 0);
        if self.pending.is_none() && !removed {
            return None;
        }
        let show = |value: &Text| {
            if self.key == "cipassword" {
                "(hidden)".to_owned()
            } else {
                text::cut(&value.0, 300)
            }
        };
        Some(Pending {
            key: self.key.clone(),
            current: self.value.as_ref().map(show),
            new: self.pending.as_ref().filter(|_| !removed).map(show),
        })
    }
}
