//! How many requests there may be.
//!
//! Calls of tools cannot be told apart here, so the cap of one call holds for
//! all requests within the time that one call may take: `--call-requests` in
//! `--call-seconds`. What was not used becomes available again evenly.

use std::time::{Duration, Instant};

use crate::bucket::Bucket;

/// Counts requests.
pub(super) struct Rate {
    bucket: Bucket,
    cap: u32,
    window: Duration,
}

/// One more request would be too many.
#[derive(Debug, thiserror::Error)]
#[error(
    "forward sends at most {cap} requests in {window_seconds} s (--call-requests, \
     --call-seconds): try again in {wait_seconds} s"
)]
pub(super) struct TooMany {
    cap: u32,
    window_seconds: u64,
    wait_seconds: u64,
}

impl Rate {
    pub(super) fn new(cap: u32, window: Duration) -> Self {
        Self {
            bucket: Bucket::new(cap, window),
            cap,
            window,
        }
    }

    /// Counts one request, unless it is one too many.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), TooMany> {
        self.bucket.take(now).map_err(|wait_seconds| TooMany {
            cap: self.cap,
            window_seconds: self.window.as_secs(),
            wait_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_requests_are_told_when_to_try_again() {
        let mut rate = Rate::new(1, Duration::from_secs(2));
        let start = Instant::now();
        rate.take(start).unwrap();
        let error = rate.take(start).unwrap_err();
        assert!(error.to_string().ends_with("try again in 2 s"), "{error}");
    }
}
