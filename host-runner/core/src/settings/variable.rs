//! The settings by name, and what their values may look like.

use std::path::Path;
use std::time::Duration;

use host_runner_policy::lookup;
use tracing::level_filters::LevelFilter;

use super::flag::{FLAGS, Flag};
use super::trust::{CaFile, KeyFile};
use crate::digest::Digest;
use crate::likeness;
use crate::log::LogFormat;
use crate::operator_file::{self, MAX_CA_BYTES, MAX_ENV_BYTES, MAX_SECRET_BYTES};
use crate::origin::{Origin, OriginError};
use crate::secret::Secret;
use crate::system::private;

/// A setting, by the variable that gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Variable {
    /// `PROXMOX_URL`
    Url,
    /// `PROXMOX_USER`
    User,
    /// `PROXMOX_TOKEN_ID`
    TokenId,
    /// `PROXMOX_TOKEN_SECRET`
    TokenSecret,
    /// `PROXMOX_TOKEN_SECRET_FILE`
    TokenSecretFile,
    /// `PROXMOX_VERIFY_SSL`
    VerifySsl,
    /// `PROXMOX_FINGERPRINT`
    Fingerprint,
    /// `PROXMOX_CA_FILE`
    CaFile,
    /// `PROXMOX_CLIENT_CERT`
    ClientCert,
    /// `PROXMOX_CLIENT_KEY`
    ClientKey,
    /// `PROXMOX_PROXY`
    Proxy,
    /// `PROXMOX_MCP_CLUSTERS`
    Clusters,
    /// `PROXMOX_MCP_POLICY`
    Policy,
    /// `PROXMOX_MCP_LOG`
    Log,
    /// `PROXMOX_MCP_LOG_FORMAT`
    LogFormat,
    /// `PROXMOX_MCP_FIT_TOKEN`
    FitToken,
    /// `PROXMOX_MCP_DETAIL`
    Detail,
    /// `PROXMOX_MCP_RESULT_TOKENS`
    ResultTokens,
    /// `PROXMOX_MCP_POLL_SECONDS`
    PollSeconds,
    /// `PROXMOX_MCP_TOOLS_CHECKSUM`
    ToolsChecksum,
    /// `PROXMOX_MCP_TRACES`
    Traces,
    /// `PROXMOX_MCP_TRACES_CA_FILE`
    TracesCaFile,
    /// `PROXMOX_MCP_HTTP`
    Http,
    /// `PROXMOX_MCP_HTTP_TOKENS`
    HttpTokens,
    /// `PROXMOX_MCP_HTTP_TOKENS_FILE`
    HttpTokensFile,
    /// `PROXMOX_MCP_HTTP_HOSTS`
    HttpHosts,
    /// `PROXMOX_MCP_HTTP_ORIGINS`
    HttpOrigins,
    /// `PROXMOX_MCP_HTTP_CONNECTIONS`
    HttpConnections,
    /// `PROXMOX_MCP_HTTP_REQUESTS`
    HttpRequests,
    /// `PROXMOX_MCP_HTTP_CONCURRENCY`
    HttpConcurrency,
    /// `PROXMOX_MCP_TLS_CERT`
    TlsCert,
    /// `PROXMOX_MCP_TLS_KEY`
    TlsKey,
    /// `PROXMOX_MCP_HTTP_URL`
    HttpUrl,
    /// `PROXMOX_MCP_OAUTH_ISSUERS`
    OAuthIssuers,
    /// `PROXMOX_MCP_OAUTH_AUDIENCES`
    OAuthAudiences,
    /// `PROXMOX_MCP_OAUTH_JWKS`
    OAuthJwks,
    /// `PROXMOX_MCP_OAUTH_CA_FILE`
    OAuthCaFile,
    /// `PROXMOX_MCP_OAUTH_SCOPE_PREFIX`
    OAuthScopePrefix,
    /// An option of the command line, which has no other meaning.
    Flag(&'static Flag),
}

