//! API tokens, their access lists, and the permission checks of endpoints.

use serde_json::{Map, Value, json};

use crate::params::{Arg, Args};
use crate::router::Fail;
use crate::state::Cluster;

/// Every privilege that there is.
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

/// What the role PVEAuditor holds.
const AUDIT: &[&str] = &[
    "Datastore.Audit",
    "Mapping.Audit",
    "Pool.Audit",
    "SDN.Audit",
    "Sys.Audit",
    "VM.Audit",
    "VM.GuestAgent.Audit",
];

/// Who may call an endpoint. `{name}` in a path stands for that parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    /// Everyone with a valid token; the handler filters what it shows.
    Everyone,
    /// All of these privileges.
    All(&'static str, &'static [&'static str]),
    /// One of these privileges.
    Any(&'static str, &'static [&'static str]),
    And(&'static [Access]),
    Or(&'static [Access]),
    /// The inner check, and only if that parameter is given.
    IfParam(&'static str, &'static Access),
}

impl Access {
    pub(crate) fn check(&self, cluster: &Cluster, auth: &Auth, args: &Args) -> Result<(), Fail> {
        match self {
            Access::Everyone => Ok(()),
            Access::All(path, privileges) => {
                let path = filled(path, args);
                match privileges
                    .iter()
                    .find(|privilege| !auth.has(cluster, &path, privilege))
                {
                    Some(missing) => Err(Fail::denied(&format!("{path}, {missing}"))),
                    None => Ok(()),
                }
            }
            Access::Any(path, privileges) => {
                let path = filled(path, args);
                if privileges
                    .iter()
                    .any(|privilege| auth.has(cluster, &path, privilege))
                {
                    return Ok(());
                }
                Err(Fail::denied(&format!("{path}, {}", privileges.join("|"))))
            }
            Access::And(all) => all
                .iter()
                .try_for_each(|access| access.check(cluster, auth, args)),
            Access::Or(any) => {
                if any
                    .iter()
                    .any(|access| access.check(cluster, auth, args).is_ok())
                {
                    return Ok(());
                }
                // The last alternative's text is the one that is shown.
                any.last()
                    .map_or(Ok(()), |last| last.check(cluster, auth, args))
            }
            Access::IfParam(name, access) => match args.get(*name) {
                Some(value) if *value != Arg::Undef => access.check(cluster, auth, args),
                _ => Err(Fail::denied(&format!("missing parameter '{name}'"))),
            },
        }
    }
}

/// A path with its parameters; one that is no path at all is shown empty, as PVE does.
fn filled(template: &str, args: &Args) -> String {
    let mut path = String::new();
    for segment in template.split('/').filter(|segment| !segment.is_empty()) {
        path.push('/');
        match segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) => match args.get(name) {
                Some(Arg::One(value)) => path.push_str(value),
                _ => return String::new(),
            },
            None => path.push_str(segment),
        }
    }
    if path.is_empty() {
        return "/".into();
    }
    let clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '@');
    if path.chars().all(clean) {
        path
    } else {
        String::new()
    }
}

/// A token that may sign in.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// `user@realm!name`.
    pub(crate) id: String,
    pub(crate) secret: String,
    /// `all`, `audit`, `none` or the access list as it was given.
    pub(crate) rights: String,
    acl: Vec<(String, Vec<String>)>,
}

impl Token {
    pub(crate) fn new(id: &str, secret: &str, rights: &str) -> Result<Token, String> {
        let (user, name) = id
            .split_once('!')
            .ok_or_else(|| format!("token id '{id}' is no user@realm!name"))?;
        if !user.contains('@') || name.is_empty() {
            return Err(format!("token id '{id}' is no user@realm!name"));
        }
        Ok(Token {
            id: id.into(),
            secret: secret.into(),
            rights: rights.into(),
            acl: parse_acl(rights)?,
        })
    }

    /// From the command line: `user@realm!name=secret[:rights]`.
    pub(crate) fn parse(text: &str) -> Result<Token, String> {
        let (id, rest) = text
            .split_once('=')
            .ok_or_else(|| format!("token '{text}' is no user@realm!name=secret[:rights]"))?;
        let (secret, rights) = rest.split_once(':').unwrap_or((rest, "all"));
        Token::new(id, secret, rights)
    }
}

/// `all`, `audit`, `none`, or `/vms/100=VM.Audit+VM.PowerMgmt,/storage=audit`.
fn parse_acl(rights: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let role = |name: &str| -> Result<Vec<String>, String> {
        let owned = |list: &[&str]| {
            list.iter()
                .map(|privilege| (*privilege).to_owned())
                .collect()
        };
        match name {
            "all" => Ok(owned(PRIVILEGES)),
            "audit" => Ok(owned(AUDIT)),
            "none" => Ok(Vec::new()),
            list => list
                .split('+')
                .map(|privilege| {
                    if PRIVILEGES.contains(&privilege) {
                        Ok(privilege.to_owned())
                    } else {
                        Err(format!("no such privilege '{privilege}'"))
                    }
                })
                .collect(),
        }
    };
    if matches!(rights, "all" | "audit" | "none") {
        return Ok(vec![("/".into(), role(rights)?)]);
    }
    rights
        .split(',')
        .map(|entry| {
            let (path, privileges) = entry
                .split_once('=')
                .ok_or_else(|| format!("access list entry '{entry}' is no /path=PRIVILEGES"))?;
            Ok((path.to_owned(), role(privileges)?))
        })
        .collect()
}

/// Who makes a request.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    pub(crate) token: Token,
}

