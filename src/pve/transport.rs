//! The only I/O of the component: one request over wasi:http.

use pve_api::Method;
use url::Url;

use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method as WireMethod,
    OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::json;
use crate::settings::{Route, Settings};
use crate::text;

/// The longest text of a server or host that a message quotes.
pub(super) const MESSAGE_LENGTH: usize = 800;

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
#[derive(Debug)]
pub(super) enum Lost {
    /// The host, or `host-runner forward`, refused to send the request: who, and
    /// why or what to check.
    Refused(String),
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

/// A request on its way, whose answer has not been taken yet.
#[derive(Debug)]
pub(super) struct Sent(FutureIncomingResponse);

/// Sends a request and waits for its answer. `form` is the encoded body of a
/// POST or PUT.
pub(super) fn send(
    settings: &Settings,
    method: Method,
    url: &str,
    form: Option<String>,
) -> Result<Answer, Lost> {
    receive(settings, start(settings, method, url, form)?)
}

/// Sends a request without waiting for its answer.
pub(super) fn start(
    settings: &Settings,
    method: Method,
    url: &str,
    form: Option<String>,
) -> Result<Sent, Lost> {
    let mut headers = vec![("accept", "application/json".to_owned())];
    if let Some(authorization) = settings.authorization() {
        headers.push(("authorization", authorization));
    }
    let form = form.map(String::into_bytes);
    if let Some(form) = &form {
        // Without a length the body would travel chunked, which pveproxy
        // answers with 501.
        headers.push(("content-length", form.len().to_string()));
        if !form.is_empty() {
            headers.push(("content-type", "application/x-www-form-urlencoded".into()));
        }
    }
    let request = request(method, url, headers)
        .ok_or_else(|| Lost::NotSent("the request cannot be expressed in HTTP".into()))?;
    let route = settings.route();
    exchange(request, &form.unwrap_or_default(), route)
        .map(Sent)
        .map_err(|code| lost(code, route))
}

/// Waits for the answer to a request.
pub(super) fn receive(settings: &Settings, Sent(response): Sent) -> Result<Answer, Lost> {
    let response = answer(&response).map_err(|code| lost(code, settings.route()))?;
    let status = response.status();
    let headers = response.headers();
    let header = |name: &str| {
        let values = headers.get(name);
        values
            .into_iter()
            .next()
            .and_then(|value| String::from_utf8(value).ok())
    };
    let reason = header("x-reason-phrase");
    let unanswered = header(FORWARD_ERROR);
    let scope = header("x-scope");
    let content_type = header("content-type");
    let authenticate = header("www-authenticate");
    drop(headers);
    let body = read(response)?;
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

/// None where wasi:http refuses a part of it.
fn request(method: Method, url: &str, headers: Vec<(&str, String)>) -> Option<OutgoingRequest> {
    let headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    let url = Url::parse(url).ok()?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        _ => Scheme::Https,
    };
    let path = url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    );
    let request = OutgoingRequest::new(Fields::from_list(&headers).ok()?);
    let wire_method = match method {
        Method::Post => WireMethod::Post,
        Method::Put => WireMethod::Put,
        Method::Delete => WireMethod::Delete,
        Method::Get => WireMethod::Get,
    };
    request.set_method(&wire_method).ok()?;
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(url.authority())).ok()?;
    request.set_path_with_query(Some(&path)).ok()?;
    Some(request)
}

/// Sends a request.
///
/// What becomes of the body decides nothing: a host stops taking it as soon as
/// its length is reached, and may call the stream closed then, before it was
/// flushed. Had the body not arrived, the answer would say so.
fn exchange(
    request: OutgoingRequest,
    form: &[u8],
    route: Route,
) -> Result<FutureIncomingResponse, ErrorCode> {
    let body = request
        .body()
        .map_err(|()| ErrorCode::InternalError(Some("the request has no body".into())))?;
    // host-runner has a limit of its own. wasmtime keeps the options of each request until
    // the call ends, and host-runner lets a call have 256 resources: with options, no call
    // could make more requests.
    let options = (route != Route::HostRunner).then(|| {
        let options = RequestOptions::new();
        // Where a host knows no such limit, its own applies.
        let _ = options.set_connect_timeout(Some(CONNECT_TIMEOUT_NS));
        options
    });
    let response = outgoing_handler::handle(request, options)?;
    if write(&body, form).is_ok() {
        let _ = OutgoingBody::finish(body, None);
    } else {
        // Unfinished, so that the host ends the request.
        drop(body);
    }
    Ok(response)
}

