//! Findings of an audit.

use schemars::JsonSchema;

use crate::json::SerializeFields;
use crate::tools::finding::Severity;

/// A problem of a firewall, or something to know about it.
#[derive(Debug, Clone, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) finding: String,
    /// The position of the rule that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        finding: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            finding: finding.into(),
            position: None,
            fix: Some(fix.into()).filter(|fix| !fix.is_empty()),
        }
    }
}
