//! The privileges that a row names, as data.

/// Privileges that a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// One of these privileges on a path, in which names may be in braces:
    /// `/vms/{vmid}`. A refusal by Proxmox names both.
    OneOf {
        /// Such as `VM.Audit`.
        privileges: Vec<&'static str>,
        /// Such as `/vms/{vmid}`.
        path: &'static str,
    },
    /// All of these.
    All(Vec<Self>),
    /// One of these is enough. A refusal by Proxmox names none of them.
    Any(Vec<Self>),
}

impl Needs {
    /// Reads what a row says: `A or B on /path`, and lists of such that are separated by
    /// `, and ` or by `, or `, parts of them in parentheses. None where there is more in
    /// it, such as a condition.
    pub fn read(text: &'static str) -> Option<Self> {
        let text = text.trim();
        let inner = text
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'));
        if let Some(inner) = inner.filter(|inner| is_balanced(inner)) {
            return Self::read(inner);
        }
        for (separator, join) in [
            (", and ", Self::All as fn(Vec<Self>) -> Self),
            (", or ", Self::Any),
        ] {
            let parts = split(text, separator);
            if parts.len() > 1 {
                let parts: Option<Vec<_>> = parts.into_iter().map(Self::read).collect();
                return parts.map(join);
            }
        }
        let (names, path) = text.split_once(" on ")?;
        if !path.starts_with('/') || path.contains(' ') {
            return None;
        }
        let one_of = |names: &'static str| {
            let privileges: Vec<_> = names.split(" or ").collect();
            let are_names = privileges.iter().all(|name| is_privilege(name));
            are_names.then_some(Self::OneOf { privileges, path })
        };
        if names.contains(" and ") {
            let each: Option<Vec<_>> = names.split(" and ").map(one_of).collect();
            return each.map(Self::All);
        }
        one_of(names)
    }

    /// The parts of which one of several is enough.
    pub fn alternatives(&self) -> Vec<&Self> {
        match self {
            Self::OneOf { .. } => Vec::new(),
            Self::All(parts) => parts.iter().flat_map(Self::alternatives).collect(),
            Self::Any(_) => vec![self],
        }
    }
}

/// Whether it is written as privileges are: `VM.Config.CPU`.
fn is_privilege(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    name.contains('.') && name.split('.').all(is_part)
}

/// The parts of a text between separators that are not in parentheses.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|after| after.find(separator)) {
        let at = from + at;
        let (before, after) = (rest.get(..at), rest.get(at + separator.len()..));
        match (before, after) {
            (Some(before), Some(after)) if is_balanced(before) => {
                parts.push(before);
                (rest, from) = (after, 0);
            }
            _ => from = at + separator.len(),
        }
    }
    parts.push(rest);
    parts
}

fn is_balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls;

    /// A row that says more than its privileges in `needs` would be ignored.
    #[test]
    fn the_needs_of_every_row_are_understood() {
        for call in calls::all().filter(|call| !call.needs().is_empty()) {
            assert!(
                Needs::read(call.needs()).is_some(),
                "{call}: {}",
                call.needs()
            );
        }
    }

    #[test]
    fn the_privilege_of_every_setting_is_in_its_row() {
        for call in calls::all() {
            for name in call.param_names() {
                let privilege = call.setting_privilege(name);
                assert!(
                    privilege.is_none_or(|one| call.needs().contains(one)),
                    "{name} of {call}"
                );
            }
        }
        let config = &calls::guests::SET_CONFIG;
        assert_eq!(
            config.qemu.setting_privilege("nameserver"),
            Some("VM.Config.Cloudinit")
        );
        assert_eq!(
            config.lxc.setting_privilege("hostname"),
            Some("VM.Config.Network")
        );
        assert_eq!(config.qemu.setting_privilege("digest"), None);
    }

    #[test]
    fn texts_with_a_condition_are_not_read() {
        for more in [
            "",
            "A.B on each storage in use",
            "A.B on / for tasks of other users",
            "with todisk A.B on /",
            "A.B on /, or C.D on the path of each entry",
            "of these, the one for each setting that changes",
        ] {
            assert_eq!(Needs::read(more), None, "{more}");
        }
    }

    #[test]
    fn alternatives_are_found_in_groups() {
        let one_of = |privileges: &[&'static str], path| Needs::OneOf {
            privileges: privileges.to_vec(),
            path,
        };
        let download = Needs::read(
            "A.Template on /storage/{storage}, and (S.Audit and S.Modify on /, or S.Access on \
             /nodes/{node})",
        );
        let root = Needs::All(vec![one_of(&["S.Audit"], "/"), one_of(&["S.Modify"], "/")]);
        let either = Needs::Any(vec![root, one_of(&["S.Access"], "/nodes/{node}")]);
        let template = one_of(&["A.Template"], "/storage/{storage}");
        let expected = Needs::All(vec![template, either.clone()]);
        assert_eq!(download.as_ref(), Some(&expected));
        assert_eq!(expected.alternatives(), [&either]);
        let agent = Needs::read("G.Audit or G.Unrestricted on /vms/{vmid}");
        let agent = agent.unwrap();
        assert_eq!(agent, one_of(&["G.Audit", "G.Unrestricted"], "/vms/{vmid}"));
        assert!(agent.alternatives().is_empty());
    }
}
