//! What a call comes to: a finished result, or something that is still running.

use serde::Serialize;
use serde_json::Value;

use super::bounds;
use super::page::Part;
use super::report::Report;
use super::room::Room;
use super::ticket::Pending;
use crate::error::{Error, Result};
use crate::json;
use crate::pve::Pve;

/// What a handler answers.
#[derive(Debug)]
pub(crate) enum Reply<T> {
    /// The result, and the same in a few words.
    Done(T, String),
    /// The same of a result with a list, of which it shows a part.
    Listed(T, String, Part),
    /// Something is still running: what to follow, and the result so far, with
    /// the same in a few words.
    Running(Pending, T, String),
}

/// A result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finished {
    /// An object, as JSON.
    pub(crate) structured: String,
    pub(crate) text: String,
}

/// How a call has ended, or what it is waiting for.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done(Finished),
    Running(Running),
}

/// Something that is still running.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pending: Pending,
    pub(crate) message: String,
    /// From 0 to 1, where it is known.
    pub(crate) progress: Option<f32>,
    pub(crate) retry_after_ms: u32,
    /// What to answer a caller who does not wait.
    pub(crate) interim: Finished,
}

impl Finished {
    /// A result as JSON.
    pub(crate) fn new(value: &impl Serialize, text: String) -> Result<Self> {
        Ok(Self::bounded(written(value)?, text, None))
    }

    /// A result that is JSON already, and the part of its list that it shows. What is
    /// longer than the host allows is shortened.
    #[inline(never)]
    pub(super) fn bounded(structured: String, text: String, part: Option<Part>) -> Self {
        let mut result = Self {
            structured,
            text: bounds::words(text),
        };
        let room = Room::of_host();
        if bounds::may_be_long(&result.structured, room)
            && let Ok(mut value) = serde_json::from_str::<Value>(&result.structured)
        {
            let (is_fitted, shortened) = bounds::shorten(&mut value, part, room);
            if is_fitted || shortened.is_some() {
                result.structured = value.to_string();
            }
            if let Some(shortened) = shortened {
                result.note("shortened", &shortened);
            }
        }
        result
    }

    /// Adds what of Proxmox's answers could not be read and is therefore
    /// missing, as `skipped`.
    pub(crate) fn skipping(mut self, pve: &Pve) -> Self {
        if let Some(skipped) = pve.skipped() {
            self.note("skipped", &skipped);
        }
        self
    }

    /// Adds a field and says the same in the text.
    fn note(&mut self, name: &str, note: &str) {
        let Some(fields) = self.structured.strip_suffix('}') else {
            return;
        };
        let comma = if fields == "{" { "" } else { "," };
        self.structured = format!(
            "{fields}{comma}{}:{}}}",
            Value::from(name),
            Value::from(note)
        );
        self.text.push_str(&format!("\n{name}: {note}"));
    }
}

/// A result as JSON.
fn written(value: &impl Serialize) -> Result<String> {
    json::write(value).map_err(unwritten)
}

#[cold]
fn unwritten(error: json::Unwritten) -> Error {
    Error::Internal(format!("a result cannot be written: {error}"))
}

impl Reply<()> {
    /// The same with a result as JSON. Compiled once, unlike `map`.
    #[inline(never)]
    fn with(self, json: Result<String>) -> Result<Reply<String>> {
        let json = json?;
        Ok(self.map(|()| json))
    }
}

impl<T: Serialize> Reply<T> {
    /// The same with the result as JSON.
    pub(super) fn written(self) -> Result<Reply<String>> {
        let (value, more) = match self {
            Self::Done(value, text) => (value, Reply::Done((), text)),
            Self::Listed(value, text, part) => (value, Reply::Listed((), text, part)),
            Self::Running(pending, value, text) => (value, Reply::Running(pending, (), text)),
        };
        more.with(written(&value))
    }
}

impl<T> Reply<T> {
    /// The same with another type of result.
    pub(crate) fn map<U>(self, into: impl FnOnce(T) -> U) -> Reply<U> {
        match self {
            Self::Done(result, text) => Reply::Done(into(result), text),
            Self::Listed(result, text, part) => Reply::Listed(into(result), text, part),
            Self::Running(pending, result, text) => Reply::Running(pending, into(result), text),
        }
    }
}

impl Reply<Report> {
    /// A report of what was done, with its own text.
    pub(crate) fn report(report: Report) -> Self {
        let text = report.text();
        Self::Done(report, text)
    }
}
