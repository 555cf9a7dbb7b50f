//! Who may access what, by the text form of a Windows security descriptor (SDDL), for
//! example `O:S-1-5-21-1-2-3-1001D:PAI(A;;FA;;;SY)(A;;FA;;;BA)`.
//!
//! What is not understood counts as open to others.

/// Who may have access to what is private, besides its user: SYSTEM, Administrators, the
/// rights of the owner, and the installer of Windows. Each in both forms.
const TRUSTED: [&str; 7] = [
    "SY",
    "S-1-5-18",
    "BA",
    "S-1-5-32-544",
    "OW",
    "S-1-3-4",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
];
/// Groups that every user of a machine, or everyone who is logged in there, belongs to:
/// Everyone, Anonymous, Authenticated Users, Users, Guests, Interactive, Network.
const ALL: [&str; 14] = [
    "WD",
    "S-1-1-0",
    "AN",
    "S-1-5-7",
    "AU",
    "S-1-5-11",
    "BU",
    "S-1-5-32-545",
    "BG",
    "S-1-5-32-546",
    "IU",
    "S-1-5-4",
    "NU",
    "S-1-5-2",
];

/// An access control list that grants everything to a user, SYSTEM and Administrators, and
/// inherits nothing.
#[cfg_attr(not(windows), expect(dead_code, reason = "used on Windows"))]
pub(super) fn private_to(user: &str) -> String {
    format!("D:P(A;;FA;;;{user})(A;;FA;;;SY)(A;;FA;;;BA)")
}

/// Whether only a user, SYSTEM and Administrators can read or change what has this
/// descriptor. `user` is the SID of the user in each form that the text may have.
pub(super) fn is_private(descriptor: &str, user: &[&str]) -> bool {
    let Some((owner, list)) = parts(descriptor) else {
        return false;
    };
    let trusted = |who: &str| TRUSTED.contains(&who) || user.contains(&who);
    // The rights of the owner belong to the owner, whoever that is.
    trusted(owner)
        && !matches!(owner, "OW" | "S-1-3-4")
        && entries(list).is_some_and(|entries| {
            entries.iter().all(|entry| match entry {
                Entry::Grants(who) => trusted(who),
                Entry::GrantsNothing => true,
                Entry::Unknown => false,
            })
        })
}

/// Whether every user of the machine has some access to what has this descriptor.
pub(super) fn is_open_to_all(descriptor: &str) -> bool {
    let Some(entries) = parts(descriptor).and_then(|(_, list)| entries(list)) else {
        return true;
    };
    entries.iter().any(|entry| match entry {
        Entry::Grants(who) => ALL.contains(who),
        Entry::GrantsNothing => false,
        Entry::Unknown => true,
    })
}

/// An entry of an access control list.
enum Entry<'a> {
    /// Grants something.
    Grants(&'a str),
    /// Denies something, or is only passed on to what is in a folder.
    GrantsNothing,
    /// Depends on conditions, or is of an unknown kind.
    Unknown,
}

/// The owner, and the access control list without its letter.
fn parts(descriptor: &str) -> Option<(&str, &str)> {
    let (owner, rest) = descriptor.strip_prefix("O:")?.split_once("D:")?;
    // A group may be between them.
    let owner = owner.split_once("G:").map_or(owner, |(owner, _)| owner);
    Some((owner, rest))
}

/// None for a list that is missing (which grants everything to everyone) or malformed.
fn entries(list: &str) -> Option<Vec<Entry<'_>>> {
    let start = list.find('(').unwrap_or(list.len());
    let (flags, mut rest) = list.split_at(start);
    let mut flags = flags;
    while let Some(behind) = ["P", "AR", "AI"]
        .iter()
        .find_map(|flag| flags.strip_prefix(flag))
    {
        flags = behind;
    }
    if !flags.is_empty() {
        return None;
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, behind) = rest.strip_prefix('(')?.split_once(')')?;
        entries.push(match entry.split(';').collect::<Vec<_>>().as_slice() {
            // Conditions have parentheses of their own.
            _ if entry.contains('(') => return None,
            ["A", flags, _, "", "", _] if inherits_only(flags) => Entry::GrantsNothing,
            ["A", _, _, "", "", who] => Entry::Grants(who),
            ["D", _, _, "", "", _] => Entry::GrantsNothing,
            _ => Entry::Unknown,
        });
        rest = behind;
    }
    Some(entries)
}

/// Whether the flags of an entry, of two letters each, say that it is only for what is in a
/// folder.
fn inherits_only(flags: &str) -> bool {
    flags.as_bytes().chunks(2).any(|flag| flag == b"IO")
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: [&str; 2] = ["S-1-5-21-1-2-3-500", "LA"];

    #[test]
    fn private_is_what_only_the_user_and_administrators_can_access() {
        let own = |list: &str| format!("O:S-1-5-21-1-2-3-500D:{list}");
        for list in [
            "P(A;;FA;;;S-1-5-21-1-2-3-500)(A;;FA;;;SY)(A;;FA;;;BA)",
            "PAI(A;;FA;;;LA)",
            "AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;LA)",
            "P(A;;FA;;;OW)",
            "P(D;;FA;;;WD)(A;;FA;;;SY)",
            "P(A;OICIIO;FA;;;CO)(A;;FA;;;SY)",
            "P",
        ] {
            assert!(is_private(&own(list), &USER), "{list}");
            assert!(!is_open_to_all(&own(list)), "{list}");
        }
        for list in [
            "AI(A;ID;0x1200a9;;;BU)(A;ID;FA;;;SY)",
            "P(A;;FR;;;WD)",
            "P(A;;0x1;;;AU)",
            // A null list grants everything to everyone.
            "NO_ACCESS_CONTROL",
            "P(XA;;FR;;;BA;(@User.x==1))",
            "P(OA;;FR;1;;BA)",
            "P(A;;FA;;;BA",
        ] {
            assert!(!is_private(&own(list), &USER), "{list}");
            assert!(is_open_to_all(&own(list)), "{list}");
        }
        for list in ["P(A;;FR;;;S-1-5-21-1-2-3-1001)", "P(A;;FR;;;DU)"] {
            assert!(!is_private(&own(list), &USER), "{list}");
            assert!(!is_open_to_all(&own(list)), "{list}");
        }
    }

    #[test]
    fn the_owner_can_change_the_list_and_so_must_be_trusted() {
        for owner in ["LA", "BA", "SY", "S-1-5-32-544", "BAG:DU"] {
            let text = format!("O:{owner}D:P(A;;FA;;;SY)");
            assert!(is_private(&text, &USER), "{text}");
        }
        for text in [
            "O:S-1-5-21-1-2-3-1001D:P(A;;FA;;;SY)",
            "O:OWD:P(A;;FA;;;SY)",
            "O:D:P(A;;FA;;;SY)",
            "D:P(A;;FA;;;SY)",
            "O:SY",
            "",
        ] {
            assert!(!is_private(text, &USER), "{text}");
        }
    }
}
