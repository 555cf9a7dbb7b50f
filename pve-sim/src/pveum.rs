//! `pveum`: how an administrator changes roles and access lists on a node.

use std::collections::BTreeSet;

use crate::state::{Access, Role, known_privilege};

impl Access {
    /// Runs a line of `pveum`, as an administrator would on a node.
    pub(crate) fn pveum(&mut self, line: &str) -> Result<(), String> {
        let words = shell_words(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["pveum", "role", "add", name, rest @ ..] | ["pveum", "roleadd", name, rest @ ..] => {
                let options = options(rest, &["privs"])?;
                if self.roles.contains_key(*name) {
                    return Err(format!("create role failed: role '{name}' already exists"));
                }
                let role = Role {
                    built_in: false,
                    privileges: options.privileges()?,
                };
                self.roles.insert((*name).to_owned(), role);
                Ok(())
            }
            ["pveum", "role", "modify", name, rest @ ..]
            | ["pveum", "rolemod", name, rest @ ..] => {
                let options = options(rest, &["privs", "append"])?;
                let privileges = options.privileges()?;
                let role = self
                    .roles
                    .get_mut(*name)
                    .ok_or_else(|| format!("update role failed: role '{name}' does not exist"))?;
                if role.built_in {
                    return Err(format!(
                        "update role failed: auto-generated role '{name}' cannot be modified"
                    ));
                }
                if options.one("append").is_none_or(|append| append == "0") {
                    role.privileges.clear();
                }
                role.privileges.extend(privileges);
                Ok(())
            }
            ["pveum", "acl", "modify", path, rest @ ..] | ["pveum", "aclmod", path, rest @ ..] => {
                let options = options(
                    rest,
                    &[
                        "roles",
                        "role",
                        "users",
                        "user",
                        "tokens",
                        "token",
                        "propagate",
                    ],
                )?;
                let roles = options.list(&["roles", "role"]);
                let users = options.list(&["users", "user"]);
                let tokens = options.list(&["tokens", "token"]);
                if roles.is_empty() || users.is_empty() && tokens.is_empty() {
                    return Err("400 Parameter verification failed.".into());
                }
                let propagate = options.one("propagate") != Some("0");
                self.set_acl(path, &roles, &users, &tokens, propagate, false)
            }
            _ => Err(format!("pveum is not known to do this: {line}")),
        }
    }
}

/// The options of a command line: `--name value`, `-name value` or `--name=value`.
struct CommandOptions(Vec<(String, String)>);

impl CommandOptions {
    fn one(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn list(&self, names: &[&str]) -> Vec<String> {
        self.0
            .iter()
            .filter(|(known, _)| names.contains(&known.as_str()))
            .flat_map(|(_, value)| value.split([',', ';', ' ']))
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn privileges(&self) -> Result<BTreeSet<String>, String> {
        self.list(&["privs"])
            .iter()
            .map(|name| known_privilege(name))
            .collect()
    }
}

fn options(words: &[&str], known: &[&str]) -> Result<CommandOptions, String> {
    let mut list = Vec::new();
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        let name = word
            .strip_prefix("--")
            .or_else(|| word.strip_prefix('-'))
            .ok_or_else(|| format!("too many arguments: '{word}'"))?;
        let (name, given) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        if !known.contains(&name) {
            return Err(format!("Unknown option: {name}"));
        }
        let value = match given {
            Some(value) => value,
            None => words.next_if(|next| !next.starts_with('-')).unwrap_or("1"),
        };
        list.push((name.to_owned(), value.to_owned()));
    }
    Ok(CommandOptions(list))
}

/// Splits a line as a shell does: at spaces, with both kinds of quotes and backslashes.
fn shell_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '!') if word.is_some() => word.get_or_insert_default().push(c),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, ';' | '&' | '|' | '<' | '>' | '$' | '`' | '(' | ')' | '*' | '?') => {
                return Err(format!("a shell would not take '{c}' as it is: {line}"));
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("a quote is not closed: {line}"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use crate::state::{Cluster, Token};
    use crate::{Options, worlds};

    fn cluster(tokens: &[&str]) -> Cluster {
        let mut cluster = worlds::build(&Options::default()).unwrap();
        for token in tokens {
            cluster
                .access
                .add_token(Token::parse(token).unwrap())
                .unwrap();
        }
        cluster
    }

    fn may(cluster: &Cluster, who: &str, path: &str, privilege: &str) -> bool {
        cluster.privileges(who, path).contains_key(privilege)
    }

    #[test]
    fn the_nearest_entry_decides() {
        let cluster = cluster(&["a@pve!b=s:/=audit,/vms/102=none,/vms/101=VM.PowerMgmt"]);
        let may = |path: &str, privilege: &str| may(&cluster, "a@pve!b", path, privilege);
        assert!(may("/vms/103", "VM.Audit"));
        assert!(!may("/vms/102", "VM.Audit"));
        assert!(may("/vms/101", "VM.PowerMgmt") && !may("/vms/101", "VM.Audit"));
        assert!(!may("/vms/1010", "VM.PowerMgmt"));
    }

    #[test]
    fn a_separated_token_has_the_privileges_that_both_it_and_its_user_have() {
        let mut cluster = cluster(&["a@pve!b=s:/vms/102=VM.Audit"]);
        let pveum = |cluster: &mut Cluster, line: &str| cluster.access.pveum(line).unwrap();
        pveum(&mut cluster, "pveum role add Power --privs VM.PowerMgmt");
        pveum(
            &mut cluster,
            "pveum acl modify /vms/102 --roles Power --tokens 'a@pve!b'",
        );
        assert!(!may(&cluster, "a@pve!b", "/vms/102", "VM.PowerMgmt"));
        pveum(
            &mut cluster,
            "pveum acl modify /vms/102 --roles Power --users a@pve",
        );
        assert!(may(&cluster, "a@pve!b", "/vms/102", "VM.PowerMgmt"));
        assert!(
            may(&cluster, "a@pve!b", "/vms/102", "VM.Audit"),
            "roles add up"
        );
        assert!(!may(&cluster, "a@pve!b", "/vms/103", "VM.PowerMgmt"));
        pveum(
            &mut cluster,
            "pveum role modify Power --append --privs \"VM.Console,VM.Clone\"",
        );
        assert!(may(&cluster, "a@pve!b", "/vms/102", "VM.Clone"));
        assert!(may(&cluster, "a@pve!b", "/vms/102", "VM.PowerMgmt"));
    }

    #[test]
    fn pveum_refuses_what_the_real_one_refuses() {
        let mut cluster = cluster(&["a@pve!b=s:none"]);
        let mut pveum = |line: &str| cluster.access.pveum(line);
        assert!(pveum("pveum acl modify /nosuch --roles PVEAuditor --users a@pve").is_err());
        assert!(pveum("pveum acl modify / --roles Nosuch --users a@pve").is_err());
        assert!(pveum("pveum acl modify / --roles PVEAuditor --users nobody@pve").is_err());
        assert!(pveum("pveum acl modify / --roles PVEAuditor --tokens a@pve!nosuch").is_err());
        assert!(pveum("pveum role add X --privs VM.Nope").is_err());
        assert!(pveum("pveum role modify PVEAuditor --privs VM.Audit").is_err());
        assert!(pveum("pveum acl modify / --roles PVEAuditor --users a@pve; reboot").is_err());
        assert!(pveum("pveum acl modify /vms/<vmid> --roles PVEAuditor --users a@pve").is_err());
        assert!(
            pveum("pveum acl modify / --roles PVEAuditor --users a@pve --tokens a@pve!b").is_ok()
        );
    }
}
