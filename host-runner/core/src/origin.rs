//! The one place that a request may go to.

use std::fmt;

use host_runner_policy::API_PATH;
use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use url::Url;

/// A host, a port and a path prefix, spoken to over HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    host: String,
    port: u16,
    /// Empty, or with a leading and without a trailing slash.
    prefix: String,
}

/// What to ask the origin for.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// From `/api2/json` on, with the query.
    pub(crate) target: String,
    /// The same with the origin's prefix, as it is sent.
    pub(crate) path_and_query: PathAndQuery,
}

/// Why a text is not an origin. The messages continue "`PROXMOX_URL` …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OriginError {
    /// No URL at all.
    #[error("is not a URL")]
    NotAUrl,
    /// The port is not a number, or is too large.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    /// The host looks like an IP address, and is none.
    #[error("has an IP address that does not exist")]
    Address,
    /// It has no host.
    #[error("has no host")]
    NoHost,
    /// The host's name has characters that are not ASCII. The tables for them would
    /// add 0.1 MB, in the component as in this program.
    #[error("contains non-ASCII characters: write the host name in its ASCII form (xn--…)")]
    NotAscii,
    /// Proxmox VE speaks nothing but https.
    #[error("does not begin with https://")]
    NotHttps,
    /// A user or a password has no place in it.
    #[error("holds a user or password, which belong to PROXMOX_USER and the token")]
    Userinfo,
    /// A query or a fragment has no place in it.
    #[error("holds more than a host, a port and a path")]
    QueryOrFragment,
    /// Its path is not a plain prefix.
    #[error("has a path that cannot be a prefix: leave it out, unless a reverse proxy adds one")]
    Path,
}

/// Why a request may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    /// Not https.
    #[error("only https is allowed")]
    Scheme,
    /// A user or password in the URL.
    #[error("a user or password in the url is not allowed")]
    Userinfo,
    /// Another host.
    #[error("another host than the configured one is not allowed")]
    Host,
    /// Another port.
    #[error("another port than the configured one is not allowed")]
    Port,
    /// Not below the API.
    #[error("only paths below the configured prefix and {API_PATH} are allowed")]
    Path,
    /// `.` or `..`, in any encoding.
    #[error("dot segments in the path are not allowed")]
    DotSegment,
    /// Control characters or broken percent-encoding.
    #[error("a path that is not properly encoded is not allowed")]
    Encoding,
}

impl Origin {
    /// Reads `https://host[:port][/prefix]`, with or without a trailing slash
    /// or `/api2/json`.
    pub(crate) fn parse(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|error| {
            if !text.contains("://") {
                OriginError::NotHttps
            } else if error == url::ParseError::IdnaError && !has_ascii_host(text) {
                OriginError::NotAscii
            } else {
                match error {
                    url::ParseError::InvalidPort => OriginError::Port,
                    url::ParseError::InvalidIpv4Address | url::ParseError::InvalidIpv6Address => {
                        OriginError::Address
                    }
                    url::ParseError::EmptyHost => OriginError::NoHost,
                    _ => OriginError::NotAUrl,
                }
            }
        })?;
        if url.scheme() != "https" {
            return Err(OriginError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::Userinfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(OriginError::QueryOrFragment);
        }
        let path = url.path().trim_end_matches('/');
        let prefix = path
            .strip_suffix(API_PATH)
            .unwrap_or(path)
            .trim_end_matches('/');
        if prefix.contains("//") || check_segments(prefix).is_err() {
            return Err(OriginError::Path);
        }
        Ok(Self {
            host: url.host_str().ok_or(OriginError::NotAUrl)?.to_owned(),
            port: url.port_or_known_default().ok_or(OriginError::NotAUrl)?,
            prefix: prefix.to_owned(),
        })
    }

    /// An address that does not exist.
    pub(crate) fn nowhere() -> Self {
        Self {
            host: "pve.invalid".to_owned(),
            port: 8006,
            prefix: String::new(),
        }
    }

