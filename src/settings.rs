//! The component's settings, from its environment.

use std::fmt;

use url::{Host, Url};

use crate::error::Error;
use crate::text;

/// How a request gets from the component to Proxmox, as far as the settings
/// tell. Error messages name what is to be checked on that way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// Through host-runner, which adds the token and checks the certificate.
    #[default]
    HostRunner,
    /// Over plain http to this machine, where `host-runner forward` listens.
    Forward,
    /// Over https to this machine, from a host that is not host-runner.
    Local,
    /// Over https to another machine, from a host that is not host-runner.
    Direct,
}

/// Where Proxmox is, and who calls it.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Scheme, host, port and path prefix, without a trailing slash.
    pub(crate) base: String,
    /// `user@realm!token`, where the environment names it.
    pub(crate) token_id: Option<String>,
    /// Absent where the host adds the `Authorization` header itself.
    secret: Option<String>,
}

impl Settings {
    /// Reads the process's environment.
    pub(crate) fn from_env() -> Result<Self, Error> {
        Self::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Reads whatever gives a variable's value.
    pub(crate) fn new(var: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let url = var("PROXMOX_URL").ok_or_else(|| {
            Error::Internal(
                "PROXMOX_URL is not set: put the address of a node, such as \
                 https://pve.example.com:8006, or the one that `host-runner forward` prints, into \
                 the component's environment, as its host allows (ACT: `--metadata-file`)"
                    .into(),
            )
        })?;
        let base = base_url(&url)?;
        let token_id = var("PROXMOX_TOKEN_ID")
            .and_then(|id| full_token_id(&id, var("PROXMOX_USER").as_deref()));
        let secret = var("PROXMOX_TOKEN_SECRET");
        if secret.is_some() && token_id.is_none() {
            return Err(Error::Internal(
                "PROXMOX_TOKEN_SECRET is set, but not which token it belongs to: set \
                 PROXMOX_TOKEN_ID to user@realm!name, such as root@pam!mcp"
                    .into(),
            ));
        }
        Ok(Self {
            base,
            token_id,
            secret,
        })
    }

    /// Some for a test.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            base: "https://pve.example.com:8006".into(),
            token_id: Some("mcp@pve!test".into()),
            secret: None,
        }
    }

    /// The value of the `Authorization` header, where it is for the component
    /// to send.
    pub(crate) fn authorization(&self) -> Option<String> {
        let (id, secret) = (self.token_id.as_deref()?, self.secret.as_deref()?);
        Some(format!("{}{id}={secret}", pve_api::TOKEN_SCHEME))
    }

    /// How requests get to Proxmox.
    pub(crate) fn route(&self) -> Route {
        // host-runner alone keeps the secret to itself.
        if self.secret.is_none() {
            return Route::HostRunner;
        }
        match Url::parse(&self.base) {
            Ok(url) if url.scheme() == "http" => Route::Forward,
            Ok(url) if is_loopback(&url) => Route::Local,
            _ => Route::Direct,
        }
    }

    /// How a message calls the token.
    pub(crate) fn token_name(&self) -> &str {
        self.token_id.as_deref().unwrap_or("in use")
    }
}

/// How long the text of a result may be, in bytes, unless the host sets it: 20,000 tokens
/// of a table of numbers and identifiers.
const RESULT_BYTES: usize = 40_000;

/// The room that the host gives to the text of a result, in bytes, and whether it writes
/// lists as tables rather than JSON: `PROXMOX_MCP_RESULT_BYTES` and
/// `PROXMOX_MCP_RESULT_TABLES`.
pub(crate) fn result_room() -> (usize, bool) {
    let read = |name| std::env::var(name).ok();
    let bytes = read("PROXMOX_MCP_RESULT_BYTES").and_then(|bytes| bytes.parse().ok());
    let tables = read("PROXMOX_MCP_RESULT_TABLES");
    (
        bytes.unwrap_or(RESULT_BYTES),
        tables.as_deref() == Some("true"),
    )
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("base", &self.base)
            .field("token_id", &self.token_id)
            .finish_non_exhaustive()
    }
}

