//! The log on stderr: one line for each message, without secrets.
//!
//! Messages quote what a component, a server or a client sent. So that nothing
//! in them looks like a line of its own, line breaks and other control
//! characters are escaped here, in one place.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::redact;

/// Logs to stderr from now on. Libraries never log more than their warnings:
/// their more detailed messages may hold arguments, and so secrets.
pub(crate) fn init(level: LevelFilter) {
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("rmcp", level.min(LevelFilter::ERROR))
        // It warns of each client that is slow.
        .with_target("hyper::", level.min(LevelFilter::ERROR))
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let format = tracing_subscriber::fmt::layer()
        .with_writer(|| Lines(io::stderr()))
        .with_ansi(false)
        .with_target(false)
        .without_time();
    tracing_subscriber::registry()
        .with(format)
        .with(targets)
        .init();
}

/// Turns each message, which arrives in one write, into one line.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(message);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = escaped(&redact::text(text));
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_secrets() {
        let mut out = Vec::new();
        let message = "WARN refused a\n{\"event\":\"call\"}\u{2028}\u{1b}[2J password=hush\n";
        Lines(&mut out).write_all(message.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "WARN refused a\\n{\"event\":\"call\"}\\u{2028}\\u{1b}[2J password=(hidden)\n"
        );
    }
}
