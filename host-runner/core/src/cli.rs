//! The command line.

mod faulty;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum as _};
use host_runner_policy::PolicyFile;
use tracing::level_filters::LevelFilter;

pub(crate) use self::faulty::client_fault;

use crate::digest::Digest;
use crate::engine::{ComponentSource, Embedded, Limits};
use crate::log::LogFormat;
use crate::policy::{Layers, Policies, PolicyFileError, PolicyFlags};
use crate::sandbox::Rules;
use crate::settings::{
    Detail, EnvFile, FitToken, HealthSettings, HttpSettings, OfCluster, ResultTokens, Settings,
    SettingsError, Source, Sources, TracesSettings, Variable, poll_seconds,
};

/// How often watched resources are read. pvestatd, from which most of what they show
/// comes, reports as often.
const POLL: Duration = Duration::from_secs(10);

/// Serve the tools of the proxmox-mcp component over MCP on stdin and stdout.
///
/// The component runs in a sandbox: it reaches the configured Proxmox VE and
/// nothing else, and never sees the token. The address, the token and the
/// certificate settings must come from the same source: flags and environment
/// variables, the file passed with --env-file, or .env in the working
/// directory. .env is used only if no other source provides any of these
/// settings, and by the server only with --dotenv. The token's secret has no
/// flag: give it as PROXMOX_TOKEN_SECRET, or name a file that holds it in
/// PROXMOX_TOKEN_SECRET_FILE.
#[derive(Debug, Parser)]
#[command(name = "host-runner", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The part of the command line that serving needs.
#[derive(Debug, Parser)]
#[command(
    name = "host-runner",
    disable_help_flag = true,
    disable_help_subcommand = true
)]
struct Serving {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Serve>,
}

