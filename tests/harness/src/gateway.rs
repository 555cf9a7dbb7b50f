//! What may be between host-runner and Proxmox VE: an HTTP proxy that opens
//! connections, and a TLS server that lets only known clients through.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::rogue::Authority;

/// What a [`Proxy`] does with a request.
#[derive(Debug, Clone)]
pub enum ProxyAnswer {
    /// Connects to what it is asked for.
    Connect,
    /// Connects to this port of this machine, whatever it is asked for.
    Divert(u16),
    /// Writes this and closes the connection.
    Say(&'static str),
}

/// An HTTP proxy; it ends when this is dropped.
pub struct Proxy {
    /// `127.0.0.1:PORT`.
    pub address: String,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts it.
    pub async fn start(answer: ProxyAnswer) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), answer.clone());
                tokio::spawn(async move {
                    // The client may hang up at any time.
                    let _ = proxied(stream, &seen, answer).await;
                });
            }
        });
        Ok(Self {
            address,
            heads,
            task,
        })
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        let heads = self.heads.lock();
        heads.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn proxied(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: ProxyAnswer,
) -> anyhow::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head.clone());
    let target = match answer {
        ProxyAnswer::Say(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            return Ok(());
        }
        ProxyAnswer::Divert(port) => format!("127.0.0.1:{port}"),
        ProxyAnswer::Connect => {
            let target = head.strip_prefix("CONNECT ").context("no CONNECT")?;
            target.split(' ').next().unwrap_or_default().to_owned()
        }
    };
    let mut there = TcpStream::connect(target).await?;
    stream
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await?;
    copy_bidirectional(&mut stream, &mut there).await?;
    Ok(())
}

/// A TLS server in front of another one that requires a certificate of its
/// clients; it ends when this is dropped.
pub struct Gatekeeper {
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    /// The port that it listens on.
    pub port: u16,
    task: JoinHandle<()>,
}

impl Gatekeeper {
    /// Has a certificate of `authority`, accepts clients with one of it, and passes
    /// them on to `port`, where a server has a certificate of `ca_file`.
    pub async fn start(authority: &Authority, port: u16, ca_file: &Path) -> anyhow::Result<Self> {
        let acceptor = authority.acceptor_of_known("127.0.0.1")?;
        let connector = connector(ca_file)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let own_port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(async move {
                    let _ = passed_on(stream, &acceptor, &connector, port).await;
                });
            }
        });
        Ok(Self {
            url: format!("https://127.0.0.1:{own_port}"),
            port: own_port,
            task,
        })
    }
}

impl Drop for Gatekeeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn passed_on(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    connector: &TlsConnector,
    port: u16,
) -> anyhow::Result<()> {
    let mut here = acceptor.accept(stream).await?;
    let there = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let mut there = connector.connect(name, there).await?;
    copy_bidirectional(&mut here, &mut there).await?;
    Ok(())
}

fn connector(ca_file: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
