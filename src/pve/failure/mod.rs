//! How a request to Proxmox fails, on one path: the response is data
//! ([`ErrorResponse`]), a request that failed is a [`Failure`], and `?` explains
//! it as an [`Error`].
//!
//! | file | holds |
//! |---|---|
//! | `response` | an error response, decoded, and what it says about the request |
//! | `held` | what the token may do, which a refusal does not say |
//! | `grant` | a missing privilege as the commands that grant it |
//! | `explain` | an error response as an [`Error`] |

mod explain;
mod grant;
mod held;
mod response;

pub(crate) use held::Held;
pub(super) use response::Asked;
pub(crate) use response::ErrorResponse;

use self::explain::{MAYBE_DONE, explain};
use super::decode::Unreadable;
use crate::error::Error;

/// How a request failed. What there is to say of it is boxed: each `?` moves a
/// failure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// Proxmox answered with an error.
    Api(Box<ErrorResponse>),
    /// No whole answer came.
    Transport(Box<NoAnswer>),
    /// The host, or `host-runner forward`, refused to send such a request: who
    /// refused, and why or what to check.
    Refused(Box<NotSent>),
    /// Nothing was sent because the request itself was wrong.
    Mistaken(Box<NotSent>),
    /// An answer of success came that cannot be read.
    Unreadable(Box<OddAnswer>),
}

/// A request to which no whole answer came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NoAnswer {
    /// What was asked: `GET /nodes`.
    pub(crate) call: String,
    /// Why, and what to do.
    pub(crate) message: String,
    /// Whether the request may have had its effect all the same.
    pub(crate) maybe_done: bool,
    /// Whether Proxmox was just not there, as for the seconds in which its
    /// services are restarted.
    pub(crate) outage: bool,
}

/// A request that was not sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NotSent {
    pub(crate) call: String,
    pub(crate) why: String,
}

/// An answer that cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OddAnswer {
    /// What was asked: `GET /nodes`.
    pub(crate) call: String,
    /// What came instead.
    pub(crate) why: Unreadable,
    /// Whether the request was to change something, which may be done.
    pub(crate) maybe_done: bool,
}

impl Failure {
    /// Whether the same question may be answered in a moment: the services of
    /// Proxmox are restarted for certificates and upgrades.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Api(error) => error.is_outage(),
            Self::Transport(lost) => lost.outage,
            _ => false,
        }
    }

    /// Whether the same request may succeed in a moment, so that a task that is known to
    /// run is still followed: a proxy showed a page, the response had no data, or a node
    /// took too long. A refusal by Proxmox itself is final, and so is an unknown task.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Api(error) => error.foreign.is_some() || !error.is_definite(),
            Self::Transport(_) | Self::Unreadable(_) => true,
            Self::Refused(_) | Self::Mistaken(_) => false,
        }
    }

    /// What the token lacks, in few words: `VM.Audit on /vms/100`. Without a name in
    /// the refusal, what the call needs by the table of calls. Absent of anything
    /// but a refusal by Proxmox.
    pub(crate) fn lacking(&self) -> Option<String> {
        match self {
            Self::Api(error) if error.status == 403 => grant::lacking(error),
            _ => None,
        }
    }

    /// Whether a repetition is pointless because the request is never sent.
    pub(crate) fn was_not_sent(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Mistaken(_))
    }

    /// Whether a change may have been made all the same.
    pub(crate) fn may_be_done(&self) -> bool {
        match self {
            Self::Api(error) => error.maybe_done(),
            Self::Transport(lost) => lost.maybe_done,
            Self::Unreadable(answer) => answer.maybe_done,
            Self::Refused(_) | Self::Mistaken(_) => false,
        }
    }

    /// Whether a request certainly had no effect because it did not arrive.
    pub(super) fn never_arrived(&self) -> bool {
        match self {
            Self::Api(error) => error.never_arrived(),
            Self::Transport(lost) => lost.outage && !lost.maybe_done,
            _ => false,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Api(response) => explain(&response),
            Failure::Transport(lost) => Self::Unreachable(if lost.maybe_done {
                format!("{}: {}{MAYBE_DONE}", lost.call, lost.message)
            } else {
                format!("{}: {}", lost.call, lost.message)
            }),
            Failure::Refused(request) => Self::Denied(format!("{}: {}", request.call, request.why)),
            Failure::Mistaken(request) => {
                Self::Internal(format!("{} was not sent: {}", request.call, request.why))
            }
            Failure::Unreadable(answer) => unreadable(&answer.call, &answer.why, answer.maybe_done),
        }
    }
}

fn unreadable(call: &str, why: &Unreadable, maybe_done: bool) -> Error {
    let message = match why {
        Unreadable::NoData => format!(
            "Proxmox answered {call} without data: a service of the node may have been \
             restarting; try again, and where it stays so look at the node's syslog"
        ),
        Unreadable::NotApi(seen) => format!(
            "{call} was answered by {seen}, not by the API of Proxmox VE: a login page or a proxy \
             in front of it may have answered; check the host, port (8006) and path of PROXMOX_URL"
        ),
        Unreadable::Broken(how) => format!(
            "the answer to {call} cannot be read ({how}): something between here and Proxmox may \
             have damaged it; try again"
        ),
        Unreadable::Shape(wrong) => format!(
            "the answer to {call} cannot be read ({wrong}): this version of Proxmox VE may be one \
             that this server does not know"
        ),
    };
    if maybe_done {
        Error::Unreachable(message + MAYBE_DONE)
    } else {
        Error::Internal(message)
    }
}

#[cfg(test)]
mod tests;
