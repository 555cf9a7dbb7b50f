//! What was checked, for people and for programs.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It is as it should be.
    Ok,
    /// It works, but somebody should know of it.
    Warning,
    /// It does not work.
    Problem,
    /// It could not be checked, because an earlier check failed.
    Skipped,
}

/// Where a problem has to be solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// In the settings, with exit status 2.
    Settings,
    /// On Proxmox VE or on the way to it, with exit status 1.
    Proxmox,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    /// What was checked: `settings`, `tls`, `token`, …
    pub check: &'static str,
    /// The cluster, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    /// The address, for checks of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How it ended.
    pub status: Status,
    /// What was found: the cause first.
    pub summary: String,
    /// More lines for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do, a step in each entry; commands are for a root shell on a node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// The same for programs.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub data: Value,
    #[serde(skip)]
    pub blame: Blame,
}

impl Check {
    pub(super) fn new(check: &'static str, status: Status, summary: impl Into<String>) -> Self {
        Self {
            check,
            cluster: None,
            address: None,
            status,
            summary: summary.into(),
            details: Vec::new(),
            next: Vec::new(),
            data: Value::Null,
            blame: Blame::Proxmox,
        }
    }

    pub(super) fn ok(check: &'static str, summary: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, summary)
    }

    pub(super) fn warning(check: &'static str, summary: impl Into<String>) -> Self {
        Self::new(check, Status::Warning, summary)
    }

    pub(super) fn problem(check: &'static str, summary: impl Into<String>) -> Self {
        Self::new(check, Status::Problem, summary)
    }

    pub(super) fn skipped(check: &'static str, because: &str) -> Self {
        Self::new(check, Status::Skipped, format!("not checked: {because}"))
    }

    /// A problem of the settings.
    pub(super) fn of_settings(mut self) -> Self {
        self.blame = Blame::Settings;
        self
    }

    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        self.next.push(step.into());
        self
    }

    pub(super) fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    pub(super) fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// Whether it has found that something else than Proxmox VE answers.
    pub(super) fn is_of_another_product(&self) -> bool {
        let product = self.data.pointer("/answer/product").and_then(Value::as_str);
        !matches!(product, None | Some("proxmox_ve" | "unknown"))
    }

    pub(super) fn at(mut self, address: &str) -> Self {
        self.address = Some(address.to_owned());
        self
    }
}

/// The exit status of all checks.
pub(super) fn exit_status(checks: &[Check]) -> u8 {
    let problems = checks.iter().filter(|one| one.status == Status::Problem);
    let statuses = problems.map(|one| match one.blame {
        Blame::Settings => 2,
        Blame::Proxmox => 1,
    });
    statuses.max().unwrap_or(0)
}

/// The checks as JSON.
pub(super) fn to_json(checks: &[Check]) -> Value {
    json!({
        "exit_status": exit_status(checks),
        "ok": count(checks, Status::Ok),
        "warnings": count(checks, Status::Warning),
        "problems": count(checks, Status::Problem),
        "skipped": count(checks, Status::Skipped),
        "checks": checks,
    })
}

/// The checks as lines.
pub(super) fn to_text(checks: &[Check]) -> String {
    let mut lines = Vec::new();
    for check in checks {
        let status = match check.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Problem => "problem",
            Status::Skipped => "skipped",
        };
        let places = check.cluster.as_deref().into_iter();
        let place: String = places
            .chain(check.address.as_deref())
            .map(|place| format!(" {place}"))
            .collect();
        let subject = format!("{}{place}", check.check);
        lines.push(format!("{status:8} {subject}: {}", check.summary));
        lines.extend(check.details.iter().map(|line| format!("         {line}")));
        lines.extend(
            check
                .next
                .iter()
                .map(|step| format!("         next: {step}")),
        );
    }
    lines.push(format!(
        "{} ok, warnings: {}, problems: {}, skipped: {}",
        count(checks, Status::Ok),
        count(checks, Status::Warning),
        count(checks, Status::Problem),
        count(checks, Status::Skipped),
    ));
    lines.join("\n")
}

fn count(checks: &[Check], status: Status) -> usize {
    checks.iter().filter(|one| one.status == status).count()
}
