//! What a call comes to: a finished result, or something that is still running.

use serde::Serialize;
use serde_json::Value;

use super::bounds;
use super::report::Report;
use super::ticket::Pending;
use crate::error::{Error, Result};
use crate::pve::Pve;

/// What a handler answers.
#[derive(Debug)]
pub(crate) enum Reply<T> {
    /// The result, and the same in a few words.
    Done(T, String),
    /// Something is still running: what to follow, and the result so far, with
    /// the same in a few words.
    Running(Pending, T, String),
}

/// A result, as JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finished {
    pub(crate) structured: Value,
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
        let mut structured = serde_json::to_value(value)
            .map_err(|error| Error::Internal(format!("a result cannot be written: {error}")))?;
        let mut text = bounds::words(text);
        if let Some(shortened) = bounds::shorten(&mut structured)
            && let Value::Object(fields) = &mut structured
        {
            text.push_str("\nshortened: ");
            text.push_str(&shortened);
            fields.insert("shortened".into(), shortened.into());
        }
        Ok(Self { structured, text })
    }

    /// Adds what of Proxmox's answers could not be read and is therefore
    /// missing, as `skipped`.
    pub(crate) fn skipping(mut self, pve: &Pve) -> Self {
        if let (Some(skipped), Value::Object(fields)) = (pve.skipped(), &mut self.structured) {
            self.text.push_str("\nskipped: ");
            self.text.push_str(&skipped);
            fields.insert("skipped".into(), skipped.into());
        }
        self
    }
}

impl Reply<Report> {
    /// A report of what was done, with its own text.
    pub(crate) fn report(report: Report) -> Self {
        let text = report.text();
        Self::Done(report, text)
    }
}
