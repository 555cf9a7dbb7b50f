//! The token's secret, from whichever source gives it.

use std::path::Path;

use super::error::SettingsError;
use super::source::Source;
use super::sources::{Sources, given};
use super::variable::{self, Variable, file_name, warn_of_readers};
use crate::secret::Secret;

impl Sources {
    pub(crate) fn has_token_secret(&self) -> bool {
        self.get(Variable::TokenSecret).is_some()
            || self.get(Variable::TokenSecretFile).is_some()
            || self.credential().is_some()
    }

    pub(crate) fn token_secret(&self) -> Result<Secret, SettingsError> {
        for (place, values) in self.places() {
            let value = given(values, Variable::TokenSecret);
            let file = given(values, Variable::TokenSecretFile);
            let (variable, secret) = match (value, file) {
                (None, None) => continue,
                (Some(_), Some(_)) => return Err(SettingsError::TwoSecrets(place)),
                (Some(value), None) => {
                    if let Source::File(path) = &place {
                        warn_of_readers(path);
                    }
                    let secret = variable::check(value);
                    let secret = secret.and_then(|()| variable::parse_secret(value));
                    (Variable::TokenSecret, secret)
                }
                (None, Some(path)) => {
                    let secret = self.may_name(Path::new(path));
                    let secret = secret.and_then(|()| variable::read_secret(Path::new(path)));
                    let problem = |problem| format!("names {}, which {problem}", file_name(path));
                    (Variable::TokenSecretFile, secret.map_err(problem))
                }
            };
            return secret.map_err(|problem| SettingsError::malformed(variable, place, problem));
        }
        let Some(path) = self.credential() else {
            return Err(self.missing(vec![Variable::TokenSecret]));
        };
        variable::read_secret(&path).map_err(|problem| {
            SettingsError::malformed(Variable::TokenSecret, Source::Credential, problem)
        })
    }

    /// Whether the file of settings may name this one as that of a secret or a key.
    /// A `.env` that was found and not named may not: it could send any file's
    /// content to an address of its choice, or prove there whose key it has.
    pub(super) fn may_name(&self, secret: &Path) -> Result<(), String> {
        if self.unnamed_file().is_none() {
            return Ok(());
        }
        let folder = Path::new(".").canonicalize();
        let secret = secret.canonicalize();
        match (folder, secret) {
            (Ok(folder), Ok(secret)) if !secret.starts_with(&folder) => Err(
                "is outside the working directory, which is not allowed in a .env that was found \
                 there: pass --dotenv if you trust it"
                    .to_owned(),
            ),
            // Reading it will say what is wrong.
            _ => Ok(()),
        }
    }
}
