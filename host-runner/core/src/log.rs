//! The log on stderr: one line for each message, without secrets.
//!
//! Messages quote what a component, a server or a client sent. So that nothing
//! in them looks like a line of its own, line breaks and other control
//! characters are escaped here, in one place.

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::json_line;
use crate::redact;

/// What the lines are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Text without a time, which whatever takes stderr adds.
    #[default]
    Text,
    /// A JSON object with `timestamp`, `level`, `target`, `message` and `fields`.
    Json,
}

/// The target of the lines about requests that are refused.
pub(crate) const REFUSALS: &str = concat!(env!("CARGO_CRATE_NAME"), "::refusals");

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Logs to stderr from now on. Libraries never log more than their warnings:
/// their more detailed messages may hold arguments, and so secrets. Without `refusals`,
/// requests that are refused are not logged: whoever makes a call reads of them in its error.
pub(crate) fn init(level: LevelFilter, format: LogFormat, refusals: bool) {
    let _ = FORMAT.set(format);
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("rmcp", level.min(LevelFilter::ERROR))
        // It warns of each client that is slow.
        .with_target("hyper::", level.min(LevelFilter::ERROR))
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_target(
            REFUSALS,
            if refusals {
                level
            } else {
                level.min(LevelFilter::ERROR)
            },
        );
    let text = tracing_subscriber::fmt::layer()
        .with_writer(|| Lines(io::stderr()))
        .with_ansi(false)
        .with_target(false)
        .without_time();
    tracing_subscriber::registry()
        .with((format == LogFormat::Text).then_some(text))
        .with((format == LogFormat::Json).then_some(JsonLines))
        .with(targets)
        .init();
}

/// Says what the operator needs to know whatever the level: `text` as it is, or
/// `message` as one of the log in JSON.
pub(crate) fn say(level: Level, text: &str, message: &str) -> io::Result<()> {
    let mut stderr = io::stderr();
    match FORMAT.get() {
        Some(LogFormat::Json) => {
            let line = Line::new(level, env!("CARGO_CRATE_NAME"), message, Map::new());
            stderr.write_all(&line.encode(SystemTime::now()))
        }
        _ => writeln!(stderr, "{text}"),
    }
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

/// Writes each message as a line of JSON.
struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = Line::new(
            *metadata.level(),
            metadata.target(),
            &fields.message,
            fields.others,
        );
        let _ = io::stderr().write_all(&line.encode(SystemTime::now()));
    }
}

/// A message, without secrets.
#[derive(Serialize)]
struct Line {
    timestamp: String,
    level: &'static str,
    target: String,
    message: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    fields: Value,
}

impl Line {
    fn new(level: Level, target: &str, message: &str, fields: Map<String, Value>) -> Self {
        Self {
            timestamp: String::new(),
            level: level.as_str(),
            target: target.to_owned(),
            message: redact::text(message),
            fields: match fields.is_empty() {
                true => Value::Null,
                false => redact::fields(fields).0,
            },
        }
    }

    fn encode(mut self, now: SystemTime) -> Vec<u8> {
        self.timestamp = json_line::time(now);
        let mut line = json_line::json(&self);
        line.push(b'\n');
        line
    }
}

/// What a message consists of.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.others.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.put(field, value.into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
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
    use serde_json::json;

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

    #[test]
    fn a_message_in_json_is_one_line_without_secrets() {
        let fields = json!({"tool": "a\nb", "password": "hush", "duration_ms": 7,
            "detail": "token=hush"});
        let Value::Object(fields) = fields else {
            panic!("{fields}");
        };
        let message = "refused a\n\u{2028}\u{1b}[2J password=hush";
        let line = Line::new(Level::WARN, "host_runner_core::x", message, fields);
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_763_838_000_123);
        let line = String::from_utf8(line.encode(at)).unwrap();
        assert!(!line.contains("hush"), "{line}");
        let bare = line.strip_suffix('\n').unwrap();
        assert!(!bare.contains(char::is_control), "{line}");
        assert!(!bare.contains('\u{2028}'), "{line}");
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({"timestamp": "2025-11-22T19:00:00.123Z", "level": "WARN",
                "target": "host_runner_core::x",
                "message": "refused a\n\u{2028}\u{1b}[2J password=(hidden)",
                "fields": {"tool": "a\nb", "password": "(hidden)", "duration_ms": 7,
                    "detail": "token=(hidden)"}})
        );
    }
}
