//! `download_iso`: lets a node fetch an image from a URL.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::image_file::{Destination, ImageContent, Metadata, destination, fits};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{
    At, Failure, Format, Num, Params, Pve, Started, check_node_name, choose, choose_node, volumes,
};
use crate::text;
use crate::tool::declared::{Calls, FOLLOW_TASK};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};

/// A download of an image.
#[derive(Debug, DeserializeFields, JsonSchema)]
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
enum ChecksumAlgorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Run for DownloadIso {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(FOLLOW_TASK),
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::CONTENT),
        Calls::One(&calls::storage::DOWNLOAD_URL),
        Calls::One(&calls::storage::LIST),
        Calls::One(&calls::storage::URL_METADATA),
    ];

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
        let request = calls::storage::DOWNLOAD_URL.at([&node, &storage.storage]);
        let started: Started = pve.send(&request, &form)?;
        let mut report = self.report(&volid, &url, &place, &metadata, checksum.is_some());
        report.node = Some(node);
        report.started(&started, self.wait)
    }
}

impl DownloadIso {
    fn report(
        &self,
        volid: &str,
        url: &Url,
        place: &Destination,
        metadata: &Metadata,
        has_checksum: bool,
    ) -> Report {
        let size = metadata
            .size
            .map_or_else(String::new, |Num(size)| format!(" ({})", text::bytes(size)));
        let mut report = Report::done(format!("download of {volid}{size}")).volid(volid);
        if self
            .filename
            .as_ref()
            .is_some_and(|wanted| *wanted != place.filename)
        {
            report = report.warn(format!("stored as {}", place.filename));
        }
        if !has_checksum && url.scheme() == "http" {
            report = report.warn(
                "fetched over HTTP without a checksum: nothing verifies that the file is what its \
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
        report
    }

    fn metadata(&self, pve: &Pve, node: &str, url: &Url) -> Result<Metadata> {
        let query = Params::new()
            .set("url", url)
            .opt_flag("verify-certificates", self.verify_certificates);
        match pve.send(&calls::storage::URL_METADATA.at([node]), &query) {
            Ok(metadata) => Ok(metadata),
            Err(Failure::Api(error)) if error.status == 500 && !error.is_node_away() => {
                Err(Error::NotFound(format!(
                    "node {node} cannot fetch the URL ({}): check the address, and that the node \
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

pub(super) fn check_url(address: &str) -> Result<Url> {
    let wrong = |message: &str| Error::argument("url", message);
    let url = Url::parse(address).map_err(|error| {
        wrong(match text::lacks_ascii_host(address, error) {
            true => {
                "contains non-ASCII characters: write the host name in its ASCII form, which \
                 begins with xn--"
            }
            false => "must be a whole address, such as https://example.com/debian.iso",
        })
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must be an HTTP or HTTPS URL"));
    }
    // It would be in the task's log, for everyone who may read that.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not contain a user name or password"));
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let message = |url: &str| check_url(url).unwrap_err().message();
        let ascii = "url: contains non-ASCII characters: write the host name in its ASCII form, \
                     which begins with xn--";
        assert_eq!(message("https://b\u{fc}cher.example/a.iso"), ascii);
        assert_eq!(message("http://me@b\u{fc}cher.example?a"), ascii);
        assert!(message("https://exa mple/\u{fc}.iso").contains("a whole address"));
        assert!(message("\u{fc}.iso").contains("a whole address"));
        assert!(check_url("https://xn--bcher-kva.example/\u{fc}.iso").is_ok());
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
}
