//! The output streams of a component: what it prints goes nowhere or to the
//! log, at once and without a buffer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// The most that may be written at once.
const MAX_WRITE: usize = 4096;

/// Takes what a component prints.
pub(super) trait Sink: Clone + Send + Sync + Unpin + 'static {
    fn write(&self, bytes: &[u8]);
}

/// Forgets it.
#[derive(Clone, Copy)]
pub(super) struct Nowhere;

/// A stream into a sink.
pub(super) struct Stream<S>(pub(super) S);

impl Sink for Nowhere {
    fn write(&self, _: &[u8]) {}
}

impl IsTerminal for Nowhere {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Nowhere {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Stream(*self))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stream(*self))
    }
}

#[async_trait]
impl<S: Sink> OutputStream for Stream<S> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > MAX_WRITE {
            return Err(StreamError::trap("more was written than there is room for"));
        }
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[async_trait]
impl<S: Sink> Pollable for Stream<S> {
    async fn ready(&mut self) {}
}

impl<S: Sink> AsyncWrite for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
