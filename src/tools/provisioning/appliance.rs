//! The index of appliances: container templates that Proxmox offers for download.

use pve_api::calls;

use crate::error::Result;
use crate::json::DeserializeFields;
use crate::pve::{At, Failure, Params, Pve};

/// An entry of the appliance index.
#[derive(Debug, Clone, DeserializeFields)]
pub(super) struct Appliance {
    /// The file's name, by which it is downloaded.
    #[serde(default)]
    pub(super) template: String,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) section: Option<String>,
    #[serde(default)]
    pub(super) headline: Option<String>,
}

pub(super) const EMPTY_INDEX: &str =
    "the appliance index is empty: pveam update on a node fetches it";

/// What the index of a node holds, and how many entries have no name.
pub(super) fn index(pve: &Pve, node: &str) -> Result<(Vec<Appliance>, usize), Failure> {
    let mut index: Vec<Appliance> =
        pve.send(&calls::storage::TEMPLATES.at([node]), &Params::new())?;
    let all = index.len();
    index.retain(|one| !one.template.is_empty());
    let nameless = all.saturating_sub(index.len());
    Ok((index, nameless))
}
