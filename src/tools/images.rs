//! Downloads of images from a URL to a storage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{Error, Result};
use crate::pve::{
    Content, Failure, Format, Num, Params, Path, Pve, Started, StorageStatus, check_node_name,
    choose, choose_node, volumes,
};
use crate::text;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};

/// A download of an image.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownloadIso {
    /// http or https address of the file; a node fetches it.
    #[schemars(length(min = 1, max = 4096))]
    url: String,
    /// Default: the only one online.
    node: Option<String>,
    /// Default: the only one that holds such content.
    storage: Option<String>,
    /// Default: by the file name's ending. import: a disk image.
    content: Option<ImageContent>,
    /// Name to store it under. Default: from the address.
    #[schemars(length(min = 1, max = 255))]
    filename: Option<String>,
    /// Hex digest of the file; needs checksum_algorithm.
    checksum: Option<String>,
    /// Of the checksum.
    checksum_algorithm: Option<ChecksumAlgorithm>,
    /// False: accept any TLS certificate. Default: true.
    verify_certificates: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ImageContent {
    Iso,
    Vztmpl,
    Import,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ChecksumAlgorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// What the server behind the URL says of the file.
#[derive(Debug, Default, Deserialize)]
struct Metadata {
    filename: Option<String>,
    mimetype: Option<String>,
    size: Option<Num<u64>>,
}

/// Where a file is kept, and how it is unpacked on arrival.
#[derive(Debug, PartialEq)]
struct Destination {
    filename: String,
    content: ImageContent,
    compression: Option<&'static str>,
}

impl Run for DownloadIso {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let url = check_url(&self.url)?;
        let checksum = check_checksum(self.checksum.as_deref(), self.checksum_algorithm)?;
        check_node_name("node", self.node.as_deref())?;
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        if let Some(filename) = &self.filename {
            // What can be checked before the server is asked.
            destination(&[filename], self.content)?;
        }
        let node = choose_node(pve, "node", self.node.as_deref())?;
        let metadata = self.metadata(pve, &node, &url)?;
        let place = self.destination(&metadata, &url)?;
        let storage = choose(pve, &node, place.content.into(), self.storage.as_deref())?;
        fits(&metadata, &storage)?;
        let volid = format!(
            "{}:{}/{}",
            storage.storage,
            place.content.as_str(),
            place.filename
        );
        let there = volumes(
            pve,
            &node,
            &storage.storage,
            Some(place.content.into()),
            None,
        )?;
        if there.iter().any(|volume| volume.name() == place.filename) {
            return Err(Error::Conflict(format!(
                "{volid} already exists on node {node}: use it, or choose another filename"
            )));
        }
        let mut form = Params::new()
            .set("content", place.content.as_str())
            .set("filename", &place.filename)
            .set("url", &url)
            .opt("compression", place.compression)
            .opt_flag("verify-certificates", self.verify_certificates);
        if let Some((digest, algorithm)) = &checksum {
            form = form
                .set("checksum", digest)
                .set("checksum-algorithm", algorithm.as_str());
        }
        let path = Path::new(["nodes", &node, "storage", &storage.storage, "download-url"]);
        let started: Started = pve.post(&path, &form)?;

        let size = metadata
            .size
            .map_or_else(String::new, |Num(size)| format!(" ({})", text::bytes(size)));
        let mut report = Report::done(format!("download of {volid}{size}")).volid(volid.clone());
        report.node = Some(node);
        if self
            .filename
            .as_ref()
            .is_some_and(|wanted| *wanted != place.filename)
        {
            report = report.warn(format!("stored as {}", place.filename));
        }
        if checksum.is_none() && url.scheme() == "http" {
            report = report.warn(
                "fetched over http without a checksum: nothing verifies that the file is what its \
                 author published",
            );
        }
        if metadata
            .mimetype
            .as_deref()
            .is_some_and(|kind| kind.starts_with("text/html"))
        {
            report = report.warn("the address returned a web page, not a file: check the address");
        }
        report.started(&started, self.wait)
    }
}

