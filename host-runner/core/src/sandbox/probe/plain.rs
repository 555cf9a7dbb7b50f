//! What a port speaks that does not speak TLS.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::fault::{Cause, Fault, Stage};
use super::target::Target;

/// How long the server may take to say something.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks for a page without TLS. None where nothing is known by the answer.
pub(super) async fn speaks(mut stream: TcpStream, target: &Target<'_>) -> Option<Fault> {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        target.origin.authority()
    );
    let mut start = [0; 16];
    let asked = async {
        // A server that speaks first may not read at all.
        let _ = stream.write_all(request.as_bytes()).await;
        stream.read(&mut start).await
    };
    let length = timeout(PATIENCE, asked).await.ok()?.ok()?;
    let start = start.get(..length)?;
    let port = target.origin.port();
    if start.starts_with(b"HTTP/") {
        return Some(Fault::new(
            Stage::Tls,
            Cause::PlainHttp,
            format!("port {port} speaks HTTP without TLS"),
            "give the port of HTTPS in PROXMOX_URL: Proxmox VE has it on 8006, a reverse proxy \
             often on 443",
        ));
    }
    (!start.is_empty()).then(|| {
        let shown = String::from_utf8_lossy(start);
        let shown = shown.split(['\r', '\n']).next().unwrap_or_default();
        Fault::new(
            Stage::Tls,
            Cause::NotTls,
            format!("port {port} does not speak TLS: it says {shown:?}"),
            "check the port in PROXMOX_URL: Proxmox VE listens on 8006",
        )
    })
}
