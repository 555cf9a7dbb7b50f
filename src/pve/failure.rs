//! How a request to Proxmox fails, and what to tell about it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::decode::Unreadable;
use crate::error::{Error, Problem};

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
    },
    /// The host let no such request out.
    Refused { call: String },
    /// Nothing was sent: the path named something by dots, or by nothing.
    Misnamed { call: String },
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

/// An error that Proxmox answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ApiError {
    /// What was asked: `GET /nodes`.
    pub(crate) call: String,
    /// The node that had to answer.
    pub(crate) node: Option<String>,
    /// The HTTP status, PVE's own 595, 596 and 599 included.
    pub(crate) status: u16,
    /// The text, from the body's `message` or the reason phrase.
    pub(crate) message: String,
    /// What is wrong with which parameter.
    pub(crate) errors: BTreeMap<String, String>,
    /// How a message calls the token in use.
    pub(crate) token: String,
}

impl ApiError {
    /// Reads an error answer. Older servers tell the reason in the reason
    /// phrase alone, newer ones in the body too.
    pub(crate) fn read(
        call: String,
        node: Option<String>,
        status: u16,
        reason: Option<&str>,
        body: &[u8],
        token: &str,
    ) -> Self {
        #[derive(Default, Deserialize)]
        struct Body {
            #[serde(default)]
            message: Option<String>,
            #[serde(default)]
            errors: Option<BTreeMap<String, Value>>,
        }
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        let message = body
            .message
            .as_deref()
            .or(reason)
            .unwrap_or_default()
            .trim()
            .to_owned();
        let errors = body
            .errors
            .unwrap_or_default()
            .into_iter()
            .map(|(name, text)| {
                let text = match text {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                (name, text.trim().replace('\n', ": "))
            })
            .collect();
        Self {
            call,
            node,
            status,
            message,
            errors,
            token: token.to_owned(),
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
        matches!(self.status, 595 | 596 | 599) || self.says("hostname lookup '")
    }

    fn into_error(self) -> Error {
        let Self {
            call,
            node,
            status,
            message,
            errors,
            token,
        } = &self;
        let said = lower(message);
        match status {
            401 => Error::Unauthorized(format!(
                "proxmox did not accept the token {token} ({said}): check PROXMOX_TOKEN_ID and \
                 PROXMOX_TOKEN_SECRET, and that the token has not expired or been removed"
            )),
            403 => Error::Denied(denied(message, token)),
            300..=399 => Error::Unreachable(format!(
                "{call} was answered with a redirect, which is never followed: set PROXMOX_URL to \
                 the address of Proxmox itself, port 8006 included"
            )),
            501 => Error::Internal(format!(
                "this Proxmox does not know {call} ({said}): it needs Proxmox VE 8 or later"
            )),
            // Of itself the API answers no 404.
            404 if self.says("no such file") || self.says("not found") => {
                Error::Unreachable(format!(
                    "{call} was answered with status 404 ({said}): what answers at PROXMOX_URL is \
                     not the API of Proxmox VE; check its host, port (8006) and path"
                ))
            }
            _ if self.is_node_away() => {
                let node = node.as_deref().unwrap_or("the node");
                Error::Unreachable(format!(
                    "node {node} did not answer the node that was asked ({said}): it is offline, \
                     cut off, or there is no such node; look at the cluster's status"
                ))
            }
            502..=504 => Error::Unreachable(format!(
                "{call} was answered with status {status} ({said}): the proxy before Proxmox, or \
                 pveproxy itself, is not well; try again later"
            )),
            _ if !errors.is_empty() => Error::InvalidArguments(
                errors
                    .iter()
                    .map(|(name, text)| Problem {
                        pointer: String::new(),
                        message: format!("proxmox refused {name}: {}", lower(text)),
                    })
                    .collect(),
            ),
            _ if self.says("is locked") => Error::Conflict(format!(
                "{said}: another task holds the guest, or left its lock behind; wait for the \
                 task, and where none is running, unlock it on the node with qm unlock or pct unlock"
            )),
            // "file changed by other user", "file change by other user".
            _ if self.says("by other user") => Error::Conflict(
                "the configuration was changed by someone else in the meantime: nothing was \
                 written; look at it again and repeat the call"
                    .into(),
            ),
            _ if self.says("does not exist") || self.says("no such") => Error::NotFound(said),
            _ if self.says("already exists")
                || self.says("not running")
                || self.says("already running") =>
            {
                Error::Conflict(said)
            }
            _ => Error::Internal(format!(
                "proxmox answered {call} with status {status}: {said}"
            )),
        }
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
            } => Self::Unreachable(if maybe_done {
                format!(
                    "{call}: {message}; the change may have happened all the same: look at the \
                     task list and at the guest before you repeat it"
                )
            } else {
                format!("{call}: {message}")
            }),
            Failure::Refused { call } => Self::Denied(format!(
                "the host did not let {call} out: the policy of its operator, or PROXMOX_URL, \
                 forbids it"
            )),
            Failure::Misnamed { call } => Self::Internal(format!(
                "{call} was not sent: it named something by dots, or by nothing"
            )),
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
        Error::Unreachable(format!(
            "{message}; the change may have happened all the same: look at the task list and at \
             the guest before you repeat it"
        ))
    } else {
        Error::Internal(message)
    }
}

/// `Permission check failed (/vms/100, VM.Audit)` as an instruction.
fn denied(message: &str, token: &str) -> String {
    let inside = message
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(inside, _)| inside);
    let Some((path, privileges)) = inside.and_then(|inside| inside.split_once(", ")) else {
        return format!(
            "the token {token} may not do this ({}): give it a role that may, under Datacenter, \
             Permissions; a privilege-separated token needs rights of its own",
            lower(message)
        );
    };
    let path = if path.is_empty() { "/" } else { path };
    let role = if privileges.ends_with(".Audit") {
        "PVEAuditor"
    } else if privileges.starts_with("VM.") {
        "PVEVMAdmin"
    } else if privileges.starts_with("Datastore.") {
        "PVEDatastoreAdmin"
    } else {
        "ROLE"
    };
    format!(
        "the token {token} lacks {privileges} on {path}: grant it, for example with pveum acl \
         modify {path} --tokens '{token}' --roles {role}"
    )
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
        ApiError::read(
            "GET /x".into(),
            Some("pve2".into()),
            status,
            Some(reason),
            body.as_bytes(),
            "root@pam!mcp",
        )
    }

    fn error(status: u16, reason: &str, body: &str) -> Error {
        Failure::Api(Box::new(read(status, reason, body))).into()
    }

    #[test]
    fn missing_right_becomes_an_instruction() {
        let Error::Denied(message) = error(
            403,
            "Permission check failed (/vms/100, VM.Audit)",
            r#"{"data":null,"message":"Permission check failed (/vms/100, VM.Audit)\n"}"#,
        ) else {
            panic!("not denied")
        };
        assert_eq!(
            message,
            "the token root@pam!mcp lacks VM.Audit on /vms/100: grant it, for example with pveum \
             acl modify /vms/100 --tokens 'root@pam!mcp' --roles PVEAuditor"
        );
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
