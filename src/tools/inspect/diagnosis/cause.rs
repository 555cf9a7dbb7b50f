//! Causes, ranked.

use schemars::JsonSchema;
use serde::Serialize;

use crate::json::SerializeFields;

/// Something that explains the trouble.
#[derive(Debug, Clone, PartialEq, SerializeFields, JsonSchema)]
pub(crate) struct Cause {
    pub(super) certainty: Certainty,
    pub(super) cause: String,
    /// What shows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) evidence: Vec<String>,
    /// What to do, and with which tool.
    pub(super) fix: String,
    /// What it is about, if a start's log may be about the same.
    #[serde(skip)]
    pub(super) topic: Option<Topic>,
}

/// What a guest's state, its node and the log of its last start can agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Lock,
    Ha,
    Quorum,
    Template,
    Storage,
    Bridge,
    Memory,
    Processors,
}

/// The surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Certainty {
    Certain,
    Likely,
    Possible,
}

impl Cause {
    pub(crate) fn new(
        certainty: Certainty,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            certainty,
            cause: cause.into(),
            evidence: Vec::new(),
            fix: fix.into(),
            topic: None,
        }
    }

    pub(super) fn certain(cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Certainty::Certain, cause, fix)
    }

    pub(super) fn likely(cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Certainty::Likely, cause, fix)
    }

    pub(super) fn possible(cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Certainty::Possible, cause, fix)
    }

    pub(super) fn about(mut self, topic: Topic) -> Self {
        self.topic = Some(topic);
        self
    }

    /// The same, no surer than this.
    pub(super) fn at_most(mut self, most: Certainty) -> Self {
        self.certainty = self.certainty.max(most);
        self
    }

    pub(super) fn on(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// What it says, for a summary.
    pub(crate) fn says(&self) -> &str {
        &self.cause
    }

    pub(crate) fn certainty(&self) -> Certainty {
        self.certainty
    }
}
