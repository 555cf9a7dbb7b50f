//! A guest's configuration: its keys and values.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Disk, Failure, Guest, Kind, Nic, Params, Pve};

/// A guest's configuration.
#[derive(Debug, Clone)]
pub(crate) struct GuestConfig {
    kind: Kind,
    values: BTreeMap<String, String>,
    /// `lxc.mount.entry = …`
    raw_lxc: Vec<String>,
}

impl GuestConfig {
    /// Asks for it, changes that wait for a reboot included.
    pub(crate) fn read(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let raw = pve.get(&guest.path(["config"]), &Params::new())?;
        Ok(Self::new(guest.kind, raw))
    }

    /// Asks for what a snapshot keeps of it.
    pub(crate) fn of_snapshot(pve: &Pve, guest: &Guest, name: &str) -> Result<Self, Failure> {
        let raw = pve.get(
            &guest.path(["config"]),
            &Params::new().set("snapshot", name),
        )?;
        Ok(Self::new(guest.kind, raw))
    }

    fn new(kind: Kind, mut raw: Raw) -> Self {
        Self {
            kind,
            raw_lxc: raw.0.remove("lxc").map(raw_lines).unwrap_or_default(),
            values: raw
                .0
                .into_iter()
                .filter_map(|(key, value)| match value {
                    Value::String(text) => Some((key, text)),
                    Value::Number(number) => Some((key, number.to_string())),
                    Value::Bool(flag) => Some((key, u8::from(flag).to_string())),
                    _ => None,
                })
                .collect(),
        }
    }

    /// One for a test.
    #[cfg(test)]
    pub(crate) fn sample(kind: Kind, json: Value) -> Self {
        Self::new(kind, serde_json::from_value(json).unwrap())
    }

    /// One for a test.
    #[cfg(test)]
    pub(crate) fn of(kind: Kind, values: BTreeMap<&str, &str>) -> Self {
        Self {
            kind,
            values: values
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
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
fn raw_lines(value: Value) -> Vec<String> {
    let Value::Array(pairs) = value else {
        return Vec::new();
    };
    pairs
        .iter()
        .filter_map(|pair| match pair.as_array()?.as_slice() {
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
        let config = GuestConfig::new(Kind::Lxc, raw);
        assert_eq!(config.get("cores"), Some("2"));
        assert_eq!(config.get("lxc"), None);
        assert_eq!(config.raw_lxc(), ["lxc.a = b"]);
        assert_eq!(config.digest(), Some("ab"));
        assert_eq!(config.disks().len(), 1);
        assert!(config.nics().iter().all(|nic| nic.firewall));
    }
}