    /// Whether a request may go to `uri`; if so, what to ask for.
    pub(crate) fn check(&self, uri: &Uri) -> Result<Api, Denial> {
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(Denial::Scheme);
        }
        let authority = uri.authority().ok_or(Denial::Host)?;
        if authority.as_str().contains('@') {
            return Err(Denial::Userinfo);
        }
        if !authority.host().eq_ignore_ascii_case(&self.host) {
            return Err(Denial::Host);
        }
        // A port that does not parse is not "no port".
        let has_port = authority.as_str().len() != authority.host().len();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if has_port => return Err(Denial::Port),
            None => 443,
        };
        if port != self.port {
            return Err(Denial::Port);
        }
        let path_and_query = uri.path_and_query().ok_or(Denial::Path)?;
        let target = path_and_query
            .as_str()
            .strip_prefix(&self.prefix)
            .ok_or(Denial::Path)?;
        let below_api = target.strip_prefix(API_PATH).ok_or(Denial::Path)?;
        if !(below_api.is_empty() || below_api.starts_with(['/', '?'])) {
            return Err(Denial::Path);
        }
        check_segments(path_and_query.path())?;
        Ok(Api {
            target: target.to_owned(),
            path_and_query: path_and_query.clone(),
        })
    }

    /// Whether this is its host, or its host and port, in lower case.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        name == self.host || name == format!("{}:{}", self.host, self.port)
    }

    /// The same request at another address of the same Proxmox VE. None where `uri` is not
    /// below this one.
    pub(crate) fn at(&self, other: &Self, uri: &Uri) -> Option<Uri> {
        let path = uri.path_and_query()?.as_str().strip_prefix(&self.prefix)?;
        let path: PathAndQuery = format!("{}{path}", other.prefix).parse().ok()?;
        let uri = Uri::builder().scheme(Scheme::HTTPS);
        uri.authority(other.authority())
            .path_and_query(path)
            .build()
            .ok()
    }

    /// The address of an endpoint, whose path begins with a slash.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("{self}{API_PATH}{path}")
    }

    /// The host: a name or an address, that of IPv6 in brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as the `Host` header and a URL name them.
    pub(crate) fn authority(&self) -> String {
        match self.port {
            443 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.prefix)
    }
}

/// Whether the host in a URL's text is ASCII.
fn has_ascii_host(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.trim_start_matches(['/', '\\']);
    let authority = authority.split(['/', '\\', '?', '#']).next();
    let host = authority.and_then(|authority| authority.rsplit('@').next());
    host.is_none_or(str::is_ascii)
}

/// Refuses dot segments and control characters, however often the path would
/// be decoded on its way.
fn check_segments(path: &str) -> Result<(), Denial> {
    let mut bytes = path.as_bytes().to_vec();
    let mut stray_percent = Err(Denial::Encoding);
    loop {
        if bytes.iter().any(u8::is_ascii_control) {
            return Err(Denial::Encoding);
        }
        let mut segments = bytes.split(|byte| matches!(byte, b'/' | b'\\'));
        // What follows a semicolon is a parameter to some proxies.
        if segments.any(|segment| {
            let name = segment.split(|&byte| byte == b';').next();
            matches!(name, Some(b"." | b".."))
        }) {
            return Err(Denial::DotSegment);
        }
        let decoded = percent_decode(&bytes, stray_percent)?;
        if decoded == bytes {
            return Ok(());
        }
        bytes = decoded;
        // From here on it may be a decoded one.
        stray_percent = Ok(b'%');
    }
}

