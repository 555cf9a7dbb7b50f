//! Findings of the tools that look at something as a whole, and what they could
//! not look at.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Error;
use crate::json::SerializeFields;
use crate::pve::{Failure, HaRule, Pve, ha_rules};
use crate::text;

/// Something to know, or to do something about.
#[derive(Debug, Clone, PartialEq, SerializeFields, JsonSchema)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) finding: String,
    /// What it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<String>,
    /// The next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

/// The most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    High,
    Medium,
    Low,
    Info,
}

impl Finding {
    /// A finding; an empty `fix` stands for none.
    pub(crate) fn new(
        severity: Severity,
        finding: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            finding: finding.into(),
            evidence: None,
            fix: Some(fix.into()).filter(|fix| !fix.is_empty()),
        }
    }

    /// The same with what it rests on.
    pub(crate) fn on(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = Some(evidence.into());
        self
    }
}

/// `2 high, 1 medium`, or `no findings`.
pub(crate) fn summary(findings: &[Finding]) -> String {
    let count = |severity, word: &str| {
        let number = findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count();
        (number > 0).then(|| format!("{number} {word}"))
    };
    let parts: Vec<String> = [
        count(Severity::High, "high"),
        count(Severity::Medium, "medium"),
        count(Severity::Low, "low"),
        count(Severity::Info, "info"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        "no findings".to_owned()
    } else {
        parts.join(", ")
    }
}

/// How long the reason is why something could not be looked at.
const REASON_LENGTH: usize = 200;

/// What an answer holds, or else a note in `not_visible` of what could not be
/// looked at and why: a result does without what the token or the policy hides,
/// and says so.
pub(crate) fn visible<T>(
    answer: Result<T, Failure>,
    what: &str,
    not_visible: &mut Vec<String>,
) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(failure) => {
            note_unseen(failure, what, not_visible);
            None
        }
    }
}

/// The rules of high availability, or a note of why they could not be read.
pub(crate) fn visible_ha_rules(
    pve: &Pve,
    what: &str,
    not_visible: &mut Vec<String>,
) -> Vec<HaRule> {
    match ha_rules(pve) {
        // Before Proxmox VE 9.
        Err(Failure::Api(error)) if error.status == 501 => {
            not_visible.push(format!(
                "{what}: this version of Proxmox VE keeps the placement in HA groups, which this tool \
                 does not read: web interface, Datacenter, HA, Groups"
            ));
            Vec::new()
        }
        answer => visible(answer, what, not_visible).unwrap_or_default(),
    }
}

/// Notes what could not be looked at and why.
pub(crate) fn note_unseen(failure: Failure, what: &str, not_visible: &mut Vec<String>) {
    not_visible.push(format!("{what}: {}", reason(failure)));
}

/// Why something could not be looked at, in short. The whole message of an error
/// has commands in it that grant the privilege, too long for a list.
fn reason(failure: Failure) -> String {
    if let Failure::Api(error) = &failure
        && error.status == 403
    {
        return match failure.lacking() {
            Some(lacks) => format!("the token lacks {}", text::cut(&lacks, 80)),
            None => "the token may not read it".to_owned(),
        };
    }
    text::cut(&Error::from(failure).message(), REASON_LENGTH)
}

#[cfg(test)]
mod tests {
    use pve_api::calls;

    use super::*;
    use crate::pve::{At, ErrorResponse, Script};
    use crate::settings::Settings;

    #[test]
    fn a_missing_privilege_is_named_in_few_words() {
        let refused = |message: &str| {
            let request = calls::nodes::UPDATES.at(["pve1"]);
            let error = ErrorResponse::sample(request, 403, message);
            let mut notes = Vec::new();
            let none: Option<()> =
                visible(Err(Failure::Api(Box::new(error))), "updates", &mut notes);
            assert!(none.is_none());
            notes.remove(0)
        };
        assert_eq!(
            refused("Permission check failed (/nodes/pve1, Sys.Modify)"),
            "updates: the token lacks Sys.Modify on /nodes/pve1"
        );
        assert_eq!(
            refused("Permission check failed (/, Sys.Audit|Datastore.Audit)"),
            "updates: the token lacks Sys.Audit on /"
        );
        // Without a name, the call tells.
        assert_eq!(
            refused("Permission check failed"),
            "updates: the token lacks Sys.Modify on /nodes/pve1"
        );
    }

    #[test]
    fn older_versions_keep_the_placement_in_groups() {
        let answer = b"501 Method 'GET /cluster/ha/rules' not implemented\n".to_vec();
        let pve = Pve::scripted(Settings::sample(), Script::new(vec![answer]));
        let mut notes = Vec::new();
        assert!(visible_ha_rules(&pve, "rules", &mut notes).is_empty());
        assert!(notes[0].contains("in HA groups"), "{notes:?}");
    }

    #[test]
    fn counts_by_severity() {
        let finding = |severity| Finding::new(severity, "x", "");
        let all = [
            finding(Severity::High),
            finding(Severity::Low),
            finding(Severity::High),
        ];
        assert_eq!(summary(&all), "2 high, 1 low");
        assert_eq!(summary(&[]), "no findings");
    }
}
