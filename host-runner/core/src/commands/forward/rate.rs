//! How many requests there may be.
//!
//! Calls of tools cannot be told apart here, so the cap of one call holds for
//! all requests within the time that one call may take: `--call-requests` in
//! `--call-seconds`. What was not used becomes available again evenly.

use std::time::{Duration, Instant};

/// Counts requests.
pub(super) struct Rate {
    cap: f64,
    window: Duration,
    left: f64,
    since: Instant,
}

/// One more request would be too many.
#[derive(Debug, thiserror::Error)]
#[error(
    "forward sends at most {cap} requests in {window_seconds} s (--call-requests, \
     --call-seconds): try again in {wait_seconds} s"
)]
pub(super) struct TooMany {
    cap: u64,
    window_seconds: u64,
    wait_seconds: u64,
}

impl Rate {
    pub(super) fn new(cap: u32, window: Duration) -> Self {
        Self {
            cap: cap.into(),
            window,
            left: cap.into(),
            since: Instant::now(),
        }
    }

    /// Counts one request, unless it is one too many.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), TooMany> {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        let per_second = self.cap / self.window.as_secs_f64();
        self.left = (self.left + passed * per_second).min(self.cap);
        self.since = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.left) / per_second;
        Err(TooMany {
            cap: self.cap as u64,
            window_seconds: self.window.as_secs(),
            // Without any, infinity becomes the largest number.
            wait_seconds: wait.ceil() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_a_steady_rate() {
        let mut rate = Rate::new(10, Duration::from_secs(20));
        let start = Instant::now();
        for _ in 0..10 {
            rate.take(start).unwrap();
        }
        let error = rate.take(start).unwrap_err();
        assert!(error.to_string().ends_with("try again in 2 s"), "{error}");
        let later = start + Duration::from_secs(4);
        rate.take(later).unwrap();
        rate.take(later).unwrap();
        assert!(rate.take(later).is_err());
        let much_later = start + Duration::from_secs(4000);
        let sent = (0..20).filter(|_| rate.take(much_later).is_ok()).count();
        assert_eq!(sent, 10);
    }
}
