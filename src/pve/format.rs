//! Names as Proxmox takes them, checked before anything is sent. What each looks like is
//! in `pve_api::text`, by which the table of calls checks parameters too; here are the
//! words for whoever has to correct an argument.

use pve_api::text::{is_config_id, is_dns_name, is_label, is_pool, is_storage};

use crate::error::{Error, Result};
use crate::text;

/// A kind of name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A guest's name, a search domain.
    DnsName,
    /// A snapshot's name.
    ConfigId,
    Node,
    Storage,
    Pool,
}

impl Format {
    /// Refuses an argument that Proxmox would not take.
    pub(crate) fn check(self, argument: &str, text: &str) -> Result<()> {
        if self.fits(text) {
            return Ok(());
        }
        let wanted = self.wanted();
        Err(Error::argument(
            argument,
            format!("{wanted}, not {}", text::quoted(text)),
        ))
    }

    /// The same for an argument that may be absent.
    pub(crate) fn check_opt(self, argument: &str, text: Option<&str>) -> Result<()> {
        text.map_or(Ok(()), |text| self.check(argument, text))
    }

    /// Whether a text is such a name.
    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Self::DnsName => is_dns_name(text),
            Self::ConfigId => is_config_id(text),
            Self::Node => is_label(text),
            Self::Storage => is_storage(text),
            Self::Pool => is_pool(text),
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::DnsName => {
                "must be a DNS name: letters, digits and hyphens, in parts of at most 63 \
                 separated by dots, each with a letter or digit at both ends, such as web-01"
            }
            Self::ConfigId => {
                "must start with a letter, followed by letters, digits, - and _, 2 to 40 \
                 characters in all, such as before_upgrade"
            }
            Self::Node => "must be a node's name: letters, digits and hyphens, such as pve1",
            Self::Storage => {
                "must be a storage's name: a letter, then letters, digits, -, _ and ., such as \
                 local-lvm"
            }
            Self::Pool => {
                "must be a pool's name: letters, digits, -, _ and ., nested by /, such as prod"
            }
        }
    }
}

/// Refuses what cannot be meant as a node's name, before anything is sent. A full
/// host name, another case and blanks around a name pass: the lookup of the
/// node says which one is probably meant.
pub(crate) fn check_node_name(argument: &str, name: Option<&str>) -> Result<()> {
    match name {
        Some(name) if !name.trim().trim_end_matches('.').split('.').all(is_label) => {
            Format::Node.check(argument, name)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (format, good, bad) in [
            (
                Format::DnsName,
                &["web01", "a", "web-01.example.org", "9lives"][..],
                &["", "web_01", "-a", "a-", "a..b", "a.", "wéb", "a b", "a\n"][..],
            ),
            (
                Format::ConfigId,
                &["ab", "a_b-1"],
                &["a", "1a", "a b", "", "a/b", "é1"],
            ),
            (Format::Node, &["pve1"], &["pve.1", "", "../x", "pve 1"]),
            (
                Format::Storage,
                &["local-lvm", "nas.1"],
                &["l", "1x", "local:", "a/b", "local-"],
            ),
            (
                Format::Pool,
                &["prod", "a/b/c", "1"],
                &["", "a//b", "a/b/c/d", "a b"],
            ),
        ] {
            for name in good {
                assert!(format.fits(name), "{format:?} {name}");
            }
            for name in bad {
                assert!(!format.fits(name), "{format:?} {name}");
            }
        }
        assert!(!Format::DnsName.fits(&"a".repeat(64)));
        for (name, passes) in [
            ("pve1", true),
            (" pve1", true),
            ("PVE1.example.com.", true),
            ("../pve1", false),
            ("a/b", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(
                check_node_name("node", Some(name)).is_ok(),
                passes,
                "{name}"
            );
        }
        assert!(check_node_name("node", None).is_ok());
        assert_eq!(
            Format::Node.check("node", "a b").unwrap_err().message(),
            "node: must be a node's name: letters, digits and hyphens, such as pve1, not \"a b\""
        );
    }
}