/// Decodes once; `stray` says what becomes of a percent sign that begins no
/// encoded byte.
fn percent_decode(bytes: &[u8], stray: Result<u8, Denial>) -> Result<Vec<u8>, Denial> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        match tail.split_first_chunk() {
            Some((&[high, low], after)) if byte == b'%' => match hex_byte(high, low) {
                Some(byte) => {
                    decoded.push(byte);
                    rest = after;
                }
                None => {
                    decoded.push(stray?);
                    rest = tail;
                }
            },
            _ => {
                decoded.push(if byte == b'%' { stray? } else { byte });
                rest = tail;
            }
        }
    }
    Ok(decoded)
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(origin: &str, uri: &str) -> Result<String, Denial> {
        let origin = Origin::parse(origin).unwrap();
        let uri: Uri = uri.parse().unwrap();
        origin.check(&uri).map(|api| api.path_and_query.to_string())
    }

    #[test]
    fn is_normalised() {
        for (text, normal) in [
            ("https://pve:8006", "https://pve:8006"),
            ("https://pve:8006/", "https://pve:8006"),
            (
                "https://PVE.example.com:8006/api2/json",
                "https://pve.example.com:8006",
            ),
            ("https://pve:8006/api2/json/", "https://pve:8006"),
            ("https://pve:443/", "https://pve"),
            ("https://pve/a/b/", "https://pve/a/b"),
            ("https://pve/a/api2/json", "https://pve/a"),
            ("https://[2001:db8::1]:8006", "https://[2001:db8::1]:8006"),
            ("https://192.0.2.7:8006", "https://192.0.2.7:8006"),
            (
                "https://XN--bcher-kva.example:8006",
                "https://xn--bcher-kva.example:8006",
            ),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(origin.to_string(), normal, "{text}");
            assert_eq!(Origin::parse(normal).unwrap(), origin);
        }
    }

    #[test]
    fn bad_origins_are_refused() {
        for (text, error) in [
            ("http://pve:8006", OriginError::NotHttps),
            ("pve:8006", OriginError::NotHttps),
            ("pve.example.com", OriginError::NotHttps),
            ("ftp://pve", OriginError::NotHttps),
            ("https://", OriginError::NoHost),
            ("https://pve:99999", OriginError::Port),
            ("https://192.168.1.300:8006", OriginError::Address),
            ("https://b\u{fc}cher.example", OriginError::NotAscii),
            ("https://root@b\u{fc}cher.example/a", OriginError::NotAscii),
            ("https://pve:8006\u{2013}", OriginError::Port),
            ("https://pv e/\u{fc}", OriginError::NotAUrl),
            ("https://r\u{fc}:pw@pv e", OriginError::NotAUrl),
            ("https://root@pve:8006", OriginError::Userinfo),
            ("https://root:pw@pve:8006", OriginError::Userinfo),
            ("https://pve:8006/?a=b", OriginError::QueryOrFragment),
            ("https://pve:8006/#v1", OriginError::QueryOrFragment),
            ("https://pve/a//b", OriginError::Path),
            ("https://pve/a%2f%2e%2e", OriginError::Path),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_api_is_allowed() {
        for (origin, uri, path) in [
            (
                "https://pve:8006",
                "https://pve:8006/api2/json/version",
                "/api2/json/version",
            ),
            (
                "https://pve:8006",
                "https://PVE:8006/api2/json",
                "/api2/json",
            ),
            (
                "https://pve:8006",
                "https://pve:8006/api2/json?a=..",
                "/api2/json?a=..",
            ),
            (
                "https://pve",
                "https://pve/api2/json/nodes",
                "/api2/json/nodes",
            ),
            (
                "https://pve",
                "https://pve:443/api2/json/nodes",
                "/api2/json/nodes",
            ),
            (
                "https://pve/a",
                "https://pve/a/api2/json/nodes",
                "/a/api2/json/nodes",
            ),
            (
                "https://[::1]:8006",
                "https://[::1]:8006/api2/json/x",
                "/api2/json/x",
            ),
            (
                "https://pve:8006",
                "https://pve:8006/api2/json/storage/local:iso/a..b.iso",
                "/api2/json/storage/local:iso/a..b.iso",
            ),
            (
                "https://pve:8006",
                "https://pve:8006/api2/json/storage/local%3Aiso%2Fa.iso",
                "/api2/json/storage/local%3Aiso%2Fa.iso",
            ),
            (
                "https://pve:8006",
                "https://pve:8006/api2/json/100%25",
                "/api2/json/100%25",
            ),
        ] {
            assert_eq!(verdict(origin, uri), Ok(path.to_owned()), "{uri}");
        }
    }

    #[test]
    fn everything_else_is_denied() {
        let origin = "https://pve.example.com:8006";
        for (uri, denial) in [
            ("http://pve.example.com:8006/api2/json/x", Denial::Scheme),
            ("wss://pve.example.com:8006/api2/json/x", Denial::Scheme),
            ("/api2/json/x", Denial::Scheme),
            (
                "https://a@pve.example.com:8006/api2/json/x",
                Denial::Userinfo,
            ),
            (
                "https://pve.example.com:8006@evil.example/api2/json/x",
                Denial::Userinfo,
            ),
            ("https://pve.example.com.:8006/api2/json/x", Denial::Host),
            ("https://evil.example:8006/api2/json/x", Denial::Host),
            (
                "https://pve.example.com.evil.example:8006/api2/json/x",
                Denial::Host,
            ),
            ("https://xpve.example.com:8006/api2/json/x", Denial::Host),
            ("https://127.0.0.1:8006/api2/json/x", Denial::Host),
            ("https://pve.example.com/api2/json/x", Denial::Port),
            ("https://pve.example.com:8007/api2/json/x", Denial::Port),
            ("https://pve.example.com:80060/api2/json/x", Denial::Port),
            ("https://pve.example.com:8006/", Denial::Path),
            ("https://pve.example.com:8006", Denial::Path),
            ("https://pve.example.com:8006/api2/extjs/x", Denial::Path),
            ("https://pve.example.com:8006/api2/jsonx", Denial::Path),
            ("https://pve.example.com:8006/API2/json/x", Denial::Path),
            ("https://pve.example.com:8006//api2/json/x", Denial::Path),
            ("https://pve.example.com:8006/x/api2/json/x", Denial::Path),
            ("https://pve.example.com:8006/api2%2Fjson/x", Denial::Path),
            (
                "https://pve.example.com:8006/api2/json/../x",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/./x",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/..",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/%2e%2E/x",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/.%2e/x",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/a%2f..%2fx",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/a%5c..%5cx",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/%252e%252e/x",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/%25252e./x",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/..;a=b/x",
                Denial::DotSegment,
            ),
            (
                "https://pve.example.com:8006/api2/json/%0d%0aX:y",
                Denial::Encoding,
            ),
            (
                "https://pve.example.com:8006/api2/json/%00",
                Denial::Encoding,
            ),
            (
                "https://pve.example.com:8006/api2/json/%zz",
                Denial::Encoding,
            ),
            (
                "https://pve.example.com:8006/api2/json/%2",
                Denial::Encoding,
            ),
        ] {
            assert_eq!(verdict(origin, uri), Err(denial), "{uri}");
        }
    }

    #[test]
    fn a_request_can_go_to_another_address() {
        let origin = Origin::parse("https://pve1:8006/a").unwrap();
        let uri = "https://pve1:8006/a/api2/json/nodes?x=/a".parse().unwrap();
        for (other, there) in [
            ("https://pve2", "https://pve2/api2/json/nodes?x=/a"),
            (
                "https://pve2:8006/b",
                "https://pve2:8006/b/api2/json/nodes?x=/a",
            ),
        ] {
            let other = Origin::parse(other).unwrap();
            let uri = origin.at(&other, &uri).unwrap();
            assert_eq!(uri.to_string(), there);
            assert!(other.check(&uri).is_ok());
        }
    }

    #[test]
    fn the_prefix_is_required() {
        let origin = "https://pve/proxy";
        assert_eq!(
            verdict(origin, "https://pve/api2/json/x"),
            Err(Denial::Path)
        );
        assert_eq!(
            verdict(origin, "https://pve/proxy2/api2/json/x"),
            Err(Denial::Path)
        );
    }
}
