//! Identifiers of tasks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::is_label;
use crate::vmid::Vmid;

/// The identifier of a task: `UPID:node:pid:pstart:start:type:id:user:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upid {
    text: String,
    node: String,
    kind: String,
    id: String,
    user: String,
    started: u64,
}

impl Upid {
    /// The node that runs the task.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The worker's type, such as `qmclone`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The object of the task: a vmid in most cases, `104@local` for a volume of
    /// guest 104; may be empty.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The guest that the task is about, if its id names one.
    pub fn vmid(&self) -> Option<Vmid> {
        Vmid::parse(self.id.split('@').next()?)
    }

    /// The user who started it, `user@realm` or `user@realm!token`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// When it was started, in seconds since 1970.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Upid {
    type Err = NotAUpid;

    /// Reads a UPID by Proxmox's own pattern: a user may be `DOMAIN\user@realm`,
    /// or a name with an @ in it.
    fn from_str(text: &str) -> Result<Self, NotAUpid> {
        let mut fields = text.split(':');
        let mut next = || fields.next().ok_or(NotAUpid);
        let prefix = next()?;
        let (node, pid, pstart, start) = (next()?, next()?, next()?, next()?);
        let (kind, id, user, last) = (next()?, next()?, next()?, next()?);
        let fits = fields.next().is_none()
            && prefix == "UPID"
            && is_label(node)
            && is_hex(pid, 8, 8)
            && is_hex(pstart, 8, 9)
            && is_hex(start, 8, 8)
            && is_field(kind)
            && !kind.is_empty()
            && is_field(id)
            && is_field(user)
            && !user.is_empty()
            && last.is_empty();
        if !fits {
            return Err(NotAUpid);
        }
        Ok(Self {
            text: text.to_owned(),
            node: node.to_owned(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            user: user.to_owned(),
            started: u64::from_str_radix(start, 16).map_err(|_| NotAUpid)?,
        })
    }
}

fn is_hex(field: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&field.len()) && field.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_field(field: &str) -> bool {
    !field
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || c == '/')
}

impl TryFrom<String> for Upid {
    type Error = NotAUpid;

    fn try_from(text: String) -> Result<Self, NotAUpid> {
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

/// Why a text is not a [`Upid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAUpid;

impl fmt::Display for NotAUpid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be a task identifier (UPID) as returned by the call that started the task, such \
             as UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:",
        )
    }
}

impl std::error::Error for NotAUpid {}

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
