//! The settings of `serve --http`: where to listen, and for whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::error::SettingsError;
use super::oauth::OAuthSettings;
use super::source::Source;
use super::sources::Sources;
use super::variable::Variable;
use crate::secret::Secret;

/// Open connections; more are turned away.
const CONNECTIONS: u32 = 256;
/// Requests that a client may send in a minute.
const REQUESTS: u32 = 600;
/// Requests of a client that may be open at the same time, streams among them.
const CONCURRENCY: u32 = 64;

/// Where to listen, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// Bearer tokens with names.
    pub tokens: Option<TokenSource>,
    /// Issuers of tokens. With neither these nor tokens, everybody who reaches the address may
    /// call tools.
    pub oauth: Option<OAuthSettings>,
    /// Names, with or without a port, by which clients know the server, besides those of a
    /// loopback address. The one in the URL that clients use is among them.
    pub hosts: Vec<String>,
    /// Web pages that may send requests: `https://app.example.com`, with `:*` for any port.
    pub origins: Vec<String>,
    /// None: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Open connections; more are turned away.
    pub connections: u32,
    /// Requests that a client may send in a minute.
    pub requests_per_minute: u32,
    /// Requests of a client that may be open at the same time.
    pub concurrency: u32,
}

/// Where the bearer tokens of clients are.
#[derive(Debug, Clone)]
pub(crate) enum TokenSource {
    /// In the value itself.
    Text(Secret),
    /// In this file.
    File(PathBuf),
}

/// A certificate with its chain, and its key.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Where to ask whether the server is ready.
#[derive(Debug, Clone)]
pub(crate) struct HealthSettings {
    pub address: SocketAddr,
    /// The server's, if it speaks TLS.
    pub certificate: Option<PathBuf>,
}

impl HealthSettings {
    /// The address that was given, else the one that the server listens on.
    pub(crate) fn from_sources(
        sources: &Sources,
        address: Option<&str>,
    ) -> Result<Self, SettingsError> {
        let given = address.map(|address| {
            let malformed = |why| SettingsError::malformed(Variable::Http, Source::Flag, why);
            parse_address(address).map_err(malformed)
        });
        let mut address = match given {
            Some(address) => address?,
            None => sources.parse(Variable::Http, parse_address)?,
        };
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let certificate = |text: &str| Ok(PathBuf::from(text));
        Ok(Self {
            address,
            certificate: sources.parse_optional(Variable::TlsCert, certificate)?,
        })
    }
}

impl HttpSettings {
    /// None unless an address to listen on is given.
    pub(crate) fn from_sources(sources: &Sources) -> Result<Option<Self>, SettingsError> {
        let Some(address) = sources.parse_optional(Variable::Http, parse_address)? else {
            return Ok(None);
        };
        let number = |variable, max, default| {
            let parse = |text: &str| parse_count(text, max);
            let number = sources.parse_optional(variable, parse);
            number.map(|number| number.unwrap_or(default))
        };
        let list = |variable, parse| {
            let list = sources.parse_optional(variable, |text: &str| parse_list(text, parse));
            list.map(Option::unwrap_or_default)
        };
        let mut http = Self {
            address,
            tokens: tokens(sources)?,
            oauth: OAuthSettings::from_sources(sources)?,
            hosts: list(Variable::HttpHosts, parse_host)?,
            origins: list(Variable::HttpOrigins, parse_origin)?,
            tls: tls(sources)?,
            connections: number(Variable::HttpConnections, 65_536, CONNECTIONS)?,
            requests_per_minute: number(Variable::HttpRequests, 1_000_000, REQUESTS)?,
            concurrency: number(Variable::HttpConcurrency, 65_536, CONCURRENCY)?,
        };
        let is_open = http.tokens.is_none() && http.oauth.is_none();
        if is_open && !is_loopback(address.ip()) {
            let place = sources.get(Variable::Http).map(|(_, place)| place);
            return Err(SettingsError::OpenAddress(place));
        }
        if is_open && !http.hosts.iter().all(|host| is_loopback_host(host)) {
            let place = sources.get(Variable::HttpHosts).map(|(_, place)| place);
            return Err(SettingsError::OpenHosts(place));
        }
        let named = http.oauth.as_ref();
        http.hosts.extend(named.and_then(OAuthSettings::host));
        Ok(Some(http))
    }
}

