//! What the command line, the environment and the files say together.

use std::sync::Arc;
use std::time::Duration;

use host_runner_policy::PolicyFile;
use tracing::level_filters::LevelFilter;

use super::{Cli, Command, Options};
use crate::log::LogFormat;
use crate::policy::{Layers, Policies, PolicyFileError};
use crate::sandbox::Rules;
use crate::secret::Secret;
use crate::settings::{
    Detail, FitToken, HealthSettings, HttpSettings, OfCluster, ResultTokens, Settings,
    SettingsError, Source, Sources, TracesSettings, Variable,
};

/// How often watched resources are read. pvestatd, from which most of what they show
/// comes, reports as often.
const POLL: Duration = Duration::from_secs(10);

/// What the operator says, in all places together.
pub(crate) struct Operator<'a> {
    /// The flags.
    pub options: &'a Options,
    sources: Sources,
    /// The name of the only cluster that these settings are for, if it has one.
    cluster: Option<Arc<str>>,
}

impl<'a> Operator<'a> {
    /// With what these sources give. Fails if a setting that every command needs is invalid.
    pub(crate) fn new(cli: &'a Cli, sources: Sources) -> Result<Self, SettingsError> {
        let options = &cli.options;
        // Said here, so that every command says it.
        sources.log_level()?;
        sources.log_format()?;
        sources.fit_token()?;
        sources.detail()?;
        sources.result_tokens()?;
        sources.poll()?;
        sources.tools_checksum()?;
        Ok(Self {
            options,
            sources,
            cluster: None,
        })
    }

    /// The settings of each cluster that can be called: those of the file of clusters, of
    /// which `--cluster` chooses one; without such a file, these settings themselves.
    pub(crate) fn by_cluster(self) -> Result<Vec<Self>, SettingsError> {
        let clusters = match self.options.demo {
            true => Vec::new(),
            false => self.sources.clusters()?,
        };
        let wanted = self.options.cluster.as_deref();
        let wanted = wanted.filter(|_| !self.options.demo);
        let names: Vec<_> = clusters.iter().map(|one| one.name.to_string()).collect();
        if let Some(wanted) = wanted
            && !names.iter().any(|name| name == wanted)
        {
            return Err(SettingsError::Cluster(match names.is_empty() {
                true => "--cluster needs a file of clusters: give it by --clusters".to_owned(),
                false => format!("--cluster: choose one of {}", names.join(", ")),
            }));
        }
        if clusters.is_empty() {
            return Ok(vec![self]);
        }
        let chosen = clusters.into_iter();
        let chosen = chosen.filter(|one| wanted.is_none_or(|wanted| wanted == &*one.name));
        let options = self.options;
        let of_one = |OfCluster { name, sources }| Operator {
            options,
            sources,
            cluster: Some(name),
        };
        Ok(chosen.map(of_one).collect())
    }

