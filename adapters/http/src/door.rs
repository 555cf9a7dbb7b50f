//! Who is served. Whoever does not have the token gets the same answer to
//! everything.

use subtle::ConstantTimeEq as _;

/// Where MCP is.
const ENDPOINT: &str = "/mcp";
/// For probes: tells that this instance runs and has a token, and no more.
const HEALTH: &str = "/healthz";
/// A shorter token could be guessed.
const MIN_TOKEN_CHARS: usize = 32;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is for MCP.
    Mcp,
    /// A probe: this instance is well.
    Well,
    /// The sender is unknown: 401.
    Unknown {
        /// Whether a token was given, and a wrong one.
        wrong: bool,
    },
    /// There is nothing at this path: 404.
    Nowhere,
}

/// The head of a request, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// Whether it only reads.
    pub(crate) is_get: bool,
    /// Without the query.
    pub(crate) path: &'a str,
    /// All `Authorization` headers.
    pub(crate) authorization: &'a [&'a [u8]],
}

/// The token that counts: none where it is too short to be one.
pub(crate) fn token(configured: Option<&str>) -> Result<&str, String> {
    let text = configured.unwrap_or_default().trim();
    if text.len() >= MIN_TOKEN_CHARS && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text);
    }
    let why = match text {
        "" => "is not set".to_owned(),
        _ => format!("is not a token of at least {MIN_TOKEN_CHARS} characters without spaces"),
    };
    Err(format!(
        "PROXMOX_MCP_HTTP_TOKEN {why}: every request is refused until it is set, for example to \
         what `openssl rand -hex 32` prints"
    ))
}

/// Decides about a request. How long that takes tells nothing about the token.
pub(crate) fn admit(head: Head<'_>, token: Option<&str>) -> Admission {
    let Some(token) = token else {
        return Admission::Unknown { wrong: false };
    };
    if head.is_get && head.path == HEALTH {
        return Admission::Well;
    }
    let is_known = match head.authorization {
        [one] => bearer(one).is_some_and(|given| bool::from(given.ct_eq(token.as_bytes()))),
        _ => false,
    };
    match head.path {
        _ if !is_known => Admission::Unknown {
            wrong: !head.authorization.is_empty(),
        },
        ENDPOINT => Admission::Mcp,
        _ => Admission::Nowhere,
    }
}

/// What a client without the right token reads.
pub(crate) fn refusal(has_token: bool) -> &'static str {
    match has_token {
        true => "a bearer token is required",
        false => {
            "a bearer token is required, and this server has none: set PROXMOX_MCP_HTTP_TOKEN in \
             its environment"
        }
    }
}

/// The value of the `WWW-Authenticate` header.
pub(crate) fn challenge(wrong: bool) -> &'static str {
    match wrong {
        true => r#"Bearer realm="proxmox-mcp", error="invalid_token""#,
        false => r#"Bearer realm="proxmox-mcp""#,
    }
}

/// A list of the environment, or the default.
pub(crate) fn list(configured: Option<&str>, default: &[&str]) -> Vec<String> {
    let entries = configured.unwrap_or_default().split(',').map(str::trim);
    let entries: Vec<String> = entries
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect();
    match entries.is_empty() {
        true => default.iter().map(|&entry| entry.to_owned()).collect(),
        false => entries,
    }
}

/// The token of a header `Bearer TOKEN`; the scheme may be in any case.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn asked(path: &str, authorization: &[&[u8]], token: Option<&str>) -> Admission {
        let head = Head {
            is_get: path == HEALTH,
            path,
            authorization,
        };
        admit(head, token)
    }

    #[test]
    fn the_token_alone_opens() {
        let good = format!("Bearer {TOKEN}");
        for header in [good.clone(), good.replace("Bearer", "bearer")] {
            let admission = asked(ENDPOINT, &[header.as_bytes()], Some(TOKEN));
            assert_eq!(admission, Admission::Mcp, "{header}");
        }
        for header in [
            String::new(),
            TOKEN.to_owned(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            format!("Basic {TOKEN}"),
            format!("{good}0"),
            good.replace('f', "F"),
            format!("Bearer {good}"),
        ] {
            let admission = asked(ENDPOINT, &[header.as_bytes()], Some(TOKEN));
            assert_eq!(admission, Admission::Unknown { wrong: true }, "{header}");
        }
        let twice = [good.as_bytes(), good.as_bytes()];
        let unknown = Admission::Unknown { wrong: true };
        assert_eq!(asked(ENDPOINT, &twice, Some(TOKEN)), unknown);
        assert_eq!(
            asked("/", &[good.as_bytes()], Some(TOKEN)),
            Admission::Nowhere
        );
    }

    #[test]
    fn an_unknown_client_learns_no_path() {
        for path in [ENDPOINT, "/", "/healthz/", "/mcp/", "/no/such"] {
            let unknown = Admission::Unknown { wrong: false };
            assert_eq!(asked(path, &[], Some(TOKEN)), unknown, "{path}");
        }
        assert_eq!(asked(HEALTH, &[], Some(TOKEN)), Admission::Well);
    }

    #[test]
    fn without_a_token_no_client_is_served() {
        for header in [
            "Bearer ",
            "Bearer x",
            "Bearer 0123456789abcdef0123456789abcdef",
        ] {
            for path in [ENDPOINT, HEALTH] {
                let unknown = Admission::Unknown { wrong: false };
                assert_eq!(asked(path, &[header.as_bytes()], None), unknown);
            }
        }
        for text in [
            None,
            Some(""),
            Some("short"),
            Some("a token that has some spaces in it"),
        ] {
            let error = token(text).unwrap_err();
            assert!(error.contains("PROXMOX_MCP_HTTP_TOKEN"), "{error}");
            assert!(text.is_none_or(|text| text.is_empty() || !error.contains(text)));
        }
        assert_eq!(token(Some(&format!(" {TOKEN}\n"))), Ok(TOKEN));
    }

    #[test]
    fn a_client_of_a_server_without_a_token_reads_what_is_missing() {
        assert!(refusal(false).contains("PROXMOX_MCP_HTTP_TOKEN"));
        assert!(!refusal(true).contains("PROXMOX_MCP_HTTP_TOKEN"));
    }

    #[test]
    fn lists_have_a_default() {
        assert_eq!(list(None, &["a", "b"]), ["a", "b"]);
        assert_eq!(list(Some(" , "), &["a"]), ["a"]);
        assert_eq!(list(Some("x:1, y"), &["a"]), ["x:1", "y"]);
    }
}