/// Whether only this machine reaches an address.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The same of a name, with or without a port.
fn is_loopback_host(host: &str) -> bool {
    let authority = host.parse::<http::uri::Authority>();
    authority.is_ok_and(|authority| {
        let name = authority.host().trim_end_matches('.');
        let address = name.trim_start_matches('[').trim_end_matches(']').parse();
        name == "localhost" || address.is_ok_and(is_loopback)
    })
}

fn tokens(sources: &Sources) -> Result<Option<TokenSource>, SettingsError> {
    // An empty value counts as not given, but not as a wish for no authentication.
    let text = |text: &str| Ok(TokenSource::Text(Secret::new(text.to_owned())));
    let file = |text: &str| Ok(TokenSource::File(PathBuf::from(text)));
    let text = sources.parse_optional(Variable::HttpTokens, text)?;
    let file = sources.parse_optional(Variable::HttpTokensFile, file)?;
    match (text, file) {
        (Some(_), Some(_)) => Err(SettingsError::TwoTokenSources),
        (text, file) => Ok(text.or(file)),
    }
}

fn tls(sources: &Sources) -> Result<Option<TlsFiles>, SettingsError> {
    let path = |variable| sources.parse_optional(variable, |text| Ok(PathBuf::from(text)));
    match (path(Variable::TlsCert)?, path(Variable::TlsKey)?) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(sources.missing(vec![Variable::TlsKey])),
        (None, Some(_)) => Err(sources.missing(vec![Variable::TlsCert])),
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse();
    address.map_err(|_| "is not an address with a port".to_owned())
}

fn parse_count(text: &str, max: u32) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=max).contains(count));
    count.ok_or_else(|| format!("must be a number from 1 to {max}"))
}

fn parse_list(
    text: &str,
    parse: fn(&str) -> Result<String, String>,
) -> Result<Vec<String>, String> {
    let entries = text.split([',', ' ']).filter(|entry| !entry.is_empty());
    entries.map(parse).collect()
}

fn parse_host(text: &str) -> Result<String, String> {
    let authority: Option<http::uri::Authority> = text.parse().ok();
    let is_host = authority.is_some_and(|one| !one.host().is_empty() && !text.contains('@'));
    match is_host {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("is not a list of host names".to_owned()),
    }
}

fn parse_origin(text: &str) -> Result<String, String> {
    let malformed = || "is not a list of origins: write scheme://host or scheme://host:port";
    let (scheme, authority) = text.split_once("://").ok_or_else(malformed)?;
    let without_port = authority.strip_suffix(":*").unwrap_or(authority);
    let is_plain = !without_port.contains(['/', '?', '#']);
    if !matches!(scheme, "http" | "https") || !is_plain {
        return Err(malformed().to_owned());
    }
    parse_host(without_port).map_err(|_| malformed().to_owned())?;
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_a_scheme_and_no_path() {
        for good in [
            "https://a.example",
            "http://[::1]:*",
            "http://localhost:6274",
        ] {
            assert!(parse_origin(good).is_ok(), "{good}");
        }
        for bad in [
            "a.example",
            "https://",
            "ftp://a",
            "https://a/b",
            "null",
            "*",
            "https://u@a",
        ] {
            assert!(parse_origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_hosts_are_known() {
        for good in [
            "localhost",
            "localhost:8080",
            "127.0.0.1",
            "[::1]:1",
            "[::1]",
        ] {
            assert!(is_loopback_host(good), "{good}");
        }
        for bad in [
            "mcp.example",
            "mcp.example:443",
            "192.0.2.1",
            "localhost.example",
        ] {
            assert!(!is_loopback_host(bad), "{bad}");
        }
    }

    #[test]
    fn loopback_addresses_are_known_in_all_forms() {
        for (address, is) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), is, "{address}");
        }
    }
}