#[derive(Debug, Subcommand)]
enum Serve {
    Serve(Box<ServeArgs>),
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve MCP on stdin and stdout (the default), or over HTTP with --http
    Serve(Box<ServeArgs>),
    /// List the tools; needs no settings
    Tools {
        /// As JSON, with the schemas
        #[arg(long)]
        json: bool,
        /// Print only the SHA-256 checksum of what clients are shown under these settings:
        /// tools, instructions, resources, prompts and views; --tools-checksum takes it
        #[arg(long, conflicts_with_all = ["json", "guide", "surface"])]
        checksum: bool,
        /// Print the JSON that the checksum is computed from, to compare it with what you
        /// approved
        #[arg(long, conflicts_with_all = ["json", "guide"])]
        surface: bool,
        /// Print the resources, prompts and views that are offered, as JSON, instead of the tools
        #[arg(long)]
        guide: bool,
    },
    /// Call a tool and wait for its end
    ///
    /// Prints its result as JSON. Exits with 1 if the tool reports an error,
    /// with 2 if the settings or the arguments are invalid.
    Call {
        /// The tool's name
        name: String,
        /// Its arguments, as a JSON object
        #[arg(default_value = "{}")]
        arguments: String,
        /// Print an error as JSON, too
        #[arg(long)]
        json: bool,
        /// Consent to all changes for which the policy requires consent
        #[arg(long)]
        yes: bool,
    },
    /// Forward the requests of a component in another host to Proxmox VE
    ///
    /// Listens on a loopback address without TLS. Requests that the policy
    /// allows are sent to the configured Proxmox VE with the token, over
    /// verified TLS; the component needs a key instead of the token, and never
    /// sees the token. In any --call-seconds, at most --call-requests requests
    /// are sent.
    Forward(ForwardArgs),
    /// Ask whether `serve --http` is ready, as container platforms do
    ///
    /// Prints what the server says. Exits with 1 if it does not answer within 5 s or is not
    /// ready. With PROXMOX_MCP_TLS_CERT, it speaks TLS and expects that certificate.
    Health {
        /// The address of the server [PROXMOX_MCP_HTTP]
        address: Option<String>,
    },
    /// Show the policy, or what it decides about a call
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Check an audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show what a component imports, and which imports are granted or refused
    ///
    /// The component is not run, so this also works for one that would be
    /// refused. Needs no settings.
    Inspect {
        /// A component's file, instead of the one inside this program
        #[arg(value_name = "COMPONENT")]
        file: Option<PathBuf>,
        /// Also list the calls to Proxmox VE that each tool declares, with the
        /// privileges that they require; to list them, a component from a file is
        /// run in a sandbox that sends nothing
        #[arg(long)]
        calls: bool,
        /// As JSON, with the functions of each interface
        #[arg(long)]
        json: bool,
    },
    /// Compile a component ahead of time, for embedding
    #[command(hide = true)]
    Precompile {
        /// The component
        input: PathBuf,
        /// Where to write the code
        output: PathBuf,
        /// The target to compile for, if it is not that of this program. It must have the
        /// same kind of processor
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
}

/// Where to serve MCP over HTTP, and for whom. The tokens of clients have no flag.
#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// Serve MCP over HTTP on this address instead of stdin and stdout; port 0 takes a free
    /// one. Any but a loopback address requires tokens of clients, or an OAuth issuer
    /// [PROXMOX_MCP_HTTP]
    #[arg(long, value_name = "ADDRESS", help_heading = "HTTP")]
    http: Option<String>,
    /// A private file with a line NAME:TOKEN for each client; without it and
    /// PROXMOX_MCP_HTTP_TOKENS, everyone on this machine may call tools
    /// [PROXMOX_MCP_HTTP_TOKENS_FILE]
    #[arg(long, value_name = "FILE", help_heading = "HTTP")]
    http_tokens_file: Option<String>,
    /// The names by which clients know this server, besides localhost
    /// [PROXMOX_MCP_HTTP_HOSTS]
    #[arg(long, value_name = "NAME,…", help_heading = "HTTP")]
    http_hosts: Option<String>,
    /// The web pages that may send requests [PROXMOX_MCP_HTTP_ORIGINS]
    #[arg(long, value_name = "ORIGIN,…", help_heading = "HTTP")]
    http_origins: Option<String>,
    /// Connections that may be open at the same time
    /// [PROXMOX_MCP_HTTP_CONNECTIONS] [default: 256]
    #[arg(long, value_name = "COUNT", help_heading = "HTTP")]
    http_connections: Option<String>,
    /// Requests that a client may send in a minute
    /// [PROXMOX_MCP_HTTP_REQUESTS] [default: 600]
    #[arg(long, value_name = "COUNT", help_heading = "HTTP")]
    http_requests: Option<String>,
    /// Requests of a client that may be open at the same time, streams among them
    /// [PROXMOX_MCP_HTTP_CONCURRENCY] [default: 64]
    #[arg(long, value_name = "COUNT", help_heading = "HTTP")]
    http_concurrency: Option<String>,
    /// The certificate for HTTPS with its chain (PEM); read again when it changes
    /// [PROXMOX_MCP_TLS_CERT]
    #[arg(long, value_name = "FILE", help_heading = "HTTP")]
    tls_cert: Option<String>,
    /// The certificate's private key (PEM) [PROXMOX_MCP_TLS_KEY]
    #[arg(long, value_name = "FILE", help_heading = "HTTP")]
    tls_key: Option<String>,
    /// The OAuth issuers whose access tokens are accepted, as the tokens name them (iss)
    /// [PROXMOX_MCP_OAUTH_ISSUERS]
    #[arg(long, value_name = "URL,…", help_heading = "OAuth")]
    oauth_issuers: Option<String>,
    /// The URL that clients use, which access tokens are requested for; with --oauth-issuers
    /// [PROXMOX_MCP_HTTP_URL]
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    http_url: Option<String>,
    /// The audiences of which an access token must have one (aud)
    /// [PROXMOX_MCP_OAUTH_AUDIENCES] [default: the URL that clients use]
    #[arg(long, value_name = "AUDIENCE,…", help_heading = "OAuth")]
    oauth_audiences: Option<String>,
    /// Where the keys of each issuer are, if its metadata does not say so or names another
    /// origin [PROXMOX_MCP_OAUTH_JWKS]
    #[arg(long, value_name = "URL,…", help_heading = "OAuth")]
    oauth_jwks: Option<String>,
    /// CA certificates to trust for the issuers in addition to the system's (PEM)
    /// [PROXMOX_MCP_OAUTH_CA_FILE]
    #[arg(long, value_name = "FILE", help_heading = "OAuth")]
    oauth_ca_file: Option<String>,
    /// What the names of the scopes begin with; observe, operate and admin follow
    /// [PROXMOX_MCP_OAUTH_SCOPE_PREFIX] [default: proxmox:]
    #[arg(long, value_name = "TEXT", help_heading = "OAuth")]
    oauth_scope_prefix: Option<String>,
    /// Send traces of calls to this collector, by OTLP over HTTP: its URL, or `environment` to
    /// take it from OTEL_EXPORTER_OTLP_ENDPOINT [PROXMOX_MCP_TRACES]
    #[arg(long, value_name = "URL", help_heading = "Traces")]
    traces: Option<String>,
    /// CA certificates to trust for the collector in addition to the system's (PEM)
    /// [PROXMOX_MCP_TRACES_CA_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Traces")]
    traces_ca_file: Option<String>,
}

