//! A request as Proxmox will understand it, or the reason why nobody can be
//! sure how Proxmox would.

use percent_encoding::percent_decode_str;
use pve_api::{API_PATH, Method};

/// A request below `/api2/json`, decoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// Its method.
    pub method: Method,
    /// Never empty, and no segment is, nor holds a slash.
    pub segments: Vec<String>,
    /// Query and body together, as pveproxy merges them.
    pub params: Vec<(String, String)>,
}

/// Why a request cannot be understood for certain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Another method.
    #[error("method {0} is not one of GET, POST, PUT, DELETE")]
    Method(String),
    /// Not below the API.
    #[error("the path is not below /api2/json")]
    NotApi,
    /// `//`, or a slash at the end.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`.
    #[error("the path has a dot segment")]
    DotSegment,
    /// Something that no name holds.
    #[error(
        "a path segment contains an encoded slash, a percent sign or a character not allowed in \
         names"
    )]
    Segment,
    /// Bytes that are no text.
    #[error("the path or query is not valid utf-8 after decoding")]
    Encoding,
    /// A body where none belongs.
    #[error("a {0} request has a body")]
    Body(&'static str),
    /// The body is not a form.
    #[error("the body is not a form of plain name=value pairs")]
    BodyFormat,
    /// A query beside a body.
    #[error("a {0} request has parameters in its query")]
    Query(&'static str),
    /// More than pveproxy reads of a request before its body.
    #[error("the path and headers together are longer than Proxmox accepts")]
    Head,
    /// More parameters than any call of Proxmox takes.
    #[error("the request has more than {MAX_PARAMS} parameters")]
    TooManyParams,
    /// A name that no parameter has.
    #[error("a parameter name contains a character not allowed in names")]
    ParamName,
}

/// Some calls of Proxmox know two hundred parameters.
const MAX_PARAMS: usize = 400;

impl ApiRequest {
    /// Reads a request. `target` is the path and query after the origin's
    /// prefix, as it will be sent.
    pub fn parse(
        method: &str,
        target: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Self, Malformed> {
        let method = Method::parse(method).ok_or_else(|| Malformed::Method(cut(method)))?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let rest = path
            .strip_prefix(API_PATH)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or(Malformed::NotApi)?;
        let segments = rest.split('/').map(segment).collect::<Result<_, _>>()?;
        let mut params = match query {
            Some(query) => pairs(query)?,
            None => Vec::new(),
        };
        match method {
            Method::Get | Method::Delete if !body.is_empty() => {
                return Err(Malformed::Body(method.as_str()));
            }
            Method::Get | Method::Delete => {}
            // Two places for parameters are one too many to be sure.
            Method::Post | Method::Put if query.is_some_and(|query| !query.is_empty()) => {
                return Err(Malformed::Query(method.as_str()));
            }
            Method::Post | Method::Put => params = body_params(content_type, body)?,
        }
        if params.iter().any(|(name, _)| !is_param_name(name)) {
            return Err(Malformed::ParamName);
        }
        Ok(Self {
            method,
            segments,
            params,
        })
    }

    /// All values of a parameter.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.params
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The decoded path, for messages.
    pub fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }
}

fn segment(raw: &str) -> Result<String, Malformed> {
    if raw.is_empty() {
        return Err(Malformed::EmptySegment);
    }
    if !raw.is_ascii() || has_bad_escape(raw) {
        return Err(Malformed::Segment);
    }
    let decoded = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| Malformed::Encoding)?;
    if matches!(decoded.as_ref(), "." | "..") {
        return Err(Malformed::DotSegment);
    }
    // What vmids, names of nodes, storages and snapshots, and UPIDs are made
    // of. A percent sign here would be a second layer of encoding.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@!+,~".contains(c);
    // The last fields of a UPID, the task's object and its user, may hold more:
    // `DOMAIN\user`, `o'neill@ldap`. To Proxmox they are all but colons, slashes
    // and white space.
    let free = |c: char| !c.is_control() && !c.is_whitespace() && !"/%?#;&".contains(c);
    let is_upid = decoded.starts_with("UPID:");
    let fits = decoded.split(':').enumerate().all(|(field, text)| {
        let is_free = is_upid && matches!(field, 6 | 7);
        text.chars().all(|c| plain(c) || is_free && free(c))
    });
    if !fits {
        return Err(Malformed::Segment);
    }
    Ok(decoded.into_owned())
}

/// A percent sign that is not followed by two hexadecimal digits: one server
/// leaves it, another drops it.
fn has_bad_escape(raw: &str) -> bool {
    raw.split('%').skip(1).any(|after| {
        let mut digits = after.bytes();
        !(digits.next().is_some_and(|b| b.is_ascii_hexdigit())
            && digits.next().is_some_and(|b| b.is_ascii_hexdigit()))
    })
}

/// pveproxy splits a form at `;` too, and cuts a value at a bare `=`: neither
/// may stand there.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.split('&').nth(MAX_PARAMS).is_some() {
        return Err(Malformed::TooManyParams);
    }
    let odd = |pair: &str| pair.matches('=').count() != 1 || pair.contains(';');
    let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !text.bytes().all(plain) || has_bad_escape(text) || text.split('&').any(odd) {
        return Err(Malformed::BodyFormat);
    }
    let decoded = text
        .split(['&', '='])
        .map(|part| {
            let spaced = part.replace('+', " ");
            percent_decode_str(&spaced)
                .decode_utf8()
                .map(|text| text.into_owned())
                .map_err(|_| Malformed::Encoding)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut decoded = decoded.into_iter();
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (decoded.next(), decoded.next()) {
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn body_params(
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Vec<(String, String)>, Malformed> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::str::from_utf8(body).map_err(|_| Malformed::BodyFormat)?;
    let form = |kind: &str| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    match content_type {
        Some(kind) if form(kind) => pairs(text),
        // The component sends none; a JSON body has ways of its own to say
        // things twice, so none is read.
        _ => Err(Malformed::BodyFormat),
    }
}

fn is_param_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn cut(text: &str) -> String {
    text.chars()
        .take(16)
        .collect::<String>()
        .escape_debug()
        .to_string()
}
