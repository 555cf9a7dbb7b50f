//! The body of a response, and connections that break in it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use tokio::time::{Sleep, sleep};

/// The connection is closed without an answer.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// A response's body, with whatever is wrong with it.
pub(super) struct Answer {
    rest: Bytes,
    length: u64,
    /// The connection breaks when this many bytes are left.
    break_at: Option<usize>,
    drip: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Answer {
    pub(super) fn whole(body: String) -> Answer {
        let length = body.len() as u64;
        Answer {
            rest: body.into(),
            length,
            break_at: None,
            drip: None,
        }
    }

    pub(super) fn halved(mut self) -> Answer {
        self.break_at = Some(self.rest.len() / 2);
        self
    }

    pub(super) fn dripping(mut self, pause: Duration) -> Answer {
        self.drip = Some((pause, Box::pin(sleep(pause))));
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        if this.break_at.is_some_and(|left| this.rest.len() <= left) {
            return Poll::Ready(Some(Err(Cut)));
        }
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let mut take = this.rest.len() - this.break_at.unwrap_or(0);
        if let Some((pause, timer)) = &mut this.drip {
            std::task::ready!(timer.as_mut().poll(context));
            *timer = Box::pin(sleep(*pause));
            take = take.min(16);
        }
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(take)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.break_at.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.length)
    }
}
