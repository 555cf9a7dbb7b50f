//! A simulated Proxmox VE as strict as the real one: it refuses what the real
//! API refuses, in the same words, and what is written is read back.
//!
//! [`start`] serves a cluster until the [`Running`] it returns is dropped.

#![forbid(unsafe_code)]

mod access;
mod api;
mod auth;
mod clock;
mod control;
#[cfg(test)]
mod exchanges;
mod faults;
mod firewall;
mod formats;
mod guest_params;
mod outage;
mod params;
mod pvestatd;
#[cfg(test)]
mod replay;
mod router;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod schema;
mod server;
mod ssh;
mod state;
mod tasks;
#[cfg(test)]
mod testing;
mod tls;
mod wire;
mod worlds;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// How a simulated cluster is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Plain HTTP, or HTTPS and with which certificate.
    pub tls: Tls,
    /// A path before `/api2/json`, as behind a reverse proxy: `/pve`.
    pub prefix: String,
    /// Which cluster.
    pub world: World,
    /// Node names; `:offline` after one takes it down, `:hung` stops its pvestatd, `:silent` is
    /// one whose pvestatd has never reported. Empty: the world's own.
    pub nodes: Vec<String>,
    /// How many guests to add, spread over the nodes that are online.
    pub guests: usize,
    /// Tokens as `user@realm!name=secret[:rights]`. Empty: three tokens with random secrets.
    pub tokens: Vec<String>,
    /// Users whose rights are not those of their tokens, as `user@realm:rights`.
    pub users: Vec<String>,
    /// How fast the simulated time runs, which `advance` moves on besides.
    pub speed: f64,
    /// How long a task runs; some take a part or a multiple of it.
    pub task_seconds: f64,
    /// How long a 401 is held back (three seconds on a real node).
    pub auth_delay: Duration,
    /// How long an unknown node's name is looked up (six seconds on a real node).
    pub lookup_delay: Duration,
    /// Every request that reaches parameter parsing is appended here, one JSON object a line.
    pub log: Option<PathBuf>,
    /// Every request is appended here as it comes in, before any fault strikes it.
    pub arrivals: Option<PathBuf>,
    /// Faults, as the command line spells them.
    pub faults: Vec<String>,
    /// Outages, as the command line spells them: `1500/4000` for 1.5 s in every 4 s.
    pub outage: Option<String>,
}

/// How connections are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP, which a client should refuse or warn about.
    Off,
    /// A certificate signed by an authority of its own.
    OwnAuthority,
    /// A self-signed certificate.
    SelfSigned,
}

/// A cluster to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Small, with every odd case that a test wants.
    Test,
    /// Three nodes and a dozen guests that look like somebody's cluster.
    Demo,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: Tls::OwnAuthority,
            prefix: String::new(),
            world: World::Test,
            nodes: Vec::new(),
            guests: 0,
            tokens: Vec::new(),
            users: Vec::new(),
            speed: 1.0,
            task_seconds: 0.5,
            auth_delay: Duration::from_millis(50),
            lookup_delay: Duration::from_millis(50),
            log: None,
            arrivals: None,
            faults: Vec::new(),
            outage: None,
        }
    }
}

impl Options {
    /// A friendly cluster of three nodes, one of them offline, for demonstrations.
    #[must_use]
    pub fn demo() -> Options {
        Options {
            world: World::Demo,
            task_seconds: 3.0,
            ..Options::default()
        }
    }
}

/// Serves a simulated cluster on the current tokio runtime.
///
/// # Errors
///
/// When the address is taken, or an option is malformed.
pub async fn start(options: Options) -> anyhow::Result<Running> {
    let identity = tls::identity(options.tls)?;
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let scheme = if identity.is_some() { "https" } else { "http" };
    let url = format!(
        "{scheme}://{address}{}",
        options.prefix.trim_end_matches('/')
    );
    let server = Arc::new(server::Server::new(&options, identity.as_ref())?);
    let acceptor = identity.as_ref().map(tls::Identity::acceptor).transpose()?;
    let task = tokio::spawn(server::accept(listener, acceptor, Arc::clone(&server)));
    let tokens = server.tokens();
    Ok(Running {
        url,
        identity,
        tokens,
        server,
        task,
    })
}

/// A cluster that is being served; dropping it stops it.
pub struct Running {
    url: String,
    identity: Option<tls::Identity>,
    tokens: Vec<auth::Token>,
    server: Arc<server::Server>,
    task: tokio::task::JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// The address as `PROXMOX_URL` takes it, with the prefix if there is one.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate to trust, in PEM; empty for plain HTTP.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.identity
            .as_ref()
            .map_or("", |identity| identity.ca_pem.as_str())
    }

    /// The SHA-256 fingerprint of the server's certificate; empty for plain HTTP.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        self.identity
            .as_ref()
            .map_or("", |identity| identity.fingerprint.as_str())
    }

    /// The first token's id, `user@realm!name`.
    #[must_use]
    pub fn token_id(&self) -> &str {
        self.tokens.first().map_or("", |token| token.id.as_str())
    }

    /// The first token's secret.
    #[must_use]
    pub fn token_secret(&self) -> &str {
        self.tokens
            .first()
            .map_or("", |token| token.secret.as_str())
    }

    /// Every token: id, secret, rights.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.tokens.iter().map(|token| {
            (
                token.id.as_str(),
                token.secret.as_str(),
                token.rights.as_str(),
            )
        })
    }

    /// Does what a control line says (see the binary's `--help`), and gives the answer.
    pub fn control(&self, command: &Value) -> Value {
        control::run(&self.server, command)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
