//! Connections: accepted, secured, served and, in an outage, reset.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, LOCATION};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::answer::Cut;
use super::response::told;
use super::{MAX_HEADERS, Server};
use crate::outage::Meets;

/// A connection is closed after this many requests, or after `IDLE` without one.
const REQUESTS_PER_CONNECTION: u32 = 100;
const IDLE: Duration = Duration::from_secs(5);

/// Serves connections until the task is aborted, with the pauses that outages make.
pub(crate) async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    server: Arc<Server>,
) {
    tokio::join!(server.outages.keep(), listen(listener, acceptor, &server));
}

async fn listen(mut listener: TcpListener, acceptor: Option<TlsAcceptor>, server: &Arc<Server>) {
    let mut connections = JoinSet::new();
    let mut outage = server.outages.watch();
    loop {
        while connections.try_join_next().is_some() {}
        if *outage.borrow_and_update() == Some(Meets::Nothing) {
            let Ok(address) = listener.local_addr() else {
                return;
            };
            drop(listener);
            let Some(back) = closed(address, &mut outage).await else {
                return;
            };
            listener = back;
            continue;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = outage.changed() => continue,
        };
        let Ok((stream, _)) = accepted else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, server) = (acceptor.clone(), Arc::clone(server));
        connections.spawn(async move {
            match acceptor {
                None => serve(stream, server).await,
                // A TLS handshake begins with this byte.
                Some(_) if !starts_with(&stream, 0x16).await => {
                    plain_on_tls(stream, server).await;
                }
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, server).await;
                    }
                }
            }
        });
    }
}

/// Keeps the port while nothing listens on it, so that no other program takes it.
async fn closed(
    address: SocketAddr,
    outage: &mut watch::Receiver<Option<Meets>>,
) -> Option<TcpListener> {
    loop {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }
        .ok()?;
        // The port's old connections linger.
        socket.set_reuseaddr(true).ok()?;
        if socket.bind(address).is_err() {
            sleep(Duration::from_millis(10)).await;
            continue;
        }
        outage
            .wait_for(|outage| *outage != Some(Meets::Nothing))
            .await
            .ok()?;
        match socket.listen(1024) {
            Ok(listener) => return Some(listener),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn starts_with(stream: &TcpStream, byte: u8) -> bool {
    let mut first = [0];
    // Nothing at all is left to the handshake to judge.
    !matches!(stream.peek(&mut first).await, Ok(1)) || first == [byte]
}

/// Sends a client that speaks plain HTTP to the HTTPS address.
async fn plain_on_tls(stream: TcpStream, server: Arc<Server>) {
    let address = stream.local_addr().ok();
    let service = service_fn(move |request: Request<Incoming>| {
        server.served.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path().to_owned();
        async move {
            let address = address.ok_or(Cut)?;
            let mut response = told(301, "Moved Permanently");
            let location = HeaderValue::from_str(&format!("https://{address}{path}"));
            let headers = response.headers_mut();
            headers.insert(LOCATION, location.map_err(|_| Cut)?);
            Ok::<_, Cut>(response)
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A client's connection, which can be reset.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn socket(&self) -> &TcpStream;

    /// Closes it with RST: what was not read yet is lost.
    fn reset(self)
    where
        Self: Sized,
    {
        let _ = self.socket().set_zero_linger();
    }
}

impl Connection for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Connection for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn serve(stream: impl Connection, server: Arc<Server>) {
    let mut outage = server.outages.watch();
    let count = Arc::new(AtomicU32::new(0));
    let service = service_fn(move |request| {
        let (server, count) = (Arc::clone(&server), Arc::clone(&count));
        async move {
            let mut response = server.handle(request).await?;
            if count.fetch_add(1, Ordering::Relaxed) + 1 >= REQUESTS_PER_CONNECTION {
                let headers = response.headers_mut();
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Cut>(response)
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .title_case_headers(true)
        .max_headers(4 * MAX_HEADERS);
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A cut connection is an error here, and meant to be one.
        _ = &mut connection => {}
        Ok(_) = outage.wait_for(|outage| *outage == Some(Meets::Nothing)) => {
            connection.into_parts().io.into_inner().reset();
        }
    }
}
