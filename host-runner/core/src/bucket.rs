//! How many of something there may be in a time: a burst, then a steady rate.

use std::time::{Duration, Instant};

/// A number that refills evenly.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    cap: f64,
    window: Duration,
    left: f64,
    since: Instant,
}

impl Bucket {
    /// Full: `cap` may be taken at once, and as many in each `window` from then on.
    pub(crate) fn new(cap: u32, window: Duration) -> Self {
        Self {
            cap: cap.into(),
            window,
            left: cap.into(),
            since: Instant::now(),
        }
    }

    /// Takes one. If there is none, the error says in how many seconds there will be.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), u64> {
        self.refill(now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.left) / self.per_second();
        // Without any, infinity becomes the largest number.
        Err(wait.ceil() as u64)
    }

    /// Whether as much as possible is left.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left >= self.cap
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.left = (self.left + passed * self.per_second()).min(self.cap);
        self.since = now;
    }

    fn per_second(&self) -> f64 {
        self.cap / self.window.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_a_steady_rate() {
        let mut bucket = Bucket::new(10, Duration::from_secs(20));
        let start = Instant::now();
        assert!(bucket.is_full(start));
        for _ in 0..10 {
            bucket.take(start).unwrap();
        }
        assert_eq!(bucket.take(start), Err(2));
        let later = start + Duration::from_secs(4);
        bucket.take(later).unwrap();
        bucket.take(later).unwrap();
        assert!(bucket.take(later).is_err());
        assert!(!bucket.is_full(later));
        let much_later = start + Duration::from_secs(4000);
        assert!(bucket.is_full(much_later));
        let taken = (0..20).filter(|_| bucket.take(much_later).is_ok()).count();
        assert_eq!(taken, 10);
    }
}