impl DownloadIso {
    fn metadata(&self, pve: &Pve, node: &str, url: &Url) -> Result<Metadata> {
        let query = Params::new()
            .set("url", url)
            .opt_flag("verify-certificates", self.verify_certificates);
        match pve.get(&Path::new(["nodes", node, "query-url-metadata"]), &query) {
            Ok(metadata) => Ok(metadata),
            Err(Failure::Api(error)) if error.status == 500 && !error.is_node_away() => {
                Err(Error::NotFound(format!(
                    "node {node} cannot fetch the url ({}): check the address, and that the node \
                     reaches it",
                    error.message
                )))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn destination(&self, metadata: &Metadata, url: &Url) -> Result<Destination> {
        if let Some(filename) = &self.filename {
            return destination(&[filename], self.content);
        }
        let last = url
            .path_segments()
            .and_then(|mut segments| segments.next_back())
            .unwrap_or_default();
        let last = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
        let offered = metadata.filename.as_deref().unwrap_or_default();
        destination(&[offered, last.as_ref()], self.content)
    }
}

impl ImageContent {
    fn as_str(self) -> &'static str {
        Content::from(self).as_str()
    }

    /// The endings that Proxmox takes for it.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Iso => &[".iso", ".img"],
            Self::Vztmpl => &[".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"],
            Self::Import => &[".qcow2", ".raw", ".vmdk", ".ova"],
        }
    }

    fn takes(self, filename: &str) -> bool {
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

impl ChecksumAlgorithm {
    fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits it has.
    fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha224 => 56,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

fn check_url(text: &str) -> Result<Url> {
    let wrong = |message: &str| Error::argument("url", message);
    let url = Url::parse(text)
        .map_err(|_| wrong("must be a whole address, such as https://example.com/debian.iso"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must be an http or https address"));
    }
    // It would be in the task's log, for everyone who may read that.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a user name or password"));
    }
    Ok(url)
}

fn check_checksum(
    checksum: Option<&str>,
    algorithm: Option<ChecksumAlgorithm>,
) -> Result<Option<(String, ChecksumAlgorithm)>> {
    match (checksum, algorithm) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::argument(
            "checksum_algorithm",
            "must be given together with checksum",
        )),
        (None, Some(_)) => Err(Error::argument(
            "checksum",
            "must be given together with checksum_algorithm",
        )),
        (Some(digest), Some(algorithm)) => {
            let digest = digest.trim();
            let hex = digest.bytes().all(|b| b.is_ascii_hexdigit());
            if !hex || digest.len() != algorithm.digits() {
                return Err(Error::argument(
                    "checksum",
                    format!(
                        "must be {} hexadecimal digits for {}, not {} characters{}",
                        algorithm.digits(),
                        algorithm.as_str(),
                        digest.chars().count(),
                        if hex {
                            ""
                        } else {
                            ", some of them not hexadecimal"
                        },
                    ),
                ));
            }
            Ok(Some((digest.to_ascii_lowercase(), algorithm)))
        }
    }
}

/// Where a file of the first usable of these names is kept.
fn destination(names: &[&str], content: Option<ImageContent>) -> Result<Destination> {
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
            Some(_) => format!("must have an ending that shows what the file is: {endings}"),
            None => format!(
                "must be given, as the address holds no usable one, with an ending that shows \
                 what the file is: {endings}"
            ),
        },
    ))
}

