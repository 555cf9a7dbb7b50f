//! Users, tokens, roles and access lists, and what comes of them.
//!
//! A user and its privilege-separated tokens have access lists of their own. Such a token may
//! do what both lists grant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::auth::{PRIVILEGES, Token};
use crate::state::Cluster;

/// Privileges at a path, and whether each holds below it too.
pub(crate) type Privileges = BTreeMap<String, bool>;

/// Roles that exist everywhere. `Administrator` holds every privilege.
const ROLES: &[(&str, &[&str])] = &[
    ("NoAccess", &[]),
    (
        "PVEAuditor",
        &[
            "Datastore.Audit",
            "Mapping.Audit",
            "Pool.Audit",
            "SDN.Audit",
            "Sys.Audit",
            "VM.Audit",
            "VM.GuestAgent.Audit",
        ],
    ),
    (
        "PVEDatastoreAdmin",
        &[
            "Datastore.Allocate",
            "Datastore.AllocateSpace",
            "Datastore.AllocateTemplate",
            "Datastore.Audit",
        ],
    ),
    (
        "PVEDatastoreUser",
        &["Datastore.AllocateSpace", "Datastore.Audit"],
    ),
    (
        "PVEMappingAdmin",
        &["Mapping.Audit", "Mapping.Modify", "Mapping.Use"],
    ),
    ("PVEMappingUser", &["Mapping.Audit", "Mapping.Use"]),
    ("PVEPoolAdmin", &["Pool.Allocate", "Pool.Audit"]),
    ("PVEPoolUser", &["Pool.Audit"]),
    ("PVESDNAdmin", &["SDN.Allocate", "SDN.Audit", "SDN.Use"]),
    ("PVESDNUser", &["SDN.Audit", "SDN.Use"]),
    ("PVESysAdmin", &["Sys.Audit", "Sys.Console", "Sys.Syslog"]),
    ("PVETemplateUser", &["VM.Audit", "VM.Clone"]),
    (
        "PVEUserAdmin",
        &["Group.Allocate", "Realm.AllocateUser", "User.Modify"],
    ),
    (
        "PVEVMUser",
        &[
            "VM.Audit",
            "VM.Backup",
            "VM.Config.CDROM",
            "VM.Config.Cloudinit",
            "VM.Console",
            "VM.GuestAgent.Audit",
            "VM.GuestAgent.FileRead",
            "VM.GuestAgent.FileSystemMgmt",
            "VM.GuestAgent.FileWrite",
            "VM.PowerMgmt",
        ],
    ),
];

/// Only an administrator holds these, not `PVEAdmin`.
const NOT_DELEGATED: &[&str] = &[
    "Mapping.Modify",
    "Permissions.Modify",
    "Realm.Allocate",
    "Sys.AccessNetwork",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
];

/// One role of one user or token at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: String,
    /// `user@realm` or `user@realm!token`.
    pub(crate) who: String,
    pub(crate) role: String,
    pub(crate) propagate: bool,
}

/// A role's name and whether Proxmox has it from the beginning, with its privileges.
pub(crate) struct Role {
    pub(crate) built_in: bool,
    pub(crate) privileges: BTreeSet<String>,
}

pub(crate) struct Access {
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tokens: Vec<Token>,
}

fn owned<'a>(list: impl IntoIterator<Item = &'a &'a str>) -> BTreeSet<String> {
    list.into_iter().map(|name| (*name).to_owned()).collect()
}

impl Default for Access {
    fn default() -> Access {
        let mut roles: BTreeMap<String, BTreeSet<String>> = ROLES
            .iter()
            .map(|(name, privileges)| ((*name).to_owned(), owned(*privileges)))
            .collect();
        roles.insert("Administrator".into(), owned(PRIVILEGES));
        roles.insert(
            "PVEAdmin".into(),
            owned(PRIVILEGES.iter().filter(|it| !NOT_DELEGATED.contains(it))),
        );
        roles.insert(
            "PVEVMAdmin".into(),
            owned(PRIVILEGES.iter().filter(|it| it.starts_with("VM."))),
        );
        Access {
            roles: roles
                .into_iter()
                .map(|(name, privileges)| {
                    let role = Role {
                        built_in: true,
                        privileges,
                    };
                    (name, role)
                })
                .collect(),
            entries: Vec::new(),
            tokens: Vec::new(),
        }
    }
}

