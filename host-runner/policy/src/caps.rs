//! Limits on the number of changes per minute.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// The maximum number of requests of a kind in any minute. None: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Of those that change anything.
    pub writes: Option<NonZeroU32>,
    /// Of those that lose data or interrupt a guest.
    pub destructive: Option<NonZeroU32>,
}

/// Counts what was sent in the last minute.
#[derive(Debug, Default)]
pub struct Meter {
    writes: VecDeque<Instant>,
    destructive: VecDeque<Instant>,
}

/// One more would be too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this server allows at most {cap} {kind}{s} per minute (set by its operator): try again in \
     {wait_seconds} s",
    s = if .cap.get() == 1 { "" } else { "s" }
)]
pub struct TooMany {
    cap: NonZeroU32,
    kind: &'static str,
    wait_seconds: u64,
}

impl Meter {
    /// Counts one request that changes something, unless it is one too many.
    pub fn take(&mut self, caps: Caps, destructive: bool, now: Instant) -> Result<(), TooMany> {
        forget(&mut self.writes, now);
        forget(&mut self.destructive, now);
        check(&self.writes, caps.writes, "change", now)?;
        if destructive {
            check(
                &self.destructive,
                caps.destructive,
                "destructive change",
                now,
            )?;
            // What has no cap is not remembered.
            if caps.destructive.is_some() {
                self.destructive.push_back(now);
            }
        }
        if caps.writes.is_some() {
            self.writes.push_back(now);
        }
        Ok(())
    }
}

fn forget(times: &mut VecDeque<Instant>, now: Instant) {
    while times
        .front()
        .is_some_and(|time| now.saturating_duration_since(*time) >= MINUTE)
    {
        times.pop_front();
    }
}

fn check(
    times: &VecDeque<Instant>,
    cap: Option<NonZeroU32>,
    kind: &'static str,
    now: Instant,
) -> Result<(), TooMany> {
    let Some(cap) = cap else { return Ok(()) };
    let limit = usize::try_from(cap.get()).unwrap_or(usize::MAX);
    if times.len() < limit {
        return Ok(());
    }
    let oldest = times.front().copied().unwrap_or(now);
    let wait = MINUTE.saturating_sub(now.saturating_duration_since(oldest));
    Err(TooMany {
        cap,
        kind,
        wait_seconds: wait.as_secs().saturating_add(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_a_limit() {
        let caps = Caps {
            writes: NonZeroU32::new(3),
            destructive: NonZeroU32::new(1),
        };
        let mut meter = Meter::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(meter.take(caps, true, at(0)).is_ok());
        let refused = meter.take(caps, true, at(10)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this server allows at most 1 destructive change per minute (set by its operator): \
             try again in 51 s"
        );
        assert!(meter.take(caps, false, at(20)).is_ok());
        assert!(meter.take(caps, false, at(30)).is_ok());
        assert!(meter.take(caps, false, at(59)).is_err());
        assert!(meter.take(caps, true, at(60)).is_ok());
        assert!(meter.take(caps, false, at(61)).is_err());
        assert!(meter.take(caps, false, at(80)).is_ok());
    }

    #[test]
    fn no_cap_is_no_limit() {
        let mut meter = Meter::default();
        let now = Instant::now();
        for _ in 0..10_000 {
            meter.take(Caps::default(), true, now).unwrap();
        }
        assert!(meter.writes.is_empty() && meter.destructive.is_empty());
    }
}
