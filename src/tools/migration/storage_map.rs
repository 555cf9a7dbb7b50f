//! The argument `target_storage`.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::order::Ordered as _;
use crate::pve::Format;

/// `targetstorage`: one storage for all, or pairs, and one for the rest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageMap {
    text: String,
    pairs: Vec<(String, String)>,
    rest: Option<String>,
}

impl StorageMap {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::argument(
                "target_storage",
                format!(
                    "must be the name of one storage, or pairs such as local-lvm:tank,bulk:bulk \
                     ({what})"
                ),
            )
        };
        let mut map = Self {
            text: text.to_owned(),
            pairs: Vec::new(),
            rest: None,
        };
        for part in text.split(',') {
            match part.split_once(':') {
                Some((from, to)) if Format::Storage.fits(from) && Format::Storage.fits(to) => {
                    if map.pairs.iter().any(|(known, _)| known == from) {
                        return Err(wrong(&format!("{from} is given more than once")));
                    }
                    map.pairs.push((from.to_owned(), to.to_owned()));
                }
                None if Format::Storage.fits(part) => {
                    if map.rest.replace(part.to_owned()).is_some() {
                        return Err(wrong("only one may be without a colon"));
                    }
                }
                _ => return Err(wrong("this is not the name of a storage")),
            }
        }
        Ok(map)
    }

    pub(super) fn targets(&self) -> BTreeSet<&str> {
        self.pairs
            .iter()
            .map(|(_, to)| to.as_str())
            .chain(self.rest.as_deref())
            .ordered()
    }

    /// The storage that the volumes of a storage move to.
    pub(super) fn of<'a>(&'a self, storage: &'a str) -> &'a str {
        self.pairs
            .iter()
            .find(|(from, _)| from == storage)
            .map(|(_, to)| to.as_str())
            .or(self.rest.as_deref())
            .unwrap_or(storage)
    }
}

impl std::fmt::Display for StorageMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_maps() {
        let map = StorageMap::parse("local:tank,bulk:nas,rest").unwrap();
        assert_eq!(
            (map.of("local"), map.of("bulk"), map.of("x1")),
            ("tank", "nas", "rest")
        );
        assert_eq!(
            map.targets().into_iter().collect::<Vec<_>>(),
            ["nas", "rest", "tank"]
        );
        for nonsense in [
            "",
            "a",
            "1",
            "a:b:c",
            "local:",
            ":tank",
            "local,tank",
            "local:tank,local:nas",
            "lo cal",
        ] {
            assert!(StorageMap::parse(nonsense).is_err(), "{nonsense}");
        }
    }
}
