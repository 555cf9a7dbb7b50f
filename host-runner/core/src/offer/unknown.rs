//! Names that no tool has.

use crate::engine::Tool;
use crate::likeness;

/// How names begin that are meant to delete something, and what guests are called in them.
const VERBS: [&str; 5] = ["delete", "destroy", "remove", "purge", "erase"];
const GUESTS: [&str; 9] = [
    "",
    "guest",
    "vm",
    "container",
    "ct",
    "lxc",
    "qemu",
    "machine",
    "instance",
];

/// The tool that such a name may have meant. Never a destructive one: whoever follows a
/// suggestion without a second look must not lose anything by it.
pub(crate) fn nearest_tool<'a>(
    name: &str,
    tools: impl IntoIterator<Item = &'a Tool>,
) -> Option<String> {
    let known = tools.into_iter().map(|tool| (tool.name.as_str(), tool));
    let nearest = likeness::nearest(name, 0.7, known)?;
    (!nearest.annotations.destructive).then(|| nearest.name.clone())
}

/// What a message about such a name adds in parentheses, or nothing.
pub(crate) fn instead(name: &str, nearest: &Option<String>) -> String {
    match nearest {
        _ if deletes_guests(name) => " (no tool deletes guests)".to_owned(),
        Some(nearest) => format!(" (perhaps {nearest:?})"),
        None => String::new(),
    }
}

/// Whether a tool of this name would delete guests, which the policy never allows.
fn deletes_guests(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    let what = VERBS.iter().find_map(|verb| name.strip_prefix(verb));
    what.is_some_and(|what| GUESTS.contains(&what.strip_suffix('s').unwrap_or(what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletion_of_guests_is_recognized() {
        for name in [
            "delete_guest",
            "destroy_vms",
            "removeContainer",
            "purge-lxc",
            "destroy",
        ] {
            assert_eq!(
                instead(name, &Some("x".to_owned())),
                " (no tool deletes guests)",
                "{name}"
            );
        }
        for name in [
            "delete_snapshot",
            "remove_guest_disk",
            "list_guests",
            "undelete_guest",
        ] {
            assert_eq!(instead(name, &None), "", "{name}");
        }
    }
}
