//! A guest's configuration, from which settings are taken one by one.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use schemars::JsonSchema;

use crate::json::SerializeFields;
use crate::order::Ordered as _;
use crate::pve::{Disk, PendingConfig, Properties};
use crate::text;

#[derive(Debug, SerializeFields, JsonSchema)]
pub(super) struct CloudInit {
    has_drive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    has_password: bool,
    /// Type and comment of each.
    ssh_key_names: Vec<String>,
    /// By network card: `net0`.
    ip: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns_servers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade: Option<bool>,
}

/// A configuration, from which each setting is taken once: what is left is
/// "other".
pub(super) struct Config(pub(super) BTreeMap<String, String>);

impl From<&PendingConfig> for Config {
    /// The values in force.
    fn from(settings: &PendingConfig) -> Self {
        Self(
            settings
                .iter()
                .filter_map(|setting| Some((setting.key.clone(), setting.value.clone()?)))
                .ordered(),
        )
    }
}

impl Config {
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self, key: &str) -> Option<T> {
        self.take(key)?.trim().parse().ok()
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key).map(|value| value == "1")
    }

    /// Whether the agent is switched on. The setting stays where it says more
    /// than that.
    pub(super) fn agent(&mut self) -> bool {
        let Some(agent) = self.take("agent") else {
            return false;
        };
        let properties = Properties::parse(&agent);
        let enabled = properties
            .flag("enabled")
            .unwrap_or(properties.bare() == Some("1"));
        if properties.pairs().any(|(key, _)| key != "enabled") {
            self.0.insert("agent".to_owned(), agent);
        }
        enabled
    }

    pub(super) fn matching(&mut self, fits: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let keys: Vec<String> = self.0.keys().filter(|key| fits(key)).cloned().collect();
        keys.into_iter()
            .filter_map(|key| self.0.remove_entry(&key))
            .collect()
    }
}

impl CloudInit {
    pub(super) fn take(config: &mut Config, disks: &[Disk]) -> Option<Self> {
        let cloud_init = Self {
            has_drive: disks.iter().any(|disk| disk.cloud_init),
            user: config.take("ciuser"),
            has_password: config.take("cipassword").is_some(),
            ssh_key_names: config
                .take("sshkeys")
                .map_or_else(Vec::new, |keys| key_names(&keys)),
            ip: config
                .matching(|key| key.starts_with("ipconfig"))
                .into_iter()
                .map(|(key, value)| (key.replace("ipconfig", "net"), value))
                .ordered(),
            dns_servers: config.take("nameserver").map_or_else(Vec::new, |servers| {
                servers.split_whitespace().map(str::to_owned).collect()
            }),
            search_domain: config.take("searchdomain"),
            upgrade: config.flag("ciupgrade"),
        };
        let used = cloud_init.has_drive
            || cloud_init.user.is_some()
            || cloud_init.has_password
            || !cloud_init.ssh_key_names.is_empty()
            || !cloud_init.ip.is_empty();
        used.then_some(cloud_init)
    }
}

/// `ssh-ed25519 … comment` becomes `ssh-ed25519 comment`.
fn key_names(encoded: &str) -> Vec<String> {
    percent_decode_str(encoded)
        .decode_utf8_lossy()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap_or_default();
            let comment: Vec<&str> = words.skip(1).collect();
            text::cut(format!("{kind} {}", comment.join(" ")).trim(), 100)
        })
        .collect()
}

/// `order=scsi0;ide2;net0`, or the older `cdn`.
pub(super) fn boot_order(boot: &str) -> Vec<String> {
    let properties = Properties::parse(boot);
    if let Some(order) = properties.get("order") {
        return order
            .split(';')
            .filter(|device| !device.is_empty())
            .map(str::to_owned)
            .collect();
    }
    let legacy = properties
        .get("legacy")
        .or_else(|| properties.bare())
        .unwrap_or_default();
    legacy
        .chars()
        .filter_map(|device| match device {
            'a' => Some("floppy"),
            'c' => Some("disk"),
            'd' => Some("cdrom"),
            'n' => Some("network"),
            _ => None,
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_boot_orders() {
        assert_eq!(boot_order("cdn"), ["disk", "cdrom", "network"]);
        assert_eq!(boot_order("order=net0"), ["net0"]);
        assert!(boot_order("order=").is_empty());
    }
}