/// Whether to leave out tools for which the token has no privilege.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FitToken {
    /// Where Proxmox says soon enough what the token may do.
    #[default]
    Auto,
    /// Waits for the answer, as long as for that of any request.
    On,
    /// Offers them.
    Off,
}

/// How much of a result its text has, which is what most clients show to a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Detail {
    /// Tables and lines. The schemas of results in the list of tools name only the
    /// fields of the result itself.
    #[default]
    Concise,
    /// The same JSON as the structured content, and complete schemas.
    Full,
}

/// The most tokens that a model may read of one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResultTokens(usize);

impl ResultTokens {
    const LEAST: usize = 1_000;
    const MOST: usize = 100_000;

    /// How many.
    pub(crate) fn get(self) -> usize {
        self.0
    }

    /// Reads a number in digits.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let allowed = Self::LEAST..=Self::MOST;
        let tokens = text.parse().ok().filter(|tokens| allowed.contains(tokens));
        tokens.map(Self).ok_or_else(|| {
            format!(
                "must be a number of tokens from {} to {}",
                Self::LEAST,
                Self::MOST
            )
        })
    }
}

impl Default for ResultTokens {
    fn default() -> Self {
        Self(20_000)
    }
}

/// What every name of a setting begins with.
const PREFIX: &str = "PROXMOX_";

impl Variable {
    /// All of them, without the options of the command line in `FLAGS`.
    pub(crate) const ALL: [Self; 38] = [
        Self::Url,
        Self::User,
        Self::TokenId,
        Self::TokenSecret,
        Self::TokenSecretFile,
        Self::VerifySsl,
        Self::Fingerprint,
        Self::CaFile,
        Self::ClientCert,
        Self::ClientKey,
        Self::Proxy,
        Self::Clusters,
        Self::Policy,
        Self::Log,
        Self::LogFormat,
        Self::FitToken,
        Self::Detail,
        Self::ResultTokens,
        Self::PollSeconds,
        Self::ToolsChecksum,
        Self::Traces,
        Self::TracesCaFile,
        Self::Http,
        Self::HttpTokens,
        Self::HttpTokensFile,
        Self::HttpHosts,
        Self::HttpOrigins,
        Self::HttpConnections,
        Self::HttpRequests,
        Self::HttpConcurrency,
        Self::TlsCert,
        Self::TlsKey,
        Self::HttpUrl,
        Self::OAuthIssuers,
        Self::OAuthAudiences,
        Self::OAuthJwks,
        Self::OAuthCaFile,
        Self::OAuthScopePrefix,
    ];

