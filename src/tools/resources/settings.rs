//! A guest's settings: in force, and pending for its next start.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::pve::{Failure, Flag, Guest, Params, Pve, Text};

/// The refusal to make a new value out of one that cannot be read.
pub(super) fn unreadable(guest: &Guest, what: &str, instead: &str) -> Error {
    Error::Conflict(format!(
        "{what}, as Proxmox answered for {}, cannot be read, and a change would lose what is there: \
         nothing was changed; look at them in the web interface, and {instead}",
        guest.label()
    ))
}

/// A guest's settings: those in force, and those that wait for its next start.
pub(super) struct Settings {
    entries: BTreeMap<String, Entry>,
    /// The keys with a value that is neither a text nor a number.
    unreadable: BTreeSet<String>,
}

#[derive(Deserialize)]
pub(super) struct RawEntry {
    key: String,
    value: Option<Value>,
    pending: Option<Value>,
    delete: Option<Flag>,
}

struct Entry {
    value: Option<Text>,
    pending: Option<Text>,
    delete: Option<Flag>,
}

impl Settings {
    pub(super) fn read(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let path = guest.path(["pending"]);
        let settings = Self::new(pve.get(&path, &Params::new())?);
        pve.note_unreadable(&path, settings.unreadable.iter().map(String::as_str));
        Ok(settings)
    }

    pub(super) fn new(raw: Vec<RawEntry>) -> Self {
        let mut entries = BTreeMap::new();
        let mut unreadable = BTreeSet::new();
        for entry in raw {
            let mut read = |value: Option<Value>| {
                let text = serde_json::from_value(value?).ok();
                if text.is_none() {
                    unreadable.insert(entry.key.clone());
                }
                text
            };
            let (value, pending) = (read(entry.value), read(entry.pending));
            let delete = entry.delete;
            entries.insert(
                entry.key,
                Entry {
                    value,
                    pending,
                    delete,
                },
            );
        }
        Self {
            entries,
            unreadable,
        }
    }

    /// Whether a key is set, to a value that cannot be read.
    pub(super) fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.contains(key)
    }

    /// What the guest runs with.
    pub(super) fn in_force(&self, key: &str) -> Option<&str> {
        let value = self.entries.get(key)?.value.as_ref()?;
        Some(plain(key, &value.0))
    }

    /// What it will run with from its next start on.
    pub(super) fn wanted(&self, key: &str) -> Option<&str> {
        let entry = self.entries.get(key)?;
        if entry.is_removed() {
            return None;
        }
        let value = entry.pending.as_ref().or(entry.value.as_ref())?;
        Some(plain(key, &value.0))
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.wanted(key)?.trim().parse().ok()
    }

    pub(super) fn waits(&self, key: &str) -> bool {
        self.entries
            .get(key)
            .is_some_and(|entry| entry.pending.is_some() || entry.is_removed())
    }

    pub(super) fn digest(&self) -> Option<&str> {
        self.in_force("digest")
    }
}

impl Entry {
    fn is_removed(&self) -> bool {
        self.delete.is_some_and(|flag| flag.0)
    }
}

/// A value without what Proxmox may write around it.
pub(super) fn plain<'a>(key: &str, value: &'a str) -> &'a str {
    match key {
        "memory" => value.strip_prefix("current=").unwrap_or(value),
        "description" => value.trim_end(),
        _ => value,
    }
}