/// `https://pve:8006/prefix/` and `https://pve:8006/prefix/api2/json` become
/// `https://pve:8006/prefix`.
///
/// Plain http is for this machine alone: hosts that know no private authority
/// reach Proxmox through a program on loopback that speaks TLS to it.
fn base_url(text: &str) -> Result<String, Error> {
    let bad = |why: &str| {
        Error::Internal(format!(
            "PROXMOX_URL {why}: give it as https://pve.example.com:8006"
        ))
    };
    let text = text.trim();
    let url = Url::parse(text).map_err(|error| match text::lacks_ascii_host(text, error) {
        // As host-runner says it, and without the advice that fits the others.
        true => Error::Internal(
            "PROXMOX_URL contains non-ASCII characters: write the host name in its ASCII form \
             (xn--…)"
                .to_owned(),
        ),
        false => bad("is not a URL"),
    })?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err(bad(
                "is http, which is accepted for localhost, 127.0.0.1 and [::1] only, where \
                 `host-runner forward` listens",
            ));
        }
        _ => return Err(bad("is not https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("contains a user or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("contains a query or a fragment"));
    }
    let base = url.as_str().trim_end_matches('/');
    let base = base.strip_suffix(pve_api::API_PATH).unwrap_or(base);
    Ok(base.trim_end_matches('/').to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn full_token_id(id: &str, user: Option<&str>) -> Option<String> {
    if id.contains('!') {
        return Some(id.to_owned());
    }
    user.map(|user| format!("{user}!{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::new(|name| {
            vars.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn url_forms_are_one() {
        for url in [
            "https://pve:8006",
            "https://pve:8006/",
            "https://pve:8006/api2/json",
            "https://PVE:8006/api2/json/",
        ] {
            assert_eq!(base_url(url).unwrap(), "https://pve:8006", "{url}");
        }
        assert_eq!(
            base_url("https://gate.example.com/pve/").unwrap(),
            "https://gate.example.com/pve"
        );
        assert_eq!(
            base_url("https://xn--bcher-kva.example:8006/").unwrap(),
            "https://xn--bcher-kva.example:8006"
        );
    }

    #[test]
    fn only_a_host_that_is_not_ascii_needs_its_ascii_form() {
        let message = |url: &str| base_url(url).unwrap_err().message();
        assert_eq!(
            message(" https://b\u{fc}cher.example:8006 "),
            "PROXMOX_URL contains non-ASCII characters: write the host name in its ASCII form \
             (xn--…)"
        );
        for url in ["https://pve:8006\u{2013}", "https://pv e/\u{fc}", "\u{fc}"] {
            assert!(
                message(url).starts_with("PROXMOX_URL is not a URL"),
                "{url}"
            );
        }
    }

    #[test]
    fn bad_urls_are_refused() {
        for url in [
            "pve",
            "http://pve:8006",
            "http://192.0.2.10:8006",
            "http://localhost.example.com:8006",
            "http://127.0.0.1.example.com:8006",
            "http://128.0.0.1:8006",
            "http://[::2]:8006",
            "http://[::ffff:127.0.0.1]:8006",
            "http://root@127.0.0.1:8006",
            "ftp://127.0.0.1:8006",
            "https://root:x@pve:8006",
            "https://pve/?a",
            "https://b\u{fc}cher.example:8006",
        ] {
            let error = base_url(url).unwrap_err();
            assert!(error.message().starts_with("PROXMOX_URL "), "{error:?}");
        }
    }

    #[test]
    fn http_is_for_this_machine_alone() {
        for (url, base) in [
            ("http://127.0.0.1:8006/", "http://127.0.0.1:8006"),
            ("http://127.9.9.9:8006", "http://127.9.9.9:8006"),
            ("http://LocalHost:8006/api2/json", "http://localhost:8006"),
            ("http://[::1]:8006", "http://[::1]:8006"),
        ] {
            assert_eq!(base_url(url).unwrap(), base, "{url}");
        }
        let error = base_url("http://192.0.2.10:8006").unwrap_err();
        assert!(error.message().contains("127.0.0.1"), "{error:?}");
    }

    #[test]
    fn the_way_to_proxmox_is_told_from_the_settings() {
        let route = |url: &str, secret: &str| {
            let vars = [
                ("PROXMOX_URL", url),
                ("PROXMOX_TOKEN_ID", "root@pam!mcp"),
                ("PROXMOX_TOKEN_SECRET", secret),
            ];
            let given = |name: &str| {
                let var = vars.iter().find(|(key, _)| *key == name)?;
                (!var.1.is_empty()).then(|| var.1.to_owned())
            };
            Settings::new(given).unwrap().route()
        };
        assert_eq!(route("https://127.0.0.1:8006", ""), Route::HostRunner);
        assert_eq!(route("http://localhost:8007", "s"), Route::Forward);
        assert_eq!(route("https://[::1]:8007", "s"), Route::Local);
        assert_eq!(route("https://pve.example.com:8006", "s"), Route::Direct);
    }

    #[test]
    fn an_address_that_is_missing_or_wrong_names_the_ways_to_give_one() {
        let missing = settings(&[]).unwrap_err();
        for way in ["host-runner forward", "--metadata-file"] {
            assert!(missing.message().contains(way), "{missing:?}");
        }
        let plain = base_url("http://192.0.2.10:8006").unwrap_err();
        assert!(plain.message().contains("host-runner forward"), "{plain:?}");
    }

    #[test]
    fn token_bare_or_full() {
        let full = settings(&[
            ("PROXMOX_URL", "https://pve"),
            ("PROXMOX_TOKEN_ID", "root@pam!mcp"),
            ("PROXMOX_TOKEN_SECRET", "s"),
        ])
        .unwrap();
        assert_eq!(full.authorization().unwrap(), "PVEAPIToken=root@pam!mcp=s");
        let bare = settings(&[
            ("PROXMOX_URL", "https://pve"),
            ("PROXMOX_USER", "root@pam"),
            ("PROXMOX_TOKEN_ID", "mcp"),
        ])
        .unwrap();
        assert_eq!(bare.token_name(), "root@pam!mcp");
        assert_eq!(bare.authorization(), None);
    }

    #[test]
    fn debug_holds_no_secret() {
        let settings = settings(&[
            ("PROXMOX_URL", "https://pve"),
            ("PROXMOX_TOKEN_ID", "root@pam!mcp"),
            ("PROXMOX_TOKEN_SECRET", "hush"),
        ])
        .unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
