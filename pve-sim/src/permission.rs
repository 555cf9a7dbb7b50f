//! The permission checks of endpoints.

use crate::fail::Fail;
use crate::params::{Arg, Args, placeholder};
use crate::state::{Cluster, Token};

/// Who may call an endpoint. `{name}` in a path is replaced by that parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Permission {
    /// Everyone with a valid token; the handler filters what it shows.
    Everyone,
    /// All of these privileges.
    All(&'static str, &'static [&'static str]),
    /// One of these privileges.
    Any(&'static str, &'static [&'static str]),
    And(&'static [Permission]),
    Or(&'static [Permission]),
    /// The inner check, and only if that parameter is given.
    IfParam(&'static str, &'static Permission),
}

impl Permission {
    pub(crate) fn check(&self, cluster: &Cluster, auth: &Auth, args: &Args) -> Result<(), Fail> {
        match self {
            Permission::Everyone => Ok(()),
            Permission::All(path, privileges) => {
                let path = filled(path, args);
                match privileges
                    .iter()
                    .find(|privilege| !auth.has(cluster, &path, privilege))
                {
                    Some(missing) => Err(Fail::denied(&format!("{path}, {missing}"))),
                    None => Ok(()),
                }
            }
            Permission::Any(path, privileges) => {
                let path = filled(path, args);
                if privileges
                    .iter()
                    .any(|privilege| auth.has(cluster, &path, privilege))
                {
                    return Ok(());
                }
                Err(Fail::denied(&format!("{path}, {}", privileges.join("|"))))
            }
            Permission::And(all) => all
                .iter()
                .try_for_each(|access| access.check(cluster, auth, args)),
            Permission::Or(any) => {
                if any
                    .iter()
                    .any(|access| access.check(cluster, auth, args).is_ok())
                {
                    return Ok(());
                }
                Err(Fail::denied_unnamed())
            }
            Permission::IfParam(name, access) => match args.get(*name) {
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
        match placeholder(segment) {
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

/// Who makes a request.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    pub(crate) token: Token,
}

impl Auth {
    /// A caller without a token, who may use open endpoints only.
    pub(crate) fn anonymous() -> Auth {
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
            .privileges(&self.token.id, path)
            .contains_key(privilege)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_path_is_shown_as_empty() {
        let args: Args = [("node".to_owned(), Arg::One("bad_node!".into()))].into();
        assert_eq!(filled("/nodes/{node}", &args), "");
        assert_eq!(filled("/", &args), "/");
    }
}