const CONNECT_TIMEOUT_NS: u64 = 10_000_000_000;

/// Fails where the host did not take all of it.
fn write(body: &OutgoingBody, mut form: &[u8]) -> Result<(), StreamError> {
    if form.is_empty() {
        return Ok(());
    }
    let Ok(stream) = body.write() else {
        return Err(StreamError::Closed);
    };
    let ready = stream.subscribe();
    while !form.is_empty() {
        ready.block();
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        let (now, later) = form.split_at(form.len().min(room));
        stream.write(now)?;
        form = later;
    }
    if stream.flush().is_ok() {
        ready.block();
    }
    Ok(())
}

fn answer(response: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    let taken = || ErrorCode::InternalError(Some("the host gave no answer".into()));
    loop {
        match response.get() {
            Some(answer) => return answer.map_err(|()| taken())?,
            None => response.subscribe().block(),
        }
    }
}

/// The whole body.
fn read(response: IncomingResponse) -> Result<Vec<u8>, Lost> {
    let cut = || Lost::Cut("the connection broke in the middle of the answer".into());
    let body = response.consume().map_err(|()| cut())?;
    let stream = body.stream().map_err(|()| cut())?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK_BYTES) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => return Err(cut()),
        }
    }
}

const CHUNK_BYTES: u64 = 64 * 1024;

/// `host-runner forward` has no codes of wasi:http for a request that it did not
/// send, or that Proxmox did not answer: it answers itself, in Proxmox's form,
/// with this header.
const FORWARD_ERROR: &str = "x-forward-error";

fn not_forwarded(what: &str, body: &[u8]) -> Lost {
    let body = json::value(body);
    let message = body.get("message").and_then(serde_json::Value::as_str);
    let message = message.unwrap_or("host-runner forward gave no reason");
    let message = text::cut(message, MESSAGE_LENGTH);
    match what {
        "denied" => Lost::Refused(format!(
            "host-runner forward refused the request: {message}"
        )),
        "closed" => Lost::Closed(message),
        "not-sent" => Lost::NotSent(message),
        "cut" => Lost::Cut(message),
        _ => Lost::Broken(message),
    }
}

fn lost(code: ErrorCode, route: Route) -> Lost {
    match code {
        ErrorCode::HttpRequestDenied => Lost::Refused(denied(route).into()),
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            Lost::NotSent(
                "the host name in PROXMOX_URL is not known: check its spelling, and that this \
                 machine's DNS knows it"
                    .into(),
            )
        }
        ErrorCode::ConnectionRefused if route == Route::Forward => Lost::Closed(
            "nothing listens at the address in PROXMOX_URL: check that `host-runner forward` is \
             running, and that this is the PROXMOX_URL that it printed"
                .into(),
        ),
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
        ErrorCode::ConfigurationError if route == Route::HostRunner => Lost::NotSent(
            "the proxy in PROXMOX_PROXY did not connect to the address in PROXMOX_URL".into(),
        ),
        ErrorCode::TlsAlertReceived(_) if route == Route::HostRunner => {
            Lost::NotSent("the server at the address in PROXMOX_URL refused TLS".into())
        }
        ErrorCode::TlsCertificateError if route == Route::HostRunner => Lost::NotSent(
            "the certificate of PROXMOX_URL is not trusted: give the cluster's CA \
             (/etc/pve/pve-root-ca.pem on a node) as PROXMOX_CA_FILE, or the certificate's \
             SHA-256 fingerprint as PROXMOX_FINGERPRINT, which then decides alone"
                .into(),
        ),
        ErrorCode::TlsCertificateError
        | ErrorCode::TlsProtocolError
        | ErrorCode::TlsAlertReceived(_) => Lost::NotSent(tls(route).into()),
        ErrorCode::HttpResponseTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout => {
            Lost::Broken("Proxmox did not answer in time".into())
        }
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => {
            Lost::Cut("the connection broke before the response was complete".into())
        }
        ErrorCode::HttpResponseBodySize(_) => {
            Lost::Broken("the answer is larger than the host allows".into())
        }
        other if route == Route::Forward => Lost::Broken(format!(
            "the request failed ({other:?}): check that this is the PROXMOX_URL that `host-runner \
             forward` printed"
        )),
        other => Lost::Broken(format!("the request failed ({other:?})")),
    }
}

