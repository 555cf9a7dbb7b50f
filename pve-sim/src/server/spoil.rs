//! What faults do to requests and responses.

use std::convert::Infallible;
use std::time::Duration;

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use tokio::time::sleep;

use super::answer::{Answer, Cut};
use super::response::rendered;
use crate::faults::Kind;

/// Faults that keep the request from its handler.
pub(super) async fn before(fault: Option<&Kind>) -> Result<Option<Response<Answer>>, Cut> {
    match fault {
        Some(Kind::Cut) => Err(Cut),
        Some(Kind::Latency { ms }) => {
            sleep(Duration::from_millis(*ms)).await;
            Ok(None)
        }
        Some(Kind::Hang) => {
            std::future::pending::<Infallible>().await;
            Err(Cut)
        }
        Some(Kind::Status { code, reason, body }) => {
            let mut response = rendered(*code, reason.as_deref().unwrap_or_default(), body.clone());
            let headers = response.headers_mut();
            match body.is_empty() {
                true => headers.remove(CONTENT_TYPE),
                false => headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html")),
            };
            Ok(Some(response))
        }
        Some(Kind::Redirect { url, code }) => {
            let mut response = rendered(*code, "", String::new());
            let location = HeaderValue::from_str(url).map_err(|_| Cut)?;
            response.headers_mut().insert(LOCATION, location);
            Ok(Some(response))
        }
        Some(Kind::Garbage) => Ok(Some(rendered(200, "OK", "{\"data\": [1, 2".into()))),
        _ => Ok(None),
    }
}

/// Faults that spoil the answer of a request that was handled.
pub(super) fn after(
    fault: Option<Kind>,
    response: Response<Answer>,
) -> Result<Response<Answer>, Cut> {
    match fault {
        Some(Kind::CutAfter) => Err(Cut),
        Some(Kind::HalfBody) => {
            let (parts, answer) = response.into_parts();
            Ok(Response::from_parts(parts, answer.halved()))
        }
        Some(Kind::Drip { ms }) => {
            let (parts, answer) = response.into_parts();
            Ok(Response::from_parts(
                parts,
                answer.dripping(Duration::from_millis(ms)),
            ))
        }
        Some(Kind::Huge { bytes }) => {
            let filler = "x".repeat(1024);
            let mut body = String::with_capacity(bytes + 2048);
            body.push_str("{\"data\":[\"");
            body.push_str(&filler);
            while body.len() < bytes {
                body.push_str("\",\"");
                body.push_str(&filler);
            }
            body.push_str("\"]}");
            Ok(rendered(200, "OK", body))
        }
        _ => Ok(response),
    }
}
