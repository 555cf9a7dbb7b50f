//! JSON in one line, for logs: nothing in it acts on whoever reads it.

use std::fmt::Write as _;
use std::io;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// A time in UTC, as RFC 3339 writes it, to the millisecond.
pub(crate) fn time(now: SystemTime) -> String {
    // humantime panics before 1970, which a clock without a battery may show.
    let now = now.max(SystemTime::UNIX_EPOCH);
    let mut text = String::new();
    let _ = write!(text, "{}", humantime::format_rfc3339_millis(now));
    text
}

/// What JSON leaves as it is, but some reader of the log may act on: a
/// terminal's control codes, other ends of lines, changes of direction.
pub(crate) fn is_active(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A value as JSON without spaces and without a newline.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut serializer = Serializer::with_formatter(&mut bytes, Plain);
    // All keys are strings, and writing to a Vec cannot fail.
    let _ = value.serialize(&mut serializer);
    bytes
}

/// JSON without spaces, and without anything that is not to be seen.
struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for part in fragment.split_inclusive(is_active) {
            match part.chars().next_back() {
                Some(last) if is_active(last) => {
                    let plain = part.strip_suffix(last).unwrap_or_default();
                    write!(writer, "{plain}\\u{:04x}", u32::from(last))?;
                }
                _ => writer.write_all(part.as_bytes())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_is_utc_to_the_millisecond() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_763_838_000_123_456);
        assert_eq!(time(at), "2025-11-22T19:00:00.123Z");
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(time(early), "1970-01-01T00:00:00.000Z");
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        let _ = time(late);
    }

    #[test]
    fn nothing_in_a_line_acts_on_its_reader() {
        let text = "a\u{1b}[2J\u{9b}2J\u{2028}b\u{202e}c\n\u{7f}ä";
        let line = String::from_utf8(json(&text)).unwrap();
        assert_eq!(line, r#""a\u001b[2J\u009b2J\u2028b\u202ec\n\u007fä""#,);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