    /// Its name in the environment and in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Url => "PROXMOX_URL",
            Self::User => "PROXMOX_USER",
            Self::TokenId => "PROXMOX_TOKEN_ID",
            Self::TokenSecret => "PROXMOX_TOKEN_SECRET",
            Self::TokenSecretFile => "PROXMOX_TOKEN_SECRET_FILE",
            Self::VerifySsl => "PROXMOX_VERIFY_SSL",
            Self::Fingerprint => "PROXMOX_FINGERPRINT",
            Self::CaFile => "PROXMOX_CA_FILE",
            Self::ClientCert => "PROXMOX_CLIENT_CERT",
            Self::ClientKey => "PROXMOX_CLIENT_KEY",
            Self::Proxy => "PROXMOX_PROXY",
            Self::Clusters => "PROXMOX_MCP_CLUSTERS",
            Self::Policy => "PROXMOX_MCP_POLICY",
            Self::Log => "PROXMOX_MCP_LOG",
            Self::LogFormat => "PROXMOX_MCP_LOG_FORMAT",
            Self::FitToken => "PROXMOX_MCP_FIT_TOKEN",
            Self::Detail => "PROXMOX_MCP_DETAIL",
            Self::ResultTokens => "PROXMOX_MCP_RESULT_TOKENS",
            Self::PollSeconds => "PROXMOX_MCP_POLL_SECONDS",
            Self::ToolsChecksum => "PROXMOX_MCP_TOOLS_CHECKSUM",
            Self::Traces => "PROXMOX_MCP_TRACES",
            Self::TracesCaFile => "PROXMOX_MCP_TRACES_CA_FILE",
            Self::Http => "PROXMOX_MCP_HTTP",
            Self::HttpTokens => "PROXMOX_MCP_HTTP_TOKENS",
            Self::HttpTokensFile => "PROXMOX_MCP_HTTP_TOKENS_FILE",
            Self::HttpHosts => "PROXMOX_MCP_HTTP_HOSTS",
            Self::HttpOrigins => "PROXMOX_MCP_HTTP_ORIGINS",
            Self::HttpConnections => "PROXMOX_MCP_HTTP_CONNECTIONS",
            Self::HttpRequests => "PROXMOX_MCP_HTTP_REQUESTS",
            Self::HttpConcurrency => "PROXMOX_MCP_HTTP_CONCURRENCY",
            Self::TlsCert => "PROXMOX_MCP_TLS_CERT",
            Self::TlsKey => "PROXMOX_MCP_TLS_KEY",
            Self::HttpUrl => "PROXMOX_MCP_HTTP_URL",
            Self::OAuthIssuers => "PROXMOX_MCP_OAUTH_ISSUERS",
            Self::OAuthAudiences => "PROXMOX_MCP_OAUTH_AUDIENCES",
            Self::OAuthJwks => "PROXMOX_MCP_OAUTH_JWKS",
            Self::OAuthCaFile => "PROXMOX_MCP_OAUTH_CA_FILE",
            Self::OAuthScopePrefix => "PROXMOX_MCP_OAUTH_SCOPE_PREFIX",
            Self::Flag(flag) => flag.name,
        }
    }

    /// The setting of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::with_flags().find(|one| one.name() == name)
    }

    /// All of them.
    fn with_flags() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(FLAGS.iter().map(Self::Flag))
    }

    /// Whether it says where Proxmox VE is and by which way, with which token to talk
    /// to it, or which certificates to accept: these all come from one place.
    pub(super) fn is_of_the_connection(self) -> bool {
        matches!(
            self,
            Self::Url
                | Self::User
                | Self::TokenId
                | Self::TokenSecret
                | Self::TokenSecretFile
                | Self::VerifySsl
                | Self::Fingerprint
                | Self::CaFile
                | Self::ClientCert
                | Self::ClientKey
                | Self::Proxy
        )
    }

    /// The option of the command line, by the name.
    pub(super) fn option(self) -> String {
        if self == Self::Log {
            return "--log-level".to_owned();
        }
        let name = self.name();
        let bare = name.strip_prefix("PROXMOX_MCP_");
        let bare = bare.or(name.strip_prefix(PREFIX)).unwrap_or(name);
        format!("--{}", bare.to_ascii_lowercase().replace('_', "-"))
    }

    /// What it is called where a person is asked for it.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Url => "the address",
            Self::User => "the user",
            Self::TokenId => "the name of the token",
            Self::TokenSecret => "the secret of the token",
            Self::TokenSecretFile => "the file with the secret",
            Self::Fingerprint => "the fingerprint",
            Self::CaFile => "the file of CA certificates",
            Self::ClientCert => "the client certificate",
            Self::ClientKey => "the key of the client certificate",
            Self::Proxy => "the proxy",
            other => other.name(),
        }
    }

    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Url => "https://pve.example.com:8006",
            Self::User => "mcp@pve",
            Self::TokenId => "assistant",
            Self::TokenSecret => "12345678-90ab-cdef-1234-567890abcdef",
            Self::TokenSecretFile => "/etc/proxmox-mcp/token-secret",
            Self::VerifySsl => "true",
            Self::Fingerprint => {
                "3F:A8:0C:51:9E:77:D2:4B:16:E0:8D:63:BA:2F:94:C5:\
                 07:F1:5D:38:AC:E9:42:80:1B:D6:73:2E:C4:59:0F:A7"
            }
            Self::CaFile => "/etc/pve/pve-root-ca.pem",
            Self::ClientCert => "/etc/proxmox-mcp/client.crt",
            Self::ClientKey => "/etc/proxmox-mcp/client.key",
            Self::Proxy => "http://proxy.example.com:3128",
            Self::Clusters => "/etc/proxmox-mcp/clusters.toml",
            Self::Policy => "/etc/proxmox-mcp/observe.toml",
            Self::Log => "info",
            Self::LogFormat => "json",
            Self::FitToken => "off",
            Self::Detail => "full",
            Self::ResultTokens => "10000",
            Self::PollSeconds => "10",
            Self::ToolsChecksum => {
                "6f1e0c3a9b5d48e27c10fa3b64d8952e7f0a1b2c3d4e5f60718293a4b5c6d7e8"
            }
            Self::Traces => "https://otel.example.com:4318/v1/traces",
            Self::TracesCaFile => "/etc/proxmox-mcp/otel-ca.pem",
            Self::Http => "127.0.0.1:8080",
            Self::HttpTokens => "alice:6d1f0c9e7a5b43d28e10fb64c3a7d952",
            Self::HttpTokensFile => "/etc/proxmox-mcp/http-tokens",
            Self::HttpHosts => "mcp.example.com",
            Self::HttpOrigins => "https://app.example.com",
            Self::HttpConnections => "256",
            Self::HttpRequests => "600",
            Self::HttpConcurrency => "64",
            Self::TlsCert => "/etc/proxmox-mcp/tls/tls.crt",
            Self::TlsKey => "/etc/proxmox-mcp/tls/tls.key",
            Self::HttpUrl => "https://mcp.example.com:8443/mcp",
            Self::OAuthIssuers => "https://id.example.com/realms/main",
            Self::OAuthAudiences => "https://mcp.example.com:8443/mcp",
            Self::OAuthJwks => "https://id.example.com/realms/main/protocol/openid-connect/certs",
            Self::OAuthCaFile => "/etc/proxmox-mcp/issuer-ca.pem",
            Self::OAuthScopePrefix => "proxmox:",
            Self::Flag(flag) => flag.example,
        }
    }
}

