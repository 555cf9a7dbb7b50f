//! API paths, each segment encoded.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a path segment may hold as it is. Colons and bangs are left alone, as
/// a UPID and a volid hold them and pveproxy's logs read better.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'!')
    .remove(b'@');

/// A path below `/api2/json`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    /// `Path::new(["nodes", node, "status"])`.
    pub(crate) fn new<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        Self(String::new()).join(segments)
    }

    /// The same path with more segments.
    pub(crate) fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut path = self.0.clone();
        for segment in segments {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        Self(path)
    }

    /// Whether each segment names something. One of dots would lead elsewhere,
    /// to whoever tidies paths up; no name that Proxmox takes is like that, but
    /// an answer may hold anything.
    pub(crate) fn is_plain(&self) -> bool {
        let mut segments = self.0.split('/').skip(1);
        segments.all(|segment| !matches!(segment, "" | "." | ".."))
    }

    /// Whether a guest's agent is asked.
    pub(crate) fn asks_agent(&self) -> bool {
        self.0.split('/').nth(5) == Some("agent")
    }

    /// The node that has to answer, where the path names one.
    pub(crate) fn node(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("/nodes/")?;
        rest.split('/').next().filter(|node| !node.is_empty())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_nothing_are_not_plain() {
        assert!(Path::new(["nodes", "pve1", "qemu", "100"]).is_plain());
        assert!(Path::new(["nodes", "..a", "a.b"]).is_plain());
        for segment in ["", ".", ".."] {
            assert!(!Path::new(["nodes", segment, "qemu"]).is_plain());
            assert!(!Path::new(["nodes", segment]).is_plain());
        }
    }

    #[test]
    fn an_agents_paths_are_known() {
        let guest = Path::new(["nodes", "pve1", "qemu", "100"]);
        assert!(guest.join(["agent", "get-osinfo"]).asks_agent());
        assert!(!guest.join(["snapshot", "agent"]).asks_agent());
    }

    #[test]
    fn segments_cannot_climb() {
        let path = Path::new(["nodes", "a/../b", "100?x=1#"]);
        assert_eq!(path.to_string(), "/nodes/a%2F..%2Fb/100%3Fx%3D1%23");
        assert_eq!(path.node(), Some("a%2F..%2Fb"));
    }

    #[test]
    fn upids_stay_readable() {
        let path = Path::new(["nodes", "pve1", "tasks", "UPID:pve1:0:0:0:x:1:a@b!c:"]);
        assert_eq!(
            path.to_string(),
            "/nodes/pve1/tasks/UPID:pve1:0:0:0:x:1:a@b!c:"
        );
    }
}