impl ServeArgs {
    fn settings(&self) -> [(Variable, Option<&str>); 17] {
        [
            (Variable::Http, self.http.as_deref()),
            (Variable::HttpTokensFile, self.http_tokens_file.as_deref()),
            (Variable::HttpHosts, self.http_hosts.as_deref()),
            (Variable::HttpOrigins, self.http_origins.as_deref()),
            (Variable::HttpConnections, self.http_connections.as_deref()),
            (Variable::HttpRequests, self.http_requests.as_deref()),
            (Variable::HttpConcurrency, self.http_concurrency.as_deref()),
            (Variable::TlsCert, self.tls_cert.as_deref()),
            (Variable::TlsKey, self.tls_key.as_deref()),
            (Variable::OAuthIssuers, self.oauth_issuers.as_deref()),
            (Variable::HttpUrl, self.http_url.as_deref()),
            (Variable::OAuthAudiences, self.oauth_audiences.as_deref()),
            (Variable::OAuthJwks, self.oauth_jwks.as_deref()),
            (Variable::OAuthCaFile, self.oauth_ca_file.as_deref()),
            (
                Variable::OAuthScopePrefix,
                self.oauth_scope_prefix.as_deref(),
            ),
            (Variable::Traces, self.traces.as_deref()),
            (Variable::TracesCaFile, self.traces_ca_file.as_deref()),
        ]
    }
}

/// Where to listen, and for whom.
#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {
    /// The loopback address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8007")]
    pub(crate) listen: String,
    /// The file with the key that a client must give as the token's secret;
    /// made if there is none [default:
    /// ~/.local/state/proxmox-mcp/forward-key]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// What to do with the policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print the policy in force as the text of a policy file
    Show {
        /// As it is for the client of this name, over HTTP
        #[arg(long, value_name = "NAME")]
        client: Option<String>,
    },
    /// Show what the policy decides about a call, without changing anything
    ///
    /// Runs the tool: its reads are sent, and the first request that would
    /// change something is shown with its verdict and not sent. Without
    /// settings nothing is sent at all. Exits with 1 if it is refused.
    Explain {
        /// The tool's name, or a request such as "DELETE /nodes/pve1/qemu/100"
        tool: String,
        /// The tool's arguments, as a JSON object; the form of a request
        #[arg(default_value = "")]
        arguments: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// What to do with an audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no line of an audit log was changed, removed, inserted or moved
    ///
    /// Prints the last hash. Note it elsewhere: only with it can a later check show that
    /// lines were cut off the end, or that the file was written anew. Needs no settings.
    /// Exits with 1 if anything is wrong, and says in which line.
    Verify {
        /// The files, the oldest one first
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The last hash that an earlier check has printed: its line must still be there
        #[arg(long, value_name = "HASH", value_parser = Digest::parse)]
        expect: Vec<Digest>,
        /// The last hash of the file before the first one, which must follow it
        #[arg(long, value_name = "HASH", value_parser = Digest::parse)]
        from: Option<Digest>,
    },
}

