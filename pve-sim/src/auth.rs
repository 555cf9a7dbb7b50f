//! API tokens, and the permission checks of endpoints.

use crate::access::parse_rights;
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

/// Who may call an endpoint. `{name}` in a path is replaced by that parameter.
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
                Err(Fail::denied_unnamed())
            }
            Access::IfParam(name, access) => match args.get(*name) {
                Some(value) if *value != Arg::Undef => access.check(cluster, auth, args),
                _ => Err(Fail::denied(&format!("missing parameter '{name}'"))),
            },
        }
    }
}

/// A path with its parameters; an invalid one is shown empty, as PVE does.
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
    /// Whether it may do only what both it and its user may. A full token may what its user may.
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

/// Who makes a request.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    pub(crate) token: Token,
}

impl Auth {
    /// Somebody without a token, who may use what is open.
    pub(crate) fn nobody() -> Auth {
        let token = Token {
            id: String::new(),
            secret: String::new(),
            rights: String::new(),
            separated: true,
        };
        Auth { token }
    }

    pub(crate) fn has(&self, cluster: &Cluster, path: &str, privilege: &str) -> bool {
        cluster
            .access
            .privileges(cluster, &self.token.id, path)
            .contains_key(privilege)
    }
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
    fn a_path_that_is_none_is_shown_empty() {
        let args: Args = [("node".to_owned(), Arg::One("bad_node!".into()))].into();
        assert_eq!(filled("/nodes/{node}", &args), "");
        assert_eq!(filled("/", &args), "/");
    }
}
