//! A body that holds something until it is sent, or until its client is gone.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::mcp::Body;

/// A body with what it holds.
pub(super) struct Held {
    body: Body,
    _holds: Box<dyn Send + Sync>,
}

impl Held {
    pub(super) fn new(body: Body, holds: impl Send + Sync + 'static) -> Self {
        Self {
            body,
            _holds: Box::new(holds),
        }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
