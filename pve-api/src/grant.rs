//! The commands of `pveum` that grant privileges.
//!
//! A privilege-separated token may do what both it and its user may. An entry of the access
//! list replaces what is inherited from the paths above it, and entries of one path add up.

use std::collections::BTreeSet;

/// A role with privileges, and a path where somebody is to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<'a> {
    path: &'a str,
    privileges: BTreeSet<&'a str>,
    keeps: bool,
}

impl<'a> Grant<'a> {
    /// What is missing on a path, and what is in force there now, if that is known. The role
    /// contains both, so that nothing is lost by the new entry.
    pub fn new(
        path: &'a str,
        missing: impl Iterator<Item = &'a str>,
        held: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut privileges = BTreeSet::new();
        privileges.extend(missing);
        let fresh = privileges.len();
        // Entries of one path add up, and there is no path above this one.
        if path != "/" {
            privileges.extend(held.filter(|privilege| matters(privilege, path)));
        }
        Self {
            path,
            keeps: privileges.len() > fresh,
            privileges,
        }
    }

    /// Whether the role contains more than what was missing.
    pub fn keeps_held(&self) -> bool {
        self.keeps
    }

    /// A name that tells what the role holds, so that a role of this name is the same
    /// wherever it was made.
    pub fn role(&self) -> String {
        let plain =
            |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
        if self.privileges.len() <= 2 {
            let names: Vec<String> = self.privileges.iter().map(|one| plain(one)).collect();
            return format!("MCP{}", names.join("_"));
        }
        let bytes = self
            .privileges
            .iter()
            .flat_map(|one| one.bytes().chain([0]));
        let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        format!("MCPRole{hash:08x}")
    }

    /// Makes the role.
    pub fn add_role(&self) -> String {
        let privileges: Vec<&str> = self.privileges.iter().copied().collect();
        format!(
            "pveum role add {} --privs {}",
            self.role(),
            privileges.join(",")
        )
    }

    /// Gives it to a token, `user@realm!name`.
    pub fn to_token(&self, token: &str) -> String {
        self.entry("--tokens", token)
    }

    /// Gives it to a user.
    pub fn to_user(&self, user: &str) -> String {
        self.entry("--users", user)
    }

    fn entry(&self, option: &str, who: &str) -> String {
        let (path, who) = (quote(self.path), quote(who));
        format!(
            "pveum acl modify {path} {option} {who} --roles {}",
            self.role()
        )
    }
}

/// Of privileges of which each is enough, how much more than another one it allows.
pub fn weight(privilege: &str) -> u8 {
    let last = privilege.rsplit('.').next().unwrap_or_default();
    match last {
        "Audit" => 0,
        "FileRead" | "Use" => 1,
        "Console" | "Syslog" | "AccessNetwork" => 2,
        "Unrestricted" => 8,
        "Modify" | "Allocate" => 9,
        _ if privilege == "VM.Config.Options" => 3,
        _ => 4,
    }
}

/// The privilege that took the place of another one before Proxmox VE 9. It also permits
/// running commands in guests.
pub fn before_9(privilege: &str) -> &str {
    match privilege.starts_with("VM.GuestAgent.") {
        true => "VM.Monitor",
        false => privilege,
    }
}

/// Whether a privilege means anything on a path: those of guests nothing on a
/// storage, for example.
fn matters(privilege: &str, path: &str) -> bool {
    let families: &[&str] = match path.split('/').nth(1) {
        Some("vms") => &["VM.", "Permissions."],
        Some("storage") => &["Datastore.", "Permissions."],
        Some("nodes") => &["Sys.", "Permissions."],
        Some("sdn") => &["SDN.", "Permissions."],
        Some("mapping") => &["Mapping.", "Permissions."],
        _ => return true,
    };
    families.iter().any(|family| privilege.starts_with(family))
}

/// What there is on a path, or else on the nearest path above it that has anything, and whether
/// it is on the path itself: entries above count only as far as they are passed on.
pub fn nearest<T>(path: &str, on: impl Fn(&str) -> Option<T>) -> Option<(T, bool)> {
    let mut above = path;
    loop {
        if let Some(found) = on(above) {
            return Some((found, above == path));
        }
        above = match above.rsplit_once('/') {
            Some(("", _)) if above != "/" => "/",
            Some((parent, _)) if !parent.is_empty() => parent,
            _ => return None,
        };
    }
}

/// A word for a shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '/' | '-');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote("/vms/100"), "/vms/100");
        assert_eq!(quote(r"LAB\joe@ad!x"), r"'LAB\joe@ad!x'");
        assert_eq!(quote("a'b"), r"'a'\''b'");
    }

    #[test]
    fn a_role_keeps_what_is_in_force_on_its_path() {
        let missing = ["VM.PowerMgmt"];
        let held = ["VM.Audit", "Sys.Audit"];
        let grant = |path| Grant::new(path, missing.into_iter(), held.into_iter());
        assert_eq!(
            grant("/vms").add_role(),
            "pveum role add MCPVMAudit_VMPowerMgmt --privs VM.Audit,VM.PowerMgmt"
        );
        assert!(grant("/vms").keeps_held());
        assert_eq!(
            grant("/").add_role(),
            "pveum role add MCPVMPowerMgmt --privs VM.PowerMgmt"
        );
        assert_eq!(
            grant("/vms").to_token("mcp@pve!x"),
            "pveum acl modify /vms --tokens 'mcp@pve!x' --roles MCPVMAudit_VMPowerMgmt"
        );
    }
}
