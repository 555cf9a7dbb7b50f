//! A server that is attacked, over stdio or HTTP.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;

use crate::gauge::{self, Peak};
use crate::mcp::{Answer, Client, Server};
use crate::web::{Era, Visitor, Web};

/// The longest body that is read.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How calls reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Transport {
    Stdio,
    Http,
}

/// A server, and its client.
pub(super) enum Link {
    Stdio(Client),
    Http { web: Web, visitor: Visitor },
}

impl Transport {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
        }
    }

    /// How soon host-runner ends after SIGTERM, whatever its calls do. Over HTTP, calls
    /// have time to end by themselves.
    pub(super) const fn end(self) -> Duration {
        match self {
            Self::Stdio => Duration::from_secs(1),
            Self::Http => Duration::from_secs(10),
        }
    }

    /// Starts a server, whose client breaks off at a message with `secret`. Its stderr
    /// goes to `log`.
    pub(super) fn start(self, command: &mut Command, log: &Path, secret: &str) -> Result<Link> {
        match self {
            Self::Stdio => {
                let file =
                    File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
                let server = Server::start(command.stderr(Stdio::from(file)))?;
                Ok(Link::Stdio(server.without_secret(secret).connect()?))
            }
            Self::Http => {
                let web = serve(command, log)?;
                let visitor = visitor(&web)?.without_secret(secret);
                Ok(Link::Http { web, visitor })
            }
        }
    }

    /// Starts a server whose tools may be impossible to list: these, and the most memory
    /// that it took from its start.
    pub(super) fn list(
        self,
        command: &mut Command,
        log: &Path,
    ) -> Result<(Result<Vec<Value>>, Option<f64>)> {
        match self {
            Self::Stdio => {
                let file = File::create(log)?;
                let server = Server::start(command.stderr(Stdio::from(file)))?;
                let watched = Watched::begin(server.id());
                // The process is needed until its memory was looked at.
                let client = server.connect();
                let tools = match &client {
                    Ok(client) => client.tools(),
                    Err(error) => Err(anyhow::anyhow!("{error:#}")),
                };
                Ok((tools, watched.end()))
            }
            Self::Http => {
                let web = serve(command, log)?;
                let watched = Watched::begin(web.id());
                let tools = visitor(&web).and_then(|visitor| visitor.tools());
                Ok((tools, watched.end()))
            }
        }
    }
}

/// The memory of a process, beyond what it has at first.
struct Watched {
    peak: Peak,
    idle: f64,
}

impl Watched {
    fn begin(process: u32) -> Self {
        Self {
            peak: Peak::begin(process),
            idle: gauge::resident(process).unwrap_or_default(),
        }
    }

    fn end(self) -> Option<f64> {
        let idle = self.idle;
        self.peak.end().map(|peak| peak - idle)
    }
}

fn serve(command: &mut Command, log: &Path) -> Result<Web> {
    Web::start(command.env("PROXMOX_MCP_HTTP_REQUESTS", "1000000"), log)
}

fn visitor(web: &Web) -> Result<Visitor> {
    Visitor::greet(web.address(), Era::Stateless, None)
}

impl Link {
    /// The server's process id.
    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Stdio(client) => client.id(),
            Self::Http { web, .. } => web.id(),
        }
    }

    /// All tools that the server lists.
    pub(super) fn tools(&self) -> Result<Vec<Value>> {
        match self {
            Self::Stdio(client) => client.tools(),
            Self::Http { visitor, .. } => visitor.tools(),
        }
    }

    /// Calls a tool.
    pub(super) fn call(&self, tool: &str, arguments: &Value) -> Result<Answer> {
        match self {
            Self::Stdio(client) => client.call(tool, arguments),
            Self::Http { visitor, .. } => match visitor.call(tool, arguments) {
                // It need not read what it refuses.
                Err(error) if is_cut(&error) && is_long(arguments) => Ok(Answer::Refused(
                    "the server closed the connection".to_owned(),
                )),
                other => other,
            },
        }
    }

    /// Sends a call whose answer is never read. What is returned has to be kept while the
    /// call shall run.
    pub(super) fn call_and_forget(
        &self,
        tool: &str,
        arguments: &Value,
    ) -> Result<Option<TcpStream>> {
        match self {
            Self::Stdio(client) => client.call_and_forget(tool, arguments).map(|()| None),
            Self::Http { visitor, .. } => visitor.call_and_keep(tool, arguments).map(Some),
        }
    }

    /// Sends SIGTERM, and waits for the end of the process.
    pub(super) fn end(self) -> Result<Duration> {
        match self {
            Self::Stdio(client) => client.terminate(),
            Self::Http { web, .. } => web.end(),
        }
    }
}

/// Whether a request was not read to its end.
fn is_cut(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref().and_then(|error| match error {
        ureq::Error::Io(error) => Some(error.kind()),
        _ => None,
    });
    matches!(
        kind,
        Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
    )
}

/// Whether arguments are longer than the body of a request may be.
fn is_long(arguments: &Value) -> bool {
    let texts = arguments
        .as_object()
        .into_iter()
        .flat_map(|all| all.values());
    let bytes: usize = texts.filter_map(Value::as_str).map(str::len).sum();
    bytes > MAX_BODY_BYTES
}
