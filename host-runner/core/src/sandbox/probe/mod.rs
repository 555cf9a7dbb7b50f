//! Looks at one address of Proxmox VE in stages, without a token: name, connection, TLS,
//! and what answers a request that anybody may make.
//!
//! Which certificates are accepted is decided by the code that decides it for requests with
//! the token. Where a certificate is not accepted, the handshake ends, and this module says
//! why from what the certificate contains.

mod certificate;
mod fault;
mod plain;
mod product;
mod target;
mod watch;

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use serde::{Serialize, Serializer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service as _;

pub(crate) use self::certificate::Certificate;
pub(crate) use self::fault::{Cause, Fault, Stage};
use self::product::Answer;
pub(crate) use self::product::Product;
pub(crate) use self::target::Target;

use self::watch::Seen;
use super::client::{self, CONNECT_TIMEOUT};
use super::failure::FailureKind;
use super::tls::{Identity, Rejected, Roots, TrustError};
use super::tunnel::{self, Connector};

/// The most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// What was found. A stage that was not reached is empty.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Probe {
    /// What the name stands for; empty where a proxy resolves it.
    pub addresses: Vec<SocketAddr>,
    /// What became of a connection to each of them.
    pub connections: Vec<Connection>,
    /// The proxy that was used, without its user.
    pub proxy: Option<String>,
    /// The handshake.
    pub tls: Option<Handshake>,
    /// What a request without a token was answered with.
    pub answer: Option<Answer>,
    /// Where and why it ended. None: all stages were passed.
    pub fault: Option<Fault>,
}

/// A connection to one address.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Connection {
    /// Where.
    pub address: SocketAddr,
    /// How long it took, if it was made.
    #[serde(rename = "milliseconds", serialize_with = "milliseconds")]
    pub took: Option<Duration>,
    /// Why there is none.
    pub failure: Option<String>,
}

/// A handshake of TLS.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Handshake {
    /// `TLS 1.3`; None where the handshake was not finished.
    pub version: Option<&'static str>,
    /// The server's certificate, then those that it has presented with it.
    pub chain: Vec<Certificate>,
    /// Whether the server has asked for a certificate of the client.
    pub wants_client_certificate: bool,
}

impl Probe {
    /// Probes one address. Sends no token. Fails only where the settings of TLS cannot be
    /// used; everything else is in the result.
    pub(crate) async fn of(target: &Target<'_>) -> Result<Self, TrustError> {
        let roots = Roots::new(target.trust)?;
        let identity = target.client_certificate.map(Identity::new).transpose()?;
        let mut probe = Self::default();
        if let Err(fault) = probe.run(target, roots, identity).await {
            probe.fault = Some(fault);
        }
        Ok(probe)
    }

    async fn run(
        &mut self,
        target: &Target<'_>,
        roots: Roots,
        identity: Option<Identity>,
    ) -> Result<(), Fault> {
        let stream = self.connect(target).await?;
        let stream = match self.shake(target, stream, roots, identity).await {
            Err(fault) if matches!(fault.cause, Cause::Tls | Cause::Closed) => {
                return Err(self.without_tls(target, fault).await);
            }
            shaken => shaken?,
        };
        self.answer = Some(product::ask(target, stream).await?);
        Ok(())
    }

    /// Resolves the name and connects, to the first of its addresses that answers.
    async fn connect(&mut self, target: &Target<'_>) -> Result<TcpStream, Fault> {
        if let Some(proxy) = target.proxy {
            self.proxy = Some(proxy.to_string());
            return through(target).await;
        }
        self.addresses = resolve(target).await?;
        let mut connections = JoinSet::new();
        for (at, address) in self.addresses.iter().copied().enumerate() {
            connections.spawn(async move { (at, address, dial(address).await) });
        }
        let mut made = connections.join_all().await;
        made.sort_unstable_by_key(|(at, ..)| *at);
        let (mut chosen, mut first) = (None, None);
        for (_, address, dialled) in made {
            let (took, failure) = match dialled {
                Ok((stream, took)) => {
                    chosen = chosen.or(Some(stream));
                    (Some(took), None)
                }
                Err((kind, what)) => {
                    first = first.or(Some((kind, format!("{address}: {what}"))));
                    (None, Some(what))
                }
            };
            self.connections.push(Connection {
                address,
                took,
                failure,
            });
        }
        chosen.ok_or_else(|| {
            let (kind, what) = first.unwrap_or((FailureKind::Unroutable, "no address".to_owned()));
            Fault::of_connection(kind, what, target)
        })
    }

