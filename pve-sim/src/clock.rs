//! Simulated time, and how PVE writes it.
//!
//! A cluster's time runs like the wall clock unless a test moves it. Within a
//! request it stands still.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

thread_local! {
    /// The time of the cluster that this thread works on.
    static PINNED: Cell<Option<f64>> = const { Cell::new(None) };
}

/// A cluster's clock.
#[derive(Clone)]
pub(crate) struct Clock {
    born: Instant,
    /// When it was born, in seconds since 1970.
    wall: f64,
    speed: f64,
    /// What tests have added.
    ahead: Duration,
    at: Duration,
}

impl Clock {
    /// A clock that runs `speed` times as fast as the wall clock.
    pub(crate) fn new(speed: f64) -> Clock {
        PINNED.set(None);
        Clock {
            born: Instant::now(),
            wall: real(),
            speed,
            ahead: Duration::ZERO,
            at: Duration::ZERO,
        }
    }

    /// The time since its birth, as the cluster has it now.
    pub(crate) fn at(&self) -> Duration {
        self.at
    }

    /// What the clock shows: [`Clock::at`] gets there in steps, one for each event.
    pub(crate) fn shown(&self) -> Duration {
        self.born.elapsed().mul_f64(self.speed) + self.ahead
    }

    /// Seconds since 1970, as the cluster has it now.
    pub(crate) fn wall(&self) -> f64 {
        self.wall + self.at.as_secs_f64()
    }

    /// Has a clock that is behind this time begin with it.
    pub(crate) fn begin_at(&mut self, wall: f64) {
        self.wall = self.wall.max(wall);
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }

    /// Moves the cluster's time, never back, and makes it that of [`now`] on this thread.
    pub(crate) fn reach(&mut self, at: Duration) {
        self.at = self.at.max(at);
        self.pin();
    }

    /// Makes the cluster's time that of [`now`] on this thread.
    pub(crate) fn pin(&self) {
        PINNED.set(Some(self.wall()));
    }
}

/// Seconds since 1970, as the wall clock has them.
pub(crate) fn real() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// Seconds since 1970, in the time of the cluster that this thread works on.
pub(crate) fn now() -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds since 1970 stay below 2^53"
    )]
    let seconds = now_exact() as i64;
    seconds
}

/// The same with its fraction.
pub(crate) fn now_exact() -> f64 {
    PINNED.get().unwrap_or_else(real)
}

/// Year, month (1 to 12), day and weekday (0 is Sunday) of a day since 1970.
fn civil(days: i64) -> (i64, u8, u8, u8) {
    // Years begin in March here, so that the leap day is the last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let small = |number: i64| u8::try_from(number).unwrap_or_default();
    (
        year,
        small(month),
        small(day),
        small((days + 4).rem_euclid(7)),
    )
}

fn parts(time: i64) -> (i64, u8, u8, u8, i64, i64, i64) {
    let (year, month, day, weekday) = civil(time.div_euclid(86_400));
    let second = time.rem_euclid(86_400);
    (
        year,
        month,
        day,
        weekday,
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// `2026-11-22 08:04:13`, as task logs have it.
pub(crate) fn stamp(time: i64) -> String {
    let (year, month, day, _, hour, minute, second) = parts(time);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// `2026_11_22-08_04_13`, as backup names have it.
pub(crate) fn file_stamp(time: i64) -> String {
    stamp(time)
        .replace('-', "_")
        .replace(' ', "-")
        .replace(':', "_")
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

fn named(names: &[&'static str], at: u8) -> &'static str {
    names.get(usize::from(at)).copied().unwrap_or_default()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as HTTP has it.
pub(crate) fn http(time: i64) -> String {
    let (year, month, day, weekday, hour, minute, second) = parts(time);
    let (weekday, month) = (named(&WEEKDAYS, weekday), named(&MONTHS, month - 1));
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// `Nov 22 08:04:13`, as the system log has it.
pub(crate) fn syslog(time: i64) -> String {
    let (_, month, day, _, hour, minute, second) = parts(time);
    format!(
        "{} {day:02} {hour:02}:{minute:02}:{second:02}",
        named(&MONTHS, month - 1)
    )
}

/// `Sun Nov 22 08:04:13 2026`, as HA has it.
pub(crate) fn asctime(time: i64) -> String {
    let (year, month, day, weekday, hour, minute, second) = parts(time);
    format!(
        "{} {} {day:2} {hour:02}:{minute:02}:{second:02} {year}",
        named(&WEEKDAYS, weekday),
        named(&MONTHS, month - 1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        assert_eq!(stamp(1_795_334_653), "2026-11-22 08:04:13");
        assert_eq!(file_stamp(1_795_334_653), "2026_11_22-08_04_13");
        assert_eq!(http(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(stamp(951_782_400), "2000-02-29 00:00:00");
    }
}
