//! How a simulated cluster is served.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

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
    /// A certificate signed by a separate authority.
    OwnAuthority,
    /// A self-signed certificate.
    SelfSigned,
}

/// A cluster to start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Small, with every odd case that the tests need.
    Test,
    /// Three nodes and a dozen guests that look like a real cluster.
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
