//! The template of a new container: a file on a storage of its node, or one of the
//! appliance index, which the node can download.

use std::cmp::Ordering;

use super::appliance::{EMPTY_INDEX, index};
use crate::error::{Error, Result};
use crate::pve::{Content, Pve, choose, storages, volumes};
use crate::{text, tool_names};

/// Where a template is.
#[derive(Debug, PartialEq)]
pub(super) enum Template {
    /// A volume that the node has.
    There(String),
    /// A file of the appliance index, and the storage for it.
    InIndex {
        /// Its name in the index.
        file: String,
        /// Where it is downloaded to.
        storage: String,
    },
}

impl Template {
    /// Finds a template by its volid, its file name, or the part of the file name
    /// before the version. A file that the node has comes before one that it would
    /// have to download; of several, the newest is taken.
    pub(super) fn find(pve: &Pve, node: &str, wanted: &str) -> Result<Self> {
        let (storage, name) = match pve_api::split_volid(wanted) {
            Some((storage, path)) => (Some(storage), path.strip_prefix("vztmpl/").unwrap_or(path)),
            None => (None, wanted),
        };
        let mut there = Vec::new();
        for one in storages(pve, node)? {
            let is_asked = storage.is_none_or(|storage| storage == one.storage);
            if is_asked && one.holds(Content::Vztmpl) && one.is_usable() {
                let content = Some(Content::Vztmpl);
                there.extend(volumes(pve, node, &one.storage, content, None)?);
            }
        }
        if let Some(volume) = newest(there, name, |volume| volume.name()) {
            return Ok(Self::There(volume.volid));
        }
        let (index, _) = index(pve, node)?;
        let known: Vec<String> = index.iter().map(|one| one.template.clone()).collect();
        if let Some(appliance) = newest(index, name, |one| one.template.as_str()) {
            let storage = match storage {
                Some(storage) => choose(pve, node, Content::Vztmpl, Some(storage))?.storage,
                None => default_storage(pve, node, &appliance.template)?,
            };
            return Ok(Self::InIndex {
                file: appliance.template,
                storage,
            });
        }
        let near = text::nearest(name, known.iter().map(String::as_str)).map_or_else(
            || match known.is_empty() {
                true => format!("; {EMPTY_INDEX}"),
                false => String::new(),
            },
            |near| format!(", perhaps {near} is meant"),
        );
        Err(Error::NotFound(format!(
            "template: neither the storages of node {node} nor its appliance index have {}{near}: {} \
             lists both",
            text::quoted(wanted),
            tool_names::LIST_TEMPLATES
        )))
    }

    /// The volume, once it is there.
    pub(super) fn volid(&self) -> String {
        match self {
            Self::There(volid) => volid.clone(),
            Self::InIndex { file, storage } => format!("{storage}:vztmpl/{file}"),
        }
    }

    /// The storage and the file of a template that has to be downloaded.
    pub(super) fn download(&self) -> Option<(String, String)> {
        match self {
            Self::There(_) => None,
            Self::InIndex { file, storage } => Some((storage.clone(), file.clone())),
        }
    }
}

/// The only storage of a node for templates. Where there are several, the error
/// shows how to name one.
fn default_storage(pve: &Pve, node: &str, file: &str) -> Result<String> {
    let mut usable = storages(pve, node)?;
    usable.retain(|one| one.holds(Content::Vztmpl) && one.is_usable());
    if let [first, _, ..] = usable.as_slice() {
        return Err(Error::argument(
            "template",
            format!(
                "must say where to download {file} to: node {node} has {}; write {}:vztmpl/{file}, for \
                 example",
                text::names(usable.iter().map(|one| one.storage.as_str())),
                first.storage
            ),
        ));
    }
    Ok(choose(pve, node, Content::Vztmpl, None)?.storage)
}

/// The newest of those with this file name, or with this name before their version.
fn newest<T>(all: Vec<T>, name: &str, file: impl Fn(&T) -> &str) -> Option<T> {
    let is_meant = |one: &T| {
        let file = file(one);
        file == name
            || file
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('_'))
    };
    all.into_iter()
        .filter(is_meant)
        .max_by(|a, b| by_version(file(a), file(b)))
}

/// Compares file names so that 13.10 comes after 13.9.
fn by_version(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (first, rest_of_a) = part(a);
        let (second, rest_of_b) = part(b);
        let order = match (first.parse::<u64>(), second.parse::<u64>()) {
            (Ok(first), Ok(second)) => first.cmp(&second),
            _ => first.cmp(second),
        };
        if order != Ordering::Equal || first.is_empty() {
            return order;
        }
        (a, b) = (rest_of_a, rest_of_b);
    }
}

/// The digits at the start of a text, or else what comes before its first digit.
fn part(text: &str) -> (&str, &str) {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != is_number)
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_name_is_meant() {
        let files = [
            "debian-13-standard_13.9-1_amd64.tar.zst",
            "debian-13-standard_13.10-1_amd64.tar.zst",
            "debian-13-standardised_14.0-1_amd64.tar.zst",
            "debian-12-standard_12.7-1_amd64.tar.zst",
        ];
        let meant = |name: &str| newest(files.to_vec(), name, |file| file);
        assert_eq!(meant("debian-13-standard"), Some(files[1]));
        assert_eq!(meant(files[0]), Some(files[0]));
        assert_eq!(meant("debian-13"), None);
        assert_eq!(meant("debian-12-standard"), Some(files[3]));
        assert_eq!(meant(""), None);
    }
}
