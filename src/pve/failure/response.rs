//! An error response: what Proxmox, or something in front of it, answered.

use std::collections::BTreeMap;

use serde_json::Value;

use super::held::Held;
use crate::json;
use crate::order::Ordered as _;
use crate::pve::params::Params;
use crate::pve::request::Request;
use crate::pve::transport::{Answer, MESSAGE_LENGTH};
use crate::settings::Route;
use crate::text;

/// An error that was answered, by Proxmox or by something in front of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ErrorResponse {
    /// What was asked, and how.
    pub(crate) asked: Asked,
    /// The HTTP status, PVE's own 595, 596 and 599 included.
    pub(crate) status: u16,
    /// The text, from the body's `message` or the reason phrase; empty where
    /// there is none, or only HTTP's own words for the status.
    pub(crate) message: String,
    /// What is wrong with which parameter.
    pub(crate) errors: BTreeMap<String, String>,
    /// Why the response cannot be Proxmox's own, if so.
    pub(crate) foreign: Option<Foreign>,
    /// What the token may do, where it was asked for and could be read.
    pub(crate) held: Option<Held>,
    /// The version of Proxmox VE that answered, where it was asked for.
    pub(crate) version: Option<String>,
}

/// A response that Proxmox itself never sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// A web page.
    Page,
    /// A request for a user name and a password.
    Login,
    /// A text that is not JSON.
    Text,
}

/// A request, as far as its error response needs it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// The request, without its parameters.
    pub(crate) request: Request,
    /// How a message calls the token in use.
    pub(crate) token: String,
    /// The parameters that were sent; the values of those alone that say what
    /// a call is about.
    pub(crate) sent: Vec<(String, String)>,
    /// How the request was sent.
    pub(crate) route: Route,
}

/// Parameters whose values say what a call is about; none is a secret.
const SUBJECTS: [&str; 4] = ["vmid", "newid", "storage", "pool"];

impl Asked {
    /// What a refusal needs to know of the parameters.
    pub(crate) fn sent(params: &Params) -> Vec<(String, String)> {
        params
            .iter()
            .map(|(name, value)| {
                let shown = SUBJECTS.contains(&name);
                (
                    name.to_owned(),
                    if shown {
                        value.to_owned()
                    } else {
                        String::new()
                    },
                )
            })
            .collect()
    }
}

impl ErrorResponse {
    /// Reads an error response. Older servers give the reason only in the reason phrase,
    /// newer ones also in the body.
    pub(in crate::pve) fn read(asked: Asked, status: u16, answer: &Answer) -> Self {
        let body = json::value(&answer.body);
        let said = body
            .get("message")
            .and_then(Value::as_str)
            .or(answer.reason.as_deref())
            .unwrap_or_default();
        let message = tidy(said, "; ");
        // HTTP's own words say no more than the status.
        let is_empty = CANONICAL
            .iter()
            .any(|words| words.eq_ignore_ascii_case(&message));
        Self {
            asked,
            status,
            message: if is_empty { String::new() } else { message },
            errors: parameter_errors(body.get("errors")),
            foreign: foreign(answer, status),
            held: None,
            version: None,
        }
    }

    /// An error of a guest's agent, which some calls report with status 200.
    pub(crate) fn of_agent(asked: Asked, class: &str, description: &str) -> Self {
        let description = tidy(description, "; ");
        let description = if description.is_empty() {
            class
        } else {
            &description
        };
        Self {
            message: format!("Agent error: {description}"),
            ..Self::of(asked, 500)
        }
    }

    /// An error without any details.
    fn of(asked: Asked, status: u16) -> Self {
        Self {
            asked,
            status,
            message: String::new(),
            errors: BTreeMap::new(),
            foreign: None,
            held: None,
            version: None,
        }
    }

    /// An error for tests, without parameters or a token.
    #[cfg(test)]
    pub(crate) fn sample(request: Request, status: u16, message: &str) -> Self {
        let asked = Asked {
            request,
            token: String::new(),
            sent: Vec::new(),
            route: Route::default(),
        };
        Self {
            message: message.to_owned(),
            ..Self::of(asked, status)
        }
    }