/// Whether this looks like the name of a setting, but is not one.
pub(super) fn is_unknown(name: &str) -> bool {
    let ours = name
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    ours && Variable::named(name).is_none()
}

/// The setting that an unknown name may have meant.
pub(super) fn nearest(name: &str) -> Option<Variable> {
    let name = name.to_ascii_uppercase();
    let bare = name.strip_prefix(PREFIX).unwrap_or(&name);
    // As other programs for Proxmox call them.
    let other = match bare {
        "HOST" | "ENDPOINT" | "ADDRESS" | "SERVER" | "BASE_URL" => Some(Variable::Url),
        "USERNAME" => Some(Variable::User),
        "TOKEN_NAME" | "API_TOKEN_ID" => Some(Variable::TokenId),
        "TOKEN_VALUE" | "API_TOKEN" | "API_TOKEN_SECRET" | "SECRET" | "PASSWORD" => {
            Some(Variable::TokenSecret)
        }
        "HTTP_PROXY" | "HTTPS_PROXY" => Some(Variable::Proxy),
        "INSECURE" | "TLS_INSECURE" | "VERIFY_TLS" => Some(Variable::VerifySsl),
        _ => None,
    };
    let known = Variable::with_flags().map(|variable| {
        let name = variable.name().strip_prefix(PREFIX).unwrap_or_default();
        (name, variable)
    });
    other.or_else(|| likeness::nearest(bare, 0.6, known))
}

