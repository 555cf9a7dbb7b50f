//! Which headers a component may set, and which of an answer it gets to see.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::ext::ReasonPhrase;

/// Carries the reason phrase, in which Proxmox VE puts its error messages and
/// for which wasi:http has no place.
const REASON_PHRASE: HeaderName = HeaderName::from_static("x-reason-phrase");

/// Tells a component what the server's scope is, with each answer out of which
/// something may have been taken: a guest that it does not find may be outside.
pub(super) const SCOPE: HeaderName = HeaderName::from_static("x-scope");

/// Whether a component may not set this header, nor see it in an answer.
///
/// It has no say in who asks (`authorization`, `cookie`, …), where to (`host`,
/// `forwarded`, …) and how the message is framed (`transfer-encoding`, …); its
/// `content-length` is accepted but counted anew. An answer is never
/// decompressed, so none may be asked for either.
pub(crate) fn is_forbidden(name: &HeaderName) -> bool {
    const NAMES: [&str; 21] = [
        "accept-encoding",
        "authorization",
        "connection",
        "cookie",
        "csrfpreventiontoken",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "www-authenticate",
        "x-http-method-override",
        "x-real-ip",
    ];
    const PREFIXES: [&str; 3] = ["proxy-", "sec-", "x-forwarded"];
    let name = name.as_str();
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The headers of a request that are sent. All others are removed: some proxies
/// take the method or the path from a header.
const CARRIED: [HeaderName; 3] = [header::ACCEPT, header::CONTENT_TYPE, header::USER_AGENT];

/// Removes the headers of a request that a component, or a client of
/// `host-runner forward`, has no say in.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let others: Vec<_> = headers
        .keys()
        .filter(|name| !CARRIED.contains(name))
        .cloned()
        .collect();
    for name in others {
        headers.remove(name);
    }
}

/// Puts the reason phrase of an answer where a component finds it, and nothing
/// else there.
pub(super) fn carry_reason_phrase(
    headers: &mut HeaderMap,
    status: StatusCode,
    phrase: Option<&ReasonPhrase>,
) {
    headers.remove(REASON_PHRASE);
    let phrase = match phrase {
        Some(phrase) => phrase.as_bytes(),
        None => status.canonical_reason().unwrap_or_default().as_bytes(),
    };
    let phrase = phrase.trim_ascii();
    if phrase.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_bytes(phrase) {
        headers.insert(REASON_PHRASE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_route_and_framing_are_the_hosts() {
        for name in [
            "authorization",
            "Authorization",
            "cookie",
            "host",
            "connection",
            "transfer-encoding",
            "proxy-authorization",
            "proxy-connection",
            "x-forwarded-for",
            "X-Forwarded-Host",
            "forwarded",
            "csrfpreventiontoken",
            "upgrade",
            "te",
            "expect",
            "accept-encoding",
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert!(is_forbidden(&name), "{name}");
        }
        for name in ["accept", "content-type", "content-length", "user-agent"] {
            assert!(!is_forbidden(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn carries_the_known_alone() {
        let mut headers = HeaderMap::new();
        for name in [
            "accept",
            "authorization",
            "content-length",
            "x-forwarded-for",
            "x-original-url",
            "x-method-override",
        ] {
            headers.append(name, HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn reason_phrase_replaces_the_servers_header() {
        let mut headers = HeaderMap::new();
        headers.append("x-reason-phrase", HeaderValue::from_static("forged"));
        headers.append("x-reason-phrase", HeaderValue::from_static("forged too"));
        let phrase = ReasonPhrase::from_static(b"VM 100 not running");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        carry_reason_phrase(&mut headers, status, Some(&phrase));
        let values: Vec<_> = headers.get_all("x-reason-phrase").iter().collect();
        assert_eq!(values, ["VM 100 not running"]);

        carry_reason_phrase(&mut headers, status, None);
        assert_eq!(
            headers.get("x-reason-phrase").unwrap(),
            "Internal Server Error"
        );

        let pseudo = StatusCode::from_u16(595).unwrap();
        carry_reason_phrase(&mut headers, pseudo, None);
        assert!(headers.get("x-reason-phrase").is_none());
    }
}