impl Access {
    /// Knows a token, whose user gets the same rights. A user who has several tokens may at each
    /// path what any of them may.
    pub(crate) fn add_token(&mut self, token: Token) -> Result<(), String> {
        self.tokens.retain(|known| known.id != token.id);
        self.entries.retain(|entry| entry.who != token.id);
        let user = token.user().to_owned();
        self.grant(&token.id, &token.rights)?;
        self.tokens.push(token);
        if user == "root@pam" {
            return Ok(());
        }
        let own: Vec<String> = self
            .tokens
            .iter()
            .filter(|known| known.user() == user)
            .map(|known| known.id.clone())
            .collect();
        let paths: BTreeSet<String> = self
            .entries
            .iter()
            .filter(|entry| own.contains(&entry.who))
            .map(|entry| entry.path.clone())
            .collect();
        self.entries.retain(|entry| entry.who != user);
        for path in paths {
            let privileges: BTreeSet<String> = own
                .iter()
                .flat_map(|id| self.granted(id, &path).into_keys())
                .collect();
            let role = self.role_of(privileges);
            self.entries.push(Entry {
                path,
                who: user.clone(),
                role,
                propagate: true,
            });
        }
        Ok(())
    }

    /// Replaces what a user or token may: `all`, `audit`, `none` or `/path=PRIV+PRIV,…`.
    pub(crate) fn grant(&mut self, who: &str, rights: &str) -> Result<(), String> {
        let rights = parse_rights(rights)?;
        self.entries.retain(|entry| entry.who != who);
        for (path, privileges) in rights {
            let role = self.role_of(privileges);
            self.entries.push(Entry {
                path,
                who: who.to_owned(),
                role,
                propagate: true,
            });
        }
        Ok(())
    }

    /// A role with exactly these privileges.
    fn role_of(&mut self, privileges: BTreeSet<String>) -> String {
        if let Some((name, _)) = self
            .roles
            .iter()
            .find(|(_, role)| role.privileges == privileges)
        {
            return name.clone();
        }
        let name = format!("Role{}", self.roles.len());
        let role = Role {
            built_in: false,
            privileges,
        };
        self.roles.insert(name.clone(), role);
        name
    }

    /// What a user or token may at a path. It includes what a pool grants for its members.
    pub(crate) fn privileges(&self, cluster: &Cluster, who: &str, path: &str) -> Privileges {
        let Some((user, _)) = who.split_once('!') else {
            return self.with_pools(cluster, who, path);
        };
        let Some(token) = self.tokens.iter().find(|token| token.id == who) else {
            return Privileges::new();
        };
        let user = self.with_pools(cluster, user, path);
        if !token.separated {
            return user;
        }
        let mut own = self.with_pools(cluster, who, path);
        own.retain(|privilege, _| user.contains_key(privilege));
        own
    }

    fn with_pools(&self, cluster: &Cluster, who: &str, path: &str) -> Privileges {
        let mut privileges = self.granted(who, path);
        let pools = cluster.pools.iter().filter(|(_, pool)| {
            path.strip_prefix("/vms/")
                .and_then(|vmid| vmid.parse().ok())
                .is_some_and(|vmid: u32| pool.guests.contains(&vmid))
                || path
                    .strip_prefix("/storage/")
                    .is_some_and(|storage| pool.storages.iter().any(|known| known == storage))
        });
        for (pool, _) in pools {
            privileges.extend(self.granted(who, &format!("/pool/{pool}")));
        }
        privileges
    }

    /// By the access list alone: the nearest path that names the user or token decides.
    fn granted(&self, who: &str, path: &str) -> Privileges {
        let mut privileges = Privileges::new();
        if path.is_empty() {
            return privileges;
        }
        if who == "root@pam" {
            return PRIVILEGES
                .iter()
                .map(|it| ((*it).to_owned(), true))
                .collect();
        }
        let own = || self.entries.iter().filter(|entry| entry.who == who);
        let nearest = own()
            .filter(|entry| entry.path == path || entry.propagate && is_within(path, &entry.path))
            .map(|entry| entry.path.len())
            .max();
        for entry in
            own().filter(|entry| Some(entry.path.len()) == nearest && is_within(path, &entry.path))
        {
            if entry.path != path && !entry.propagate {
                continue;
            }
            let role = self.roles.get(&entry.role);
            if entry.role == "NoAccess" {
                return Privileges::new();
            }
            for privilege in role.iter().flat_map(|role| &role.privileges) {
                let known = privileges.entry(privilege.clone()).or_default();
                *known |= entry.propagate;
            }
        }
        privileges
    }

