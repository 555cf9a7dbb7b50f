//! What protects from web pages: `Host` says by which name a browser has found this server,
//! and `Origin` which page sends the request.
//!
//! A page of another site can make a browser send requests to a server that the browser
//! reaches and the page's author does not. By a name of the author's own that leads to
//! this server (DNS rebinding), its responses could be read, too.

use std::net::SocketAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use super::answer::{Refusal, response};
use crate::mcp::Body;

/// The names of this machine, for itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// What a page may send and read.
const METHODS: &str = "GET, POST, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, accept, last-event-id, mcp-session-id, \
                               mcp-protocol-version, mcp-method, mcp-name";
const RESPONSE_HEADERS: &str = "mcp-session-id, www-authenticate, retry-after, x-request-id";
/// How long, in seconds, a browser need not ask again.
const PREFLIGHT_SECONDS: &str = "600";

/// From where a browser sends a request: another site, a part of this one, or itself.
const SITE: &str = "sec-fetch-site";

/// By which names clients know this server, and which pages may send requests.
pub(super) struct Visitors {
    scheme: &'static str,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Visitors {
    /// Besides these hosts, those of a loopback address and the address itself.
    pub(super) fn new(
        address: SocketAddr,
        is_tls: bool,
        hosts: &[String],
        origins: &[String],
    ) -> Self {
        let mut all: Vec<String> = LOOPBACK.iter().map(|&name| name.to_owned()).collect();
        if !address.ip().is_unspecified() {
            let host = match address {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("[{}]", address.ip()),
            };
            all.push(host);
        }
        all.extend(hosts.iter().cloned());
        Self {
            scheme: if is_tls { "https" } else { "http" },
            hosts: all,
            origins: origins.to_vec(),
        }
    }

    /// Fails unless the request is for this server.
    pub(super) fn check_host<T>(&self, request: &Request<T>) -> Result<Authority, Refusal> {
        let host = one(request.headers(), header::HOST)
            .and_then(|host| host.parse::<Authority>().ok())
            .filter(|host| !host.as_str().contains('@'));
        let Some(host) = host else {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "bad_host",
                "send one header Host, with the name of this server",
            ));
        };
        // Of a request for a proxy, the target counts.
        let target = request.uri().authority().unwrap_or(&host);
        match self.is_ours(&host) && self.is_ours(target) {
            true => Ok(host),
            false => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "unknown_host",
                "this server does not know the name in the header Host: the operator can add it to \
                 --http-hosts",
            )),
        }
    }

    fn is_ours(&self, host: &Authority) -> bool {
        let name = host.host().trim_end_matches('.');
        self.hosts.iter().any(|ours| {
            let matches_whole = ours.eq_ignore_ascii_case(host.as_str());
            matches_whole || ours.eq_ignore_ascii_case(name)
        })
    }

    /// The page that sends the request, if one does. Fails for one that may not.
    pub(super) fn check_origin(
        &self,
        headers: &HeaderMap,
        host: &Authority,
    ) -> Result<Option<HeaderValue>, Refusal> {
        let refusal = || {
            Refusal::new(
                StatusCode::FORBIDDEN,
                "unknown_origin",
                "web pages of this origin may not send requests: the operator can add it to \
                 --http-origins",
            )
        };
        let Some(value) = headers.get(header::ORIGIN) else {
            // Browsers do not name the page of a request whose response it cannot read.
            let mut sites = headers.get_all(SITE).iter();
            return match sites.any(|site| site == "cross-site" || site == "same-site") {
                true => Err(refusal()),
                false => Ok(None),
            };
        };
        let origin = one(headers, header::ORIGIN).map(str::to_ascii_lowercase);
        let is_own = format!("{}://{}", self.scheme, host.as_str().to_ascii_lowercase());
        let may = origin.is_some_and(|origin| {
            let mut origins = self.origins.iter();
            origin == is_own || origins.any(|allowed| matches(allowed, &origin))
        });
        match may {
            true => Ok(Some(value.clone())),
            false => Err(refusal()),
        }
    }
}