/// Options of all commands.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address of Proxmox VE; HTTPS only. Several addresses of one cluster are separated by
    /// commas: the first that answers is used [PROXMOX_URL]
    #[arg(long, global = true, help_heading = "Settings")]
    url: Option<String>,
    /// User that owns the token, such as mcp@pve [PROXMOX_USER]
    #[arg(long, global = true, help_heading = "Settings")]
    user: Option<String>,
    /// The token's name, or user@realm!name [PROXMOX_TOKEN_ID]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Settings")]
    token_id: Option<String>,
    /// Whether to check the certificate: true or false [PROXMOX_VERIFY_SSL]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true", help_heading = "Settings")]
    verify_ssl: Option<String>,
    /// CA certificates to trust in addition to the system's (PEM)
    /// [PROXMOX_CA_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    ca_file: Option<String>,
    /// SHA-256 fingerprints of the only certificates to accept; `HOST=` before one of them
    /// limits it to that address
    /// [PROXMOX_FINGERPRINT]
    #[arg(long, global = true, value_name = "AA:BB:…", help_heading = "Settings")]
    fingerprint: Option<String>,
    /// The certificate to show to a server that asks for one, with its chain (PEM)
    /// [PROXMOX_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    client_cert: Option<String>,
    /// The private key of --client-cert (PEM) [PROXMOX_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    client_key: Option<String>,
    /// A file (TOML) with a section [clusters.NAME] for each cluster, instead of the settings
    /// above [PROXMOX_MCP_CLUSTERS]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    clusters: Option<String>,
    /// Use only this cluster of that file
    #[arg(long, global = true, value_name = "NAME", help_heading = "Settings")]
    cluster: Option<String>,
    /// A file of NAME=value lines with settings
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    env_file: Option<PathBuf>,
    /// Read settings from .env in the working directory, even when serving
    #[arg(
        long,
        global = true,
        help_heading = "Settings",
        conflicts_with = "env_file"
    )]
    dotenv: bool,
    /// Use the built-in simulated cluster
    #[arg(long, global = true, help_heading = "Settings", conflicts_with_all = [
        "url", "user", "token_id", "verify_ssl", "ca_file", "fingerprint", "client_cert",
        "client_key", "env_file", "dotenv", "clusters", "cluster",
    ])]
    pub demo: bool,

    /// Run this component instead of the embedded one
    #[arg(long, global = true, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Refuse to run a component with another SHA-256 digest
    #[arg(long, global = true, value_name = "HEX", value_parser = Digest::parse)]
    component_sha256: Option<Digest>,
    /// Follow a Proxmox task for this long before returning with the task still running
    /// [default: 50 when serving, no limit for `call`]
    #[arg(long, global = true, value_name = "SECONDS")]
    wait_seconds: Option<u64>,

    /// Memory limit of one call's component; the process as a whole uses at
    /// most this plus 192 MiB more than when idle
    #[arg(
        long,
        global = true,
        value_name = "MIB",
        default_value = "64",
        help_heading = "Limits"
    )]
    memory_mib: NonZeroUsize,
    /// Processor time that one call may use, in the component and in the host
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value = "10",
        help_heading = "Limits"
    )]
    cpu_seconds: NonZeroU64,
    /// Time limit of one call, without the task that it started
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value = "120",
        help_heading = "Limits"
    )]
    call_seconds: NonZeroU64,
    /// Number of calls that run at the same time; further calls are queued
    #[arg(
        long,
        global = true,
        value_name = "COUNT",
        default_value = "16",
        help_heading = "Limits"
    )]
    concurrency: NonZeroUsize,

    /// Requests that one call may make; while a task is followed, reads are counted anew
    /// for each look at it
    #[arg(
        long,
        global = true,
        value_name = "COUNT",
        default_value = "1000",
        help_heading = "Limits"
    )]
    pub call_requests: u32,

    /// What the operator permits.
    #[command(flatten)]
    pub policy: PolicyFlags,

    /// When serving, leave out tools for which the token has no privilege: `auto` waits
    /// only briefly for Proxmox VE to say what the token may do, `on` waits for the
    /// answer, `off` does not ask
    /// [PROXMOX_MCP_FIT_TOKEN] [default: auto]
    #[arg(long, global = true, value_name = "WHEN")]
    fit_token: Option<FitToken>,

    /// Format of the text of results, unless a call chooses with its argument `detail`:
    /// `concise` (tables), or `full` (JSON, with complete schemas in the list of tools)
    /// [PROXMOX_MCP_DETAIL] [default: concise]
    #[arg(long, global = true, value_name = "HOW")]
    detail: Option<Detail>,
    /// The maximum size of a result in tokens, counted as 2 bytes of text each (1,000 to
    /// 100,000). Longer lists are returned in parts, and the result says how to continue
    /// [PROXMOX_MCP_RESULT_TOKENS] [default: 20000]
    #[arg(long, global = true, value_name = "TOKENS", value_parser = ResultTokens::parse)]
    result_tokens: Option<ResultTokens>,
    /// When serving, how often to read the resources that a client watches for changes
    /// [PROXMOX_MCP_POLL_SECONDS] [default: 10]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = poll_seconds)]
    poll_seconds: Option<Duration>,
    /// Refuse to serve if the checksum of what clients are shown differs from this one;
    /// `host-runner tools --checksum` prints it
    /// [PROXMOX_MCP_TOOLS_CHECKSUM]
    #[arg(long, global = true, value_name = "HEX", value_parser = Digest::parse)]
    tools_checksum: Option<Digest>,

    /// Write to stderr when each phase of the start ends
    #[arg(long, global = true)]
    pub timings: bool,
    /// Log level for stderr: off, error, warn, info, debug or trace
    /// [PROXMOX_MCP_LOG] [default: warn]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<LevelFilter>,
    /// Format of the log on stderr: text, or json (a JSON object per line, with the time)
    /// [PROXMOX_MCP_LOG_FORMAT] [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// What the operator says, in all places together.
