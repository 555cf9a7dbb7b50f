//! What is known so far: from flags and the environment, then from the user.

use std::net::Ipv6Addr;

use zeroize::Zeroizing;

use crate::cli::Operator;
use crate::commands::CommandError;
use crate::settings::{Settings, Sources, Variable, is_like_a_secret};

/// Addresses as the settings have them: with `https://`, and where that was missing, with the
/// port of Proxmox VE. What has a scheme stays as it is.
pub(super) fn addresses(text: &str) -> String {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let parts = parts.map(|part| match (part.contains("://"), has_port(part)) {
        (true, _) => part.to_owned(),
        (false, Some(true)) => format!("https://{part}"),
        (false, Some(false)) => format!("https://{part}:{PORT}"),
        (false, None) => format!("https://[{part}]:{PORT}"),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Whether a host is followed by a port; None for an IPv6 address without brackets, which
/// could not be told from it.
fn has_port(text: &str) -> Option<bool> {
    match text.rsplit_once(']') {
        Some((_, rest)) => Some(rest.starts_with(':')),
        None if text.parse::<Ipv6Addr>().is_ok() => None,
        None => Some(text.contains(':')),
    }
}

/// Stands for a secret where none is sent.
const NO_SECRET: &str = "00000000-0000-0000-0000-000000000000";
/// The port on which Proxmox VE listens.
const PORT: u16 = 8006;

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

    /// A value, if it is known. An empty one is not.
    pub(super) fn get(&self, variable: Variable) -> Option<&str> {
        let found = self.0.iter().find(|(one, _)| *one == variable);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
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
        without.set(Variable::TokenSecret, NO_SECRET.to_owned());
        without.settings()
    }

    /// Fails unless a user and a token can have these names.
    pub(super) fn check_names(user: &str, token: &str) -> Result<(), CommandError> {
        let refused = |text: &str| Err(CommandError::Usage(text.to_owned()));
        if token.is_empty() {
            return refused("the token has no name: it is written as user@realm!name");
        }
        if is_like_a_secret(token) {
            return refused(
                "the name of the token looks like its secret: the name is a word, such as assistant",
            );
        }
        let mut alone = Self::default();
        alone.set(Variable::Url, format!("https://pve:{PORT}"));
        alone.set(Variable::User, user.to_owned());
        alone.set(Variable::TokenId, token.to_owned());
        alone.set(Variable::TokenSecret, NO_SECRET.to_owned());
        alone.settings().map(drop)
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

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn an_address_is_completed() {
        for (typed, complete) in [
            ("pve1", "https://pve1:8006"),
            (" pve1.example.com ", "https://pve1.example.com:8006"),
            ("192.0.2.10", "https://192.0.2.10:8006"),
            ("pve1:443", "https://pve1:443"),
            ("2001:db8::1", "https://[2001:db8::1]:8006"),
            ("[2001:db8::1]", "https://[2001:db8::1]:8006"),
            ("[2001:db8::1]:443", "https://[2001:db8::1]:443"),
            ("pve1, pve2", "https://pve1:8006,https://pve2:8006"),
            ("https://pve.example.com", "https://pve.example.com"),
            ("http://pve1:8006", "http://pve1:8006"),
            ("", ""),
        ] {
            assert_eq!(addresses(typed), complete);
        }
    }
}
