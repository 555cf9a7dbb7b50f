//! The file that a download makes: its name, and whether the storage takes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Content, Num, StorageStatus};
use crate::text;

/// The server's information about the file.
#[derive(Debug, Default, DeserializeFields)]
pub(super) struct Metadata {
    pub(super) filename: Option<String>,
    pub(super) mimetype: Option<String>,
    pub(super) size: Option<Num<u64>>,
}

/// Where a file is stored, and how it is unpacked.
#[derive(Debug, PartialEq)]
pub(super) struct Destination {
    pub(super) filename: String,
    pub(super) content: ImageContent,
    pub(super) compression: Option<&'static str>,
}

/// Where a file with the first usable of these names is stored.
pub(super) fn destination(names: &[&str], content: Option<ImageContent>) -> Result<Destination> {
    let mut first = None;
    for name in names {
        let filename = sanitized(name);
        if filename.is_empty() {
            continue;
        }
        let (plain, compression) = unpacked(&filename);
        let all = [
            ImageContent::Iso,
            ImageContent::Vztmpl,
            ImageContent::Import,
        ];
        let found = match content {
            Some(content) => Some(content).filter(|content| content.takes(plain)),
            None => all.into_iter().find(|content| content.takes(plain)),
        };
        if let Some(content) = found
            && (compression.is_none() || content == ImageContent::Iso)
        {
            return Ok(Destination {
                filename: plain.to_owned(),
                content,
                compression,
            });
        }
        first.get_or_insert(filename);
    }
    let endings = match content {
        Some(content) => format!(
            "for content {}, {}",
            content.as_str(),
            content.endings().join(", ")
        ),
        None => "such as .iso, .img, .tar.zst, .qcow2".to_owned(),
    };
    Err(Error::argument(
        "filename",
        match first {
            Some(name) if content == Some(ImageContent::Import) && name.ends_with(".img") => {
                format!(
                    "must have an ending that shows the format: a cloud image that is called .img, \
                     such as Ubuntu's, is a qcow2 image, so give {}.qcow2",
                    name.trim_end_matches(".img")
                )
            }
            Some(_) => format!("must have an ending that shows what the file is: {endings}"),
            None => format!(
                "must be given because the address contains no usable one, with an ending that \
                 shows what the file is: {endings}"
            ),
        },
    ))
}

/// As Proxmox itself cleans names: no directories, plain characters alone. No
/// leading dot besides, so that no file hides.
pub(super) fn sanitized(name: &str) -> String {
    let name = name.trim();
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let plain = plain.trim_start_matches('.');
    // The ending shows the kind: a name that is too long loses its start.
    let start = plain.len().saturating_sub(MOST_CHARACTERS);
    plain
        .get(start..)
        .unwrap_or_default()
        .trim_start_matches('.')
        .to_owned()
}

/// The longest name that Proxmox accepts.
const MOST_CHARACTERS: usize = 255;

/// A packed image's name without the ending of the packing, and which one
/// Proxmox has to undo. Container templates stay packed.
fn unpacked(filename: &str) -> (&str, Option<&'static str>) {
    for (ending, compression) in [
        (".gz", "gz"),
        (".lzo", "lzo"),
        (".zst", "zst"),
        (".bz2", "bz2"),
    ] {
        if let Some(plain) = filename.strip_suffix(ending)
            && ImageContent::Iso.takes(plain)
        {
            return (plain, Some(compression));
        }
    }
    (filename, None)
}

/// Refuses a file larger than what is free.
pub(super) fn fits(metadata: &Metadata, storage: &StorageStatus) -> Result<()> {
    let (Some(Num(size)), Some(Num(free))) = (metadata.size, storage.avail) else {
        return Ok(());
    };
    if size <= free {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "the file has {} and storage {} only {} free: choose another storage or make room",
        text::bytes(size),
        storage.storage,
        text::bytes(free)
    )))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ImageContent {
    Iso,
    Vztmpl,
    Import,
}

impl ImageContent {
    pub(super) fn as_str(self) -> &'static str {
        Content::from(self).as_str()
    }

    /// The file name endings that Proxmox accepts for it.
    pub(super) fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Iso => &[".iso", ".img"],
            Self::Vztmpl => &[".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"],
            Self::Import => &[".qcow2", ".raw", ".vmdk", ".ova"],
        }
    }

    pub(super) fn takes(self, filename: &str) -> bool {
        // Proxmox takes any case for ISO images, and lowercase alone for disks.
        let filename = match self {
            Self::Iso => filename.to_ascii_lowercase(),
            Self::Vztmpl | Self::Import => filename.to_owned(),
        };
        self.endings()
            .iter()
            .any(|ending| filename.len() > ending.len() && filename.ends_with(ending))
    }
}

impl From<ImageContent> for Content {
    fn from(content: ImageContent) -> Self {
        match content {
            ImageContent::Iso => Self::Iso,
            ImageContent::Vztmpl => Self::Vztmpl,
            ImageContent::Import => Self::Import,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space() {
        let storage: StorageStatus =
            serde_json::from_str(r#"{"storage":"local","avail":1024}"#).unwrap();
        let of = |size| Metadata {
            size: Some(Num(size)),
            ..Metadata::default()
        };
        assert!(fits(&of(1024), &storage).is_ok());
        assert!(fits(&of(1025), &storage).is_err());
        assert!(fits(&Metadata::default(), &storage).is_ok());
    }
}
