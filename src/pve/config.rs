//! A guest's configuration: its keys and values.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::{GuestType, calls};
use serde::Deserialize;
use serde_json::Value;

use super::client::Pve;
use super::disk::{Disk, Nic};
use super::failure::Failure;
use super::guest::Guest;
use super::params::Params;

/// A guest's configuration.
#[derive(Debug, Clone)]
pub(crate) struct GuestConfig {
    kind: GuestType,
    values: BTreeMap<String, String>,
    /// The keys that are set to something that is neither a text nor a number.
    unreadable: BTreeSet<String>,
    /// `lxc.mount.entry = …`
    raw_lxc: Vec<String>,
}

impl GuestConfig {
    /// Asks for it, changes that wait for a reboot included.
    pub(crate) fn read(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        Self::ask(pve, guest, &Params::new())
    }

    /// Asks for what a snapshot keeps of it.
    pub(crate) fn of_snapshot(pve: &Pve, guest: &Guest, name: &str) -> Result<Self, Failure> {
        Self::ask(pve, guest, &Params::new().set("snapshot", name))
    }

    fn ask(pve: &Pve, guest: &Guest, query: &Params) -> Result<Self, Failure> {
        let request = guest.request(&calls::guests::CONFIG);
        let config = Self::new(guest.kind, pve.send(&request, query)?);
        pve.note_unreadable(&request, config.unreadable.iter().map(String::as_str));
        Ok(config)
    }

    fn new(kind: GuestType, mut raw: Raw) -> Self {
        let mut unreadable = BTreeSet::new();
        let raw_lxc = raw.0.remove("lxc").map(|lines| {
            raw_lines(&lines).unwrap_or_else(|| {
                unreadable.insert("lxc".to_owned());
                Vec::new()
            })
        });
        let mut values = BTreeMap::new();
        for (key, value) in raw.0 {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => u8::from(flag).to_string(),
                Value::Null => continue,
                Value::Array(_) | Value::Object(_) => {
                    unreadable.insert(key);
                    continue;
                }
            };
            values.insert(key, text);
        }
        Self {
            kind,
            values,
            unreadable,
            raw_lxc: raw_lxc.unwrap_or_default(),
        }
    }

    /// One for a test.
    #[cfg(test)]
    pub(crate) fn sample(kind: GuestType, json: Value) -> Self {
        Self::new(kind, serde_json::from_value(json).unwrap())
    }

    /// One for a test.
    #[cfg(test)]
    pub(crate) fn of(kind: GuestType, values: BTreeMap<&str, &str>) -> Self {
        Self {
            kind,
            values: values
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            unreadable: BTreeSet::new(),
            raw_lxc: Vec::new(),
        }
    }

    /// The lines of a container's configuration that Proxmox hands to LXC
    /// unread, such as `lxc.mount.entry = …`. `/pending` leaves them out.
    pub(crate) fn raw_lxc(&self) -> &[String] {
        &self.raw_lxc
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Whether a key is set, to a value that cannot be read: no new value may be
    /// made out of the old one then.
    pub(crate) fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.contains(key)
    }

    /// A switch.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| value == "1")
    }

    /// What to send along with a write, so that it fails where someone else
    /// has written in the meantime.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.get("digest")
    }

    /// All keys and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Its disks and drives.
    pub(crate) fn disks(&self) -> Vec<Disk> {
        self.iter()
            .filter(|(key, _)| Disk::is_key(self.kind, key))
            .map(|(key, value)| Disk::parse(key, value))
            .collect()
    }

    /// Its network cards.
    pub(crate) fn nics(&self) -> Vec<Nic> {
        self.iter()
            .filter(|(key, _)| Nic::is_key(key))
            .map(|(key, value)| Nic::parse(self.kind, key, value))
            .collect()
    }
}

/// `[["lxc.mount.entry", "…"], …]` as lines.
fn raw_lines(value: &Value) -> Option<Vec<String>> {
    let pairs = match value {
        Value::Null => return Some(Vec::new()),
        Value::Array(pairs) => pairs,
        _ => return None,
    };
    pairs
        .iter()
        .map(|pair| match pair.as_array()?.as_slice() {
            [Value::String(key), Value::String(value)] => Some(format!("{key} = {value}")),
            _ => None,
        })
        .collect()
}

#[derive(Deserialize)]
struct Raw(BTreeMap<String, Value>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_any_dress() {
        let raw = serde_json::from_str(
            r#"{"digest":"ab","memory":"512","cores":2,"rootfs":"local:200/x.raw,size=1G",
                "net0":"name=eth0,bridge=vmbr0,firewall=1","lxc":[["lxc.a","b"]]}"#,
        )
        .unwrap();
        let config = GuestConfig::new(GuestType::Lxc, raw);
        assert_eq!(config.get("cores"), Some("2"));
        assert_eq!(config.get("lxc"), None);
        assert_eq!(config.raw_lxc(), ["lxc.a = b"]);
        assert_eq!(config.digest(), Some("ab"));
        assert_eq!(config.disks().len(), 1);
        assert!(config.nics().iter().all(|nic| nic.firewall));
        assert!(config.unreadable.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_known_to_be_set() {
        let config = GuestConfig::sample(
            GuestType::Lxc,
            serde_json::json!({"net0": {"bridge": "vmbr0"}, "tags": ["a"], "lxc": [["lxc.a"]],
                "memory": null, "cores": 2}),
        );
        for key in ["net0", "tags", "lxc"] {
            assert!(config.is_unreadable(key) && config.get(key).is_none());
        }
        assert!(!config.is_unreadable("memory") && !config.is_unreadable("cores"));
    }
}