pub(crate) struct Operator<'a> {
    /// The flags.
    pub options: &'a Options,
    sources: Sources,
    /// The name of the only cluster that these settings are for, if it has one.
    cluster: Option<Arc<str>>,
}

impl<'a> Operator<'a> {
    /// Reads the environment and the file of settings that counts.
    pub(crate) fn new(cli: &'a Cli) -> Result<Self, SettingsError> {
        let options = &cli.options;
        let of_serve = match &cli.command {
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
        let flags: Vec<_> = flags
            .into_iter()
            .chain(of_serve.into_iter().flatten())
            .collect();
        let sources = Sources::collect(&flags, &cli.env_file())?;
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

    /// What to log.
    pub(crate) fn log_level(&self) -> LevelFilter {
        let given = self.sources.log_level().unwrap_or_default();
        let level = self.options.log_level.or(given);
        level.unwrap_or(LevelFilter::WARN)
    }

    /// As what to log it.
    pub(crate) fn log_format(&self) -> LogFormat {
        let given = self.sources.log_format().unwrap_or_default();
        self.options.log_format.or(given).unwrap_or_default()
    }

    /// What the operator should know of the settings.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.sources.warnings()
    }
}

impl Cli {
    /// Reads the command line.
    ///
    /// clap copies the global options into each subcommand, which would take
    /// longer than everything else before the first message is read. Serving needs
    /// one subcommand only; whatever that cannot read is read again as a whole.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        match Serving::try_parse() {
            Ok(Serving { options, command }) => Ok(Self {
                options,
                command: command.map(|Serve::Serve(args)| Command::Serve(args)),
            }),
            Err(_) => Self::try_parse(),
        }
    }

    /// The checksum that the tools must have, read apart from all other settings: it holds
    /// even where they are faulty.
    pub(crate) fn tools_checksum(&self) -> Result<Option<Digest>, SettingsError> {
        match self.options.tools_checksum {
            Some(checksum) => Ok(Some(checksum)),
            None => Sources::tools_checksum_alone(&self.env_file()),
        }
    }

    /// As what to log, where the settings cannot be used.
    pub(crate) fn log_format(&self) -> LogFormat {
        let given = self.options.log_format;
        given.unwrap_or_else(Self::format_of_environment)
    }

    /// The same, where the command line cannot be read either.
    pub(crate) fn format_of_environment() -> LogFormat {
        let given = std::env::var(Variable::LogFormat.name()).ok();
        let format = given.and_then(|text| LogFormat::from_str(text.trim(), true).ok());
        format.unwrap_or_default()
    }

    /// Whether this serves MCP.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.command, None | Some(Command::Serve(_)))
    }

    /// Whether this serves MCP over HTTP, as far as the command line and the environment say.
    pub(crate) fn asks_for_http(&self) -> bool {
        let of_flag = matches!(&self.command, Some(Command::Serve(args)) if args.http.is_some());
        let of_environment = std::env::var_os(Variable::Http.name());
        of_flag || of_environment.is_some_and(|value| !value.is_empty())
    }

    /// Which file of settings may count.
    fn env_file(&self) -> EnvFile {
        let needs_settings = matches!(
            self.command,
            Some(Command::Call { .. } | Command::Policy(_) | Command::Tools { .. })
        );
        match &self.options.env_file {
            Some(path) => EnvFile::Named(path.clone()),
            None if self.options.dotenv => EnvFile::DotEnv,
            None if needs_settings && !self.options.demo => EnvFile::Fallback,
            None => EnvFile::None,
        }
    }
}

