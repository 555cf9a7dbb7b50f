//! Whether a proxy connects to Proxmox VE, and which.
//!
//! The usual variables of the environment count only if the operator says so:
//! a server must not take another way because some other program needs one.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use super::error::SettingsError;
use super::sources::Sources;
use super::variable::Variable;
use crate::origin::Origin;
use crate::secret::Secret;

/// The value for the usual variables.
const ENVIRONMENT: &str = "environment";
/// The port of a proxy that names none.
const PORT: u16 = 80;

/// An HTTP proxy that opens connections with `CONNECT`.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// A name or an address, that of IPv6 in brackets.
    host: String,
    port: u16,
    /// The value of the header `Proxy-Authorization`.
    pub(crate) authorization: Option<Secret>,
}

impl Proxy {
    /// Reads `http://[USER:PASSWORD@]HOST[:PORT]`. The error holds none of it.
    fn parse(text: &str) -> Result<Self, String> {
        let malformed = || "is neither \"environment\" nor the URL of a proxy".to_owned();
        let url = Url::parse(text).map_err(|_| malformed())?;
        if url.scheme() != "http" {
            return Err(
                "does not begin with http://, and other kinds of proxies are not supported"
                    .to_owned(),
            );
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(malformed)?.to_owned();
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("holds more than the user, the host and the port of a proxy".to_owned());
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(PORT),
            authorization: authorization(&url)?,
        })
    }

    /// The address of the proxy.
    pub(crate) fn uri(&self) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme("http")
            .authority(self.to_string())
            .path_and_query("/")
            .build()
    }
}

/// The address, without the user.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The proxy for an origin, if there is one.
pub(super) fn from_sources(
    sources: &Sources,
    origin: &Origin,
) -> Result<Option<Proxy>, SettingsError> {
    let proxy = sources.parse_optional(Variable::Proxy, |text| {
        if text.eq_ignore_ascii_case(ENVIRONMENT) {
            return of_environment(origin, |name| std::env::var(name).ok());
        }
        Proxy::parse(text).map(Some)
    });
    Ok(proxy?.flatten())
}

