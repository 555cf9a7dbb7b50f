//! The file with several clusters: for each of them, the settings of the connection and
//! the policy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::SettingsError;
use super::source::Source;
use super::sources::{Sources, Values};
use super::variable::Variable;
use crate::operator_file::{self, MAX_POLICY_BYTES};

/// The word for all clusters in a call, so no cluster may have this name.
pub(crate) const ALL_CLUSTERS: &str = "all";
/// The most characters of a cluster's name.
const MAX_NAME: usize = 32;
/// The most clusters.
const MAX_CLUSTERS: usize = 32;

/// The settings of one cluster of the file.
pub(crate) struct OfCluster {
    /// Its name.
    pub name: Arc<str>,
    /// The settings of the file, and those that do not belong to a connection.
    pub sources: Sources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    clusters: BTreeMap<String, Section>,
}

/// Its keys are the names of the settings without `PROXMOX_`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    url: OneOrMore,
    user: Option<String>,
    token_id: String,
    token_secret_file: Option<String>,
    /// The name of a variable of the environment that holds the secret.
    token_secret_env: Option<String>,
    verify_ssl: Option<bool>,
    ca_file: Option<String>,
    fingerprint: Option<OneOrMore>,
    policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn joined(self) -> String {
        match self {
            Self::One(text) => text,
            Self::More(texts) => texts.join(","),
        }
    }
}

impl Sources {
    /// The clusters of the file that `PROXMOX_MCP_CLUSTERS` names, in the order of their
    /// names. Empty if it names none.
    pub(crate) fn clusters(&self) -> Result<Vec<OfCluster>, SettingsError> {
        let Some((path, place)) = self.get(Variable::Clusters) else {
            return Ok(Vec::new());
        };
        // It chooses where tokens are sent.
        if self.unnamed_file().is_some() && matches!(place, Source::File(_)) {
            let problem = "comes from a .env that was found in the working directory: pass \
                           --dotenv if you trust it";
            let problem = problem.to_owned();
            return Err(SettingsError::malformed(Variable::Clusters, place, problem));
        }
        let elsewhere = Variable::ALL.into_iter().find_map(|variable| {
            let (_, place) = self.get(variable)?;
            variable.is_of_the_connection().then_some((variable, place))
        });
        if let Some((variable, place)) = elsewhere {
            let problem = "must be left out, since --clusters (PROXMOX_MCP_CLUSTERS) names a file \
                           with the settings of each cluster";
            let problem = problem.to_owned();
            return Err(SettingsError::malformed(variable, place, problem));
        }
        let path = Path::new(path);
        let unusable = |reason: String| SettingsError::EnvFile {
            path: path.to_owned(),
            reason,
        };
        let text = operator_file::read_text(path, MAX_POLICY_BYTES)
            .map_err(|error| unusable(error.to_string()))?;
        let sections = parse(&text).map_err(unusable)?;
        let of_one = |(name, section): (String, Section)| {
            let values = section.values(&|name| std::env::var(name).ok());
            let values = values.map_err(|problem| unusable(format!("clusters.{name}: {problem}")));
            Ok(OfCluster {
                sources: self.with_cluster(path, &name, values?),
                name: name.into(),
            })
        };
        sections.into_iter().map(of_one).collect()
    }

    /// The settings that do not belong to a connection, with those of a cluster.
    fn with_cluster(&self, path: &Path, name: &str, values: Values) -> Self {
        Self {
            answers: Values::new(),
            cluster: Some((format!("{}, clusters.{name}", path.display()), values)),
            flags: self.flags.clone(),
            environment: self.environment.clone(),
            file: self.file.clone(),
            credentials: None,
            named: self.named,
            warnings: Vec::new(),
            passed_over: None,
        }
    }
}

