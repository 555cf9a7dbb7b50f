//! Limits on the number of changes, and on the size of what they make.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::meaning::Meaning;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The maximum number of requests of a kind in any minute, and of new guests in
/// any hour. None: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Of those that change anything.
    pub writes: Option<NonZeroU32>,
    /// Of those that lose data or interrupt a guest.
    pub destructive: Option<NonZeroU32>,
    /// Of guests that are made, in an hour. Each process counts its own.
    pub new_guests: Option<NonZeroU32>,
}

/// How large a disk or a guest may become by a request. None: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// A disk, in GiB.
    pub disk_gib: Option<NonZeroU32>,
    /// The memory of a guest, in MiB.
    pub memory_mib: Option<NonZeroU32>,
    /// The CPUs of a guest.
    pub cores: Option<NonZeroU32>,
}

impl Sizes {
    /// Why a request asks for too much, if it does.
    pub(crate) fn refusal(&self, meaning: &Meaning) -> Option<String> {
        const GIB: u64 = 1 << 30;
        let over = |size: u64, cap: Option<NonZeroU32>, unit: u64| {
            let cap = u64::from(cap?.get());
            (size > cap.saturating_mul(unit)).then_some(cap)
        };
        let by = "(set by its operator)";
        if let Some(cap) = over(meaning.disk_bytes, self.disk_gib, GIB) {
            let how = match meaning.disk_bytes {
                u64::MAX => ": give the new size of the disk, not an increment",
                _ => "",
            };
            return Some(format!(
                "this server allows disks of at most {cap} GiB {by}{how}"
            ));
        }
        if let Some(cap) = over(meaning.memory_mib, self.memory_mib, 1) {
            return Some(format!(
                "this server allows a guest at most {cap} MiB of memory {by}"
            ));
        }
        let how = match meaning.cpus {
            u64::MAX => {
                ": give cores and sockets together, since their product counts; a container needs \
                 a number of cores or a CPU limit"
            }
            _ => "",
        };
        over(meaning.cpus, self.cores, 1)
            .map(|cap| format!("this server allows a guest at most {cap} CPUs {by}{how}"))
    }
}

/// Counts the changes sent in the last minute, and the new guests of the last hour.
#[derive(Debug, Default)]
pub struct Meter {
    writes: VecDeque<Instant>,
    destructive: VecDeque<Instant>,
    new_guests: VecDeque<Instant>,
}

/// One more would be too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this server allows at most {cap} {kind}{s} per {span} (set by its operator): try again in \
     {wait_seconds} s",
    s = if .cap.get() == 1 { "" } else { "s" }
)]
pub struct TooMany {
    cap: NonZeroU32,
    kind: &'static str,
    span: &'static str,
    wait_seconds: u64,
}

impl Meter {
    /// Counts one request that changes something, unless it is one too many.
    pub fn take(&mut self, caps: Caps, meaning: &Meaning, now: Instant) -> Result<(), TooMany> {
        forget(&mut self.writes, MINUTE, now);
        forget(&mut self.destructive, MINUTE, now);
        forget(&mut self.new_guests, HOUR, now);
        check(&self.writes, caps.writes, ("change", MINUTE), now)?;
        let makes_guest = !meaning.new_vmids.is_empty();
        if makes_guest {
            check(&self.new_guests, caps.new_guests, ("new guest", HOUR), now)?;
        }
        if meaning.is_destructive() {
            let kind = ("destructive change", MINUTE);
            check(&self.destructive, caps.destructive, kind, now)?;
            // What has no cap is not remembered.
            if caps.destructive.is_some() {
                self.destructive.push_back(now);
            }
        }
        if makes_guest && caps.new_guests.is_some() {
            self.new_guests.push_back(now);
        }
        if caps.writes.is_some() {
            self.writes.push_back(now);
        }
        Ok(())
    }
}

fn forget(times: &mut VecDeque<Instant>, span: Duration, now: Instant) {
    while times
        .front()
        .is_some_and(|time| now.saturating_duration_since(*time) >= span)
    {
        times.pop_front();
    }
}

fn check(
    times: &VecDeque<Instant>,
    cap: Option<NonZeroU32>,
    (kind, span): (&'static str, Duration),
    now: Instant,
) -> Result<(), TooMany> {
    let Some(cap) = cap else { return Ok(()) };
    let limit = usize::try_from(cap.get()).unwrap_or(usize::MAX);
    if times.len() < limit {
        return Ok(());
    }
    let oldest = times.front().copied().unwrap_or(now);
    let wait = span.saturating_sub(now.saturating_duration_since(oldest));
    Err(TooMany {
        cap,
        kind,
        span: if span == HOUR { "hour" } else { "minute" },
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
            new_guests: NonZeroU32::new(1),
        };
        let (safe, harsh) = (Meaning::default(), destructive());
        let mut meter = Meter::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(meter.take(caps, &harsh, at(0)).is_ok());
        let refused = meter.take(caps, &harsh, at(10)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this server allows at most 1 destructive change per minute (set by its operator): \
             try again in 51 s"
        );
        assert!(meter.take(caps, &safe, at(20)).is_ok());
        assert!(meter.take(caps, &safe, at(30)).is_ok());
        assert!(meter.take(caps, &safe, at(59)).is_err());
        assert!(meter.take(caps, &harsh, at(60)).is_ok());
        assert!(meter.take(caps, &safe, at(61)).is_err());
        assert!(meter.take(caps, &safe, at(80)).is_ok());
    }

    fn destructive() -> Meaning {
        Meaning {
            may_starve: true,
            ..Meaning::default()
        }
    }

    #[test]
    fn an_hour_has_a_limit_of_new_guests() {
        let caps = Caps {
            new_guests: NonZeroU32::new(1),
            ..Caps::default()
        };
        let new = Meaning {
            new_vmids: vec![105],
            ..Meaning::default()
        };
        let mut meter = Meter::default();
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert!(meter.take(caps, &new, at(0)).is_ok());
        let refused = meter.take(caps, &new, at(59)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this server allows at most 1 new guest per hour (set by its operator): try again in \
             61 s"
        );
        assert!(meter.take(caps, &Meaning::default(), at(59)).is_ok());
        assert!(meter.take(caps, &new, at(60)).is_ok());
    }

    #[test]
    fn sizes_have_limits() {
        let sizes = Sizes {
            disk_gib: NonZeroU32::new(64),
            memory_mib: NonZeroU32::new(4096),
            cores: NonZeroU32::new(4),
        };
        let refusal = |disk_bytes, memory_mib, cpus| {
            sizes.refusal(&Meaning {
                disk_bytes,
                memory_mib,
                cpus,
                ..Meaning::default()
            })
        };
        assert_eq!(refusal(64 << 30, 4096, 4), None);
        assert!(refusal(65 << 30, 0, 0).unwrap().contains("at most 64 GiB"));
        assert!(
            refusal(u64::MAX, 0, 0)
                .unwrap()
                .contains("not an increment")
        );
        assert!(refusal(0, 4097, 0).unwrap().contains("4096 MiB"));
        assert!(refusal(0, 0, 5).unwrap().contains("4 CPUs"));
        assert!(
            refusal(0, 0, u64::MAX)
                .unwrap()
                .contains("sockets together")
        );
        assert_eq!(Sizes::default().refusal(&Meaning::default()), None);
    }

    #[test]
    fn no_cap_is_no_limit() {
        let mut meter = Meter::default();
        let now = Instant::now();
        for _ in 0..10_000 {
            meter.take(Caps::default(), &destructive(), now).unwrap();
        }
        assert!(meter.writes.is_empty() && meter.destructive.is_empty());
    }
}
