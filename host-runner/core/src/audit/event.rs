//! What the log has of calls and their requests.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::redact::Masked;
use crate::remote::Remote;
use crate::trace::Parent;

/// Names a call in all lines about it, also among those of other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallId {
    pub(super) process: u32,
    pub(super) number: u64,
}

/// A call as it begins.
pub(crate) struct CallStart<'a> {
    /// What the client says that it is.
    pub client_name: Option<&'a str>,
    /// Its version, as it says.
    pub client_version: Option<&'a str>,
    /// Who sent it over HTTP.
    pub remote: Option<&'a Remote>,
    /// The span of the client that the call belongs to.
    pub parent: Option<&'a Parent>,
    pub tool: &'a str,
    pub occasion: Occasion,
    /// Makes its arguments without secrets, if there is a log to write them to.
    pub arguments: &'a (dyn Fn() -> Masked + Sync),
}

/// What a tool is called for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Its client has called it.
    #[default]
    Call,
    /// A resource is read.
    Resource,
    /// The resources are listed.
    Listing,
    /// Values are suggested for an argument.
    Completion,
    /// A resource begins to be watched.
    Subscription,
}

impl Occasion {
    /// The method of MCP that leads to it.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Call => "tools/call",
            Self::Resource => "resources/read",
            Self::Listing => "resources/list",
            Self::Completion => "completion/complete",
            Self::Subscription => "resources/subscribe",
        }
    }

    /// Its name in the log, which says nothing of a plain call.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Call => None,
            Self::Resource => Some("resource"),
            Self::Listing => Some("listing"),
            Self::Completion => Some("completion"),
            Self::Subscription => Some("subscription"),
        }
    }
}

/// A request of a component.
pub(crate) struct AuditedRequest<'a> {
    pub method: &'a str,
    /// Without the query: its parameters are among `params`.
    pub path: &'a str,
    pub params: &'a Masked,
}

/// What became of a request.
pub(crate) struct RequestEnd<'a> {
    /// Whether it was allowed to leave.
    pub allowed: bool,
    /// The rule that allowed or refused it.
    pub rule: Option<&'a str>,
    /// Why it was refused.
    pub reason: Option<&'a str>,
    /// The answer's status, where there was an answer.
    pub status: Option<u16>,
    /// Why there was none.
    pub failure: Option<&'a str>,
    pub duration: Duration,
}

/// What became of a call.
pub(crate) struct CallEnd<'a> {
    pub outcome: CallOutcome<'a>,
    /// The task that it started, if it did.
    pub upid: Option<&'a str>,
    pub duration: Duration,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallOutcome<'a> {
    Ok,
    /// With the kind of the error.
    Error(&'a str),
    /// Its task is still running.
    Running,
    /// The client no longer wanted an answer.
    Cancelled,
}

impl<'a> CallOutcome<'a> {
    /// Its name in the logs, and the kind of its error.
    pub(crate) fn name(self) -> (&'static str, Option<&'a str>) {
        match self {
            Self::Ok => ("ok", None),
            Self::Error(kind) => ("error", Some(kind)),
            Self::Running => ("running", None),
            Self::Cancelled => ("cancelled", None),
        }
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.process, self.number)
    }
}

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
