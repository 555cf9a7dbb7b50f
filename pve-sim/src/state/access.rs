//! Users, tokens, roles and access lists, and what comes of them.
//!
//! A user and its privilege-separated tokens have access lists of their own. Such a token may
//! do what both lists grant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::pool::Pool;
use crate::params::matches_whole;

/// All privileges of Proxmox.
pub(crate) const PRIVILEGES: &[&str] = &[
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Group.Allocate",
    "Mapping.Audit",
    "Mapping.Modify",
    "Mapping.Use",
    "Permissions.Modify",
    "Pool.Allocate",
    "Pool.Audit",
    "Realm.Allocate",
    "Realm.AllocateUser",
    "SDN.Allocate",
    "SDN.Audit",
    "SDN.Use",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
    "Sys.Syslog",
    "User.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileSystemMgmt",
    "VM.GuestAgent.FileWrite",
    "VM.GuestAgent.Unrestricted",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Replicate",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
];

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
#[derive(Clone)]
pub(crate) struct Role {
    pub(crate) built_in: bool,
    pub(crate) privileges: BTreeSet<String>,
}

#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tokens: Vec<Token>,
}

/// A token that may sign in.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// `user@realm!name`.
    pub(crate) id: String,
    pub(crate) secret: String,
    /// `all`, `audit`, `none` or the access list as it was given.
    pub(crate) rights: String,
    /// Whether it has only the privileges that both it and its user have. A full token has those
    /// of its user.
    pub(crate) separated: bool,
}

impl Token {
    /// The token of root that may do all is a full one.
    pub(crate) fn new(id: &str, secret: &str, rights: &str) -> Result<Token, String> {
        let (user, name) = id
            .split_once('!')
            .ok_or_else(|| format!("token id '{id}' is not user@realm!name"))?;
        if !user.contains('@') || name.is_empty() {
            return Err(format!("token id '{id}' is not user@realm!name"));
        }
        parse_rights(rights)?;
        Ok(Token {
            id: id.into(),
            secret: secret.into(),
            rights: rights.into(),
            separated: !(user == "root@pam" && rights == "all"),
        })
    }

    /// From the command line: `user@realm!name=secret[:rights]`.
    pub(crate) fn parse(text: &str) -> Result<Token, String> {
        let (id, rest) = text
            .split_once('=')
            .ok_or_else(|| format!("token '{text}' is not user@realm!name=secret[:rights]"))?;
        let (secret, rights) = rest.split_once(':').unwrap_or((rest, "all"));
        Token::new(id, secret, rights)
    }

    pub(crate) fn user(&self) -> &str {
        self.id.split_once('!').map_or("", |(user, _)| user)
    }
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
    pub(crate) fn privileges(
        &self,
        pools: &BTreeMap<String, Pool>,
        who: &str,
        path: &str,
    ) -> Privileges {
        let Some((user, _)) = who.split_once('!') else {
            return self.with_pools(pools, who, path);
        };
        let Some(token) = self.tokens.iter().find(|token| token.id == who) else {
            return Privileges::new();
        };
        let user = self.with_pools(pools, user, path);
        if !token.separated {
            return user;
        }
        let mut own = self.with_pools(pools, who, path);
        own.retain(|privilege, _| user.contains_key(privilege));
        own
    }

    fn with_pools(&self, pools: &BTreeMap<String, Pool>, who: &str, path: &str) -> Privileges {
        let mut privileges = self.granted(who, path);
        let pools = pools.iter().filter(|(_, pool)| {
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
    pub(crate) fn permissions(&self, pools: &BTreeMap<String, Pool>, who: &str) -> Value {
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
        for (name, pool) in pools {
            paths.insert(format!("/pool/{name}"));
            paths.extend(pool.guests.iter().map(|vmid| format!("/vms/{vmid}")));
            paths.extend(
                pool.storages
                    .iter()
                    .map(|storage| format!("/storage/{storage}")),
            );
        }
        let shown = paths.into_iter().filter_map(|path| {
            let held = self.privileges(pools, who, &path);
            (!held.is_empty()).then(|| (path, show(&held)))
        });
        Value::Object(shown.collect())
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
    matches_whole(
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

pub(crate) fn known_privilege(name: &str) -> Result<String, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_parsed() {
        let token = Token::parse("root@pam!full=s3cret").map(|token| (token.secret, token.rights));
        assert_eq!(token, Ok(("s3cret".into(), "all".into())));
        assert!(Token::parse("root@pam=x").is_err());
        assert!(Token::parse("a@pve!b=s:/vms/100=VM.Nope").is_err());
        assert!(Token::parse("a@pve!b=s:/vms/100=VM.Audit+VM.PowerMgmt,/nodes=audit").is_ok());
    }
}
