//! `host-runner health`: whether `serve --http` answers, for container platforms. The
//! image has no other program that could ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{CommandError, output, print};
use crate::cli::{HealthArgs, Operator};
use crate::operator_file::{self, MAX_CA_BYTES};
use crate::sandbox;
use crate::settings::{HealthSettings, SettingsError};

/// How long the answer may take.
const TIME: Duration = Duration::from_secs(5);
/// The answer has some hundred bytes.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Asks the server at this address whether it is ready, and prints what it says.
pub(crate) async fn run(operator: &Operator<'_>, args: &HealthArgs) -> Result<(), CommandError> {
    let settings = operator.health(args.address.as_deref());
    let settings = settings.map_err(|error| match error {
        SettingsError::Absent(_) => CommandError::Usage(
            "the server's address is missing: give it, for example `host-runner health \
             127.0.0.1:8080`, or set PROXMOX_MCP_HTTP"
                .to_owned(),
        ),
        error => error.into(),
    })?;
    let asked = tokio::time::timeout(TIME, ask(&settings)).await;
    let answer = asked.map_err(|_| failed(settings.address, "it does not answer"))??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if head.starts_with("HTTP/1.1 200 ") {
        return match serde_json::from_str(body) {
            Ok(value) => output::show_result(&args.output, body, &value),
            // Another server than this program's.
            Err(_) => print(body),
        };
    }
    let status = head.lines().next().unwrap_or_default();
    Err(failed(settings.address, &format!("{status} {body}")))
}

fn failed(address: SocketAddr, why: &str) -> CommandError {
    CommandError::Unhealthy(format!("the server at {address} is not ready: {why}"))
}

async fn ask(settings: &HealthSettings) -> Result<String, CommandError> {
    let address = settings.address;
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| failed(address, &error.to_string()))?;
    let Some(certificate) = &settings.certificate else {
        return exchange(stream, address).await;
    };
    // The server's own certificate is accepted under any name.
    let unusable = |why: &dyn std::fmt::Display| {
        CommandError::Usage(format!("the certificate {}: {why}", certificate.display()))
    };
    let pem = operator_file::read(certificate, MAX_CA_BYTES).map_err(|error| unusable(&error))?;
    let config = sandbox::only(&pem).ok_or_else(|| unusable(&"has no certificate"))?;
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::IpAddress(address.ip().into());
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| failed(address, &error.to_string()))?;
    exchange(stream, address).await
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    address: SocketAddr,
) -> Result<String, CommandError> {
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    let mut stream = stream.take(MAX_ANSWER_BYTES);
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
