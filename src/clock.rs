//! What time it is, and moments as callers give them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs())
}

/// Reads the argument of that name as a moment in seconds since 1970: a time,
/// or how long ago.
pub(crate) fn moment(name: &str, text: &str) -> Result<u64> {
    read(text, now()).ok_or_else(|| {
        Error::argument(
            name,
            "must be how long ago, such as 90m, 2h or 3d, or a time such as 2026-11-22T08:00:00Z",
        )
    })
}

fn read(text: &str, now: u64) -> Option<u64> {
    let text = text.trim();
    if let Ok(ago) = humantime::parse_duration(text) {
        return Some(now.saturating_sub(ago.as_secs()));
    }
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_and_ages() {
        let now = 1_795_338_154;
        assert_eq!(read("2h", now), Some(now - 7200));
        assert_eq!(read("1d 12h", now), Some(now - 129_600));
        assert_eq!(read("2026-11-22T09:02:34Z", now), Some(now));
        assert_eq!(read("2026-11-22 09:02:34", now), Some(now));
        assert_eq!(read("9999999999d", now), Some(0));
        for text in ["", "yesterday", "2026-11-22", "5", "1969-01-01T00:00:00Z"] {
            assert_eq!(read(text, now), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in any::<String>()) {
            let _ = read(&text, now());
        }
    }
}
