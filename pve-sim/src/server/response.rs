//! How responses are written.

use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use crate::clock;
use crate::fail::Fail;

/// How an answer is written, by the word behind `/api2/`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Json,
    /// For the web interface: the status of errors is 200, too.
    ExtJs,
    Html,
    Png,
}

impl Format {
    pub(super) fn parse(name: &str) -> Option<Format> {
        match name {
            "json" => Some(Format::Json),
            "extjs" => Some(Format::ExtJs),
            "html" => Some(Format::Html),
            "png" => Some(Format::Png),
            _ => None,
        }
    }

    pub(super) fn render(
        self,
        status: u16,
        reason: &str,
        mut body: Map<String, Value>,
    ) -> Response<Answer> {
        let typed = |content_type, body: String| {
            let mut response = rendered(200, "OK", body);
            let value = HeaderValue::from_static(content_type);
            response.headers_mut().insert(CONTENT_TYPE, value);
            response
        };
        match self {
            Format::Json => {
                rendered(status, reason, Value::Object(body).to_string())
            }
            Format::ExtJs => {
                body.insert("success".into(), json!(i32::from(status < 400)));
                if status >= 400 {
                    body.insert("status".into(), json!(status));
                }
                rendered(200, "OK", Value::Object(body).to_string())
            }
            Format::Html => typed(
                "text/html;charset=UTF-8",
                "<!DOCTYPE html>\n<html lang=\"en\">\n  <head>\n    <title>Proxmox VE API</title>\n".into(),
            ),
            Format::Png => typed("image/png", String::new()),
        }
    }
}

/// An answer's body.
pub(super) fn body(result: &Result<(Value, Option<usize>), Fail>) -> Map<String, Value> {
    let mut body = Map::new();
    match result {
        Ok((data, total)) => {
            body.insert("data".into(), data.clone());
            if let Some(total) = total {
                body.insert("total".into(), (*total).into());
            }
        }
        Err(fail) => {
            body.insert("data".into(), Value::Null);
            body.insert("message".into(), fail.message.clone().into());
            if !fail.errors.is_empty() {
                let errors = fail
                    .errors
                    .iter()
                    .map(|(name, text)| (name.clone(), text.clone().into()));
                body.insert("errors".into(), Value::Object(errors.collect()));
            }
        }
    }
    body
}

/// Requests outside of the API: the web interface, of which there is one page.
pub(super) fn not_the_api(path: &str) -> Response<Answer> {
    if !matches!(path, "/" | "") {
        return told(500, &format!("no such file '{path}'\n"));
    }
    page(
        200,
        "OK",
        "<!DOCTYPE html><title>pve1 - Proxmox Virtual Environment</title>",
    )
}

/// The response of a reverse proxy that serves Proxmox under a path prefix.
pub(super) fn not_proxied() -> Response<Answer> {
    page(404, "Not Found", "<html><body>404 Not Found</body></html>")
}

pub(super) fn page(status: u16, reason: &str, text: &str) -> Response<Answer> {
    let mut response = rendered(status, reason, text.to_owned());
    let value = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

/// An answer that has a reason phrase and no body.
pub(super) fn bare(status: u16, reason: &str) -> Response<Answer> {
    let mut response = rendered(status, reason, String::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// An answer of pveproxy itself: its reason is its body too, as plain text.
pub(super) fn told(status: u16, text: &str) -> Response<Answer> {
    let mut response = rendered(status, text, text.to_owned());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

pub(super) fn rendered(status: u16, reason: &str, body: String) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Only the first line fits into a status line.
    let first = reason.lines().next().unwrap_or_default();
    if !first.is_empty()
        && let Ok(reason) = ReasonPhrase::try_from(first.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds since 1970 stay below 2^53"
    )]
    let date = clock::http(clock::real() as i64);
    let headers = response.headers_mut();
    let fixed = [
        ("cache-control", "max-age=0"),
        ("pragma", "no-cache"),
        ("server", "pve-api-daemon/3.0"),
        ("content-type", "application/json;charset=UTF-8"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert("expires", date.clone());
        headers.insert("date", date);
    }
    let connection = if status >= 400 { "close" } else { "Keep-Alive" };
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
    response
}
