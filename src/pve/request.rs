//! Requests: calls of the table with the names in their paths filled in.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pve_api::{API_PATH, Call, GuestCall, GuestType, Method, Vmid};

use super::params::Params;

/// Characters that a path segment holds unencoded. Colons, bangs and at signs are
/// among them: UPIDs and volids have these, and pveproxy's logs read better.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'!')
    .remove(b'@');

/// A call of the table with the names in its path filled in. It is all that the
/// client sends, and there is no other way to make one: a request for a call
/// that is not in the table cannot be written.
#[derive(Clone)]
pub(crate) struct Request {
    call: &'static Call,
    /// Below [`API_PATH`], encoded.
    path: String,
    /// The names in the path, each with its place: `{node}`.
    names: Vec<(&'static str, String)>,
    /// Whether the path has as many names as its call, and each names something.
    is_complete: bool,
}

/// Fills the names in a call's path in, in their order: a node's before a
/// storage's.
pub(crate) trait At {
    /// `calls::storage::CONTENT.at([node, storage])`.
    fn at<const N: usize>(&'static self, names: [&str; N]) -> Request;
}

impl At for Call {
    fn at<const N: usize>(&'static self, names: [&str; N]) -> Request {
        Request::new(self, names)
    }
}

impl Request {
    fn new<'a>(call: &'static Call, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = names.into_iter();
        let mut path = String::new();
        let mut filled = Vec::new();
        let mut is_complete = true;
        for part in call.segments() {
            path.push('/');
            if !part.starts_with('{') {
                path.push_str(part);
                continue;
            }
            let name = names.next().unwrap_or_default();
            // A segment of dots would lead elsewhere, to anyone who normalizes
            // paths. Proxmox accepts no such name, but an answer may hold one.
            is_complete &= !matches!(name, "" | "." | "..");
            path.extend(utf8_percent_encode(name, SEGMENT));
            filled.push((part, name.to_owned()));
        }
        is_complete &= names.next().is_none();
        Self {
            call,
            path,
            names: filled,
            is_complete,
        }
    }

    /// A call about a guest, and about something of it if there are more names.
    pub(super) fn of_guest<const N: usize>(
        call: &'static Call,
        node: &str,
        vmid: Vmid,
        more: [&str; N],
    ) -> Self {
        let vmid = vmid.to_string();
        Self::new(call, [node, vmid.as_str()].into_iter().chain(more))
    }
}

/// A call about a guest: one that both types have, or one of them alone.
pub(crate) trait OfGuest {
    /// The call for guests of a type.
    fn of_type(&'static self, guest: GuestType) -> &'static Call;
}

impl OfGuest for GuestCall {
    fn of_type(&'static self, guest: GuestType) -> &'static Call {
        self.of(guest)
    }
}

/// A call that one type of guests has alone: the caller has looked at the type.
impl OfGuest for Call {
    fn of_type(&'static self, _: GuestType) -> &'static Call {
        self
    }
}

impl Request {
    pub(super) fn method(&self) -> Method {
        self.call.method()
    }

    /// Whether it may change something.
    pub(super) fn writes(&self) -> bool {
        self.call.method() != Method::Get
    }

    /// The call that it is.
    pub(super) fn call(&self) -> &'static Call {
        self.call
    }

    /// The node that has to answer, where the path names one.
    pub(super) fn node(&self) -> Option<&str> {
        self.name("{node}")
    }

    /// The name in a place of the path, such as `{vmid}`.
    pub(super) fn name(&self, place: &str) -> Option<&str> {
        let mut names = self.names.iter();
        let found = names.find(|(part, _)| *part == place)?;
        Some(&found.1)
    }

    /// Whether a guest's agent answers.
    pub(super) fn asks_agent(&self) -> bool {
        self.call.asks_agent()
    }

    /// Why it cannot be sent with these parameters, if it cannot: a mistake of
    /// the tool that made it.
    pub(super) fn mistake(&self, params: &Params) -> Option<String> {
        if !self.is_complete {
            return Some("a name in its path is empty or consists of dots".to_owned());
        }
        let unknown = params
            .iter()
            .find(|(name, _)| !self.call.takes_param(name))?;
        Some(format!("the call has no parameter {}", unknown.0))
    }

    /// Its address below the origin, without a query.
    pub(super) fn url_path(&self) -> String {
        format!("{API_PATH}{}", self.path)
    }
}

/// `GET /nodes/pve1/status`.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.call.method(), self.path)
    }
}

/// Requests are the same if they ask for the same.
impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.call, other.call) && self.path == other.path
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use pve_api::calls;

    use super::*;

    #[test]
    fn names_fill_the_path() {
        let request = calls::storage::CONTENT.at(["pve1", "local"]);
        assert_eq!(request.to_string(), "GET /nodes/pve1/storage/local/content");
        assert_eq!(request.node(), Some("pve1"));
        assert_eq!(request.mistake(&Params::new()), None);
        assert_eq!(calls::cluster::NEXT_ID.at([]).node(), None);
    }

    #[test]
    fn a_missing_name_and_a_name_of_dots_are_mistakes() {
        let status = &calls::nodes::STATUS;
        assert!(status.at(["..a"]).mistake(&Params::new()).is_none());
        for request in [
            status.at([]),
            status.at([""]),
            status.at(["."]),
            status.at([".."]),
            status.at(["pve1", "pve2"]),
        ] {
            assert!(request.mistake(&Params::new()).is_some(), "{request}");
        }
    }

    #[test]
    fn a_parameter_that_the_call_does_not_have_is_a_mistake() {
        let log = calls::cluster::LOG.at([]);
        assert_eq!(log.mistake(&Params::new().set("max", 5)), None);
        assert!(log.mistake(&Params::new().set("limit", 5)).is_some());
        let config = calls::guests::SET_CONFIG.qemu.at(["pve1", "100"]);
        for (name, fits) in [
            ("ipconfig0", true),
            ("delete", true),
            ("ipconfig", false),
            ("scsi0", true),
            ("hostpci0", false),
        ] {
            assert_eq!(
                config.mistake(&Params::new().set(name, 1)).is_none(),
                fits,
                "{name}"
            );
        }
    }

    #[test]
    fn names_cannot_climb() {
        let request = calls::guests::STATUS.qemu.at(["a/../b", "100?x=1#"]);
        assert_eq!(
            request.to_string(),
            "GET /nodes/a%2F..%2Fb/qemu/100%3Fx%3D1%23/status/current"
        );
    }

    #[test]
    fn upids_stay_readable() {
        let upid = "UPID:pve1:0000011D:000BED85:6B02AFAA:x:1:a@b!c:";
        let request = calls::nodes::TASK_LOG.at(["pve1", upid]);
        assert_eq!(
            request.to_string(),
            format!("GET /nodes/pve1/tasks/{upid}/log")
        );
    }

    #[test]
    fn calls_of_the_agent_are_known() {
        assert!(calls::agent::EXEC.at(["pve1", "100"]).asks_agent());
        let snapshot = calls::snapshots::DELETE.qemu.at(["pve1", "100", "agent"]);
        assert!(!snapshot.asks_agent());
    }
}