/// What is wrong with a value whatever setting it is of.
pub(super) fn check(text: &str) -> Result<(), String> {
    let marks = ['"', '\'', '`', '\u{201c}', '\u{201d}'];
    if text.starts_with(marks) || text.ends_with(marks) {
        return Err("is in quotes, which would be part of it: leave them out".to_owned());
    }
    let variable = text.strip_prefix('$').is_some_and(|name| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty() && name.chars().all(plain)
    });
    if variable || text.contains("${") {
        return Err(
            "refers to another variable, which is not expanded: give the value itself".to_owned(),
        );
    }
    Ok(())
}

/// Whether a text has the form of a token's secret: Proxmox VE makes them all
/// alike.
pub(crate) fn is_like_a_secret(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    groups.len() == lengths.len()
        && groups.iter().zip(lengths).all(|(group, length)| {
            group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

/// Covers up whatever has the form of a token's secret.
pub(crate) fn mask_secrets(text: &str) -> String {
    const LENGTH: usize = 36;
    let mut masked = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match rest.get(..LENGTH) {
            Some(start) if is_like_a_secret(start) => {
                masked.push_str("***");
                LENGTH
            }
            _ => {
                masked.push(c);
                c.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    masked
}

const IS_A_SECRET: &str = "looks like the token's secret, which belongs in PROXMOX_TOKEN_SECRET";
const IS_AN_ADDRESS: &str = "holds an address, which belongs in PROXMOX_URL";
const NOT_A_SECRET: &str = "holds characters that no token secret has";

pub(super) fn parse_url(text: &str) -> Result<Origin, String> {
    if is_like_a_secret(text) {
        return Err(IS_A_SECRET.to_owned());
    }
    if !text.contains("://") && text.contains('@') {
        return Err("holds a user, which belongs in PROXMOX_USER".to_owned());
    }
    Origin::parse(text).map_err(|error: OriginError| error.to_string())
}

pub(super) fn parse_user(text: &str) -> Result<String, String> {
    if is_like_a_secret(text) {
        return Err(IS_A_SECRET.to_owned());
    }
    if text.contains("://") {
        return Err(IS_AN_ADDRESS.to_owned());
    }
    if text.contains('!') {
        return Err(
            "names a token: keep the part before '!', and put the rest into PROXMOX_TOKEN_ID"
                .to_owned(),
        );
    }
    let Some((name, realm)) = text.rsplit_once('@') else {
        return Err("has no realm".to_owned());
    };
    if name.is_empty() || realm.is_empty() || !is_header_safe(text) {
        return Err("is not a user with a realm".to_owned());
    }
    Ok(text.to_owned())
}

/// The owner, if named, and the token's own name.
pub(super) fn parse_token_id(text: &str) -> Result<(Option<String>, String), String> {
    if text.contains("://") {
        return Err(IS_AN_ADDRESS.to_owned());
    }
    if text.contains('=') {
        return Err(
            "holds more than the token's name: its secret belongs in PROXMOX_TOKEN_SECRET"
                .to_owned(),
        );
    }
    let (owner, name) = match text.split_once('!') {
        None => (None, text),
        Some((owner, name)) => {
            let owner = parse_user(owner)
                .map_err(|_| "does not name the token's owner as user@realm!name".to_owned())?;
            (Some(owner), name)
        }
    };
    if owner.is_none() && name.contains('@') {
        return Err("names a user and no token of it: write user@realm!name".to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(plain) {
        return Err("is not the name of a token".to_owned());
    }
    Ok((owner, name.to_owned()))
}

pub(super) fn parse_secret(text: &str) -> Result<Secret, String> {
    if text.contains(lookup::TOKEN_SCHEME.trim_end_matches('=')) {
        return Err("holds a whole header: give the part after the last '=' alone".to_owned());
    }
    if text.contains('!') && text.contains('=') {
        return Err("holds more than the secret: give the part after '=' alone".to_owned());
    }
    if text.contains("://") {
        return Err(IS_AN_ADDRESS.to_owned());
    }
    if text.contains('!') {
        return Err("names a token, which belongs in PROXMOX_TOKEN_ID".to_owned());
    }
    if text.contains('@') {
        return Err("names a user, which belongs in PROXMOX_USER".to_owned());
    }
    if !is_header_safe(text) {
        return Err(NOT_A_SECRET.to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

/// Reads the secret from its own file.
pub(super) fn read_secret(path: &Path) -> Result<Secret, String> {
    let bytes = operator_file::read(path, MAX_SECRET_BYTES).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| NOT_A_SECRET.to_owned())?;
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    warn_of_readers(path);
    check(text)?;
    parse_secret(text)
}

pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

pub(super) fn read_ca_file(text: &str) -> Result<CaFile, String> {
    let pem = operator_file::read(Path::new(text), MAX_CA_BYTES)
        .map_err(|error| format!("names {}, which {error}", file_name(text)))?;
    Ok(CaFile {
        name: text.to_owned(),
        pem: pem.to_vec(),
    })
}

pub(super) fn read_client_key(text: &str) -> Result<KeyFile, String> {
    let pem = operator_file::read_private(Path::new(text), MAX_ENV_BYTES)
        .map_err(|error| format!("names {}, which {error}", file_name(text)))?;
    Ok(KeyFile {
        name: text.to_owned(),
        pem,
    })
}

/// Reads a level of the log.
pub(crate) fn parse_log_level(text: &str) -> Result<LevelFilter, String> {
    text.parse()
        .map_err(|_| "must be off, error, warn, info, debug or trace".to_owned())
}

pub(super) fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    clap::ValueEnum::from_str(text, true).map_err(|_| "must be text or json".to_owned())
}

pub(super) fn parse_fit_token(text: &str) -> Result<FitToken, String> {
    clap::ValueEnum::from_str(text, true).map_err(|_| "must be auto, on or off".to_owned())
}

pub(super) fn parse_detail(text: &str) -> Result<Detail, String> {
    clap::ValueEnum::from_str(text, true).map_err(|_| "must be concise or full".to_owned())
}

/// How often watched resources are read.
pub(super) fn parse_poll_seconds(text: &str) -> Result<Duration, String> {
    poll_seconds(text).map_err(str::to_owned)
}

/// The same, as a flag gives it.
pub(crate) fn poll_seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=3600).contains(seconds));
    let seconds = seconds.map(Duration::from_secs);
    seconds.ok_or("must be a number of seconds from 1 to 3600")
}

pub(super) fn parse_checksum(text: &str) -> Result<Digest, String> {
    Digest::parse(text).map_err(|error| error.to_string())
}

/// The name of a file, for a message: one that does not exist may be a secret
/// in the wrong place, so it is shown only if it consists of plain words.
pub(crate) fn file_name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '.' | '_' | '-');
    let exists = Path::new(text).symlink_metadata().is_ok();
    match exists || text.chars().all(plain) {
        true => format!("{text:?}"),
        false => "a file".to_owned(),
    }
}

fn is_header_safe(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Says so where everybody on this machine can read or change a file with the
/// secret.
pub(super) fn warn_of_readers(path: &Path) {
    if private::is_open_to_all(path) {
        tracing::warn!(
            "every user of this machine can read or change {}, which holds the token's secret \
             ({} prevents that)",
            path.display(),
            private::command(path)
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// The options of each setting, by docs/settings.json.
    #[test]
    fn an_option_is_called_as_its_variable() {
        let text = include_str!("../../../../docs/settings.json");
        let documented: Value = serde_json::from_str(text).unwrap();
        let mut options = BTreeMap::new();
        for group in documented["groups"].as_array().unwrap() {
            for setting in group["settings"].as_array().unwrap() {
                for name in setting["names"].as_array().unwrap() {
                    options.insert(name.as_str().unwrap(), &setting["flags"]);
                }
            }
        }
        for variable in Variable::ALL {
            let flags = options
                .get(variable.name())
                .and_then(|flags| flags.as_array());
            let flags: Vec<_> = flags
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let option = variable.option();
            assert!(
                flags.is_empty() || flags.contains(&option.as_str()),
                "{option}: {flags:?}"
            );
        }
    }
}