    /// The settings of the only cluster. With several, one of them must be chosen.
    pub(crate) fn of_one_cluster(self) -> Result<Self, SettingsError> {
        let mut all = self.by_cluster()?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (last, _) => {
                let names = all
                    .iter()
                    .chain(&last)
                    .filter_map(|one| one.cluster.as_deref());
                Err(SettingsError::Cluster(format!(
                    "this command is for one cluster: choose it with --cluster, one of {}",
                    names.collect::<Vec<_>>().join(", ")
                )))
            }
        }
    }

    /// The cluster's name, where the file of clusters has one.
    pub(crate) fn cluster(&self) -> Option<&Arc<str>> {
        self.cluster.as_ref()
    }

    /// Where Proxmox VE is, and with which token to talk to it.
    pub(crate) fn settings(&self) -> Result<Settings, SettingsError> {
        Ok(Settings {
            cluster: self.cluster.clone(),
            ..Settings::from_sources(&self.sources)?
        })
    }

    /// What the flags or the environment give for a setting, unchecked.
    pub(crate) fn given(&self, variable: Variable) -> Option<&str> {
        self.sources.text(variable)
    }

    /// Whether there is a secret of the token.
    pub(crate) fn gives_secret(&self) -> bool {
        self.sources.has_token_secret()
    }

    /// The secret of the token, if there is one.
    pub(crate) fn secret(&self) -> Result<Option<Secret>, SettingsError> {
        match self.sources.has_token_secret() {
            true => self.sources.token_secret().map(Some),
            false => Ok(None),
        }
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> Result<PolicyFile, PolicyFileError> {
        Ok(self.policy_layers(None)?.effective().clone())
    }

    /// The parts of the policy in force for a client; where no client has a name, without one.
    pub(crate) fn policy_layers(&self, client: Option<&str>) -> Result<Layers, PolicyFileError> {
        let policies = self.policies()?;
        policies.layers(&policies.clients(client, None))
    }

    /// The files of the policy, read now, and the flags.
    pub(crate) fn policies(&self) -> Result<Policies, PolicyFileError> {
        let flags = &self.options.policy;
        let unnamed = self.sources.unnamed_file().is_some();
        let of_sources = self.sources.policies().map(|(path, place)| {
            let trusted = !(unnamed && matches!(place, Source::File(_)));
            (path, trusted)
        });
        let of_flags = flags.file().map(|path| (path, true));
        flags.policies(of_flags.into_iter().chain(of_sources))
    }

    /// What the policy says about requests.
    pub(crate) fn rules(&self, policy: &PolicyFile) -> Result<Rules, PolicyFileError> {
        crate::policy::rules(policy, self.options.call_requests)
    }

    /// Whether to leave out tools for which the token has no privilege.
    pub(crate) fn fit_token(&self) -> FitToken {
        let given = self.sources.fit_token().unwrap_or_default();
        let fit = self.options.fit_token.or(given);
        fit.unwrap_or_default()
    }

    /// How much of a result its text has.
    pub(crate) fn detail(&self) -> Detail {
        let given = self.sources.detail().unwrap_or_default();
        self.options.detail.or(given).unwrap_or_default()
    }

    /// The most tokens that a model may read of one result.
    pub(crate) fn result_tokens(&self) -> ResultTokens {
        let given = self.sources.result_tokens().unwrap_or_default();
        self.options.result_tokens.or(given).unwrap_or_default()
    }

    /// How often to read the resources that a client watches.
    pub(crate) fn poll(&self) -> Duration {
        let given = self.sources.poll().unwrap_or_default();
        self.options.poll_seconds.or(given).unwrap_or(POLL)
    }

    /// Where to serve MCP over HTTP, and for whom; None to serve it on stdin and stdout.
    pub(crate) fn http(&self) -> Result<Option<HttpSettings>, SettingsError> {
        HttpSettings::from_sources(&self.sources)
    }

    /// Where to ask whether a server is ready.
    pub(crate) fn health(&self, address: Option<&str>) -> Result<HealthSettings, SettingsError> {
        HealthSettings::from_sources(&self.sources, address)
    }

    /// Where to send traces of calls; None: nowhere.
    pub(crate) fn traces(&self) -> Result<Option<TracesSettings>, SettingsError> {
        TracesSettings::from_sources(&self.sources)
    }

    /// What to log, unless this default is changed.
    pub(crate) fn log_level(&self, default: LevelFilter) -> LevelFilter {
        let given = self.sources.log_level().unwrap_or_default();
        let level = self.options.log_level.or(given);
        level.unwrap_or(default)
    }

    /// Whether it was said what to log.
    pub(crate) fn gives_log_level(&self) -> bool {
        let given = self.sources.log_level().unwrap_or_default();
        self.options.log_level.or(given).is_some()
    }

    /// As what to log it.
    pub(crate) fn log_format(&self) -> LogFormat {
        let given = self.sources.log_format().unwrap_or_default();
        self.options.log_format.or(given).unwrap_or_default()
    }

    /// All places of settings.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What the operator should know of the settings.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.sources.warnings()
    }
}

impl Cli {
    /// Reads the environment and the file of settings that counts.
    pub(crate) fn sources(&self) -> Result<Sources, SettingsError> {
        let options = &self.options;
        let of_serve = match &self.command {
            Some(Command::Serve(args)) => Some(args.settings()),
            _ => None,
        };
        let flags = [
            (Variable::Url, options.url.as_deref()),
            (Variable::User, options.user.as_deref()),
            (Variable::TokenId, options.token_id.as_deref()),
            (Variable::VerifySsl, options.verify_ssl.as_deref()),
            (Variable::CaFile, options.ca_file.as_deref()),
            (Variable::Fingerprint, options.fingerprint.as_deref()),
            (Variable::ClientCert, options.client_cert.as_deref()),
            (Variable::ClientKey, options.client_key.as_deref()),
            (Variable::Clusters, options.clusters.as_deref()),
        ];
        let flags = flags.into_iter().chain(of_serve.into_iter().flatten());
        Sources::collect(&flags.collect::<Vec<_>>(), &self.env_file())
    }
}
