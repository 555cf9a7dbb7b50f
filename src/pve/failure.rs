//! How a request to Proxmox fails, and what a message says about it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::decode::Unreadable;
use super::grant;
use super::params::Params;
use super::transport::{Answer, MESSAGE_LENGTH};
use crate::error::{Error, Problem};
use crate::settings::Route;
use crate::text;
use crate::tool_names;

/// How a request failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// Proxmox answered with an error.
    Api(Box<ApiError>),
    /// No whole answer came.
    Transport {
        /// What was asked: `GET /nodes`.
        call: String,
        /// Why, and what to do.
        message: String,
        /// Whether the request may have had its effect all the same.
        maybe_done: bool,
        /// Whether Proxmox was just not there, as for the seconds in which its
        /// services are restarted.
        outage: bool,
    },
    /// The host, or `host-runner forward`, refused to send such a request.
    Refused {
        call: String,
        /// Who refused, and why or what to check.
        reason: String,
    },
    /// Nothing was sent, since the request itself was a mistake.
    Mistaken { call: String, mistake: String },
    /// An answer of success came that cannot be read.
    Unreadable {
        /// What was asked: `GET /nodes`.
        call: String,
        /// What came instead.
        why: Unreadable,
        /// Whether the request was to change something, which may be done.
        maybe_done: bool,
    },
}

impl Failure {
    /// Whether the same question may be answered in a moment: the services of
    /// Proxmox are restarted for certificates and upgrades.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Api(error) => error.is_outage(),
            Self::Transport { outage, .. } => *outage,
            _ => false,
        }
    }

    /// Whether a look at a task that is known to run says nothing of it: the
    /// same look may succeed in a moment. A proxy that shows a page, an answer
    /// without data and a node that took too long are such; that Proxmox
    /// itself refuses, or knows no such task, is an answer.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Api(error) => error.foreign.is_some() || !error.is_definite(),
            Self::Transport { .. } | Self::Unreadable { .. } => true,
            Self::Refused { .. } | Self::Mistaken { .. } => false,
        }
    }

    /// Whether asking again is pointless, as the request is never sent.
    pub(crate) fn was_not_sent(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Mistaken { .. })
    }

    /// Whether a request certainly had no effect, as it did not arrive.
    pub(super) fn never_arrived(&self) -> bool {
        match self {
            Self::Api(error) => error.never_arrived(),
            Self::Transport {
                maybe_done, outage, ..
            } => *outage && !*maybe_done,
            _ => false,
        }
    }
}

/// An error that was answered, by Proxmox or by something in front of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ApiError {
    /// What was asked: `GET /nodes`.
    pub(crate) call: String,
    /// The node that had to answer.
    pub(crate) node: Option<String>,
    /// The HTTP status, PVE's own 595, 596 and 599 included.
    pub(crate) status: u16,
    /// The text, from the body's `message` or the reason phrase; empty where
    /// there is none, or only HTTP's own words for the status.
    pub(crate) message: String,
    /// What is wrong with which parameter.
    pub(crate) errors: BTreeMap<String, String>,
    /// How a message calls the token in use.
    pub(crate) token: String,
    /// What shows that something in front of Proxmox answered.
    pub(crate) foreign: Option<Foreign>,
    /// The parameters that were sent; the values of those alone that say what
    /// a call is about.
    pub(crate) sent: Vec<(String, String)>,
    /// What the token may do, where it was asked for and could be read.
    pub(crate) held: Option<Held>,
    /// The version of Proxmox VE that answered, where it was asked for.
    pub(crate) version: Option<String>,
    /// How the request was sent.
    pub(crate) route: Route,
}

/// What a token may do: by path, the names of the privileges, and whether each
/// holds below the path as well. `/access/permissions` lists the paths that have
/// entries of their own.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Held(BTreeMap<String, BTreeMap<String, bool>>);