    /// `GET /access/permissions`: privileges by path, where there are any.
    pub(crate) fn permissions(&self, cluster: &Cluster, who: &str) -> Value {
        let top = [
            "/",
            "/access",
            "/access/groups",
            "/nodes",
            "/pool",
            "/sdn",
            "/storage",
            "/vms",
        ];
        let mut paths: BTreeSet<String> = owned(&top);
        paths.extend(self.entries.iter().map(|entry| entry.path.clone()));
        for (name, pool) in &cluster.pools {
            paths.insert(format!("/pool/{name}"));
            paths.extend(pool.guests.iter().map(|vmid| format!("/vms/{vmid}")));
            paths.extend(
                pool.storages
                    .iter()
                    .map(|storage| format!("/storage/{storage}")),
            );
        }
        let shown = paths.into_iter().filter_map(|path| {
            let held = self.privileges(cluster, who, &path);
            (!held.is_empty()).then(|| (path, show(&held)))
        });
        Value::Object(shown.collect())
    }

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

    /// As `PUT /access/acl`.
    pub(crate) fn set_acl(
        &mut self,
        path: &str,
        roles: &[String],
        users: &[String],
        tokens: &[String],
        propagate: bool,
        delete: bool,
    ) -> Result<(), String> {
        let failed = |text: String| Err(format!("ACL update failed: {text}"));
        if !is_acl_path(path) {
            return Err(format!("invalid ACL path '{path}'"));
        }
        for role in roles {
            if !self.roles.contains_key(role) {
                return failed(format!("role '{role}' does not exist"));
            }
        }
        for user in users {
            if user != "root@pam" && !self.tokens.iter().any(|token| token.user() == user) {
                return failed(format!("user '{user}' does not exist"));
            }
        }
        for token in tokens {
            if !self.tokens.iter().any(|known| known.id == *token) {
                return failed(format!("token '{token}' does not exist"));
            }
        }
        let path = match path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        for who in users.iter().chain(tokens) {
            for role in roles {
                self.entries.retain(|entry| {
                    (&entry.path, &entry.who, &entry.role) != (&path.to_owned(), who, role)
                });
                if !delete {
                    self.entries.push(Entry {
                        path: path.to_owned(),
                        who: who.clone(),
                        role: role.clone(),
                        propagate,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Privileges as objects have them.
pub(crate) fn show(privileges: &Privileges) -> Value {
    let fields: Map<String, Value> = privileges
        .iter()
        .map(|(name, propagate)| (name.clone(), json!(i32::from(*propagate))))
        .collect();
    Value::Object(fields)
}

/// Paths that access lists may name.
fn is_acl_path(path: &str) -> bool {
    crate::params::matches_whole(
        "/|/(access|access/groups(/[^/]+)?|access/realm(/[^/]+)?|nodes(/[^/]+)?|pool(/[^/]+){0,3}|sdn(/[^/]+)*|storage(/[^/]+)?|vms(/[1-9][0-9]{2,})?|mapping(/[^/]+)*)/?",
        path,
    )
}

/// `all`, `audit`, `none`, or `/vms/100=VM.Audit+VM.PowerMgmt,/storage=audit`.
pub(crate) fn parse_rights(rights: &str) -> Result<Vec<(String, BTreeSet<String>)>, String> {
    let privileges = |name: &str| -> Result<BTreeSet<String>, String> {
        match name {
            "all" => Ok(owned(PRIVILEGES)),
            "audit" => Ok(ROLES
                .iter()
                .filter(|(role, _)| *role == "PVEAuditor")
                .flat_map(|(_, privileges)| owned(*privileges))
                .collect()),
            "none" => Ok(BTreeSet::new()),
            list => list.split('+').map(known_privilege).collect(),
        }
    };
    match rights {
        "none" => return Ok(Vec::new()),
        "all" | "audit" => return Ok(vec![("/".into(), privileges(rights)?)]),
        _ => {}
    }
    rights
        .split(',')
        .map(|entry| {
            let (path, names) = entry
                .split_once('=')
                .ok_or_else(|| format!("access list entry '{entry}' is not /path=PRIVILEGES"))?;
            Ok((path.to_owned(), privileges(names)?))
        })
        .collect()
}

fn known_privilege(name: &str) -> Result<String, String> {
    if PRIVILEGES.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(format!("invalid privilege '{name}'"))
    }
}

fn is_within(path: &str, prefix: &str) -> bool {
    prefix == "/"
        || path == prefix
        || path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('/'))
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
    use super::*;
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
        cluster
            .access
            .privileges(cluster, who, path)
            .contains_key(privilege)
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
    fn a_separated_token_may_what_both_it_and_its_user_may() {
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