    /// Whether the message contains some words, in any case.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.message
            .to_ascii_lowercase()
            .contains(&text.to_ascii_lowercase())
    }

    /// Whether the node has no guest of this vmid and kind: it never had, or
    /// the guest moved away.
    pub(crate) fn is_missing_guest(&self) -> bool {
        self.says("configuration file 'nodes/") && self.says("does not exist")
    }

    /// Whether a node did not answer the node that was asked.
    pub(crate) fn is_node_away(&self) -> bool {
        match self.status {
            595 | 599 => true,
            596 => !self.says("broken pipe"),
            _ => self.says("hostname lookup '"),
        }
    }

    /// Whether a service was unavailable, as during the seconds of a restart.
    pub(super) fn is_outage(&self) -> bool {
        match self.status {
            502 | 503 => true,
            595 => self.says("connection refused"),
            _ => false,
        }
    }

    /// Whether Proxmox itself has decided, so that a repetition would have the same
    /// response.
    pub(super) fn is_definite(&self) -> bool {
        matches!(self.status, 300..=499 | 501 | 506)
            || !self.errors.is_empty()
            || self.says("hostname lookup '")
            || self.says("no such cluster node")
    }

    /// Whether a change certainly did not start: the service that makes it could not be
    /// reached.
    pub(super) fn never_arrived(&self) -> bool {
        self.status == 595 && self.says("connection refused")
    }

    /// Whether what answered is likely not Proxmox's API.
    pub(super) fn is_not_the_api(&self) -> bool {
        self.foreign.is_some() || matches!(self.status, 300..=399 | 404)
    }

    /// Whether a change may have been made in spite of this response.
    pub(super) fn maybe_done(&self) -> bool {
        if !self.asked.request.writes() {
            return false;
        }
        // A change that could not get its lock in time has not started.
        let ran_out = self.status == 500 && self.says("got timeout") && !self.says("lock");
        // The node that was asked did not trust the other one, and sent nothing.
        let untrusted = self.status == 596 && self.says("certificate");
        ran_out || (!untrusted && matches!(self.status, 502..=504 | 596 | 599))
    }
}

/// What HTTP calls its statuses.
const CANONICAL: [&str; 9] = [
    "Bad Request",
    "Unauthorized",
    "Forbidden",
    "Not Found",
    "Internal Server Error",
    "Not Implemented",
    "Bad Gateway",
    "Service Unavailable",
    "Gateway Timeout",
];

fn foreign(answer: &Answer, status: u16) -> Option<Foreign> {
    if answer.authenticate.is_some() {
        return Some(Foreign::Login);
    }
    let is_page = answer
        .content_type
        .as_deref()
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
        || answer.body.trim_ascii_start().starts_with(b"<");
    if is_page {
        return Some(Foreign::Page);
    }
    // A refusal by Proxmox has JSON, or nothing at all.
    let body = answer.body.trim_ascii();
    let is_text = matches!(status, 401 | 403)
        && !body.is_empty()
        && serde_json::from_str::<serde::de::IgnoredAny>(&String::from_utf8_lossy(body)).is_err();
    is_text.then_some(Foreign::Text)
}

fn parameter_errors(errors: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => tidy(text, ": "),
        other => other.to_string(),
    };
    match errors {
        Some(Value::Object(errors)) => errors
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .ordered(),
        None | Some(Value::Null) => BTreeMap::new(),
        Some(other) => BTreeMap::from([("the request".to_owned(), text(other))]),
    }
}

/// A message on one line, without the places in Proxmox's sources that it may
/// name: ` at /usr/share/perl5/PVE/Storage.pm line 651.`
fn tidy(message: &str, between: &str) -> String {
    let lines: Vec<&str> = message
        .lines()
        .map(|line| {
            let end = line.find(" at /usr/share/perl").unwrap_or(line.len());
            line.get(..end).unwrap_or(line).trim()
        })
        .filter(|line| !line.is_empty())
        .collect();
    text::cut(&lines.join(between), MESSAGE_LENGTH)
}
