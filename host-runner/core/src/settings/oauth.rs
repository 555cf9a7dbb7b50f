//! The settings of `serve --http` about tokens of OAuth issuers.

use url::{Host, Url};

use super::error::SettingsError;
use super::sources::Sources;
use super::trust::CaFile;
use super::variable::{self, Variable};

/// A longer issuer could not be in the name of a user.
const MAX_URL_BYTES: usize = 512;
const MAX_ENTRIES: usize = 16;
const SCOPE_PREFIX: &str = "proxmox:";

/// Whose access tokens are accepted, and for what.
#[derive(Debug, Clone)]
pub(crate) struct OAuthSettings {
    /// At least one.
    pub issuers: Vec<IssuerSettings>,
    /// One of these has to be in a token.
    pub audiences: Vec<String>,
    /// The URL that clients use, without a slash at its end.
    pub resource: Url,
    /// Certificates to accept of issuers, besides the system's.
    pub ca: Option<CaFile>,
    /// What the names of this server's scopes begin with.
    pub scope_prefix: String,
}

/// An issuer of access tokens.
#[derive(Debug, Clone)]
pub(crate) struct IssuerSettings {
    /// As its tokens name it.
    pub name: String,
    /// The same, to be asked for its metadata.
    pub url: Url,
    /// Where its keys are. None: its metadata says so.
    pub keys: Option<Url>,
}

/// The settings that have a meaning only with an issuer.
const OTHERS: [Variable; 5] = [
    Variable::HttpUrl,
    Variable::OAuthAudiences,
    Variable::OAuthJwks,
    Variable::OAuthCaFile,
    Variable::OAuthScopePrefix,
];

impl OAuthSettings {
    /// None unless an issuer is given.
    pub(super) fn from_sources(sources: &Sources) -> Result<Option<Self>, SettingsError> {
        let issuers = sources.parse_optional(Variable::OAuthIssuers, |text| {
            entries(text)?.into_iter().map(parse_issuer).collect()
        })?;
        let Some(mut issuers): Option<Vec<IssuerSettings>> = issuers else {
            return match OTHERS.iter().any(|one| sources.get(*one).is_some()) {
                true => Err(sources.missing(vec![Variable::OAuthIssuers])),
                false => Ok(None),
            };
        };
        let keys = sources.parse_optional(Variable::OAuthJwks, |text| {
            let urls: Result<Vec<Url>, _> = entries(text)?.into_iter().map(parse_url).collect();
            let urls = urls?;
            match urls.len() == issuers.len() {
                true => Ok(urls),
                false => Err("needs one address for each issuer, in the same order".to_owned()),
            }
        })?;
        for (issuer, keys) in issuers.iter_mut().zip(keys.into_iter().flatten()) {
            issuer.keys = Some(keys);
        }
        let resource = sources.parse(Variable::HttpUrl, parse_resource)?;
        let audiences = sources.parse_optional(Variable::OAuthAudiences, |text| {
            Ok(entries(text)?.into_iter().map(str::to_owned).collect())
        })?;
        Ok(Some(Self {
            issuers,
            audiences: audiences.unwrap_or_else(|| vec![written(&resource)]),
            resource,
            ca: sources.parse_optional(Variable::OAuthCaFile, variable::read_ca_file)?,
            scope_prefix: sources
                .parse_optional(Variable::OAuthScopePrefix, parse_scope_prefix)?
                .unwrap_or_else(|| SCOPE_PREFIX.to_owned()),
        }))
    }

    /// The host in the URL that clients use.
    pub(super) fn host(&self) -> Option<String> {
        self.resource.host_str().map(str::to_owned)
    }

    /// The URL that clients use, as tokens and metadata name it.
    pub(crate) fn resource_name(&self) -> String {
        written(&self.resource)
    }
}

/// A URL without the slash that an empty path is written as.
fn written(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn entries(text: &str) -> Result<Vec<&str>, String> {
    let entries = text.split([',', ' ']).filter(|entry| !entry.is_empty());
    let entries: Vec<&str> = entries.collect();
    match entries.len() {
        0 => Err("has no entry".to_owned()),
        1..=MAX_ENTRIES => Ok(entries),
        _ => Err(format!("has more than {MAX_ENTRIES} entries")),
    }
}

fn parse_issuer(text: &str) -> Result<IssuerSettings, String> {
    let url = parse_url(text)?;
    if url.query().is_some() {
        return Err("has a query, which no issuer has".to_owned());
    }
    Ok(IssuerSettings {
        name: text.to_owned(),
        url,
        keys: None,
    })
}

fn parse_resource(text: &str) -> Result<Url, String> {
    let mut url = parse_url(text)?;
    if url.query().is_some() {
        return Err("has a query: give the URL that clients use, such as …/mcp".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Reads an address that is safe to ask: HTTPS, or on this machine.
fn parse_url(text: &str) -> Result<Url, String> {
    let is_plain = text.len() <= MAX_URL_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    let url: Option<Url> = text.parse().ok().filter(|_| is_plain);
    let url = url.ok_or("is not a URL")?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("is not a URL with a host".to_owned()),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_local => {}
        _ => return Err("does not begin with https:// (http:// is for localhost only)".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or a password: leave them out".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a fragment (#…): leave it out".to_owned());
    }
    Ok(url)
}

fn parse_scope_prefix(text: &str) -> Result<String, String> {
    // RFC 6749, 3.3
    let may = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    match text.len() <= MAX_URL_BYTES && text.bytes().all(may) {
        true => Ok(text.to_owned()),
        false => Err("has characters that no scope has".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_or_of_this_machine() {
        for good in [
            "https://id.example.com",
            "https://id.example.com:8443/realms/a",
            "http://localhost:8080/a",
            "http://127.0.0.1:1",
            "http://[::1]:1/a",
        ] {
            assert!(parse_issuer(good).is_ok(), "{good}");
        }
        for bad in [
            "id.example.com",
            "http://id.example.com",
            "http://localhost.example.com",
            "http://192.0.2.1",
            "ftp://localhost",
            "https://user@id.example.com",
            "https://id.example.com/#a",
            "https://id.example.com/?a=b",
            "https://",
        ] {
            assert!(parse_issuer(bad).is_err(), "{bad}");
        }
        assert!(parse_url("https://id.example.com/keys?p=policy").is_ok());
    }

    #[test]
    fn the_resource_has_no_slash_at_its_end() {
        for (text, resource) in [
            ("https://mcp.example.com/mcp", "https://mcp.example.com/mcp"),
            (
                "https://mcp.example.com/mcp/",
                "https://mcp.example.com/mcp",
            ),
            ("https://MCP.example.com:443/", "https://mcp.example.com"),
        ] {
            assert_eq!(written(&parse_resource(text).unwrap()), resource);
        }
    }
}
