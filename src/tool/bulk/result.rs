//! What a call says of the guests that it was about.

use schemars::JsonSchema;
use serde::Serialize;

use crate::json::SerializeFields;
use crate::pve::{Guest, Vmid};
use crate::text;
use crate::tool::report::{Change, Report, Status};

/// The report on a guest; or on several, with an entry for each.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Reports {
    #[serde(flatten)]
    report: Report,
    /// How many guests are in which state, if several were selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    /// In the order in which they are changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guests: Vec<GuestReport>,
    /// Guests that fit the selection and were left out, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, SerializeFields, JsonSchema)]
pub(super) struct Counts {
    pub(super) total: usize,
    /// With or without warnings.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) done: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) unchanged: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) failed: usize,
    /// Still running, or requested.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) running: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) not_started: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) preview: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What was done to one of several guests.
#[derive(Debug, SerializeFields, JsonSchema)]
pub(super) struct GuestReport {
    pub(super) vmid: Vmid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) node: String,
    pub(super) status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upid: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volid: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl From<Report> for Reports {
    fn from(report: Report) -> Self {
        Self {
            report,
            counts: None,
            guests: Vec::new(),
            left_out: Vec::new(),
        }
    }
}

impl GuestReport {
    pub(super) fn new(guest: &Guest, status: Status) -> Self {
        Self {
            vmid: guest.vmid,
            name: guest.name.clone(),
            node: guest.node.clone(),
            status,
            error: None,
            upid: None,
            changes: Vec::new(),
            volid: None,
            warnings: Vec::new(),
        }
    }

    pub(super) fn of(guest: &Guest, report: &Report) -> Self {
        Self {
            node: report.node.clone().unwrap_or_else(|| guest.node.clone()),
            upid: report.upid.clone(),
            changes: report.changes.clone(),
            volid: report.volid.clone(),
            warnings: report.warnings.clone(),
            ..Self::new(guest, report.status)
        }
    }

    pub(super) fn not_started(guest: &Guest, why: String) -> Self {
        Self {
            warnings: vec![why],
            ..Self::new(guest, Status::NotStarted)
        }
    }

    pub(super) fn failed(guest: &Guest, error: String) -> Self {
        Self {
            error: Some(error),
            ..Self::new(guest, Status::Failed)
        }
    }
}

impl Counts {
    fn of(guests: &[GuestReport]) -> Self {
        let mut counts = Self {
            total: guests.len(),
            ..Self::default()
        };
        for guest in guests {
            let count = match guest.status {
                Status::Done | Status::DoneWithWarnings => &mut counts.done,
                Status::Unchanged => &mut counts.unchanged,
                Status::Failed | Status::PartlyFailed => &mut counts.failed,
                Status::Running | Status::Requested => &mut counts.running,
                Status::NotStarted => &mut counts.not_started,
                Status::Preview => &mut counts.preview,
            };
            *count += 1;
        }
        counts
    }

    /// The status of all guests together.
    fn status(self, guests: &[GuestReport], preview: bool) -> Status {
        let any = |status| guests.iter().any(|guest| guest.status == status);
        if preview {
            Status::Preview
        } else if any(Status::Running) || self.not_started > 0 {
            Status::Running
        } else if self.failed == self.total {
            Status::Failed
        } else if self.failed > 0 {
            Status::PartlyFailed
        } else if self.running > 0 {
            Status::Requested
        } else if self.unchanged == self.total {
            Status::Unchanged
        } else if any(Status::DoneWithWarnings) {
            Status::DoneWithWarnings
        } else {
            Status::Done
        }
    }

    fn words(self) -> String {
        let parts = [
            (self.preview, "would change"),
            (self.done, "done"),
            (self.unchanged, "unchanged"),
            (self.failed, "failed"),
            (self.running, "running"),
            (self.not_started, "not started"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        parts.join(", ")
    }
}

impl Reports {
    /// On several guests. `words` say which: "with tag web".
    pub(super) fn new(
        verb: &str,
        words: &str,
        guests: Vec<GuestReport>,
        left_out: Vec<String>,
        notes: Vec<String>,
        preview: bool,
    ) -> Self {
        let counts = Counts::of(&guests);
        let action = format!("{verb} {}{words}", text::count(guests.len(), "guest"));
        let mut report = Report::done(action);
        report.status = counts.status(&guests, preview);
        report.warnings = notes;
        Self {
            report,
            counts: Some(counts),
            guests,
            left_out,
        }
    }

    pub(super) fn next(mut self, step: Option<String>) -> Self {
        self.report.next_step = step;
        self
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.unwrap_or_default()
    }

    /// The failures, each with its guest; those of the same words together.
    pub(super) fn failures(&self) -> String {
        let mut said: Vec<(String, &str)> = Vec::new();
        for guest in &self.guests {
            let Some(error) = guest.error.as_deref() else {
                continue;
            };
            match said.iter_mut().find(|(_, known)| *known == error) {
                Some((vmids, _)) => vmids.push_str(&format!(", {}", guest.vmid)),
                None => said.push((guest.vmid.to_string(), error)),
            }
        }
        let said = said
            .iter()
            .map(|(vmids, error)| format!("{vmids}: {error}"));
        said.collect::<Vec<_>>().join("; ")
    }

    /// A summary, with what needs attention.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}", self.report.action, self.counts().words());
        if self.report.status == Status::Preview {
            text = format!("preview: {text}; nothing was sent");
        }
        let failures = self.failures();
        if !failures.is_empty() {
            text.push_str(&format!("\nfailed: {failures}"));
        }
        if !self.left_out.is_empty() {
            text.push_str(&format!("\nleft out: {}", self.left_out.join("; ")));
        }
        if let Some(step) = &self.report.next_step {
            text.push_str(&format!("\nnext: {step}"));
        }
        text
    }
}