/// Answers a browser that asks whether a page may send a request.
pub(super) fn preflight<T>(request: &Request<T>) -> Option<Response<Body>> {
    let headers = request.headers();
    let asks = headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() != Method::OPTIONS || !asks {
        return None;
    }
    let mut answer = response(StatusCode::NO_CONTENT, "text/plain", String::new());
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Some(answer)
}

/// Lets the page read a response.
pub(super) fn share(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let exposed = HeaderValue::from_static(RESPONSE_HEADERS);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}

/// Whether an origin is the allowed one. Without a port, the scheme's own is meant.
fn matches(allowed: &str, origin: &str) -> bool {
    match allowed.strip_suffix(":*") {
        None => plain(allowed) == plain(origin),
        Some(allowed) => {
            let is_number =
                |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let rest = origin.strip_prefix(allowed);
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix(':').is_some_and(is_number)
            })
        }
    }
}

/// Without the scheme's own port.
fn plain(origin: &str) -> &str {
    let port = match origin.starts_with("https://") {
        true => ":443",
        false => ":80",
    };
    origin.strip_suffix(port).unwrap_or(origin)
}

/// The value of a header that is there once.
fn one(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitors() -> Visitors {
        let address = "192.0.2.7:8080".parse().unwrap();
        let hosts = ["mcp.example".to_owned(), "other.example:8443".to_owned()];
        let origins = [
            "https://app.example".to_owned(),
            "http://localhost:*".to_owned(),
            "http://10.0.0.1:*".to_owned(),
        ];
        Visitors::new(address, false, &hosts, &origins)
    }

    fn host(uri: &str, host: &str) -> bool {
        let request = Request::builder().uri(uri).header("Host", host);
        visitors().check_host(&request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn only_own_names_are_served() {
        for good in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.0.2.7:8080",
            "mcp.example",
            "mcp.example:99",
            "mcp.example.",
            "other.example:8443",
        ] {
            assert!(host("/", good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "mcp.example.evil.example",
            "localhost.evil.example",
            "other.example",
            "other.example:1",
            "x@localhost",
            "192.0.2.8:8080",
        ] {
            assert!(!host("/", bad), "{bad}");
        }
        assert!(host("http://mcp.example/mcp", "mcp.example"));
        assert!(!host("http://evil.example/mcp", "mcp.example"));
        let twice = Request::builder()
            .header("Host", "localhost")
            .header("Host", "localhost");
        let refused = visitors().check_host(&twice.body(()).unwrap());
        assert_eq!(refused.unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn only_known_pages_send_requests() {
        let check = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("origin", origin.parse().unwrap());
            let host = "mcp.example:8080".parse().unwrap();
            visitors().check_origin(&headers, &host).is_ok()
        };
        for good in [
            "https://app.example",
            "https://APP.example:443",
            "http://localhost",
            "http://localhost:6274",
            "http://10.0.0.1:1",
            "http://mcp.example:8080",
        ] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "null",
            "",
            "http://app.example",
            "https://app.example:444",
            "https://app.example.evil.example",
            "http://localhost.evil.example",
            "http://localhost:",
            "http://localhost99",
            "http://localhost99:80",
            "http://10.0.0.100",
            "http://localhost:80x",
            "https://mcp.example:8080",
            "http://mcp.example",
        ] {
            assert!(!check(bad), "{bad}");
        }
        let unnamed = |site: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            let site = site.map(HeaderValue::from_static);
            headers.extend(site.map(|site| (http::HeaderName::from_static(SITE), site)));
            visitors().check_origin(&headers, &"localhost".parse().unwrap())
        };
        for good in [None, Some("none"), Some("same-origin")] {
            assert_eq!(unnamed(good).unwrap(), None, "{good:?}");
        }
        for bad in ["cross-site", "same-site"] {
            assert!(unnamed(Some(bad)).is_err(), "{bad}");
        }
    }
}
