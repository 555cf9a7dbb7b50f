//! A cluster that is being served.

use std::sync::Arc;

use serde_json::Value;

use crate::control;
use crate::options::Options;
use crate::saved::Keep;
use crate::server::{self, Server};
use crate::state::Token;
use crate::tls::{self, Identity};

/// Serves a simulated cluster on the current tokio runtime.
///
/// # Errors
///
/// When the address is taken, or an option is malformed.
pub async fn start(options: Options) -> anyhow::Result<Running> {
    serve(options, None).await
}

/// The same for a cluster whose state is kept. It is saved once before this returns.
///
/// # Errors
///
/// As for [`start`], and when the state cannot be saved.
pub async fn start_kept(options: Options, keep: Keep) -> anyhow::Result<Running> {
    serve(options, Some(keep)).await
}

async fn serve(options: Options, keep: Option<Keep>) -> anyhow::Result<Running> {
    let identity = tls::identity(options.tls)?;
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let scheme = if identity.is_some() { "https" } else { "http" };
    let url = format!(
        "{scheme}://{address}{}",
        options.prefix.trim_end_matches('/')
    );
    let server = Arc::new(Server::new(&options, identity.as_ref(), keep)?);
    let acceptor = identity.as_ref().map(Identity::acceptor).transpose()?;
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
    identity: Option<Identity>,
    tokens: Vec<Token>,
    pub(crate) server: Arc<Server>,
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
