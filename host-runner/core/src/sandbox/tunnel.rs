//! Opens connections: to the server itself, or through a proxy.
//!
//! A proxy is asked with `CONNECT` for a connection to the configured origin,
//! which is the only host of all requests that come here. TLS is inside of it,
//! so that the proxy sees neither requests nor the token, and cannot stand in
//! for the server.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_service::Service;
use zeroize::Zeroizing;

use crate::settings::Proxy;

/// How long a proxy may take to connect to the server.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// The head of a proxy's answer; a body is not read.
const MAX_HEAD_BYTES: usize = 16 * 1024;

type BoxError = Box<dyn Error + Send + Sync>;

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    proxy: Option<Arc<Proxy>>,
}

/// Why a proxy did not connect. No message holds its credentials.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// It is not there.
    #[error("the proxy {proxy} cannot be reached: {cause}")]
    Unreachable {
        /// Its address.
        proxy: String,
        /// What the system says.
        cause: String,
    },
    /// It wants credentials, or others.
    #[error(
        "the proxy {proxy} {} (407 Proxy Authentication Required): give them as in \
         PROXMOX_PROXY=http://USER:PASSWORD@HOST:PORT",
        if *.given { "does not accept the credentials" } else { "requires credentials" }
    )]
    Credentials {
        /// Its address.
        proxy: String,
        /// Whether some were given.
        given: bool,
    },
    /// It does not want to.
    #[error("the proxy {proxy} does not allow connections to {target} ({status})")]
    Forbidden {
        /// Its address.
        proxy: String,
        /// What it was asked for.
        target: String,
        /// Its answer.
        status: u16,
    },
    /// It cannot.
    #[error("the proxy {proxy} did not connect to {target} ({status})")]
    Failed {
        /// Its address.
        proxy: String,
        /// What it was asked for.
        target: String,
        /// Its answer.
        status: u16,
    },
    /// It answers something else.
    #[error("the proxy {proxy} {what}")]
    Broken {
        /// Its address.
        proxy: String,
        /// What it did.
        what: String,
    },
}

impl Connector {
    pub(super) fn new(tcp: HttpConnector, proxy: Option<&Proxy>) -> Self {
        Self {
            tcp,
            proxy: proxy.cloned().map(Arc::new),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let Some(proxy) = self.proxy.clone() else {
            let connecting = self.tcp.call(target);
            return Box::pin(async { Ok(connecting.await?) });
        };
        let connecting = proxy.uri().map(|uri| self.tcp.call(uri));
        Box::pin(async move {
            let stream = connecting?.await.map_err(|error| ProxyError::Unreachable {
                proxy: proxy.to_string(),
                cause: innermost(&error),
            })?;
            let mut stream = stream.into_inner();
            let asking = ask(&mut stream, &proxy, &target);
            match tokio::time::timeout(ANSWER_TIME, asking).await {
                Ok(asked) => asked?,
                Err(_) => {
                    let seconds = ANSWER_TIME.as_secs();
                    return Err(broken(&proxy, format!("did not answer within {seconds} s")).into());
                }
            }
            Ok(TokioIo::new(stream))
        })
    }
}

/// Opens a connection to one address of a name, which [`Connector`] would try one after the
/// other, to see which of them answer.
pub(super) async fn direct(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address).await
}

/// Asks a proxy for a connection, which the stream is then.
async fn ask(stream: &mut TcpStream, proxy: &Proxy, target: &Uri) -> Result<(), ProxyError> {
    let host = target.host().unwrap_or_default();
    let target = format!("{host}:{}", target.port_u16().unwrap_or(443));
    let mut request = Zeroizing::new(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: host-runner/{}\r\n",
        env!("CARGO_PKG_VERSION")
    ));
    if let Some(authorization) = &proxy.authorization {
        authorization.expose(|value| {
            // Growing would leave copies behind.
            let mut longer =
                Zeroizing::new(String::with_capacity(request.len() + value.len() + 64));
            longer.push_str(&request);
            longer.push_str("Proxy-Authorization: ");
            longer.push_str(value);
            longer.push_str("\r\n\r\n");
            request = longer;
        });
    } else {
        request.push_str("\r\n");
    }
    let lost = |error: io::Error| broken(proxy, format!("closed the connection: {error}"));
    stream.write_all(request.as_bytes()).await.map_err(lost)?;
    let head = read_head(stream, proxy).await?;
    match status(&head) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(ProxyError::Credentials {
            proxy: proxy.to_string(),
            given: proxy.authorization.is_some(),
        }),
        Some(status @ (401 | 403 | 405)) => Err(ProxyError::Forbidden {
            proxy: proxy.to_string(),
            target,
            status,
        }),
        Some(status) => Err(ProxyError::Failed {
            proxy: proxy.to_string(),
            target,
            status,
        }),
        None => Err(broken(
            proxy,
            "does not answer with HTTP: check its address and port",
        )),
    }
}

/// Reads the head of an answer, and nothing behind it.
async fn read_head(stream: &mut TcpStream, proxy: &Proxy) -> Result<Vec<u8>, ProxyError> {
    let mut head = Vec::with_capacity(256);
    loop {
        // Byte by byte: what is behind it belongs to the server.
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // Whatever it said is better than that it said no more.
                return match status(&head) {
                    Some(300..) => Ok(head),
                    _ => Err(broken(proxy, "closed the connection without an answer")),
                };
            }
            Err(error) => return Err(broken(proxy, format!("closed the connection: {error}"))),
        }
        if head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n") {
            return Ok(head);
        }
        if head.len() >= MAX_HEAD_BYTES {
            return Err(broken(proxy, "answers with too long a head"));
        }
        if head.len() == 5 && head != b"HTTP/" {
            return Ok(head);
        }
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r' || *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    let status = line.split(' ').nth(1)?;
    status
        .parse()
        .ok()
        .filter(|status| (100..600).contains(status))
}

fn broken(proxy: &Proxy, what: impl Into<String>) -> ProxyError {
    ProxyError::Broken {
        proxy: proxy.to_string(),
        what: what.into(),
    }
}

/// What the system says.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_is_read() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407\r\n\r\n", Some(407)),
            ("HTTP/2 200\r\n\r\n", None),
            ("HTTP/1.1 2000 x\r\n\r\n", None),
            ("SSH-2.0", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }
}
