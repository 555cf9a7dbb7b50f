//! The parameters of a request: those of its query and of its body.

use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use pve_api::Method;

use super::answer::Cut;
use crate::fail::Fail;
use crate::params::Args;
use crate::wire;

/// Where pveproxy dies of a bad body.
const PROXY_SOURCE: &str = "/usr/share/perl5/PVE/APIServer/AnyEvent.pm";
const MAX_BODY: usize = 512 * 1024;

/// Query and body together.
pub(super) async fn read_args(
    method: Method,
    request: Request<Incoming>,
    query: &str,
) -> Result<Result<Args, Fail>, Cut> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let length = header(CONTENT_LENGTH)
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or(0);
    let content_type = header(CONTENT_TYPE).map(str::to_owned);
    let mime = content_type.as_deref().map(|text| {
        text.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    });
    let takes_body = matches!(method, Method::Post | Method::Put);
    if length > 0 && !takes_body {
        return Ok(Err(Fail::bare(
            501,
            format!("Unexpected content for method '{}'", method.as_str()),
        )));
    }
    if length > MAX_BODY {
        return Ok(Err(Fail::bare(501, "for data too large")));
    }
    if length > 0
        && !matches!(
            mime.as_deref(),
            None | Some("application/x-www-form-urlencoded" | "application/json")
        )
    {
        let content_type = content_type.unwrap_or_default();
        return Ok(Err(Fail::bare(
            506,
            format!("upload 'Content-Type '{content_type}' not implemented"),
        )));
    }
    let body = Limited::new(request.into_body(), MAX_BODY)
        .collect()
        .await
        .map_err(|_| Cut)?
        .to_bytes();
    let body = String::from_utf8_lossy(&body);
    let mut args = match mime.as_deref() {
        _ if !takes_body => Args::new(),
        Some("application/json") => match wire::parse_json(&body) {
            Ok(args) => args,
            Err(error) => {
                let text = format!("{error} at {PROXY_SOURCE} line 934.\n");
                return Ok(Err(Fail::bare(500, text)));
            }
        },
        _ => wire::parse_form(&body),
    };
    args.extend(wire::parse_form(query));
    Ok(Ok(args))
}
