//! Reads the bodies of requests, in memory that their sizes bound.

use std::fmt::Display;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::Semaphore;

use super::answer::Refusal;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);
/// What is counted of a body. Smaller ones are not counted, and so always find room: the
/// limit of connections bounds them.
const UNIT_BYTES: usize = 16 * 1024;
/// What the bodies that are being read may have together.
const ALL_BYTES: usize = 32 * 1024 * 1024;

/// Room for the bodies that are being read.
pub(super) struct Bodies(Semaphore);

impl Bodies {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(ALL_BYTES / UNIT_BYTES))
    }

    /// Reads a body of at most so many bytes.
    pub(super) async fn read<B>(&self, body: B, max: usize) -> Result<Bytes, Refusal>
    where
        B: Body<Data = Bytes, Error: Display> + Unpin,
    {
        let reading = tokio::time::timeout(BODY_TIME, self.collect(body, max));
        reading.await.unwrap_or_else(|_| {
            Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "slow_body",
                format!("the body took more than {} s", BODY_TIME.as_secs()),
            ))
        })
    }

    /// Copies the pieces together: a client decides how many there are, and each takes more
    /// than its bytes.
    async fn collect<B>(&self, mut body: B, max: usize) -> Result<Bytes, Refusal>
    where
        B: Body<Data = Bytes, Error: Display> + Unpin,
    {
        let no_room = |_| {
            let message =
                "too many large bodies are being read: send the request again in a moment";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Refusal::new(status, "no_room", message).retry_after(1)
        };
        let mut whole = BytesMut::new();
        let mut held = self.0.try_acquire_many(0).map_err(no_room)?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let message = format!("the body cannot be read: {error}");
                Refusal::new(StatusCode::BAD_REQUEST, "bad_body", message)
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let length = whole.len().saturating_add(data.len());
            if length > max {
                let message = format!("the body of a request may have {max} bytes");
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(Refusal::new(status, "body_too_large", message));
            }
            let missing = (length / UNIT_BYTES).saturating_sub(held.num_permits());
            let missing = u32::try_from(missing).unwrap_or(u32::MAX);
            held.merge(self.0.try_acquire_many(missing).map_err(no_room)?);
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::body::Frame;

    use super::*;

    /// A body of so many pieces of so many bytes, which never ends if `stalls`.
    struct Pieces {
        left: usize,
        size: usize,
        stalls: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if self.left == 0 {
                return match self.stalls {
                    true => std::task::Poll::Pending,
                    false => std::task::Poll::Ready(None),
                };
            }
            self.left -= 1;
            let piece = Bytes::from(vec![b'x'; self.size]);
            std::task::Poll::Ready(Some(Ok(Frame::data(piece))))
        }
    }

    fn pieces(left: usize, size: usize, stalls: bool) -> Pieces {
        Pieces { left, size, stalls }
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_limit() {
        let bodies = Bodies::new();
        let read = bodies.read(pieces(1000, 1, false), 1000).await.unwrap();
        assert_eq!(read, vec![b'x'; 1000]);
        let refusal = bodies.read(pieces(1001, 1, false), 1000).await;
        assert_eq!(refusal.unwrap_err().code, "body_too_large");
        assert!(bodies.read(Full::default(), 0).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn bodies_that_are_being_read_have_one_limit() {
        const MIB: usize = 1024 * 1024;
        let bodies = Bodies::new();
        let slow = (0..ALL_BYTES / MIB).map(|_| bodies.read(pieces(64, UNIT_BYTES, true), MIB));
        let mut slow: Vec<_> = slow.map(Box::pin).collect();
        for one in &mut slow {
            let waiting = tokio::time::timeout(Duration::from_millis(1), one).await;
            assert!(waiting.is_err());
        }
        let refusal = bodies.read(pieces(1, UNIT_BYTES, false), MIB).await;
        assert_eq!(refusal.unwrap_err().code, "no_room");
        // Small ones always find room.
        let small = bodies.read(pieces(1, UNIT_BYTES - 1, false), MIB).await;
        assert_eq!(small.unwrap().len(), UNIT_BYTES - 1);
        drop(slow);
        let large = bodies.read(pieces(64, UNIT_BYTES, false), MIB).await;
        assert_eq!(large.unwrap().len(), MIB);
    }
}
