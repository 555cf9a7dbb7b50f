//! A server in the place of Proxmox VE that means harm: it has a certificate
//! that is trusted, and answers with whatever bytes a test wants.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::host::HostRunner;

/// A part of an answer.
#[derive(Debug, Clone)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, repeated.
    Times(Vec<u8>, usize),
    /// These bytes until the client stops reading.
    Forever(Vec<u8>),
    /// The same, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// The end of the connection.
    Close,
}

/// A running server; it ends when this is dropped.
pub struct Rogue {
    /// `https://NAME:PORT`.
    pub url: String,
    port: u16,
    authority: Arc<Authority>,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What to answer to a request.
type Script = dyn Fn(&str) -> Vec<Piece> + Send + Sync;

/// What it has been asked.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

impl Seen {
    fn push(&self, request: String) {
        let requests = self.requests.lock();
        requests
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
    }
}

/// What certificates servers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Servers {
    /// Those of servers.
    Proper,
    /// They have expired.
    Late,
    /// Each has signed its own, as an authority could: `openssl req -x509` does so.
    SelfSigned,
}

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_file: PathBuf,
    servers: Servers,
    _directory: TempDir,
}

impl Authority {
    /// A new one.
    pub fn new() -> anyhow::Result<Arc<Self>> {
        Self::of(Servers::Proper)
    }

    /// One whose servers have certificates that have expired.
    pub fn late() -> anyhow::Result<Arc<Self>> {
        Self::of(Servers::Late)
    }

    /// One whose servers show certificates of authorities, which are their own.
    pub fn absent() -> anyhow::Result<Arc<Self>> {
        Self::of(Servers::SelfSigned)
    }

    fn of(servers: Servers) -> anyhow::Result<Arc<Self>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let directory = TempDir::new()?;
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, params.self_signed(&key)?.pem())?;
        Ok(Arc::new(Self {
            issuer: Issuer::new(params, key),
            ca_file,
            servers,
            _directory: directory,
        }))
    }

    /// The file with its certificate.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// A server with a certificate for this name, on a port of 127.0.0.1; 0 is
    /// any. Each request is answered by what `script` says to its text.
    pub async fn serve(
        self: &Arc<Self>,
        name: &str,
        port: u16,
        script: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static,
    ) -> anyhow::Result<Rogue> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.serve_at(name, name, address, script).await
    }

    /// A server on this address, with a certificate for `name` and `host` in
    /// its URL, which differ for IPv6: `::1` and `[::1]`. Port 0 is any.
    pub async fn serve_at(
        self: &Arc<Self>,
        name: &str,
        host: &str,
        address: SocketAddr,
        script: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static,
    ) -> anyhow::Result<Rogue> {
        let acceptor = self.acceptor(name)?;
        let listener = TcpListener::bind(address).await?;
        let port = listener.local_addr()?.port();
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(accept(
            listener,
            acceptor,
            Arc::clone(&seen),
            Arc::new(script),
        ));
        Ok(Rogue {
            url: format!("https://{host}:{port}"),
            port,
            authority: Arc::clone(self),
            seen,
            task,
        })
    }

    /// A certificate for a client, and its key, in PEM.
    pub fn client(&self) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key, &self.issuer)?;
        Ok((leaf.pem(), key.serialize_pem()))
    }

    /// Speaks TLS under this name with clients that have a certificate of this
    /// authority.
    pub(crate) fn acceptor_of_known(&self, name: &str) -> anyhow::Result<TlsAcceptor> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca_file)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let (chain, key) = self.leaf(name)?;
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients.build()?)
            .with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Speaks TLS under this name.
    pub(crate) fn acceptor(&self, name: &str) -> anyhow::Result<TlsAcceptor> {
        let (chain, key) = self.leaf(name)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("the certificate is refused")?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// A certificate for a server of this name, and its key.
    fn leaf(
        &self,
        name: &str,
    ) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = match self.servers {
            Servers::Proper => params.signed_by(&key, &self.issuer)?,
            Servers::Late => {
                params.not_after = rcgen::date_time_ymd(2020, 1, 1);
                params.signed_by(&key, &self.issuer)?
            }
            Servers::SelfSigned => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.extended_key_usages = Vec::new();
                params.self_signed(&key)?
            }
        };
        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
        Ok((chain, PrivateKeyDer::Pkcs8(key.serialize_der().into())))
    }
}

impl Rogue {
    /// The secret of the token that [`Rogue::host`] is given.
    pub const SECRET: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

    /// One with its own certificate authority, on 127.0.0.1.
    pub async fn start(
        script: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        Authority::new()?.serve("127.0.0.1", 0, script).await
    }

    /// A host-runner that takes it for Proxmox VE.
    pub fn host(&self) -> anyhow::Result<HostRunner> {
        let ca_file = self.authority.ca_file.display().to_string();
        Ok(HostRunner::new()?
            .env("PROXMOX_URL", &self.url)
            .env("PROXMOX_USER", "root@pam")
            .env("PROXMOX_TOKEN_ID", "rogue")
            .env("PROXMOX_TOKEN_SECRET", Self::SECRET)
            .env("PROXMOX_CA_FILE", ca_file))
    }

    /// Ends it, so that its port is free.
    pub async fn stop(mut self) {
        self.task.abort();
        // That it was aborted.
        let _ = (&mut self.task).await;
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requests so far, as they came in: head and body.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.seen.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections were begun.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    seen: Arc<Seen>,
    script: Arc<Script>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        seen.connections.fetch_add(1, Ordering::Relaxed);
        let (acceptor, seen, script) = (acceptor.clone(), Arc::clone(&seen), Arc::clone(&script));
        connections.spawn(async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                // The client may hang up at any time.
                let _ = serve(&mut stream, &seen, &*script).await;
            }
        });
    }
}

async fn serve(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    seen: &Seen,
    script: &Script,
) -> std::io::Result<()> {
    while let Some(request) = read_request(stream).await? {
        let answer = script(&request);
        seen.push(request);
        for piece in answer {
            match piece {
                Piece::Bytes(bytes) => stream.write_all(&bytes).await?,
                Piece::Times(bytes, times) => {
                    for _ in 0..times {
                        stream.write_all(&bytes).await?;
                    }
                }
                Piece::Forever(bytes) => loop {
                    stream.write_all(&bytes).await?;
                },
                Piece::Drip(bytes, pause) => loop {
                    tokio::time::sleep(pause).await;
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                },
                Piece::Close => return stream.shutdown().await,
            }
        }
        stream.flush().await?;
    }
    Ok(())
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Ok(None),
        }
    }
    let mut text = String::from_utf8_lossy(&head).into_owned();
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
        .unwrap_or_default();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    text.push_str(&String::from_utf8_lossy(&body));
    Ok(Some(text))
}
