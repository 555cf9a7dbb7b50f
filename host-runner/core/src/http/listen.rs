//! Takes connections, as many as there may be, until the server ends.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::Http;
use super::places::{Place, Places};
use super::tls::Tls;
use super::unread::Unread;
use crate::mcp::Common;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(20);
/// How long a client may read nothing of what is sent to it.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// What hyper reads of a head before it refuses it.
const BUFFER_BYTES: usize = 64 * 1024;
/// Connections beyond the limit that are told so at the same time; others are closed.
const MAX_TURNED_AWAY: usize = 64;
/// How long that may take.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// After a failure to accept, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// How long requests that are under way have to end: longer than the calls have.
const DRAIN_TIME: Duration = Duration::from_millis(8500);
/// How long the connections have to end after that.
const LAST_TIME: Duration = Duration::from_millis(300);

/// Where to take connections from, and how many.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Tls>,
    /// Open connections.
    pub(crate) most: u32,
    /// Ends the server: no connection is taken any more, and calls get a moment to end.
    pub(crate) closing: CancellationToken,
    /// What has the calls that have that moment, also those whose clients are gone.
    pub(crate) common: Common,
    /// Ends the streams, when the calls have ended.
    pub(crate) streams: CancellationToken,
}

/// Serves until `closing` is cancelled, the requests that are under way have been answered
/// and the calls have ended, but not much longer.
pub(crate) async fn serve(listening: Listening, http: Arc<Http>) {
    let Listening {
        listener,
        tls,
        most,
        closing,
        common,
        streams,
    } = listening;
    let tls = tls.map(Arc::new);
    let places = Places::new(most as usize);
    let farewells = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!("no connection could be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(from.ip().to_canonical()) else {
            if tls.is_none()
                && let Ok(farewell) = Arc::clone(&farewells).try_acquire_owned()
            {
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(FAREWELL_TIME, turn_away(stream)).await;
                    drop(farewell);
                });
            }
            continue;
        };
        let (http, tls, closing) = (Arc::clone(&http), tls.clone(), closing.clone());
        connections.spawn(async move {
            welcome(stream, &place, tls.as_deref(), &http, &closing).await;
        });
    }
    drop(listener);
    let ended = async { tokio::join!(http.drained(), common.ended()) };
    let _ = tokio::time::timeout(DRAIN_TIME, ended).await;
    streams.cancel();
    connections.close();
    let _ = tokio::time::timeout(LAST_TIME, connections.wait()).await;
}

async fn welcome(
    stream: TcpStream,
    place: &Place,
    tls: Option<&Tls>,
    http: &Http,
    closing: &CancellationToken,
) {
    // Answers are written in one piece.
    let _ = stream.set_nodelay(true);
    match tls {
        None => converse(stream, place, http, closing).await,
        Some(tls) => {
            if let Some(stream) = tls.accept(stream).await {
                converse(stream, place, http, closing).await;
            }
        }
    }
}

async fn converse<S>(stream: S, place: &Place, http: &Http, closing: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(
            TokioIo::new(Unread::new(stream, WRITE_TIME)),
            service_fn(|request| http.answer(request, place)),
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection from {} ended: {error}", place.address());
    }
}

/// Says that there are too many connections. What the client has sent is read, or the
/// system would discard the response.
async fn turn_away(mut stream: TcpStream) -> std::io::Result<()> {
    const BODY: &str = r#"{"error":"too_many_connections","message":"too many connections are open: close idle ones, or ask the operator to raise --http-connections"}"#;
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
