//! Takes connections, as many as there may be, for as long as they may last.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::Forwarder;

/// Open connections; others wait to be accepted.
const MAX_CONNECTIONS: usize = 128;
/// How long the head of a request may take, and how long a connection may be
/// idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection may last before it has shown the key.
const STRANGERS_TIME: Duration = Duration::from_secs(5);
/// How long a connection takes new requests.
const LIFETIME: Duration = Duration::from_secs(120);
/// How long its last answer may take after that: longer than the gate waits for
/// Proxmox VE.
const LAST_ANSWER: Duration = Duration::from_secs(60);
/// pveproxy takes 8 KiB of headers, too; hyper takes no smaller buffer.
const HEAD_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// After a failure to accept, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `closing` is cancelled, then waits for the requests that are
/// under way. (The process ends in time whether they end or not.)
pub(super) async fn serve(
    listener: TcpListener,
    forwarder: Arc<Forwarder>,
    concurrency: usize,
    closing: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let turns = Arc::new(Semaphore::new(concurrency));
    let connections = TaskTracker::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("no connection could be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (forwarder, turns) = (Arc::clone(&forwarder), Arc::clone(&turns));
        let closing = closing.clone();
        connections.spawn(async move {
            converse(stream, forwarder, turns, closing).await;
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
}

async fn converse(
    stream: TcpStream,
    forwarder: Arc<Forwarder>,
    turns: Arc<Semaphore>,
    closing: CancellationToken,
) {
    // Answers are written in one piece.
    let _ = stream.set_nodelay(true);
    let known = CancellationToken::new();
    let service = service_fn({
        let known = known.clone();
        move |request| {
            let (forwarder, turns) = (Arc::clone(&forwarder), Arc::clone(&turns));
            let known = known.clone();
            async move { forwarder.answer(request, &turns, &known).await }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let unknown = async {
        tokio::select! {
            () = tokio::time::sleep(STRANGERS_TIME) => {}
            () = known.cancelled() => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!("a connection ended: {error}");
            }
            return;
        }
        () = unknown => {
            tracing::debug!("closed a connection that did not present the key");
            return;
        }
        () = tokio::time::sleep(LIFETIME) => {}
        () = closing.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_ANSWER, connection).await;
}