impl Held {
    pub(super) fn read(paths: &serde_json::Map<String, Value>) -> Self {
        let held = |privileges: &Value| {
            let privileges = privileges.as_object().into_iter().flatten();
            privileges
                .map(|(privilege, passed_on)| (privilege.clone(), passed_on.as_u64() != Some(0)))
                .collect()
        };
        Self(
            paths
                .iter()
                .map(|(path, privileges)| (path.clone(), held(privileges)))
                .collect(),
        )
    }

    /// What the token may do on a path: by the entries of the path, or else by
    /// those of the nearest path above it that has any.
    pub(super) fn on(&self, path: &str) -> Vec<&str> {
        let mut above = path;
        loop {
            if let Some(held) = self.0.get(above) {
                return held
                    .iter()
                    .filter(|(_, passed_on)| above == path || **passed_on)
                    .map(|(privilege, _)| privilege.as_str())
                    .collect();
            }
            above = match above.rsplit_once('/') {
                Some(("", _)) if above != "/" => "/",
                Some((above, _)) if !above.is_empty() => above,
                _ => return Vec::new(),
            };
        }
    }
}

/// What Proxmox itself never answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// A web page.
    Page,
    /// A demand for a user and a password.
    Login,
    /// A text that is not JSON.
    Text,
}

/// What was asked, for the error that it was answered with.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) call: String,
    pub(super) node: Option<String>,
    pub(super) token: String,
    pub(super) sent: Vec<(String, String)>,
    pub(super) route: Route,
}

/// Parameters whose values say what a call is about; none is a secret.
const SUBJECTS: [&str; 3] = ["vmid", "newid", "storage"];

