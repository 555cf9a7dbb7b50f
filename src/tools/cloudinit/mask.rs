//! Takes passwords out of cloud-init documents.

use crate::tool::secret::HIDDEN;

/// The document without the values of its passwords, in any notation of YAML or
/// JSON. Where a line is not understood to its end, more is taken
/// out, not less.
pub(super) fn mask(document: &str) -> String {
    let mut masked = String::with_capacity(document.len());
    // The indentation of the key whose value is being left out.
    let mut hiding: Option<usize> = None;
    // That of a `chpasswd` whose settings are being read.
    let mut chpasswd: Option<usize> = None;
    for line in document.lines() {
        let line = line.trim_end();
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let within = |key: usize| {
            // A list need not be indented further than the key that it belongs to.
            content.is_empty() || indent > key || (indent == key && content.starts_with('-'))
        };
        if hiding.is_some_and(within) {
            continue;
        }
        hiding = None;
        if !chpasswd.is_some_and(within) {
            chpasswd = None;
        }
        let Some(key) = Key::first(line) else {
            masked.push_str(&without_inner(line));
            masked.push('\n');
            continue;
        };
        let is_list_of_passwords = key.name == "chpasswd" && !key.value.is_empty()
            || chpasswd.is_some() && matches!(key.name.as_str(), "list" | "users");
        if is_list_of_passwords || (key.is_secret() && !key.is_switch()) {
            masked.push_str(key.before);
            masked.push(' ');
            masked.push_str(HIDDEN);
            hiding = Some(key.indent);
        } else {
            if key.name == "chpasswd" {
                chpasswd = Some(key.indent);
            }
            masked.push_str(key.before);
            masked.push_str(&without_inner(key.rest));
        }
        masked.push('\n');
    }
    masked
}

/// The key that a line starts with.
struct Key<'a> {
    name: String,
    /// Where it starts: behind the dashes of a list.
    indent: usize,
    /// The line up to its colon, colon included.
    before: &'a str,
    /// The line from there on.
    rest: &'a str,
    value: &'a str,
}

impl<'a> Key<'a> {
    fn first(line: &'a str) -> Option<Self> {
        let lead = |c: char| matches!(c, ' ' | '\t' | '-' | '{' | '[');
        let start = line.len() - line.trim_start_matches(lead).len();
        let colon = line.find(':')?;
        let name = line.get(start..colon)?.trim();
        let name = name.trim_matches(['"', '\'']).to_ascii_lowercase();
        let (before, rest) = line.split_at_checked(colon + 1)?;
        let is_key = rest.is_empty() || rest.starts_with([' ', '\t', '"', '\'', '{', '[']);
        (is_key && !name.is_empty()).then_some(Self {
            name,
            indent: start,
            before,
            rest,
            value: rest.trim(),
        })
    }

    fn is_secret(&self) -> bool {
        is_secret(&self.name)
    }

    /// `lock_passwd: true` reveals no password.
    fn is_switch(&self) -> bool {
        matches!(
            self.value
                .trim_end_matches(',')
                .to_ascii_lowercase()
                .as_str(),
            "true" | "false" | "yes" | "no"
        )
    }
}

fn is_secret(name: &str) -> bool {
    // `chpasswd` holds settings, of which some are passwords.
    name != "chpasswd" && (name.contains("pass") && name != "ssh_pwauth" || name == "pw")
}

/// A line without the values of password keys in the middle of it, as in
/// `{name: x, password: y}`.
fn without_inner(part: &str) -> String {
    let lower = part.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower.get(from..).and_then(|rest| rest.find("pass")) {
        let start = from + found;
        let word = lower
            .get(start..)
            .and_then(|rest| rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))));
        let Some(word) = word else { break };
        let end = start + word;
        let after = lower.get(end..).unwrap_or_default();
        let after = after.trim_start_matches(['"', '\'', ' ']);
        if after.starts_with(':') {
            let colon = lower.len() - after.len();
            let kept = part.get(..=colon).unwrap_or_default();
            return format!("{kept} {HIDDEN}");
        }
        from = end;
    }
    part.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_of_proxmox() {
        assert_eq!(
            mask(
                "#cloud-config\nhostname: web01\nuser: debian\npassword: $5$abc$def\n\
                 ssh_authorized_keys:\n  - ssh-ed25519 AAAA test\nchpasswd:\n  expire: False\n\
                 users:\n  - default\npackage_upgrade: true\n"
            ),
            "#cloud-config\nhostname: web01\nuser: debian\npassword: (hidden)\n\
             ssh_authorized_keys:\n  - ssh-ed25519 AAAA test\nchpasswd:\n  expire: False\n\
             users:\n  - default\npackage_upgrade: true\n"
        );
    }

    #[test]
    fn documents_of_others() {
        for (document, masked) in [
            (
                "users:\n- name: a\n  passwd: \"$6$x\"\n  lock_passwd: false\n",
                "users:\n- name: a\n  passwd: (hidden)\n  lock_passwd: false\n",
            ),
            (
                "chpasswd:\n  expire: false\n  list: |\n    root:hush\n    me:hush\nruncmd:\n",
                "chpasswd:\n  expire: false\n  list: (hidden)\nruncmd:\n",
            ),
            (
                "chpasswd:\n  list:\n  - root:hush\n  users:\n  - {name: a, password: hush}\nx: y\n",
                "chpasswd:\n  list: (hidden)\n  users: (hidden)\nx: y\n",
            ),
            ("chpasswd: {list: [\"a:hush\"]}\n", "chpasswd: (hidden)\n"),
            (
                "password: |\n  hush\n  hush\nuser: a\n",
                "password: (hidden)\nuser: a\n",
            ),
            (
                "- {name: a, hashed_passwd: hush}\n",
                "- {name: a, hashed_passwd: (hidden)\n",
            ),
            (
                "{\"admin_pass\": \"hush\", \"x\": 1}\n",
                "{\"admin_pass\": (hidden)\n",
            ),
            (
                "{\"x\": 1, \"admin_pass\":\"hush\"}\n",
                "{\"x\": 1, \"admin_pass\": (hidden)\n",
            ),
            ("- path: /etc/passwd\n", "- path: /etc/passwd\n"),
        ] {
            assert_eq!(mask(document), masked);
        }
    }

    proptest! {
        #[test]
        fn no_password_is_left(
            key in "(password|passwd|hashed_passwd|plain_text_passwd|admin_pass|PASSWORD)",
            indent in " {0,6}(- )?",
            quote in "['\"]?",
            value in "HUSH[a-zA-Z0-9$/.:,]{0,20}",
            before in "[a-z: \n]{0,20}",
        ) {
            for document in [
                format!("{before}\n{indent}{quote}{key}{quote}: {quote}{value}{quote}\n"),
                format!("{before}\n{indent}{{a: b, {quote}{key}{quote}: {quote}{value}{quote}}}\n"),
                format!("{before}\n{indent}{key}: >-\n          {value}\n"),
            ] {
                prop_assert!(!mask(&document).contains("HUSH"), "{document}");
            }
        }

        #[test]
        fn any_text(text in any::<String>()) {
            let _ = mask(&text);
        }
    }
}
