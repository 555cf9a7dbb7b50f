//! What answers a request that needs no token: which product it is, and its clock.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::fault::{Cause, Fault, Stage};
use super::target::Target;
use crate::sandbox::client;
use crate::sandbox::failure::FailureKind;

/// The realms to log in with: every Proxmox product lists them to anybody.
const REALMS: &str = "/access/domains";
/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The list of realms has some hundred bytes.
const MAX_BYTES: usize = 256 * 1024;

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Product {
    /// Proxmox VE.
    ProxmoxVe,
    /// Proxmox Backup Server, on port 8007.
    ProxmoxBackupServer,
    /// Proxmox Mail Gateway.
    ProxmoxMailGateway,
    /// Something else, such as the login page of a reverse proxy.
    Other,
    /// Proxmox VE or something else: its own services do not answer at the moment.
    Unknown,
}

/// The answer to a request without a token.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Answer {
    /// What answers.
    pub product: Product,
    /// The status.
    pub status: u16,
    /// The header `Server`.
    pub server: Option<String>,
    /// Where a redirection leads.
    pub location: Option<String>,
    /// By how much the clock of the server is ahead of this machine's, in seconds; None where
    /// the server does not say the time.
    #[serde(rename = "clock_skew_seconds")]
    pub skew: Option<i64>,
    /// How long the answer took.
    #[serde(rename = "milliseconds", serialize_with = "milliseconds")]
    pub took: Duration,
}

/// Asks for the realms.
pub(super) async fn ask(
    target: &Target<'_>,
    stream: TlsStream<TcpStream>,
) -> Result<Answer, Fault> {
    let asked = timeout(PATIENCE, exchange(target, stream)).await;
    asked.unwrap_or_else(|_| {
        Err(Fault::new(
            Stage::Http,
            Cause::Timeout,
            format!("no answer within {} s", PATIENCE.as_secs()),
            "check on the node `systemctl status pveproxy pvedaemon`",
        ))
    })
}

async fn exchange(target: &Target<'_>, stream: TlsStream<TcpStream>) -> Result<Answer, Fault> {
    let failed = |error: hyper::Error| of_http(&error, target);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(target.origin.api(REALMS))
        .header(header::HOST, target.origin.authority())
        .header(
            header::USER_AGENT,
            concat!("host-runner/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new());
    let mut request = request.map_err(|error| {
        let next = "check PROXMOX_URL";
        Fault::new(Stage::Http, Cause::NotHttp, error.to_string(), next)
    })?;
    // Sent to the server itself, a request has only the path.
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(http::Uri::from).unwrap_or_default();
    let began = SystemTime::now();
    let answer = sender.send_request(request).await.map_err(failed)?;
    let took = began.elapsed().unwrap_or_default();
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_BYTES).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let text = |name| {
        let value = head.headers.get(name)?;
        let text = String::from_utf8_lossy(value.as_bytes());
        Some(text.chars().take(256).collect::<String>())
    };
    let date = text(header::DATE).and_then(|text| httpdate::parse_http_date(&text).ok());
    Ok(Answer {
        product: product(head.status, &body),
        status: head.status.as_u16(),
        server: text(header::SERVER),
        location: text(header::LOCATION),
        skew: date.map(|date| skew(date, began + took)),
        took,
    })
}

/// By how many seconds a time is after another one.
fn skew(there: SystemTime, here: SystemTime) -> i64 {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match there.duration_since(here) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    }
}

/// Each product has a realm of its own.
fn product(status: StatusCode, body: &[u8]) -> Product {
    let realms: Option<Value> = serde_json::from_slice(body).ok();
    let realms = realms
        .as_ref()
        .and_then(|answer| answer.get("data")?.as_array());
    let Some(realms) = realms else {
        return match status.as_u16() {
            // pveproxy answers so while pvedaemon is restarted.
            502 | 503 | 504 | 595 | 596 => Product::Unknown,
            _ => Product::Other,
        };
    };
    let has = |name: &str| {
        realms
            .iter()
            .any(|realm| realm.get("realm").is_some_and(|realm| realm == name))
    };
    if has("pve") {
        Product::ProxmoxVe
    } else if has("pbs") {
        Product::ProxmoxBackupServer
    } else if has("pmg") {
        Product::ProxmoxMailGateway
    } else {
        Product::Other
    }
}

fn of_http(error: &hyper::Error, target: &Target<'_>) -> Fault {
    let known = client::explain(error);
    if let Some((kind @ FailureKind::Tls(_), what)) = known {
        return Fault::of_tls(Some(kind), what, target);
    }
    let what = known.map_or_else(|| error.to_string(), |(_, what)| what);
    let (cause, next) = match error.is_parse() {
        true => (Cause::NotHttp, "check the port in PROXMOX_URL"),
        false => (
            Cause::Closed,
            "check on the node `systemctl status pveproxy`, or the log of the reverse proxy",
        ),
    };
    Fault::new(Stage::Http, cause, what, next)
}

fn milliseconds<S: Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_differ_by_their_realms() {
        let of = |status: u16, body: &str| {
            product(StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        for (realm, expected) in [
            ("pve", Product::ProxmoxVe),
            ("pbs", Product::ProxmoxBackupServer),
            ("pmg", Product::ProxmoxMailGateway),
            ("ldap", Product::Other),
        ] {
            let body = format!(r#"{{"data":[{{"realm":"pam"}},{{"realm":"{realm}"}}]}}"#);
            assert_eq!(of(200, &body), expected, "{realm}");
        }
        assert_eq!(of(200, "<html>"), Product::Other);
        assert_eq!(of(302, ""), Product::Other);
        assert_eq!(of(503, ""), Product::Unknown);
    }

    #[test]
    fn a_clock_is_ahead_or_behind() {
        let (early, late) = (
            SystemTime::UNIX_EPOCH,
            SystemTime::UNIX_EPOCH + Duration::from_secs(90),
        );
        assert_eq!(skew(late, early), 90);
        assert_eq!(skew(early, late), -90);
    }
}