impl Asked {
    /// What a refusal needs to know of the parameters.
    pub(super) fn sent(params: &Params) -> Vec<(String, String)> {
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

impl ApiError {
    /// Reads an error answer. Older servers tell the reason in the reason
    /// phrase alone, newer ones in the body too.
    pub(super) fn read(asked: Asked, status: u16, answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
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
            call: asked.call,
            node: asked.node,
            status,
            message: if is_empty { String::new() } else { message },
            errors: parameter_errors(body.get("errors")),
            token: asked.token,
            foreign: foreign(answer, status),
            sent: asked.sent,
            held: None,
            version: None,
            route: asked.route,
        }
    }

    /// What Proxmox says of an error of a guest's agent, which some calls
    /// answer with status 200.
    pub(super) fn of_agent(asked: Asked, class: &str, description: &str) -> Self {
        let description = tidy(description, "; ");
        let description = if description.is_empty() {
            class
        } else {
            &description
        };
        Self {
            message: format!("Agent error: {description}"),
            call: asked.call,
            node: asked.node,
            token: asked.token,
            sent: asked.sent,
            status: 500,
            ..Self::default()
        }
    }

    /// Whether the message holds a text, whatever its case.
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

    /// Whether a service was just not there, as for the seconds in which it is
    /// restarted.
    pub(super) fn is_outage(&self) -> bool {
        match self.status {
            502 | 503 => true,
            595 => self.says("connection refused"),
            _ => false,
        }
    }

    /// Whether Proxmox itself has decided, so that the same request is answered
    /// in the same way.
    fn is_definite(&self) -> bool {
        matches!(self.status, 300..=499 | 501 | 506)
            || !self.errors.is_empty()
            || self.says("hostname lookup '")
            || self.says("no such cluster node")
    }

    /// Whether a change was certainly not even begun: the service that makes
    /// it could not be reached.
    pub(super) fn never_arrived(&self) -> bool {
        self.status == 595 && self.says("connection refused")
    }

    /// Whether what answered is likely not Proxmox's API.
    fn is_not_the_api(&self) -> bool {
        self.foreign.is_some() || matches!(self.status, 300..=399 | 404)
    }

    /// Whether the call asks a guest's agent.
    fn asks_agent(&self) -> bool {
        self.call.contains("/agent/")
    }

    /// Whether a change may have been made although this was the answer.
    fn maybe_done(&self) -> bool {
        if self.call.starts_with("GET ") {
            return false;
        }
        // A lock that was not had in time is a change that was not begun.
        let ran_out = self.status == 500 && self.says("got timeout") && !self.says("lock");
        // The node that was asked did not trust the other one, and sent nothing.
        let untrusted = self.status == 596 && self.says("certificate");
        ran_out || (!untrusted && matches!(self.status, 502..=504 | 596 | 599))
    }

    fn into_error(self) -> Error {
        let after = if self.maybe_done() { MAYBE_DONE } else { "" };
        let may_be_another = self.is_not_the_api() && self.route == Route::Forward;
        let forward = if may_be_another { NOT_FORWARD } else { "" };
        let is_missing_guest = self.is_missing_guest();
        match self.explain() {
            Error::NotFound(message) if is_missing_guest => Error::GuestMoved(message),
            Error::Unreachable(message) => Error::Unreachable(message + forward + after),
            Error::Internal(message) => Error::Internal(message + after),
            other => other,
        }
    }

    fn explain(self) -> Error {
        let Self {
            call,
            status,
            message,
            errors,
            token,
            ..
        } = &self;
        let said = lower(message);
        if let Some(foreign) = self.foreign {
            return self.explain_foreign(foreign, &said);
        }
        match status {
            401 if self.says("no ticket") => Error::Unauthorized(format!(
                "Proxmox got no token ({said}): PROXMOX_TOKEN_ID or PROXMOX_TOKEN_SECRET may be \
                 malformed, or a proxy in front of Proxmox took the Authorization header away"
            )),
            401 if message.is_empty() => Error::Unauthorized(format!(
                "{call} was refused with status 401 and without a reason: where Proxmox itself \
                 answered, it did not accept the token {token}, so check PROXMOX_TOKEN_ID and \
                 PROXMOX_TOKEN_SECRET, and that neither the token nor its user is expired, disabled \
                 or removed; a proxy in front of Proxmox may have answered, or have dropped the \
                 reason: PROXMOX_URL with Proxmox's own address, port 8006, shows which"
            )),
            401 => Error::Unauthorized(format!(
                "Proxmox did not accept the token {token} ({said}): check PROXMOX_TOKEN_ID and \
                 PROXMOX_TOKEN_SECRET, and that neither the token nor its user is expired, \
                 disabled or removed"
            )),
            403 if self.says("' does not exist") => Error::NotFound(said),
            403 if message.is_empty() => Error::Denied(format!(
                "{call} was refused with status 403 and without a reason: a proxy or firewall in \
                 front of Proxmox may have answered, or have dropped the reason, and PROXMOX_URL with \
                 Proxmox's own address, port 8006, shows which; where Proxmox itself answered, {}",
                grant::denied(&self, &said)
            )),
            403 => Error::Denied(grant::denied(&self, &said)),
            300..=399 => Error::Unreachable(format!(
                "{call} was answered with a redirect, which is never followed: set PROXMOX_URL to \
                 the address of Proxmox itself, https and port 8006 included"
            )),
            500 | 501 if is_base_path(message) => Error::Unreachable(format!(
                "{call} did not reach the API ({said}): the path of PROXMOX_URL is not where the \
                 API is, or a proxy in front of Proxmox adds or removes a part of the path; the \
                 API has to be at /api2/json below PROXMOX_URL"
            )),
            501 => Error::Internal(self.explain_unknown_call(&said)),
            506 | 415 => Error::Internal(format!(
                "Proxmox did not accept the form of {call} ({said}): a proxy in front of it may \
                 have changed the Content-Type header"
            )),
            413 | 414 | 431 => Error::Internal(format!(
                "{call} is too large for Proxmox or a proxy in front of it (status {status}): \
                 send less at once"
            )),
            429 => Error::Unreachable(format!(
                "a proxy in front of Proxmox refused {call} because of too many requests: try \
                 again later"
            )),
            // The API never answers 404.
            404 => Error::Unreachable(format!(
                "{call} was answered with status 404 ({said}): what answers at PROXMOX_URL is not \
                 the API of Proxmox VE; check its host, port (8006) and path"
            )),
            _ if self.is_node_away() || *status == 596 => self.explain_node(&said),
            502..=504 => Error::Unreachable(format!(
                "{call} was answered with status {status} ({said}): the proxy in front of Proxmox \
                 does not reach it, or pveproxy is restarting; try again later"
            )),
            _ if !errors.is_empty() => Error::InvalidArguments(
                errors
                    .iter()
                    .map(|(name, text)| Problem {
                        pointer: String::new(),
                        message: format!("Proxmox refused {name}: {}", lower(text)),
                    })
                    .collect(),
            ),
            _ if message.is_empty() => self.explain_silence(),
            _ if self.says("only root") => Error::Denied(grant::denied(&self, &said)),
            _ if self.says("is locked") => Error::Conflict(format!(
                "{said}: another task holds the guest, or left its lock behind; wait for the \
                 task, and where none is running, unlock it on the node with qm unlock or pct unlock"
            )),
            // "can't lock file '/var/lock/…' - got timeout".
            _ if self.says("can't lock file") || self.says("can't get lock") => {
                Error::Conflict(format!(
                    "{said}: another task holds the lock, and nothing was started; try again in a \
                     moment"
                ))
            }
            _ if self.says("unable to get any free vmid") => Error::Conflict(format!(
                "{said}: give a vmid that is free, or widen the range under Datacenter, Options, Next \
                 Free VMID Range"
            )),
            _ if self.says("can't take snapshot") || self.says("snapshot feature is not") => {
                Error::Conflict(format!(
                    "{said}: nothing was changed; the storage or the format of one of its disks \
                     has no snapshots, or the guest's current state allows none: {} shows its \
                     disks",
                    tool_names::GET_GUEST
                ))
            }
            _ if self.says("storage '") && self.says("is not online") => Error::Conflict(format!(
                "{said}: the server of this storage is off or out of reach from the node; {} shows \
                 its state, and the call can be repeated once it is back",
                tool_names::LIST_STORAGE
            )),
            // "file changed by other user", "file change by other user".
            _ if self.says("by other user") => Error::Conflict(
                "the configuration was changed by someone else in the meantime: nothing was \
                 written; look at it again and repeat the call"
                    .into(),
            ),
            _ if self.says("rrd error") || self.says("rrdcached") => Error::Internal(format!(
                "the node's load database (RRD) is at fault, not this call ({said}): restart \
                 rrdcached and pvestatd on the node; if a file stays broken, move it away, and \
                 pvestatd creates a new one"
            )),
            _ if self.says("agent error:") => Error::Conflict(explain_agent(&said)),
            _ if self.says("does not exist") || self.says("no such") => Error::NotFound(said),
            _ if self.says("already exists")
                || self.says("not running")
                || self.says("already running") =>
            {
                Error::Conflict(said)
            }
            _ => Error::Internal(format!(
                "Proxmox answered {call} with status {status}: {said}"
            )),
        }
    }

    /// What something in front of Proxmox answered.
    fn explain_foreign(&self, foreign: Foreign, said: &str) -> Error {
        let (call, status) = (&self.call, self.status);
        let how = match foreign {
            Foreign::Page => "it is a web page",
            Foreign::Login => "it asks for a login of its own",
            Foreign::Text => "it is a text that is not JSON",
        };
        match status {
            401 => Error::Unauthorized(format!(
                "{call} was refused with status 401 by something in front of Proxmox ({how}), so \
                 checking the token alone does not help: let the proxy pass requests to \
                 /api2/json, Authorization header included, or set PROXMOX_URL to Proxmox itself, \
                 port 8006"
            )),
            403 => Error::Denied(format!(
                "{call} was refused with status 403 by something in front of Proxmox ({how}), so \
                 the token's rights do not matter: let the proxy or firewall pass requests to \
                 /api2/json, or set PROXMOX_URL to Proxmox itself, port 8006"
            )),
            300..=399 => Error::Unreachable(format!(
                "{call} was answered with a redirect, which is never followed: set PROXMOX_URL to \
                 the address of Proxmox itself, https and port 8006 included"
            )),
            502..=504 => Error::Unreachable(format!(
                "{call} was answered with status {status} ({said}): the proxy in front of Proxmox \
                 does not reach it, or pveproxy is restarting; try again later"
            )),
            _ => Error::Unreachable(format!(
                "{call} was answered with status {status} ({said}) by something in front of \
                 Proxmox ({how}), not by its API: check the host, port (8006) and path of \
                 PROXMOX_URL, and what the proxy does with /api2/json"
            )),
        }
    }

    fn explain_unknown_call(&self, said: &str) -> String {
        let call = &self.call;
        let here = self.version.as_ref().map_or_else(
            || "this Proxmox VE".into(),
            |version| format!("Proxmox VE {version}, which answered,"),
        );
        match since(call) {
            Some(since) => format!(
                "{here} does not know {call} ({said}): this call came with Proxmox VE {since}; \
                 upgrade the node"
            ),
            None => format!(
                "{here} does not know {call} ({said}): the call may be newer than it; upgrade the \
                 node, since this server is made for Proxmox VE 8 and 9"
            ),
        }
    }

    fn explain_node(&self, said: &str) -> Error {
        let name = self.node.as_deref().unwrap_or("in question");
        if self.says("hostname lookup '") || self.says("no such cluster node") {
            return Error::NotFound(format!(
                "there is no node {name} ({said}): names have to be exact, and case matters; {} \
                 shows them",
                tool_names::LIST_NODES
            ));
        }
        if self.says("broken pipe") && self.asks_agent() {
            return Error::Conflict(format!(
                "the service on node {name} closed the connection ({said}), which is what Proxmox \
                 does if the guest's agent cannot start a program: give its full path, and see \
                 that it is there and executable"
            ));
        }
        Error::Unreachable(if self.says("certificate") {
            format!(
                "the node that was asked does not trust node {name} ({said}): its name has to be \
                 exact (case matters), and its certificate valid; on {name}, pvecm updatecerts \
                 makes it anew"
            )
        } else if self.says("broken pipe") {
            format!(
                "the service on node {name} closed the connection before it answered {} ({said}): \
                 look at the node's syslog",
                self.call
            )
        } else if self.says("connection refused") {
            format!(
                "the API service of node {name} refused the connection ({said}): pveproxy or \
                 pvedaemon is stopped or restarting there; try again, and look at the node's \
                 services"
            )
        } else if self.says("timed out") || self.says("timeout") {
            format!(
                "node {name} did not answer in time ({said}): it is offline, cut off or \
                 overloaded; look at the cluster's status"
            )
        } else {
            format!(
                "node {name} did not answer the node that was asked ({said}): it is offline or \
                 cut off; look at the cluster's status"
            )
        })
    }

    /// An error without a reason. Before Proxmox VE 8.4 it is in the reason
    /// phrase alone, which HTTP/2 does not have and a proxy may drop.
    fn explain_silence(&self) -> Error {
        let (call, status) = (&self.call, self.status);
        let lost = "Proxmox gave no reason: a proxy in front of it may have dropped the reason \
                    phrase, where versions before 8.4 put it";
        if self.asks_agent() {
            return Error::Conflict(format!(
                "{call} was answered with status {status}, and {lost}; likely the guest is not \
                 running, its QEMU guest agent is not installed or not started in the guest, or \
                 it is switched off in the guest's options"
            ));
        }
        Error::Internal(format!(
            "{call} was answered with status {status}, and {lost}; ask Proxmox directly, port \
             8006, or look at the node's syslog"
        ))
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

/// What a message says about a change that may have been made.
const MAYBE_DONE: &str = "; the change may have happened all the same: look at the task list and \
                          at the guest before you repeat it";

/// What a message says where another server than `host-runner forward` may have
/// answered.
const NOT_FORWARD: &str = "; PROXMOX_URL has http://, so `host-runner forward` should answer: check \
                           that this is the PROXMOX_URL that it printed";

/// The first version of Proxmox VE that knows a call, where that is a version
/// that may still be in use.
fn since(call: &str) -> Option<&'static str> {
    let (method, path) = call.split_once(' ')?;
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match (method, segments.as_slice()) {
        ("GET", ["nodes", _, "lxc", _, "interfaces"]) => Some("8.1"),
        ("GET", ["nodes", _, "query-url-metadata"])
        | ("POST", ["nodes", _, "storage", _, "download-url"]) => Some("7.0"),
        (_, ["cluster", "ha", "rules", ..]) => Some("9.0"),
        _ => None,
    }
}

/// Whether a message is what pveproxy answers outside of `/api2/json`.
fn is_base_path(message: &str) -> bool {
    message.starts_with("no such file '")
        || message.starts_with("no such uri")
        || message.starts_with("no formatter")
}

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
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err();
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
            .collect(),
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

/// What a guest's agent refused, without a guest's name at hand.
fn explain_agent(said: &str) -> String {
    let lowered = said.to_ascii_lowercase();
    if lowered.contains("has been disabled") {
        format!(
            "the guest's QEMU guest agent forbids this command ({said}): allow it in the agent's \
             own configuration in the guest, and restart the agent"
        )
    } else if lowered.contains("has not been found") || lowered.contains("not currently supported")
    {
        format!(
            "the guest's QEMU guest agent does not have this command ({said}): update \
             qemu-guest-agent in the guest"
        )
    } else {
        format!("the guest's QEMU guest agent refused ({said})")
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Api(error) => error.into_error(),
            Failure::Transport {
                call,
                message,
                maybe_done,
                ..
            } => Self::Unreachable(if maybe_done {
                format!("{call}: {message}{MAYBE_DONE}")
            } else {
                format!("{call}: {message}")
            }),
            Failure::Refused { call, reason } => Self::Denied(format!("{call}: {reason}")),
            Failure::Mistaken { call, mistake } => {
                Self::Internal(format!("{call} was not sent: {mistake}"))
            }
            Failure::Unreadable {
                call,
                why,
                maybe_done,
            } => unreadable(&call, &why, maybe_done),
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

/// Messages are lowercase and end without a period; names keep their case.
fn lower(message: &str) -> String {
    let message = message.trim().trim_end_matches(['.', '!']);
    if message.is_empty() {
        return "no reason given".into();
    }
    let first_word_is_name = message
        .split_whitespace()
        .next()
        .is_some_and(|word| word.chars().skip(1).any(|c| c.is_uppercase() || c == '/'));
    if first_word_is_name {
        return message.to_owned();
    }
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, reason: &str, body: &str) -> ApiError {
        let asked = Asked {
            call: "GET /x".into(),
            node: Some("pve2".into()),
            token: "root@pam!mcp".into(),
            ..Asked::default()
        };
        let answer = Answer {
            status,
            reason: Some(reason.into()),
            body: body.into(),
            ..Answer::default()
        };
        ApiError::read(asked, status, &answer)
    }

    fn error(status: u16, reason: &str, body: &str) -> Error {
        Failure::Api(Box::new(read(status, reason, body))).into()
    }

    #[test]
    fn what_answers_in_front_of_proxmox_is_named() {
        let page = "<html><title>401</title></html>";
        for (status, says) in [
            (401, "checking the token alone does not help"),
            (403, "the token's rights do not matter"),
            (500, "not by its API"),
            (502, "does not reach it"),
        ] {
            let message = error(status, "", page).message();
            assert!(message.contains(says), "{message}");
            assert!(!message.contains('<'), "{message}");
        }
        let mut answer = Answer {
            status: 401,
            authenticate: Some("Basic realm=\"x\"".into()),
            ..Answer::default()
        };
        let asked = Asked::default;
        let read = ApiError::read(asked(), 401, &answer);
        assert_eq!(read.foreign, Some(Foreign::Login));
        answer.authenticate = None;
        answer.body = "error code: 1020".into();
        let read = ApiError::read(asked(), 403, &answer);
        assert_eq!(read.foreign, Some(Foreign::Text));
        assert_eq!(ApiError::read(asked(), 500, &answer).foreign, None);
        answer.content_type = Some("text/html; charset=utf-8".into());
        assert_eq!(
            ApiError::read(asked(), 401, &answer).foreign,
            Some(Foreign::Page)
        );
    }

    #[test]
    fn another_server_at_the_address_of_the_forwarder_is_suspected() {
        let message = |route, status| {
            let mut answered = read(status, "Not Found", "<html>");
            answered.route = route;
            Error::from(Failure::Api(Box::new(answered))).message()
        };
        for status in [200, 404, 302] {
            let text = message(Route::Forward, status);
            assert!(text.contains("PROXMOX_URL that it printed"), "{text}");
            assert!(!message(Route::Direct, status).contains("forward"));
        }
    }

    #[test]
    fn a_wrong_base_path_is_named() {
        for (status, reason) in [
            (500, "no such file '/nodes'"),
            (501, "no such uri"),
            (501, "no formatter for uri /nodes, v2"),
        ] {
            let message = error(status, reason, "").message();
            assert!(message.contains("the path of PROXMOX_URL"), "{message}");
        }
        assert!(matches!(
            error(500, "unable to open '/a' - No such file or directory", ""),
            Error::NotFound(_)
        ));
    }

    #[test]
    fn a_change_that_took_too_long_may_be_made() {
        let post = |reason: &str| {
            let mut error = read(500, reason, "");
            error.call = "POST /nodes/pve1/qemu/100/config".into();
            Error::from(Failure::Api(Box::new(error))).message()
        };
        assert!(post("got timeout").contains("may have happened"));
        assert!(post("can't lock file '/var/lock/x' - got timeout").contains("in a moment"));
        let reached = |reason: &str| {
            let mut error = read(596, reason, "");
            error.call = "POST /nodes/pve2/qemu/100/status/start".into();
            Error::from(Failure::Api(Box::new(error))).message()
        };
        assert!(reached("Connection timed out").contains("may have happened"));
        assert!(!reached("certificate verify failed").contains("may have happened"));
        assert!(!post("can't lock file '/var/lock/x' - got timeout").contains("may have happened"));
    }

    #[test]
    fn a_reason_that_was_lost_is_said_to_be() {
        let message = error(500, "Internal Server Error", "{\"data\":null}").message();
        assert!(message.contains("may have dropped the reason"), "{message}");
        let mut agent = read(500, "Internal Server Error", "");
        agent.call = "GET /nodes/pve1/qemu/100/agent/get-osinfo".into();
        assert!(
            matches!(Failure::Api(Box::new(agent)).into(), Error::Conflict(m) if m.contains("agent is not installed"))
        );
    }

    #[test]
    fn a_call_that_is_newer_than_the_node_names_both_versions() {
        let mut newer = read(
            501,
            "Method 'GET /nodes/pve1/lxc/9/interfaces' not implemented",
            "",
        );
        newer.call = "GET /nodes/pve1/lxc/9/interfaces".into();
        newer.version = Some("8.0.4".into());
        let message = Error::from(Failure::Api(Box::new(newer))).message();
        assert!(
            message.contains("Proxmox VE 8.0.4, which answered"),
            "{message}"
        );
        assert!(message.contains("came with Proxmox VE 8.1"), "{message}");
    }

    #[test]
    fn nodes_are_named_by_what_happened() {
        for (status, reason, says) in [
            (596, "no such cluster node 'PVE2'", "there is no node pve2"),
            (
                500,
                "hostname lookup 'pve2' failed - x",
                "there is no node pve2",
            ),
            (
                596,
                "error:0A000086:SSL routines::certificate verify failed",
                "does not trust",
            ),
            (595, "Connection refused", "stopped or restarting"),
            (596, "Connection timed out", "did not answer in time"),
            (596, "Broken pipe", "closed the connection"),
        ] {
            let message = error(status, reason, "").message();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn what_the_token_holds_is_inherited() {
        let paths = serde_json::json!({
            "/": {"Sys.Audit": 1},
            "/vms": {"VM.Audit": 1, "VM.Console": 0},
        });
        let Value::Object(paths) = paths else {
            panic!("not an object")
        };
        let held = Held::read(&paths);
        assert_eq!(held.on("/vms/100"), ["VM.Audit"]);
        assert_eq!(held.on("/vms"), ["VM.Audit", "VM.Console"]);
        assert_eq!(held.on("/nodes/pve1"), ["Sys.Audit"]);
        assert!(Held::default().on("/vms/100").is_empty());
    }

    #[test]
    fn places_in_sources_are_not_told() {
        let read = read(
            500,
            "",
            r#"{"message":"create failed: 400 'x' is invalid.\nthe cause at /usr/share/perl5/PVE/A.pm line 7.\n"}"#,
        );
        assert_eq!(
            read.message,
            "create failed: 400 'x' is invalid.; the cause"
        );
    }

    #[test]
    fn odd_errors_of_parameters_are_told() {
        for (errors, says) in [
            (
                r#"{"errors":{"vms[0]":{"a":1}}}"#,
                "Proxmox refused vms[0]: ",
            ),
            (
                r#"{"errors":"all wrong"}"#,
                "Proxmox refused the request: all wrong",
            ),
            (
                r#"{"errors":{"vmid":7},"message":5}"#,
                "Proxmox refused vmid: 7",
            ),
        ] {
            let message = error(400, "", errors).message();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn reason_phrase_serves_where_the_body_is_empty() {
        assert_eq!(
            read(595, "No route to host", "").message,
            "No route to host"
        );
        assert!(
            matches!(error(595, "No route to host", ""), Error::Unreachable(m) if m.contains("pve2") && m.contains("no route to host"))
        );
        assert!(
            matches!(error(401, "Authentication failed!", ""), Error::Unauthorized(m) if m.contains("(authentication failed)"))
        );
    }

    #[test]
    fn parameter_errors_are_all_told() {
        let Error::InvalidArguments(problems) = error(
            400,
            "Parameter verification failed.",
            r#"{"errors":{"cores":"type check ('integer') failed - got 'abc'","memory":"invalid format - format error\nmemory.current: value must have a minimum value of 16\n"},"message":"Parameter verification failed.\n","data":null}"#,
        ) else {
            panic!("not invalid")
        };
        assert_eq!(problems.len(), 2);
        assert!(
            problems[1]
                .message
                .ends_with("value must have a minimum value of 16")
        );
    }

    #[test]
    fn states_are_told_apart() {
        let missing = read(
            500,
            "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist",
            "",
        );
        assert!(missing.is_missing_guest());
        assert!(
            matches!(error(500, "VM is locked (backup)", ""), Error::Conflict(m) if m.starts_with("VM is locked (backup)"))
        );
        assert!(matches!(
            error(500, "snapshot 'nope' does not exist", ""),
            Error::NotFound(_)
        ));
        assert!(matches!(error(302, "Found", ""), Error::Unreachable(_)));
        assert!(
            matches!(error(404, "no such file", ""), Error::Unreachable(m) if m.contains("PROXMOX_URL"))
        );
        assert!(matches!(error(500, "", ""), Error::Internal(_)));
    }
}
