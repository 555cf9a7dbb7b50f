//! A collector of traces of the tests: it takes spans by OTLP, over HTTPS or plain HTTP.

use std::sync::Arc;

use anyhow::Context as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::patience::PATIENCE;
use crate::rogue::Authority;

const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A running collector; it ends when this is dropped.
pub struct Collector {
    /// Its address, without a path.
    pub url: String,
    received: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    task: JoinHandle<()>,
}

/// A span as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// The trace that it is in, in hexadecimal as are the ids.
    pub trace_id: String,
    /// Its id.
    pub span_id: String,
    /// Empty if it has none.
    pub parent: String,
    /// Whether its status is an error.
    pub is_error: bool,
    /// From its start to its end.
    pub duration_ns: u64,
    /// As `key=value`.
    pub attributes: Vec<String>,
}

impl Collector {
    /// Plain HTTP, or HTTPS with a certificate of this authority.
    pub async fn start(authority: Option<&Arc<Authority>>) -> anyhow::Result<Self> {
        let acceptor = authority.map(|one| one.acceptor("localhost")).transpose()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let (sender, received) = mpsc::unbounded_channel();
        Ok(Self {
            url: format!("{scheme}://localhost:{port}"),
            received,
            task: tokio::spawn(accept(listener, acceptor, sender)),
        })
    }

    /// What it has received until there was a span whose name begins like that: the heads of
    /// the requests, and all spans.
    pub async fn until(&mut self, start: &str) -> anyhow::Result<(Vec<String>, Vec<Seen>)> {
        let (mut heads, mut spans) = (Vec::new(), Vec::new());
        while !spans.iter().any(|span: &Seen| span.name.starts_with(start)) {
            let received = tokio::time::timeout(PATIENCE, self.received.recv()).await;
            let received = received.with_context(|| format!("no more than {spans:?}"))?;
            let (head, body) = received.context("the collector has ended")?;
            heads.push(head);
            let request = ExportTraceServiceRequest::decode(body.as_slice())?;
            for resource in request.resource_spans {
                let scopes = resource.scope_spans.into_iter();
                spans.extend(scopes.flat_map(|scope| scope.spans).map(seen));
            }
        }
        Ok((heads, spans))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn seen(span: Span) -> Seen {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let attributes = span.attributes.iter().map(|one| {
        let value = one.value.as_ref().and_then(|value| value.value.as_ref());
        match value {
            Some(any_value::Value::StringValue(text)) => format!("{}={text}", one.key),
            Some(any_value::Value::IntValue(number)) => format!("{}={number}", one.key),
            other => format!("{}={other:?}", one.key),
        }
    });
    Seen {
        attributes: attributes.collect(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        is_error: span.status.is_some_and(|status| status.code == 2),
        duration_ns: span
            .end_time_unix_nano
            .saturating_sub(span.start_time_unix_nano),
        name: span.name,
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    sender: mpsc::UnboundedSender<(String, Vec<u8>)>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            match acceptor {
                Some(acceptor) => answer(acceptor.accept(stream).await?, &sender).await,
                None => answer(stream, &sender).await,
            }
        });
    }
}

/// Answers each request of a connection.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    sender: &mpsc::UnboundedSender<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let rest = bytes.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut bytes, rest))?;
            }
            anyhow::ensure!(bytes.len() < MAX_BYTES, "a head without an end");
            anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "no more requests");
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.context("a request without its length")?;
        anyhow::ensure!(length < MAX_BYTES, "too long");
        while bytes.len() < length {
            anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "half a request");
        }
        let rest = bytes.split_off(length);
        sender.send((head, std::mem::replace(&mut bytes, rest)))?;
        let ok =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(ok.as_bytes()).await?;
    }
}