/// The proxy that the environment names for an origin.
fn of_environment(
    origin: &Origin,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, String> {
    let either = |name: &str| {
        let value = variable(&name.to_ascii_lowercase()).filter(|value| !value.trim().is_empty());
        value.or_else(|| variable(name)).map(Zeroizing::new)
    };
    let Some(text) = either("HTTPS_PROXY") else {
        return Ok(None);
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let authority = origin.authority();
    if is_local(&authority) {
        return Ok(None);
    }
    let exceptions = either("NO_PROXY");
    if exceptions.is_some_and(|list| is_exception(&list, &authority)) {
        return Ok(None);
    }
    let url = match text.contains("://") {
        true => Zeroizing::new(text.to_owned()),
        false => Zeroizing::new(format!("http://{text}")),
    };
    let proxy = Proxy::parse(&url);
    proxy.map(Some).map_err(|_| {
        "takes the proxy from HTTPS_PROXY, which is not the URL of an http:// proxy".to_owned()
    })
}

fn authorization(url: &Url) -> Result<Option<Secret>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| Zeroizing::new(percent_decode_str(text).collect::<Vec<u8>>());
    let user = decoded(url.username());
    if user.contains(&b':') {
        return Err("has a user with a colon, which cannot be sent to a proxy".to_owned());
    }
    let password = decoded(url.password().unwrap_or_default());
    let pair = Zeroizing::new([user.as_slice(), b":", password.as_slice()].concat());
    let encoded = Zeroizing::new(STANDARD.encode(&*pair));
    Ok(Some(Secret::new(format!("Basic {}", *encoded))))
}

/// Whether a list such as that in `NO_PROXY` has an authority: by its name or a
/// name above it, by its address or a network, with its port or with none.
fn is_exception(list: &str, authority: &str) -> bool {
    let (host, port) = split_port(authority);
    let (host, port) = (bare(host), port.unwrap_or(443));
    let address: Option<IpAddr> = host.parse().ok();
    list.split([',', ' ', '\t'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            if entry == "*" {
                return true;
            }
            if let Some(address) = address
                && is_in_network(entry, address)
            {
                return true;
            }
            let (name, of_port) = split_port(entry);
            let name = bare(name);
            if of_port.is_some_and(|of_port| of_port != port) {
                return false;
            }
            if let Some(address) = address {
                return name.parse() == Ok(address);
            }
            let name = name.strip_prefix('*').unwrap_or(&name);
            let name = name.trim_start_matches('.');
            let above = host.strip_suffix(name);
            !name.is_empty() && above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

/// Whether an authority is this machine, to which no proxy connects: `localhost`, or a
/// loopback address. Go's programs do the same; curl asks the proxy.
fn is_local(authority: &str) -> bool {
    let host = bare(split_port(authority).0);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost",
    }
}

/// A host in lower case, without brackets and a final dot.
fn bare(host: &str) -> String {
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Splits off a port. An address of IPv6 without brackets has none.
fn split_port(text: &str) -> (&str, Option<u16>) {
    if text.parse::<IpAddr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        None => (text, None),
    }
}

/// Whether an address is in a network such as `10.0.0.0/8`.
fn is_in_network(network: &str, address: IpAddr) -> bool {
    let Some((base, length)) = network.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    let (base, address, bits) = match (base, address.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            (base.to_bits().into(), address.to_bits().into(), 32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let differs: u128 = base ^ address;
    length <= bits && differs.checked_shr(bits - length).unwrap_or_default() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_url_is_read_with_its_user() {
        let proxy = Proxy::parse("http://al%40ice:p%3Aw%2f@proxy.example.com:3128").unwrap();
        assert_eq!(proxy.to_string(), "proxy.example.com:3128");
        let header = proxy.authorization.as_ref().unwrap();
        // `al@ice:p:w/`
        assert!(header.is_a(|text| text == "Basic YWxAaWNlOnA6dy8="));
        assert!(!format!("{proxy:?}").contains("YWx"));
        let plain = Proxy::parse("http://[2001:db8::1]/").unwrap();
        assert_eq!(plain.to_string(), "[2001:db8::1]:80");
        assert!(plain.authorization.is_none());
        assert_eq!(plain.uri().unwrap(), "http://[2001:db8::1]:80/");
        for wrong in [
            "proxy.example.com:3128",
            "https://proxy.example.com",
            "socks5://proxy.example.com",
            "http://",
            "http://proxy.example.com/path",
            "http://a%3Ab:pw@proxy.example.com",
        ] {
            let error = Proxy::parse(wrong).unwrap_err();
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn exceptions_are_names_addresses_and_networks() {
        for (list, authority, is) in [
            ("*", "pve.example.com:8006", true),
            ("pve.example.com", "pve.example.com:8006", true),
            ("PVE.Example.com.", "pve.example.com:8006", true),
            ("example.com", "pve.example.com:8006", true),
            (".example.com", "pve.example.com:8006", true),
            ("*.example.com", "pve.example.com:8006", true),
            ("ample.com", "pve.example.com:8006", false),
            ("pve", "pve.example.com:8006", false),
            ("localhost, example.com", "pve.example.com", true),
            ("localhost example.com", "pve.example.com", true),
            ("example.com:8006", "pve.example.com:8006", true),
            ("example.com:443", "pve.example.com", true),
            ("example.com:8007", "pve.example.com:8006", false),
            ("192.0.2.7", "192.0.2.7:8006", true),
            ("192.0.2.7:8006", "192.0.2.7:8006", true),
            ("192.0.2.7:1", "192.0.2.7:8006", false),
            ("192.0.2.0/24", "192.0.2.7:8006", true),
            ("192.0.3.0/24", "192.0.2.7:8006", false),
            ("0.0.0.0/0", "192.0.2.7:8006", true),
            ("192.0.2.0/33", "192.0.2.7:8006", false),
            ("2.7", "192.0.2.7:8006", false),
            ("2001:db8::/32", "[2001:db8::1]:8006", true),
            ("2001:db8::1", "[2001:db8::1]:8006", true),
            ("[2001:db8::1]:8006", "[2001:db8::1]:8006", true),
            ("::/0", "192.0.2.7:8006", false),
            ("", "pve.example.com:8006", false),
            (",.,", "pve.example.com:8006", false),
        ] {
            assert_eq!(is_exception(list, authority), is, "{list} {authority}");
        }
    }

    #[test]
    fn no_proxy_of_the_environment_connects_to_this_machine() {
        for (origin, is) in [
            ("https://localhost:8006", true),
            ("https://127.0.0.1:8006", true),
            ("https://127.8.0.1", true),
            ("https://[::1]:8006", true),
            ("https://0.0.0.0:8006", false),
            ("https://localhost.example.com:8006", false),
            ("https://192.0.2.7:8006", false),
        ] {
            let origin = Origin::parse(origin).unwrap();
            let value = |name: &str| (name == "HTTPS_PROXY").then(|| "a:1".to_owned());
            let proxy = of_environment(&origin, value).unwrap();
            assert_eq!(proxy.is_none(), is, "{origin:?}");
        }
    }

    #[test]
    fn the_environment_names_a_proxy_for_an_origin() {
        let origin = Origin::parse("https://pve.example.com:8006").unwrap();
        let proxy = |pairs: &[(&str, &str)]| {
            let value = |name: &str| {
                let pair = pairs.iter().find(|(one, _)| *one == name);
                pair.map(|(_, value)| (*value).to_owned())
            };
            let proxy = of_environment(&origin, value);
            proxy.map(|proxy| proxy.map(|proxy| proxy.to_string()))
        };
        assert_eq!(proxy(&[]), Ok(None));
        assert_eq!(proxy(&[("HTTPS_PROXY", " ")]), Ok(None));
        assert_eq!(proxy(&[("HTTP_PROXY", "http://a:1")]), Ok(None));
        let a = Ok(Some("a:1".to_owned()));
        assert_eq!(proxy(&[("HTTPS_PROXY", "http://a:1")]), a);
        assert_eq!(proxy(&[("HTTPS_PROXY", "a:1")]), a);
        assert_eq!(proxy(&[("https_proxy", "a:1"), ("HTTPS_PROXY", "b:1")]), a);
        assert_eq!(proxy(&[("https_proxy", ""), ("HTTPS_PROXY", "a:1")]), a);
        let both = [("HTTPS_PROXY", "a:1"), ("no_proxy", "example.com")];
        assert_eq!(proxy(&both), Ok(None));
        let error = proxy(&[("HTTPS_PROXY", "https://u:hush@a")]).unwrap_err();
        assert!(error.contains("HTTPS_PROXY") && !error.contains("hush"));
    }
}
