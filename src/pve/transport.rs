//! The only I/O of the component: one request over wasi:http, by waki.

use std::time::Duration;

use waki::{Client, ErrorCode, Method};

use super::failure::MESSAGE_LENGTH;
use crate::text;

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// HTTP's reason phrase. wasi:http has no place for it: a host that knows
    /// it hands it over as a header, `x-reason-phrase`.
    pub(super) reason: Option<String>,
    pub(super) content_type: Option<String>,
    /// What the host lets this server see, where it has taken the rest out of
    /// the answer: `x-scope`, such as `vmids 200-299`.
    pub(super) scope: Option<String>,
    /// `WWW-Authenticate`, which Proxmox never sends.
    pub(super) authenticate: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Why no whole answer came.
pub(super) enum Lost {
    /// The host refused to send the request, and may have said why.
    Refused(Option<String>),
    /// Nothing was sent, as the connection was refused: no service listens, as
    /// while a service is restarted.
    Closed(String),
    /// Nothing was sent, for a reason that stays.
    NotSent(String),
    /// Sent, or perhaps sent; then the connection broke.
    Cut(String),
    /// Sent, or perhaps sent; then something else went wrong.
    Broken(String),
}

/// Sends a request. `form` is the encoded body of a POST or PUT.
pub(super) fn send(
    method: Method,
    url: &str,
    authorization: Option<&str>,
    form: Option<String>,
) -> Result<Answer, Lost> {
    let mut request = Client::new()
        .request(method, url)
        .connect_timeout(Duration::from_secs(10))
        .header("accept", "application/json");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    if let Some(form) = form {
        // Without a length the body would travel chunked, which pveproxy
        // answers with 501.
        request = request.header("content-length", form.len().to_string());
        if !form.is_empty() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        request = request.body(form.into_bytes());
    }
    let response = request.send().map_err(lost)?;
    let status = response.status_code();
    let header = |name: &str| {
        response
            .header(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let reason = header("x-reason-phrase");
    let unanswered = header(FORWARD_ERROR);
    let scope = header("x-scope");
    let content_type = header("content-type");
    let authenticate = header("www-authenticate");
    let body = response
        .body()
        .map_err(|_| Lost::Cut("the connection broke in the middle of the answer".into()))?;
    if let Some(what) = unanswered {
        return Err(not_forwarded(&what, &body));
    }
    Ok(Answer {
        status,
        reason,
        scope,
        content_type,
        authenticate,
        body,
    })
}

/// `host-runner forward` has no codes of wasi:http for a request that it did not
/// send, or that Proxmox did not answer: it answers itself, in Proxmox's form,
/// with this header.
const FORWARD_ERROR: &str = "x-forward-error";

fn not_forwarded(what: &str, body: &[u8]) -> Lost {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message = body.get("message").and_then(serde_json::Value::as_str);
    let message = message.unwrap_or("host-runner forward gave no reason");
    let message = text::cut(message, MESSAGE_LENGTH);
    match what {
        "denied" => Lost::Refused(Some(message)),
        "closed" => Lost::Closed(message),
        "not-sent" => Lost::NotSent(message),
        "cut" => Lost::Cut(message),
        _ => Lost::Broken(message),
    }
}

fn lost(error: anyhow::Error) -> Lost {
    let Some(code) = error.downcast_ref::<ErrorCode>() else {
        return Lost::Broken(format!("the request failed ({error})"));
    };
    match code {
        ErrorCode::HttpRequestDenied => Lost::Refused(None),
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            Lost::NotSent(
                "the host name in PROXMOX_URL is not known: check its spelling, and that this \
                 machine's DNS knows it"
                    .into(),
            )
        }
        ErrorCode::ConnectionRefused => Lost::Closed(
            "the address in PROXMOX_URL refused the connection: check the port (Proxmox listens \
             on 8006) and that pveproxy is running"
                .into(),
        ),
        ErrorCode::ConnectionTimeout
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable => Lost::NotSent(
            "the address in PROXMOX_URL did not answer: check the address, the port (Proxmox \
             listens on 8006), the firewall, and that the node is up"
                .into(),
        ),
        ErrorCode::TlsCertificateError => Lost::NotSent(
            "the certificate of PROXMOX_URL is not trusted: give the cluster's CA \
             (/etc/pve/pve-root-ca.pem on a node) as PROXMOX_CA_FILE, or the certificate's \
             SHA-256 fingerprint as PROXMOX_FINGERPRINT, which then decides alone"
                .into(),
        ),
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => Lost::NotSent(
            "the address in PROXMOX_URL does not speak TLS as expected: check the port \
             (Proxmox listens on 8006)"
                .into(),
        ),
        ErrorCode::HttpResponseTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout => {
            Lost::Broken("Proxmox did not answer in time".into())
        }
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => {
            Lost::Cut("the connection broke before the answer was whole".into())
        }
        ErrorCode::HttpResponseBodySize(_) => {
            Lost::Broken("the answer is larger than the host allows".into())
        }
        other => Lost::Broken(format!("the request failed ({other:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forwarder_says_what_became_of_a_request() {
        let body = br#"{"data":null,"message":"rule actions: not allowed"}"#;
        assert!(matches!(
            not_forwarded("denied", body),
            Lost::Refused(Some(reason)) if reason == "rule actions: not allowed"
        ));
        assert!(matches!(not_forwarded("closed", body), Lost::Closed(_)));
        assert!(matches!(not_forwarded("not-sent", body), Lost::NotSent(_)));
        assert!(matches!(not_forwarded("cut", body), Lost::Cut(_)));
        // What is not known may have been sent.
        assert!(matches!(not_forwarded("", b"<html>"), Lost::Broken(_)));
    }
}
