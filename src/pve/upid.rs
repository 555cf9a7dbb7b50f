//! Task identifiers: `UPID:node:pid:pstart:start:type:id:user:`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::format::Format;

/// The identifier of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Upid {
    text: String,
    node: String,
    kind: String,
    id: String,
    user: String,
    started: u64,
}

impl Upid {
    /// The node that runs the task.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// The worker's type, such as `qmclone`.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// What the worker works on: a vmid, mostly; may be empty.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Who started it, `user@realm` or `user@realm!token`.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// When it was started, in seconds since 1970.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// The whole text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Upid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            "must be a task identifier (UPID) as returned by the call that started the task, such \
             as UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:"
                .to_owned()
        };
        let fields: Vec<&str> = text.split(':').collect();
        let ["UPID", node, pid, pstart, start, kind, id, user, ""] = fields.as_slice() else {
            return Err(wrong());
        };
        let hex = |field: &str, min: usize, max: usize| {
            (min..=max).contains(&field.len()) && field.bytes().all(|b| b.is_ascii_hexdigit())
        };
        // Proxmox's own pattern: a user may be DOMAIN\user@realm, or a name
        // with an @ in it.
        let plain = |field: &str| {
            !field
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '/')
        };
        if !(Format::Node.fits(node)
            && hex(pid, 8, 8)
            && hex(pstart, 8, 9)
            && hex(start, 8, 8)
            && plain(kind)
            && !kind.is_empty()
            && plain(id)
            && plain(user)
            && !user.is_empty())
        {
            return Err(wrong());
        }
        Ok(Self {
            text: text.to_owned(),
            node: (*node).to_owned(),
            kind: (*kind).to_owned(),
            id: (*id).to_owned(),
            user: (*user).to_owned(),
            started: u64::from_str_radix(start, 16).map_err(|_| wrong())?,
        })
    }
}

impl TryFrom<String> for Upid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Upid> for String {
    fn from(upid: Upid) -> Self {
        upid.text
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields() {
        let upid: Upid = "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:"
            .parse()
            .unwrap();
        assert_eq!(upid.node(), "pve1");
        assert_eq!(upid.kind(), "qmstart");
        assert_eq!(upid.id(), "100");
        assert_eq!(upid.user(), "root@pam!full");
        assert_eq!(upid.started(), 1_795_338_154);
    }

    #[test]
    fn users_by_the_pattern_of_proxmox() {
        for user in [
            r"LAB\jdoe@ad!cli",
            "jane.roe@lab.example@sso.lab!t-1",
            "root@pam",
            "müller@ldap",
        ] {
            let text = format!("UPID:pve1:0000011D:000BED85:6B02AFAA:vzdump:100:{user}:");
            assert_eq!(text.parse::<Upid>().unwrap().user(), user);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "garbage",
            "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam",
            "UPID:..:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:",
            "UPID:../x:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:",
            "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:1/0:root@pam:",
            "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root @pam:",
            "UPID:pve1:0000011D:000BED85:6B02AFAA::100:root@pam:",
            "UPID:pve1:11D:000BED85:6B02AFAA:qmstart:100:root@pam:",
        ] {
            assert!(text.parse::<Upid>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in any::<String>()) {
            if let Ok(upid) = text.parse::<Upid>() {
                prop_assert_eq!(upid.as_str(), text);
            }
        }
    }
}