    async fn shake(
        &mut self,
        target: &Target<'_>,
        stream: TcpStream,
        roots: Roots,
        identity: Option<Identity>,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let seen = Arc::new(Seen::default());
        let watched = Arc::clone(&seen);
        let config =
            tokio::task::spawn_blocking(move || watch::config(&roots, identity, &watched)).await;
        let broken = |what: String| Fault::of_tls(None, format!("TLS failed: {what}"), target);
        let config = config.map_err(|error| broken(error.to_string()))?;
        let config = config.map_err(|error| broken(error.to_string()))?;
        let name = ServerName::try_from(target.bare_host().to_owned())
            .map_err(|error| broken(error.to_string()))?;
        let shaking = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let shaken = timeout(CONNECT_TIMEOUT, shaking).await;
        let chain = seen.chain();
        let mut handshake = Handshake {
            version: None,
            wants_client_certificate: seen.wants_certificate(),
            chain,
        };
        let result = match shaken {
            Err(_) => Err(Fault::new(
                Stage::Tls,
                Cause::Timeout,
                format!(
                    "the server did not finish the TLS handshake within {} s",
                    CONNECT_TIMEOUT.as_secs()
                ),
                "check what listens there, and whether a firewall holds the connection up",
            )),
            Ok(Err(error)) => Err(of_handshake(&error, &handshake.chain, target)),
            Ok(Ok(stream)) => {
                handshake.version = version(&stream);
                Ok(stream)
            }
        };
        self.tls = Some(handshake);
        result
    }

    /// What a port without TLS speaks, if it says so.
    async fn without_tls(&mut self, target: &Target<'_>, fault: Fault) -> Fault {
        let address = self.connections.iter().find(|one| one.failure.is_none());
        let address = address.map(|one| one.address);
        let stream = match address {
            Some(address) => dial(address).await.ok().map(|(stream, _)| stream),
            None if target.proxy.is_some() => through(target).await.ok(),
            None => None,
        };
        let Some(stream) = stream else {
            return fault;
        };
        plain::speaks(stream, target).await.unwrap_or(fault)
    }
}

/// The addresses that a name stands for.
async fn resolve(target: &Target<'_>) -> Result<Vec<SocketAddr>, Fault> {
    let host = target.bare_host();
    let looked_up = tokio::net::lookup_host((host, target.origin.port()));
    let not_found = |what: String| {
        Fault::new(
            Stage::Dns,
            Cause::NameNotFound,
            format!("the host name {host} cannot be resolved: {what}"),
            "check the name in PROXMOX_URL, and the name servers of this machine or container; an \
             IP address works, too",
        )
    };
    let found = match timeout(CONNECT_TIMEOUT, looked_up).await {
        Ok(found) => found.map_err(|error| not_found(error.to_string()))?,
        Err(_) => {
            let seconds = CONNECT_TIMEOUT.as_secs();
            return Err(not_found(format!("no answer within {seconds} s")));
        }
    };
    let found: Vec<_> = found.take(MAX_ADDRESSES).collect();
    match found.is_empty() {
        true => Err(not_found("it has no address".to_owned())),
        false => Ok(found),
    }
}

/// Connects to one address.
async fn dial(address: SocketAddr) -> Result<(TcpStream, Duration), (FailureKind, String)> {
    let began = std::time::Instant::now();
    match timeout(CONNECT_TIMEOUT, tunnel::direct(address)).await {
        Ok(Ok(stream)) => Ok((stream, began.elapsed())),
        Ok(Err(error)) => {
            let known = client::explain(&error);
            Err(known.unwrap_or((FailureKind::Unroutable, error.to_string())))
        }
        Err(_) => {
            let seconds = CONNECT_TIMEOUT.as_secs();
            let what = format!("no connection within {seconds} s");
            Err((FailureKind::ConnectTimeout, what))
        }
    }
}

/// Connects through the proxy.
async fn through(target: &Target<'_>) -> Result<TcpStream, Fault> {
    let failed = |kind, what| Fault::of_connection(kind, what, target);
    let uri = Uri::builder()
        .scheme("https")
        .authority(target.origin.authority())
        .path_and_query("/")
        .build()
        .map_err(|error| failed(FailureKind::Unroutable, error.to_string()))?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connecting = Connector::new(tcp, target.proxy).call(uri);
    match connecting.await {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) => {
            let known = client::explain(error.as_ref());
            let (kind, what) = known.unwrap_or((FailureKind::Proxy, error.to_string()));
            Err(failed(kind, what))
        }
    }
}

/// Why a handshake failed.
fn of_handshake(error: &io::Error, chain: &[Certificate], target: &Target<'_>) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) = inner
        && let Some(rejected) = other.0.downcast_ref::<Rejected>()
    {
        return Fault::of_certificate(rejected, chain, target, SystemTime::now());
    }
    let (kind, what) = client::explain(error).map_or_else(
        || (None, chain_of(error)),
        |(kind, what)| (Some(kind), what),
    );
    Fault::of_tls(kind, what, target)
}

fn chain_of(error: &io::Error) -> String {
    let source = error.source().map(ToString::to_string);
    source.unwrap_or_else(|| error.to_string())
}

fn version(stream: &TlsStream<TcpStream>) -> Option<&'static str> {
    match stream.get_ref().1.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
        rustls::ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
        _ => None,
    }
}

fn milliseconds<S: Serializer>(took: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match took {
        Some(took) => to.serialize_some(&u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        None => to.serialize_none(),
    }
}