/// What a refusal by the host means. host-runner's own reason reaches its user
/// in another way; other hosts give none.
fn denied(route: Route) -> &'static str {
    match route {
        Route::HostRunner => {
            "the host refused to send it: the policy of its operator, or PROXMOX_URL, forbids it"
        }
        Route::Forward | Route::Local | Route::Direct => {
            "the host refused to send it: its network policy does not allow the address in \
             PROXMOX_URL; allow it there (Wassette: the policy file beside the component, ACT: \
             `--allow`)"
        }
    }
}

/// What failed TLS means. Other hosts than host-runner do not say whether it was
/// the certificate, and none of them can be told about a private authority.
fn tls(route: Route) -> &'static str {
    match route {
        Route::HostRunner | Route::Forward => {
            "the address in PROXMOX_URL does not speak TLS as expected: check the port (Proxmox \
             listens on 8006)"
        }
        Route::Local => {
            "TLS with the address in PROXMOX_URL failed: `host-runner forward` speaks plain http, \
             so give PROXMOX_URL as it printed it, with http://"
        }
        Route::Direct => {
            "TLS with the address in PROXMOX_URL failed: its certificate may not be trusted here, \
             as this host cannot be given a private CA (use `host-runner forward`, which can), or \
             the port is wrong (Proxmox listens on 8006)"
        }
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
            Lost::Refused(reason) if reason.ends_with("forward refused the request: rule actions: not allowed")
        ));
        assert!(matches!(not_forwarded("closed", body), Lost::Closed(_)));
        assert!(matches!(not_forwarded("not-sent", body), Lost::NotSent(_)));
        assert!(matches!(not_forwarded("cut", body), Lost::Cut(_)));
        // What is not known may have been sent.
        assert!(matches!(not_forwarded("", b"<html>"), Lost::Broken(_)));
    }

    fn said(code: ErrorCode, route: Route) -> String {
        match lost(code, route) {
            Lost::Refused(text)
            | Lost::Closed(text)
            | Lost::NotSent(text)
            | Lost::Cut(text)
            | Lost::Broken(text) => text,
        }
    }

    #[test]
    fn a_forwarder_that_is_not_there_is_named() {
        let text = said(ErrorCode::ConnectionRefused, Route::Forward);
        assert!(text.contains("`host-runner forward` is running"), "{text}");
        assert!(text.contains("PROXMOX_URL that it printed"), "{text}");
        assert!(!text.contains("pveproxy"), "{text}");
        for route in [Route::HostRunner, Route::Local, Route::Direct] {
            let text = said(ErrorCode::ConnectionRefused, route);
            assert!(text.contains("pveproxy is running"), "{text}");
        }
    }

    #[test]
    fn failed_tls_names_what_helps_in_the_host_at_hand() {
        for code in [ErrorCode::TlsProtocolError, ErrorCode::TlsCertificateError] {
            let direct = said(code.clone(), Route::Direct);
            assert!(direct.contains("may not be trusted here"), "{direct}");
            assert!(direct.contains("`host-runner forward`"), "{direct}");
            // No other host reads this setting.
            assert!(!direct.contains("PROXMOX_CA_FILE"), "{direct}");
            let local = said(code, Route::Local);
            assert!(local.contains("with http://"), "{local}");
        }
        let own = said(ErrorCode::TlsCertificateError, Route::HostRunner);
        assert!(own.contains("PROXMOX_CA_FILE"), "{own}");
    }

    #[test]
    fn a_refusal_by_another_host_names_its_network_policy() {
        let text = said(ErrorCode::HttpRequestDenied, Route::Forward);
        assert!(text.contains("network policy"), "{text}");
        assert!(text.contains("`--allow`"), "{text}");
        let text = said(ErrorCode::HttpRequestDenied, Route::HostRunner);
        assert!(text.contains("policy of its operator"), "{text}");
    }
}