impl Auth {
    pub(crate) fn has(&self, cluster: &Cluster, path: &str, privilege: &str) -> bool {
        if self.granted(path, privilege) {
            return true;
        }
        // Rights on a pool hold for its members.
        let vmid = path
            .strip_prefix("/vms/")
            .and_then(|vmid| vmid.parse().ok());
        vmid.and_then(|vmid| cluster.pool_of(vmid))
            .is_some_and(|pool| self.granted(&format!("/pool/{pool}"), privilege))
    }

    fn granted(&self, path: &str, privilege: &str) -> bool {
        if path.is_empty() {
            return false;
        }
        // The nearest entry decides alone, as in PVE.
        self.token
            .acl
            .iter()
            .filter(|(prefix, _)| is_within(path, prefix))
            .max_by_key(|(prefix, _)| prefix.len())
            .is_some_and(|(_, privileges)| privileges.iter().any(|held| held == privilege))
    }

    /// `GET /access/permissions`: privileges by path.
    pub(crate) fn permissions(&self) -> Value {
        let mut paths: Map<String, Value> = Map::new();
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
        let own = self.token.acl.iter().map(|(path, _)| path.as_str());
        for path in top.into_iter().chain(own) {
            let held: Map<String, Value> = PRIVILEGES
                .iter()
                .filter(|privilege| self.granted(path, privilege))
                .map(|privilege| ((*privilege).to_owned(), json!(1)))
                .collect();
            if !held.is_empty() {
                paths.insert(path.to_owned(), Value::Object(held));
            }
        }
        Value::Object(paths)
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

    #[test]
    fn the_nearest_entry_decides() {
        let token = Token::parse("a@pve!b=s:/=audit,/vms/100=none,/vms/101=VM.PowerMgmt").unwrap();
        let auth = Auth { token };
        assert!(auth.granted("/vms/102", "VM.Audit"));
        assert!(!auth.granted("/vms/100", "VM.Audit"));
        assert!(auth.granted("/vms/101", "VM.PowerMgmt"));
        assert!(!auth.granted("/vms/1010", "VM.PowerMgmt"));
    }

    #[test]
    fn a_path_that_is_none_is_shown_empty() {
        let args: Args = [("node".to_owned(), Arg::One("bad_node!".into()))].into();
        assert_eq!(filled("/nodes/{node}", &args), "");
        assert_eq!(filled("/", &args), "/");
    }
}