impl Options {
    /// Which component to run.
    pub(crate) fn component(&self, embedded: Embedded) -> ComponentSource {
        self.component_or(None, embedded)
    }

    /// The component of this file, else the one to run.
    pub(crate) fn component_or(&self, file: Option<&Path>, embedded: Embedded) -> ComponentSource {
        let source = match file.or(self.component.as_deref()) {
            Some(path) => ComponentSource::file(path.to_owned()),
            None => ComponentSource::embedded(embedded),
        };
        source.expecting(self.component_sha256)
    }

    /// What a call may use.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.memory_mib.get().saturating_mul(1 << 20),
            cpu: Duration::from_secs(self.cpu_seconds.get()),
            wall: Duration::from_secs(self.call_seconds.get()),
            concurrency: self.concurrency.get(),
        }
    }

    /// How long to follow a task, if that was said.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait_seconds.map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn verify_ssl_takes_a_value_or_none() {
        let parse = |args: &[&str]| Cli::try_parse_from(args).unwrap().options.verify_ssl;
        assert_eq!(parse(&["host-runner"]), None);
        assert_eq!(
            parse(&["host-runner", "--verify-ssl=false"]).as_deref(),
            Some("false")
        );
        assert_eq!(
            parse(&["host-runner", "--verify-ssl"]).as_deref(),
            Some("true")
        );
    }

    #[test]
    fn a_secret_has_no_flag() {
        let secrets = Cli::command();
        assert!(
            secrets
                .get_arguments()
                .all(|arg| !arg.get_id().as_str().contains("secret"))
        );
    }

    #[test]
    fn the_demo_takes_no_settings() {
        let parsed = Cli::try_parse_from(["host-runner", "--demo", "--url", "https://pve"]);
        assert!(parsed.is_err());
    }
}
