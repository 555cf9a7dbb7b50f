//! Storages and the volumes on them.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::guest::Config;
use pve_api::GuestType;

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    pub(crate) id: String,
    /// `dir`, `nfs`, `zfspool`, `lvmthin`, …
    pub(crate) plugin: String,
    pub(crate) path: Option<String>,
    pub(crate) content: Vec<String>,
    pub(crate) shared: bool,
    pub(crate) enabled: bool,
    /// Only there; everywhere when empty.
    pub(crate) nodes: Vec<String>,
    pub(crate) total: u64,
    /// What is used in addition to the known volumes.
    pub(crate) base_used: u64,
}

impl Storage {
    /// Whether container snapshots work on it.
    pub(crate) fn has_snapshots(&self) -> bool {
        matches!(
            self.plugin.as_str(),
            "zfspool" | "lvmthin" | "rbd" | "btrfs"
        )
    }

    pub(crate) fn is_files(&self) -> bool {
        self.path.is_some()
    }

    pub(crate) fn on(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|name| name == node)
    }

    pub(crate) fn holds(&self, content: &str) -> bool {
        self.content.iter().any(|kind| kind == content)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Volume {
    /// With the storage: `local:iso/x.iso`.
    pub(crate) volid: String,
    pub(crate) storage: String,
    /// Where it is, on a storage that is not shared.
    pub(crate) node: Option<String>,
    #[serde(deserialize_with = "content")]
    pub(crate) content: Content,
    pub(crate) format: String,
    pub(crate) size: u64,
    pub(crate) used: u64,
    pub(crate) ctime: i64,
    pub(crate) vmid: Option<u32>,
    pub(crate) notes: Option<String>,
    pub(crate) protected: bool,
    /// The base volume of a linked clone.
    pub(crate) parent: Option<String>,
    /// What a backup holds.
    pub(crate) archive: Option<Archive>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Archive {
    pub(crate) kind: GuestType,
    pub(crate) config: Config,
}

/// A type of volume, one of [`CONTENTS`].
// By this name, serde does not expect to borrow it from what it reads.
type Content = &'static str;

const CONTENTS: [Content; 7] = [
    "backup", "images", "import", "iso", "rootdir", "snippets", "vztmpl",
];

fn content<'de, D: Deserializer<'de>>(from: D) -> Result<Content, D::Error> {
    let text = String::deserialize(from)?;
    let known = CONTENTS.into_iter().find(|known| *known == text);
    known.ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"what a volume can be"))
}
