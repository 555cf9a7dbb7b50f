//! What is known so far: from flags and the environment, then from the user.

use zeroize::Zeroizing;

use crate::cli::Operator;
use crate::commands::CommandError;
use crate::settings::{Settings, Sources, Variable};

/// Those that setup writes, in the order of the file.
const WRITTEN: [Variable; 9] = [
    Variable::Url,
    Variable::User,
    Variable::TokenId,
    Variable::TokenSecret,
    Variable::CaFile,
    Variable::Fingerprint,
    Variable::ClientCert,
    Variable::ClientKey,
    Variable::Proxy,
];
/// Files, of which the settings need the absolute path.
const FILES: [Variable; 3] = [Variable::CaFile, Variable::ClientCert, Variable::ClientKey];

/// The settings so far.
#[derive(Default)]
pub(super) struct Answers(Vec<(Variable, Zeroizing<String>)>);

impl Answers {
    /// What flags and the environment give, but for the secret.
    pub(super) fn given(operator: &Operator<'_>) -> Result<Self, CommandError> {
        let mut answers = Self::default();
        for variable in WRITTEN {
            if variable == Variable::TokenSecret {
                continue;
            }
            let Some(value) = operator.given(variable) else {
                continue;
            };
            if FILES.contains(&variable) {
                let path = std::path::absolute(value)?;
                answers.set(variable, path.display().to_string());
            } else {
                answers.set(variable, value.to_owned());
            }
        }
        Ok(answers)
    }

    /// A value, if it is known.
    pub(super) fn get(&self, variable: Variable) -> Option<&str> {
        let found = self.0.iter().find(|(one, _)| *one == variable);
        found.map(|(_, value)| value.as_str())
    }

    /// Adds a value, or changes it.
    pub(super) fn set(&mut self, variable: Variable, value: impl Into<Zeroizing<String>>) {
        self.0.retain(|(one, _)| *one != variable);
        self.0.push((variable, value.into()));
    }

    /// The settings, once all of them are known.
    pub(super) fn settings(&self) -> Result<Settings, CommandError> {
        let values = self.0.iter().cloned();
        Ok(Settings::from_sources(&Sources::of_answers(values))?)
    }

    /// The settings without a token, to probe the addresses: nothing else is sent with them.
    pub(super) fn connection(&self) -> Result<Settings, CommandError> {
        let nobody = Settings::nowhere();
        let mut without = Self::default();
        for (variable, value) in &self.0 {
            without.set(*variable, value.clone());
        }
        without.set(Variable::User, nobody.user);
        without.set(Variable::TokenId, nobody.token_name);
        without.set(
            Variable::TokenSecret,
            "00000000-0000-0000-0000-000000000000".to_owned(),
        );
        without.settings()
    }

    /// All that is to be written, in order. A token's name is written without its owner.
    pub(super) fn written<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> impl Iterator<Item = (Variable, &'a str)> {
        WRITTEN.into_iter().filter_map(|variable| {
            let value = match variable {
                Variable::User => Some(settings.user.as_str()),
                Variable::TokenId => Some(settings.token_name.as_str()),
                // Fingerprints take precedence: the file would say what does not count.
                Variable::CaFile if self.get(Variable::Fingerprint).is_some() => None,
                _ => self.get(variable),
            };
            Some((variable, value?))
        })
    }
}
