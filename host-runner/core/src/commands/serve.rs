//! `host-runner serve`, or no command at all.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::{CommandError, Context};
use crate::cli::Options;
use crate::engine::Embedded;
use crate::mcp;
use crate::offer::OfferError;

/// Several clients give up on a call after 60 s.
const WAIT: Duration = Duration::from_secs(50);

/// How long to wait for the component when the client has gone meanwhile.
const LOADING: Duration = Duration::from_millis(100);

/// Serves MCP until the client closes stdin, or a signal comes.
pub(crate) async fn run(options: &Options, embedded: Embedded) -> Result<(), CommandError> {
    let Context { catalog, demo } = Context::new(options, embedded).await?;
    let catalog = Arc::new(catalog);

    // The client need not wait for the component to be greeted.
    let loading = tokio::spawn({
        let catalog = Arc::clone(&catalog);
        async move { catalog.offer().await.map(drop) }
    });

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
    let server = mcp::Server::new(Arc::clone(&catalog), options.wait().unwrap_or(WAIT));
    let served = tokio::select! {
        served = server.serve(stop) => {
            // Whoever hung up at once is told of a fault all the same. The task
            // itself may have been waited for already, which can be done once.
            match tokio::time::timeout(LOADING, catalog.offer()).await {
                Ok(Err(error)) => Err(error.into()),
                _ => served.map_err(CommandError::Protocol),
            }
        }
        error = fault(loading) => Err(error.into()),
    };
    drop(demo);
    served
}

/// Why nothing can be called, once that is known.
async fn fault(loading: JoinHandle<Result<(), OfferError>>) -> OfferError {
    match loading.await {
        Ok(Err(error)) => error,
        _ => std::future::pending().await,
    }
}