/// As Proxmox itself cleans names: no directories, plain characters alone. No
/// leading dot besides, so that no file hides.
fn sanitized(name: &str) -> String {
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

/// What Proxmox takes.
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
fn fits(metadata: &Metadata, storage: &StorageStatus) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(name: &str, content: Option<ImageContent>) -> Option<(String, ImageContent)> {
        destination(&[name], content)
            .ok()
            .map(|place| (place.filename, place.content))
    }

    #[test]
    fn names_tell_the_content() {
        use ImageContent::{Import, Iso, Vztmpl};
        for (name, filename, content) in [
            ("debian-13.iso", "debian-13.iso", Iso),
            ("../../etc/x.iso", "x.iso", Iso),
            ("C:\\images\\my image (1).ISO", "my_image__1_.ISO", Iso),
            ("...hidden.img", "hidden.img", Iso),
            ("a.tar.zst", "a.tar.zst", Vztmpl),
            ("cloud.qcow2", "cloud.qcow2", Import),
            ("x.iso.gz", "x.iso", Iso),
        ] {
            assert_eq!(
                place(name, None),
                Some((filename.into(), content)),
                "{name}"
            );
        }
        for name in [
            "",
            ".iso",
            "..",
            "readme.html",
            "a/b/",
            "x.QCOW2",
            "disk.qcow2.gz",
        ] {
            assert_eq!(place(name, None), None, "{name}");
        }
        assert_eq!(place("cloud.qcow2", Some(Iso)), None);
        assert_eq!(
            destination(&["opn.img.bz2"], None).unwrap().compression,
            Some("bz2")
        );
    }

    #[test]
    fn the_first_usable_name_is_taken() {
        let found = destination(&["download", "debian.iso"], None).unwrap();
        assert_eq!(found.filename, "debian.iso");
        let message = destination(&["", ""], None).unwrap_err().message();
        assert!(message.starts_with("filename: must be given"), "{message}");
        let message = destination(&["x.iso"], Some(ImageContent::Import))
            .unwrap_err()
            .message();
        assert!(message.contains(".qcow2, .raw"), "{message}");
    }

    #[test]
    fn addresses() {
        assert!(check_url("https://example.com/a.iso").is_ok());
        assert_eq!(
            check_url("HTTP://EXAMPLE.com").unwrap().as_str(),
            "http://example.com/"
        );
        for bad in [
            "",
            "a.iso",
            "ftp://x/a.iso",
            "file:///etc/passwd",
            "http://",
            "http://u:p@x/a",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        let message = check_url("https://me:hush@x/a.iso").unwrap_err().message();
        assert!(!message.contains("hush"));
    }

    #[test]
    fn checksums() {
        use ChecksumAlgorithm::{Md5, Sha256};
        assert_eq!(
            check_checksum(Some(&"AB".repeat(16)), Some(Md5)).unwrap(),
            Some(("ab".repeat(16), Md5))
        );
        assert_eq!(check_checksum(None, None).unwrap(), None);
        assert_eq!(
            check_checksum(Some("00"), Some(Sha256))
                .unwrap_err()
                .message(),
            "checksum: must be 64 hexadecimal digits for sha256, not 2 characters"
        );
        assert!(check_checksum(Some(&"g".repeat(32)), Some(Md5)).is_err());
        assert!(check_checksum(Some("00"), None).is_err());
        assert!(check_checksum(None, Some(Md5)).is_err());
    }

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

    proptest! {
        /// Whatever a server calls its file, the name is one that Proxmox
        /// takes, and no path.
        #[test]
        fn any_name(name in any::<String>(), ending in "\\.(iso|img|tar\\.zst|qcow2|iso\\.gz|txt)?") {
            let name = name + &ending;
            if let Ok(place) = destination(&[&name], None) {
                let name = &place.filename;
                prop_assert!(name.len() <= 255 && !name.starts_with('.'));
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)));
                prop_assert!(place.content.takes(name));
                // What Proxmox makes of it is what we say that it is called.
                prop_assert_eq!(&sanitized(name), name);
            }
        }

        #[test]
        fn any_url(text in any::<String>()) {
            if let Ok(url) = check_url(&text) {
                prop_assert!(url.as_str().starts_with("http://") || url.as_str().starts_with("https://"));
                prop_assert!(!url.as_str().contains(char::is_control));
            }
        }
    }
}
