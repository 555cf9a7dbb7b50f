//! The settings as an operator sees them: each with its source, and secrets hidden.

use std::path::PathBuf;

use serde::Serialize;

use super::source::Source;
use super::sources::{Sources, given};
use super::variable::{Variable, mask_secrets};
use crate::system::private;

/// A setting that is given.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Listed {
    /// Its name.
    pub name: &'static str,
    /// Its value; what is secret is hidden.
    pub value: String,
    /// Where it comes from.
    pub source: String,
}

const HIDDEN: &str = "(hidden)";

impl Sources {
    /// The settings that are given, in their order, and then the options that the environment
    /// or the file gives. Unless they are `valid`, the user and the token's name have no
    /// values: they may be swapped with the secret.
    pub(crate) fn listed(&self, valid: bool) -> Vec<Listed> {
        let listed = Variable::ALL.into_iter().filter_map(|variable| {
            let (value, place) = self.get(variable)?;
            let secret = self.get(Variable::TokenSecret);
            let is_secret = secret.is_some_and(|(secret, _)| value.contains(secret));
            let value = match variable {
                Variable::TokenSecret | Variable::HttpTokens => HIDDEN.to_owned(),
                Variable::User | Variable::TokenId if !valid => HIDDEN.to_owned(),
                Variable::User | Variable::TokenId => mask_secrets(value),
                _ => without_credentials(&mask_secrets(value)),
            };
            Some(Listed {
                name: variable.name(),
                value: if is_secret { HIDDEN.to_owned() } else { value },
                source: place.to_string(),
            })
        });
        let options = self.flags().into_iter().map(|given| Listed {
            name: given.flag.name,
            value: mask_secrets(&given.value),
            source: given.place.to_string(),
        });
        listed.chain(options).collect()
    }

    /// The files with a secret that every user of this machine can read or change.
    pub(crate) fn exposed_files(&self) -> Vec<PathBuf> {
        let files = self.places().flat_map(|(place, values)| {
            let own = match place {
                Source::File(path) if given(values, Variable::TokenSecret).is_some() => Some(path),
                _ => None,
            };
            let named = [Variable::TokenSecretFile, Variable::HttpTokensFile];
            let named = named.into_iter().filter_map(|one| given(values, one));
            own.into_iter().chain(named.map(PathBuf::from))
        });
        files.filter(|path| private::is_open_to_all(path)).collect()
    }
}

/// URLs without their users, passwords and queries.
fn without_credentials(urls: &str) -> String {
    let of_one = |url: &str| {
        let (url, query) = match url.split_once('?') {
            Some((url, _)) if url.contains("://") => (url, format!("?{HIDDEN}")),
            _ => (url, String::new()),
        };
        match url.rsplit_once('@') {
            Some((head, rest)) => {
                let scheme = head.split_once("://");
                let scheme = scheme.map_or_else(String::new, |(scheme, _)| format!("{scheme}://"));
                format!("{scheme}{HIDDEN}@{rest}{query}")
            }
            None => format!("{url}{query}"),
        }
    };
    urls.split(',').map(of_one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_what_may_be_secret() {
        for (given, shown) in [
            ("https://pve1:8006,pve2", "https://pve1:8006,pve2"),
            (
                "http://u:p@w@h:4318/x?key=1",
                "http://(hidden)@h:4318/x?(hidden)",
            ),
            ("u:p@proxy:3128", "(hidden)@proxy:3128"),
            ("https://a,https://u:p@b", "https://a,https://(hidden)@b"),
            ("/etc/proxmox-mcp/what?", "/etc/proxmox-mcp/what?"),
        ] {
            assert_eq!(without_credentials(given), shown);
        }
    }
}
