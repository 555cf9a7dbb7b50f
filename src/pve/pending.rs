//! A guest's settings with the changes that are not in force yet, by `/pending`
//! and `/cloudinit`.

use std::collections::BTreeSet;

use pve_api::calls;
use serde_json::Value;

use super::client::Pve;
use super::config::GuestConfig;
use super::failure::Failure;
use super::guest::Guest;
use super::num::{Num, Text};
use super::params::Params;
use super::property::Properties;
use super::request::Request;

use crate::json::DeserializeFields;

/// The settings of a guest, in the order in which Proxmox lists them.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingConfig {
    settings: Vec<Setting>,
    /// The keys with a value that is neither a text nor a number.
    unreadable: BTreeSet<String>,
}

/// One setting: its value, and the change that is not in force yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    /// What is in force; absent where it is not set.
    pub(crate) value: Option<String>,
    pub(crate) change: Option<PendingChange>,
}

/// A change of a setting that is not in force yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PendingChange {
    Set(String),
    Remove,
}

/// An entry as Proxmox lists it.
#[derive(Debug, DeserializeFields)]
struct Entry {
    key: String,
    value: Option<Value>,
    pending: Option<Value>,
    /// 1, or 2 where it is removed by force.
    delete: Option<Num<u8>>,
}

impl PendingConfig {
    /// Reads the configuration that is in force, and the changes that wait for
    /// the next full stop and start of the guest.
    pub(crate) fn read(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        Self::ask(pve, &guest.request(&calls::guests::PENDING))
    }

    /// Reads a VM's cloud-init settings as they are on its drive, and the changes
    /// that are not on the drive yet.
    pub(crate) fn of_cloud_init(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        Self::ask(pve, &guest.request(&calls::guests::CLOUD_INIT))
    }

    fn ask(pve: &Pve, request: &Request) -> Result<Self, Failure> {
        let config = Self::new(pve.send(request, &Params::new())?);
        pve.note_unreadable(request, config.unreadable.iter().map(String::as_str));
        Ok(config)
    }

    fn new(entries: Vec<Entry>) -> Self {
        let mut unreadable = BTreeSet::new();
        let settings = entries
            .into_iter()
            .map(|entry| {
                let key = entry.key;
                let mut read = |value: Option<Value>| {
                    let text = serde_json::from_value::<Text>(value?).ok();
                    if text.is_none() {
                        unreadable.insert(key.clone());
                    }
                    Some(plain(&key, text?.0))
                };
                let (value, pending) = (read(entry.value), read(entry.pending));
                let is_removed = entry.delete.is_some_and(|delete| delete.0 > 0);
                Setting {
                    change: if is_removed {
                        Some(PendingChange::Remove)
                    } else {
                        pending.map(PendingChange::Set)
                    },
                    value,
                    key,
                }
            })
            .collect();
        Self {
            settings,
            unreadable,
        }
    }

    /// Settings from JSON, for a test.
    #[cfg(test)]
    pub(crate) fn sample(json: Value) -> Self {
        Self::new(serde_json::from_value(json).unwrap())
    }

    /// All settings.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter()
    }

    /// The settings that change later.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&Setting, &PendingChange)> {
        self.iter()
            .filter_map(|setting| Some((setting, setting.change.as_ref()?)))
    }

    fn find(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// Whether a key is set, to a value that cannot be read: no new value may be
    /// made out of the old one then.
    pub(crate) fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.contains(key)
    }

    /// The value that the guest runs with.
    pub(crate) fn in_force(&self, key: &str) -> Option<&str> {
        self.find(key)?.value.as_deref()
    }

    /// The value that the guest will run with from its next start on.
    pub(crate) fn wanted(&self, key: &str) -> Option<&str> {
        let setting = self.find(key)?;
        match &setting.change {
            Some(PendingChange::Set(value)) => Some(value.as_str()),
            Some(PendingChange::Remove) => None,
            None => setting.value.as_deref(),
        }
    }

    /// As [`Self::wanted`], as a number; absent where it is not one.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.wanted(key)?.trim().parse().ok()
    }

    /// Whether a change of a setting waits.
    pub(crate) fn waits(&self, key: &str) -> bool {
        self.find(key)
            .is_some_and(|setting| setting.change.is_some())
    }

    /// What to send along with a write, so that it fails where someone else has
    /// written in the meantime.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.in_force("digest")
    }
}

impl From<&GuestConfig> for PendingConfig {
    /// A configuration without changes that wait.
    fn from(config: &GuestConfig) -> Self {
        Self {
            settings: config
                .iter()
                .map(|(key, value)| Setting {
                    key: key.to_owned(),
                    value: Some(plain(key, value.to_owned())),
                    change: None,
                })
                .collect(),
            unreadable: BTreeSet::new(),
        }
    }
}

/// A value without what Proxmox may write around it: since 8.1 a VM's memory is a
/// property string, `current=2048`, and a description ends with a line break.
fn plain(key: &str, value: String) -> String {
    match key {
        "memory" => match Properties::parse(&value).get("current") {
            Some(current) => current.to_owned(),
            None => value,
        },
        "description" => value.trim_end().to_owned(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_apart_from_what_is_in_force() {
        let config = PendingConfig::sample(json!([
            {"key": "memory", "value": "current=2048", "pending": 4096},
            {"key": "cores", "value": 2},
            {"key": "balloon", "value": "512", "delete": "2"},
            {"key": "description", "pending": "new\n"},
            {"key": "net0", "value": {"bridge": "vmbr0"}},
            {"key": "digest", "value": "ab"},
        ]));
        assert_eq!(config.in_force("memory"), Some("2048"));
        assert_eq!(config.number("memory"), Some(4096));
        assert_eq!(config.wanted("cores"), Some("2"));
        assert_eq!(config.wanted("balloon"), None);
        assert_eq!(config.in_force("description"), None);
        assert_eq!(config.wanted("description"), Some("new"));
        assert_eq!(config.digest(), Some("ab"));
        assert!(config.is_unreadable("net0") && !config.waits("net0"));
        let waiting: Vec<&str> = config
            .changes()
            .map(|(setting, _)| setting.key.as_str())
            .collect();
        assert_eq!(waiting, ["memory", "balloon", "description"]);
    }
}
