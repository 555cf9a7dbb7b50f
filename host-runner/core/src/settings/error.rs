//! Settings that cannot be used, and what to do about them.

use std::path::PathBuf;

use super::source::Source;
use super::variable::Variable;

/// Settings that cannot be used. Each message is one line that names the
/// variable and says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Some that have no default are not there.
    #[error(
        "{} not set: run `host-runner setup`, or give {} in the environment or in a file named by \
         --env-file, for example {}{}",
        names(.variables),
        if .variables.len() == 1 { "it" } else { "them" },
        examples(.variables),
        .passed_over.as_ref().map_or_else(String::new, |file| format!("; {file}"))
    )]
    Missing {
        /// Which.
        variables: Vec<Variable>,
        /// Which file does not count, and why.
        passed_over: Option<String>,
    },
    /// The same, of those that `setup` does not ask for.
    #[error(
        "{} not set: give {} as an option, in the environment, or in a file named by --env-file, \
         for example {}",
        names(.0),
        if .0.len() == 1 { "it" } else { "them" },
        examples(.0)
    )]
    Absent(Vec<Variable>),
    /// One cannot be understood.
    #[error("{} {problem}; example: {}", said(*.variable, .origin), example(*.variable, .origin))]
    Malformed {
        /// Which one.
        variable: Variable,
        /// Where it came from.
        origin: Source,
        /// What is wrong with it. Holds no value.
        problem: String,
    },
    /// The settings of the connection come from two places.
    #[error(
        "{}, but {} from {file}: address, token and certificates must come from one place, so \
         give all of them in {file}, or all of them outside of it",
        from_outside(.outside),
        names(.inside),
        file = .path.display()
    )]
    Mixed {
        /// Those that the operator gives beside the file.
        outside: Vec<(Variable, Source)>,
        /// Those that the file gives.
        inside: Vec<Variable>,
        /// The file.
        path: PathBuf,
    },
    /// The secret is given in two ways, and neither has precedence.
    #[error(
        "PROXMOX_TOKEN_SECRET and PROXMOX_TOKEN_SECRET_FILE are both given ({}): keep one of \
         them, for example {}",
        .0,
        examples(&[Variable::TokenSecretFile])
    )]
    TwoSecrets(Source),
    /// Bearer tokens are given in two ways, and neither has precedence.
    #[error("PROXMOX_MCP_HTTP_TOKENS and PROXMOX_MCP_HTTP_TOKENS_FILE are both given: keep one")]
    TwoTokenSources,
    /// Everybody who reaches the address could call tools.
    #[error(
        "PROXMOX_MCP_HTTP ({}) is not a loopback address, and no authentication is configured: name \
         a file of bearer tokens with --http-tokens-file (PROXMOX_MCP_HTTP_TOKENS_FILE) or give \
         them in PROXMOX_MCP_HTTP_TOKENS, or name an OAuth issuer with --oauth-issuers; or listen \
         on this machine only, for example --http 127.0.0.1:8080",
        .0.as_ref().unwrap_or(&Source::Flag)
    )]
    OpenAddress(Option<Source>),
    /// Everybody who reaches the proxy in front of this server could call tools.
    #[error(
        "PROXMOX_MCP_HTTP_HOSTS ({}) has a name that is not of a loopback address, and no \
         authentication is configured: name a file of bearer tokens with --http-tokens-file \
         (PROXMOX_MCP_HTTP_TOKENS_FILE) or give them in PROXMOX_MCP_HTTP_TOKENS, or name an OAuth \
         issuer with --oauth-issuers",
        .0.as_ref().unwrap_or(&Source::Flag)
    )]
    OpenHosts(Option<Source>),
    /// No cluster is chosen, or one that does not exist.
    #[error("{0}")]
    Cluster(String),
    /// The file given by `--env-file` or `--clusters` cannot be used.
    #[error("cannot use the settings in {}: {reason}", .path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Why. Holds nothing from the file.
        reason: String,
    },
}

impl SettingsError {
    /// Whether values of the environment are what cannot be used.
    pub(crate) fn is_of_environment(&self) -> bool {
        match self {
            Self::Malformed { origin, .. } | Self::TwoSecrets(origin) => {
                *origin == Source::Environment
            }
            Self::Mixed { outside, .. } => outside
                .iter()
                .any(|(_, place)| *place == Source::Environment),
            Self::OpenAddress(origin) | Self::OpenHosts(origin) => {
                *origin == Some(Source::Environment)
            }
            Self::Cluster(_)
            | Self::Missing { .. }
            | Self::Absent(_)
            | Self::EnvFile { .. }
            | Self::TwoTokenSources => false,
        }
    }

    pub(super) fn malformed(variable: Variable, origin: Source, problem: String) -> Self {
        Self::Malformed {
            variable,
            origin,
            problem,
        }
    }
}

/// What a value was given by: the option, the variable, or what it was asked for as.
fn said(variable: Variable, origin: &Source) -> String {
    match origin {
        Source::Answer => variable.noun().to_owned(),
        Source::Flag => variable.option(),
        origin => format!("{} ({origin})", variable.name()),
    }
}

/// How such a value is written.
fn example(variable: Variable, origin: &Source) -> String {
    let value = variable.example();
    match origin {
        Source::Answer => value.to_owned(),
        Source::Flag => format!("{} {value}", variable.option()),
        _ => examples(&[variable]),
    }
}

fn names(variables: &[Variable]) -> String {
    let names: Vec<_> = variables.iter().map(|variable| variable.name()).collect();
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => format!("{only} is"),
        Some((last, others)) => format!("{} and {last} are", others.join(", ")),
    }
}

/// Which settings come from where outside of a file.
fn from_outside(settings: &[(Variable, Source)]) -> String {
    let of = |wanted: &Source| -> Vec<_> {
        let settings = settings.iter().filter(|(_, place)| place == wanted);
        settings.map(|(variable, _)| *variable).collect()
    };
    let places = [Source::Flag, Source::Environment];
    let texts = places.iter().map(|place| (of(place), place));
    let texts = texts.filter(|(variables, _)| !variables.is_empty());
    let texts: Vec<_> = texts
        .map(|(variables, place)| format!("{} {place}", names(&variables)))
        .collect();
    texts.join(" and ")
}

fn examples(variables: &[Variable]) -> String {
    let examples: Vec<_> = variables
        .iter()
        .map(|variable| format!("{}={}", variable.name(), variable.example()))
        .collect();
    examples.join(" ")
}