/// Reads the sections. The reason of a failure holds no value from the file.
fn parse(text: &str) -> Result<BTreeMap<String, Section>, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or_default();
            format!("line {}: ", before.matches('\n').count() + 1)
        });
        format!("{}{}", line.unwrap_or_default(), error.message())
    })?;
    if file.clusters.is_empty() {
        return Err("it has no section [clusters.NAME]".to_owned());
    }
    if file.clusters.len() > MAX_CLUSTERS {
        return Err(format!("it has more than {MAX_CLUSTERS} clusters"));
    }
    for name in file.clusters.keys() {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain);
        if !is_name || name == ALL_CLUSTERS {
            return Err(format!(
                "a cluster's name has 1 to {MAX_NAME} lowercase letters, digits and hyphens, and \
                 is not {ALL_CLUSTERS:?}"
            ));
        }
    }
    Ok(file.clusters)
}

impl Section {
    fn values(self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Values, String> {
        let secret = match (&self.token_secret_env, &self.token_secret_file) {
            (Some(name), None) => {
                let secret = variable(name).filter(|secret| !secret.trim().is_empty());
                Some(secret.ok_or("token_secret_env names a variable that is not set")?)
            }
            (None, Some(_)) => None,
            _ => return Err("give token_secret_file or token_secret_env, and one of them".into()),
        };
        let pairs = [
            (Variable::Url, Some(self.url.joined())),
            (Variable::User, self.user),
            (Variable::TokenId, Some(self.token_id)),
            (Variable::TokenSecret, secret),
            (Variable::TokenSecretFile, self.token_secret_file),
            (
                Variable::VerifySsl,
                self.verify_ssl.map(|verify| verify.to_string()),
            ),
            (Variable::CaFile, self.ca_file),
            (
                Variable::Fingerprint,
                self.fingerprint.map(OneOrMore::joined),
            ),
            (Variable::Policy, self.policy),
        ];
        let pairs = pairs.into_iter();
        let given = pairs.filter_map(|(variable, value)| Some((variable, Zeroizing::new(value?))));
        Ok(given.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: &str = "[clusters.paris]\nurl = \"https://pve1:8006\"\ntoken_id = \"a@pve!b\"\n";

    #[test]
    fn each_cluster_has_its_own_section() {
        let text = format!(
            "{PARIS}token_secret_env = \"PARIS\"\n[clusters.lyon]\nurl = [\"https://a\", \
             \"https://b\"]\ntoken_id = \"a@pve!b\"\ntoken_secret_file = \"/run/secret\"\n\
             verify_ssl = false\npolicy = \"lyon.toml\"\n"
        );
        let sections = parse(&text).unwrap();
        let of_environment = |name: &str| (name == "PARIS").then(|| "secret".to_owned());
        let mut values = sections.into_iter().map(|(name, section)| {
            let values = section.values(&of_environment).unwrap();
            let get = |variable: Variable| values.get(&variable).map(|value| value.to_string());
            (
                name,
                get(Variable::Url),
                get(Variable::TokenSecret),
                get(Variable::Policy),
            )
        });
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            values.next(),
            Some((
                "lyon".to_owned(),
                text("https://a,https://b"),
                None,
                text("lyon.toml")
            ))
        );
        assert_eq!(
            values.next(),
            Some((
                "paris".to_owned(),
                text("https://pve1:8006"),
                text("secret"),
                None
            ))
        );
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_value() {
        let secret = "8a7f3c1e-aaaa-bbbb-cccc-0123456789ab";
        for (text, says) in [
            (String::new(), "clusters"),
            ("[clusters]\n".to_owned(), "no section"),
            (PARIS.replace("paris", "all"), "\"all\""),
            (PARIS.replace("paris", "Paris"), "lowercase"),
            (format!("{PARIS}token_secret = \"{secret}\"\n"), "line 4"),
            (format!("{PARIS}url = 1\n"), "line 4"),
        ] {
            let error = parse(&text).err().unwrap();
            assert!(error.contains(says) && !error.contains(secret), "{error}");
        }
        for section in ["", "token_secret_env = \"A\"\ntoken_secret_file = \"b\"\n"] {
            let mut sections = parse(&format!("{PARIS}{section}")).unwrap();
            let section = sections.remove("paris").unwrap();
            assert!(section.values(&|_| None).is_err());
        }
    }
}
