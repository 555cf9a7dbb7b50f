//! `host-runner serve --http`, as a process, and plain HTTP to it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::client::Era;
use crate::events::{Head, Stream};
use crate::forward::HttpAnswer;
use crate::patience::PATIENCE;
use crate::process::{Output, Started};
use crate::served::Served;
use crate::web_client::WebClient;

/// A running `host-runner serve --http`.
pub struct Web {
    /// `127.0.0.1:PORT`.
    pub address: String,
    served: Served,
}

impl Web {
    /// Waits until the process that was started listens.
    pub(crate) async fn listening(started: Started, secrets: Vec<String>) -> anyhow::Result<Self> {
        let served = Served::listening(started, "serve", secrets, address).await?;
        Ok(Self {
            address: served.address.clone(),
            served,
        })
    }

    /// A client of this era, with this token.
    pub fn client(&self, era: Era, token: Option<&str>) -> WebClient {
        WebClient::new(self.address.clone(), era, token)
    }

    /// All that it wrote to stderr so far.
    pub fn stderr(&self) -> anyhow::Result<String> {
        self.served.watch.stderr_text()
    }

    /// A working directory's file is replaced at once, as tools do that renew certificates.
    pub fn replace(&self, name: &str, content: &str) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let new = self.served.watch.directory().join(format!("{name}.new"));
        std::fs::write(&new, content)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
        Ok(std::fs::rename(
            new,
            self.served.watch.directory().join(name),
        )?)
    }

    /// Asks for a path, with these headers, and reads until the connection ends.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<HttpAnswer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        self.send(&format!("{request}\r\n")).await
    }

    /// Sends bytes as they are, and reads until the connection ends.
    pub async fn send(&self, request: &str) -> anyhow::Result<HttpAnswer> {
        let stream = TcpStream::connect(&self.address).await?;
        let answer = tokio::time::timeout(PATIENCE, exchange(stream, request));
        let answer = answer.await.context("no answer")??;
        self.served.has_no_secret(&answer.head)?;
        self.served.has_no_secret(&answer.body)?;
        Ok(answer)
    }

    /// A connection to be written to and read from piece by piece.
    pub async fn connection(&self) -> anyhow::Result<TcpStream> {
        Ok(TcpStream::connect(&self.address).await?)
    }

    /// The same from another address of this machine, with little room for what is not
    /// read yet.
    pub async fn connection_from(&self, address: Ipv4Addr) -> anyhow::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        socket.bind((address, 0).into())?;
        Ok(socket.connect(self.address.parse()?).await?)
    }

    /// The process id, unless it has ended.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.served.process_id()
    }

    /// Asks for a path over TLS, by a certificate (DER) that must be the server's.
    pub async fn ask_over_tls(&self, path: &str, certificate: &[u8]) -> anyhow::Result<HttpAnswer> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(certificate.to_vec()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(&self.address).await?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        exchange(stream.await?, &request).await
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.served.signal("TERM")
    }

    /// Sends SIGHUP, and waits until it has said these words for the first time.
    pub async fn hang_up(&self, words: &str) -> anyhow::Result<()> {
        self.served.signal("HUP")?;
        let said = async {
            while !self.stderr()?.contains(words) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, said)
            .await
            .with_context(|| format!("it does not say {words}"))?
    }

    /// Waits for its end.
    pub async fn ended(self) -> anyhow::Result<Output> {
        self.served.ended().await
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: &str,
) -> anyhow::Result<HttpAnswer> {
    stream.write_all(request.as_bytes()).await?;
    let mut reader = BufReader::new(stream);
    let head = Head::read(&mut reader).await?;
    let body = match head.header("transfer-encoding") {
        Some(_) => Stream::new(head.clone(), Box::new(reader)).text().await?,
        None => {
            let mut bytes = Vec::new();
            // A peer that ends TLS without saying so.
            let _ = reader.read_to_end(&mut bytes).await;
            String::from_utf8(bytes)?
        }
    };
    Ok(HttpAnswer {
        status: head.status,
        head: head.text,
        body,
    })
}

/// Where it listens, once it says so.
fn address(stderr: &str) -> Option<String> {
    let (_, rest) = stderr.split_once("serving MCP at http")?;
    let (_, rest) = rest.split_once("://")?;
    let (address, _) = rest.split_once("/mcp")?;
    Some(address.to_owned())
}
