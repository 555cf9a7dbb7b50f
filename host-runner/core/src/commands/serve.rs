//! `host-runner serve`, or no command at all.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{CommandError, Context};
use crate::cli::Options;
use crate::engine::Embedded;
use crate::mcp;

/// Several clients give up on a call after 60 s.
const WAIT: Duration = Duration::from_secs(50);

/// Serves MCP until the client closes stdin, or a signal comes.
pub(crate) async fn run(options: &Options, embedded: Embedded) -> Result<(), CommandError> {
    let Context { catalog, demo } = Context::new(options, embedded).await?;
    let catalog = Arc::new(catalog);

    // The client need not wait for the component to be greeted.
    let loading = tokio::spawn({
        let catalog = Arc::clone(&catalog);
        async move { catalog.offer().await.map(drop) }
    });
    let unusable = async {
        match loading.await {
            Ok(Err(error)) => error,
            _ => std::future::pending().await,
        }
    };

    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };

    if io::stdin().is_terminal() {
        tracing::warn!(
            "waiting for MCP messages on stdin: an MCP client starts this command by itself \
             (`host-runner tools` and `host-runner call` are for people)"
        );
    }
    let server = mcp::Server::new(catalog, options.wait().unwrap_or(WAIT));
    let served = tokio::select! {
        served = server.serve(stop) => served.map_err(CommandError::Protocol),
        error = unusable => Err(error.into()),
    };
    drop(demo);
    served
}
