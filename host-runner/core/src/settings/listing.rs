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
    /// or the file gives. Unless they are `valid`, those of the
    /// connection have no values: two of them may be swapped.
    pub(crate) fn listed(&self, valid: bool) -> Vec<Listed> {
        let listed = Variable::ALL.into_iter().filter_map(|variable| {
            let (value, place) = self.get(variable)?;
            let value = match variable {
                Variable::TokenSecret | Variable::HttpTokens => HIDDEN.to_owned(),
                Variable::Proxy if valid => match value.rsplit_once('@') {
                    Some((_, host)) => format!("http://{HIDDEN}@{host}"),
                    None => value.to_owned(),
                },
                one if one.is_of_the_connection() && !valid => HIDDEN.to_owned(),
                _ => mask_secrets(value),
            };
            let secret = self.get(Variable::TokenSecret);
            let is_secret = secret.is_some_and(|(secret, _)| value.contains(secret));
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
