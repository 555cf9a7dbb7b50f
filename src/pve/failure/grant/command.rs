//! The commands that grant privileges to a token.

use std::collections::BTreeSet;

use super::needed::Wanted;
use crate::order::Ordered as _;
use crate::pve::failure::response::ErrorResponse;

/// The commands that grant what is missing on one path.
pub(super) fn commands(wanted: &Wanted, response: &ErrorResponse) -> String {
    let (role, add) = add_role(wanted, response);
    let path = quote(&wanted.path);
    let Some((user, name)) = response.asked.token.split_once('!') else {
        return format!(
            "{add}; {}; then run `pveum acl modify {path} --roles {role}` with --tokens or --users \
             for the token in use",
            careful("its", &wanted.path, "pveum user permissions")
        );
    };
    let mut for_token = format!(
        "`pveum acl modify {path} --tokens {} --roles {role}`",
        quote(&response.asked.token)
    );
    // It is not known what the token has there.
    if response.held.is_none() && wanted.path != "/" {
        let look = format!(
            "pveum user token permissions {} {}",
            quote(user),
            quote(name)
        );
        let careful = careful("the token's", &wanted.path, &look);
        for_token = format!("{careful}; then run {for_token}");
    }
    // root@pam has all privileges.
    if user == "root@pam" {
        return format!("{add} and {for_token}");
    }
    let look = format!("pveum user permissions {}", quote(user));
    format!(
        "{add} and {for_token}; if the call is refused again, the user lacks it too, and a token has \
         at most its user's rights: {}; then run `pveum acl modify {path} --users {} --roles {role}` \
         (this alone where the token is not privilege-separated)",
        careful(&format!("{user}'s"), &wanted.path, &look),
        quote(user),
    )
}

/// The name of a role with what is missing and what the token has on the path, and
/// the command that adds it.
fn add_role(wanted: &Wanted, response: &ErrorResponse) -> (String, String) {
    let held = match &response.held {
        // Entries of one path add up, and there is no path above this one.
        Some(held) if wanted.path != "/" => held
            .on(&wanted.path)
            .into_iter()
            .filter(|privilege| matters(privilege, &wanted.path))
            .ordered(),
        _ => Vec::new(),
    };
    let mut privileges: BTreeSet<&str> = wanted.privileges.iter().map(String::as_str).ordered();
    let fresh = privileges.len();
    privileges.extend(held);
    let kept = if privileges.len() > fresh {
        "; the role also contains what the token has there now, which the new entry replaces"
    } else {
        ""
    };
    let role = role(&privileges);
    let add = format!(
        "`pveum role add {role} --privs {}` (skip it where the role exists already{kept})",
        privileges.into_iter().collect::<Vec<_>>().join(",")
    );
    (role, add)
}

/// What an entry of the access list may take away, and how to see it before:
/// a token cannot.
fn careful(whose: &str, path: &str, look: &str) -> String {
    let from = if path == "/" {
        "from groups"
    } else {
        "from groups and from the paths above"
    };
    format!(
        "first look with {look} --path {}, since an entry on {path} replaces {whose} roles {from}: \
         to keep those (pveum acl list shows them), name them in --roles as well",
        quote(path)
    )
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

/// A name that tells what the role holds, so that a role of this name is the
/// same wherever it was made.
fn role(privileges: &BTreeSet<&str>) -> String {
    let plain =
        |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
    if privileges.len() <= 2 {
        let names: Vec<String> = privileges.iter().map(|one| plain(one)).collect();
        return format!("MCP{}", names.join("_"));
    }
    let hash = privileges
        .iter()
        .flat_map(|one| one.bytes().chain([0]))
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
    format!("MCPRole{hash:08x}")
}

/// A word for a shell.
fn quote(word: &str) -> String {
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
}
