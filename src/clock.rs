//! What time it is, and moments as callers give them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::text;

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs())
}

/// Reads the argument of that name as a moment in seconds since 1970: a time, a
/// date (its first second, UTC), Unix seconds, or how long ago.
pub(crate) fn moment(name: &str, text: &str) -> Result<u64> {
    read(text, now(), 0).ok_or_else(|| refused(name, text))
}

/// As [`moment`], but a date means its last second.
pub(crate) fn last_moment(name: &str, text: &str) -> Result<u64> {
    read(text, now(), DAY - 1).ok_or_else(|| refused(name, text))
}

fn refused(name: &str, text: &str) -> Error {
    Error::argument(
        name,
        format!(
            "must be a duration before now (90m, 2h, 3d), a date (2026-11-22), a time \
             (2026-11-22T08:00:00Z) or Unix seconds, not {}",
            text::quoted(text)
        ),
    )
}

/// Seconds.
pub(crate) const DAY: u64 = 86_400;

/// `end` is added to a date without a time of day.
fn read(text: &str, now: u64, end: u64) -> Option<u64> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        return Some(now);
    }
    let ago = text.strip_prefix('-').unwrap_or(text);
    let ago = ago.strip_suffix("ago").unwrap_or(ago).trim();
    if let Ok(ago) = humantime::parse_duration(ago) {
        return Some(now.saturating_sub(ago.as_secs()));
    }
    if text.bytes().all(|digit| digit.is_ascii_digit()) {
        // Nine digits are 1973; fewer are more likely something else.
        return match text.len() {
            9..=11 => text.parse().ok(),
            12..=14 => Some(text.parse::<u64>().ok()? / 1000),
            _ => None,
        };
    }
    let (local, offset) = offset(text);
    let (local, end) = match local.len() {
        10 => (format!("{local}T00:00:00"), end),
        16 => (format!("{local}:00"), 0),
        _ => (local.to_owned(), 0),
    };
    let time = humantime::parse_rfc3339_weak(&local).ok()?;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds + end).checked_add_signed(-offset)
}

/// A time without its offset from UTC, and the offset in seconds: `+02:00`,
/// `+0200`, `+02`; none or `Z` is 0.
fn offset(text: &str) -> (&str, i64) {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    // After the date, whose own dashes are not signs.
    let sign = text
        .char_indices()
        .skip(11)
        .find(|(_, letter)| matches!(letter, '+' | '-'));
    let Some((at, sign)) = sign else {
        return (text, 0);
    };
    let (Some(local), Some(zone)) = (text.get(..at), text.get(at + 1..)) else {
        return (text, 0);
    };
    let digits = zone.replace(':', "");
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let seconds = match digits.len() {
        2 => number(0..2).map(|hours| hours * 3600),
        4 => number(0..2)
            .zip(number(2..4))
            .map(|(hours, minutes)| hours * 3600 + minutes * 60),
        _ => None,
    };
    match seconds {
        Some(seconds) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            let seconds = if sign == '-' { -seconds } else { seconds };
            (local.trim_end(), seconds)
        }
        // What is left does not read as a time.
        _ => (text, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_and_ages() {
        let now = 1_795_338_154;
        assert_eq!(read("2h", now, 0), Some(now - 7200));
        assert_eq!(read("1d 12h", now, 0), Some(now - 129_600));
        assert_eq!(read("2026-11-22T09:02:34Z", now, 0), Some(now));
        assert_eq!(read("2026-11-22 09:02:34", now, 0), Some(now));
        assert_eq!(read("9999999999d", now, 0), Some(0));
        assert_eq!(read("2 hours ago", now, 0), Some(now - 7200));
        assert_eq!(read("-2h", now, 0), Some(now - 7200));
        assert_eq!(read("2026-11-22T11:02:34+02:00", now, 0), Some(now));
        assert_eq!(read("2026-11-22T04:02:34.123-0500", now, 0), Some(now));
        assert_eq!(read("2026-11-22 09:02Z", now, 0), Some(now - 34));
        assert_eq!(read("2026-11-22", now, 0), Some(1_795_305_600));
        assert_eq!(read("2026-11-22", now, DAY - 1), Some(1_795_391_999));
        assert_eq!(read("1795338154", now, 0), Some(now));
        assert_eq!(read("1795338154000", now, 0), Some(now));
        for text in [
            "",
            "yesterday",
            "5",
            "2026-13-22",
            "1969-01-01T00:00:00Z",
            "2026-11-22T09:02:34+2",
        ] {
            assert_eq!(read(text, now, 0), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in any::<String>()) {
            let _ = read(&text, now(), 1);
        }
    }
}
