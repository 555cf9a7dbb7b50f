//! The options of all commands.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tracing::level_filters::LevelFilter;

use crate::digest::Digest;
use crate::engine::{ComponentSource, Embedded, Limits};
use crate::log::LogFormat;
use crate::option_value::{Named, positive, whole};
use crate::policy::PolicyFlags;
use crate::settings::{Detail, FitToken, ResultTokens, parse_log_level, poll_seconds};

/// The options that say where Proxmox VE is, or name a file that may.
const CONNECTION: [&str; 12] = [
    "url",
    "user",
    "token_id",
    "verify_ssl",
    "ca_file",
    "fingerprint",
    "client_cert",
    "client_key",
    "env_file",
    "dotenv",
    "clusters",
    "cluster",
];

/// The names of levels of the log.
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Options of all commands.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address of Proxmox VE; HTTPS only. Several addresses of one cluster are separated by
    /// commas: the first that answers is used [env: PROXMOX_URL]
    #[arg(long, global = true, help_heading = "Settings")]
    pub(super) url: Option<String>,
    /// User that owns the token, such as mcp@pve [env: PROXMOX_USER]
    #[arg(long, global = true, help_heading = "Settings")]
    pub(super) user: Option<String>,
    /// The token's name, or user@realm!name [env: PROXMOX_TOKEN_ID]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Settings")]
    pub(super) token_id: Option<String>,
    /// Whether to check the certificate: true or false [env: PROXMOX_VERIFY_SSL]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true", help_heading = "Settings", hide_possible_values = true,
          value_parser = Named::by(|text| Ok(text.to_owned()), ["true", "false"]))]
    pub(super) verify_ssl: Option<String>,
    /// CA certificates to trust in addition to the system's (PEM)
    /// [env: PROXMOX_CA_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub(super) ca_file: Option<String>,
    /// SHA-256 fingerprints of the only certificates to accept; `HOST=` before one of them
    /// limits it to that address
    /// [env: PROXMOX_FINGERPRINT]
    #[arg(long, global = true, value_name = "AA:BB:…", help_heading = "Settings")]
    pub(super) fingerprint: Option<String>,
    /// The certificate to show to a server that asks for one, with its chain (PEM)
    /// [env: PROXMOX_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub(super) client_cert: Option<String>,
    /// The private key of --client-cert (PEM) [env: PROXMOX_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub(super) client_key: Option<String>,
    /// A file (TOML) with a section [clusters.NAME] for each cluster, instead of the settings
    /// above [env: PROXMOX_MCP_CLUSTERS]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub(super) clusters: Option<String>,
    /// Use only this cluster of that file
    /// [env: PROXMOX_MCP_CLUSTER]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Settings")]
    pub(super) cluster: Option<String>,
    /// A file of NAME=value lines with settings
    /// [env: PROXMOX_MCP_ENV_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub(super) env_file: Option<PathBuf>,
    /// Read settings from .env in the working directory, even when serving
    /// [env: PROXMOX_MCP_DOTENV]
    #[arg(
        long,
        global = true,
        help_heading = "Settings",
        conflicts_with = "env_file"
    )]
    pub(super) dotenv: bool,
    /// Use the built-in simulated cluster
    /// [env: PROXMOX_MCP_DEMO]
    #[arg(long, global = true, help_heading = "Settings", conflicts_with_all = CONNECTION)]
    pub demo: bool,
    /// Keep the simulated cluster in this file from one run to the next, and make the file if
    /// there is none; implies --demo
    /// [env: PROXMOX_MCP_DEMO_STATE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings",
          conflicts_with_all = CONNECTION)]
    pub demo_state: Option<PathBuf>,

    /// Run this component instead of the embedded one
    /// [env: PROXMOX_MCP_COMPONENT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) component: Option<PathBuf>,
    /// Refuse to run a component with another SHA-256 digest
    /// [env: PROXMOX_MCP_COMPONENT_SHA256]
    #[arg(long, global = true, value_name = "HEX", value_parser = Digest::parse)]
    component_sha256: Option<Digest>,
    /// Follow a Proxmox task for this long before returning with the task still running
    /// [default: 50 when serving, no limit for `call`]
    /// [env: PROXMOX_MCP_WAIT_SECONDS]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = whole::<u64>,
          allow_negative_numbers = true)]
    pub(super) wait_seconds: Option<u64>,

    /// Memory limit of one call's component; the process as a whole uses at
    /// most this plus 192 MiB more than when idle
    /// [env: PROXMOX_MCP_MEMORY_MIB]
    #[arg(
        long,
        global = true,
        value_name = "MIB",
        default_value = "64",
        value_parser = positive::<NonZeroUsize>,
        allow_negative_numbers = true,
        help_heading = "Limits"
    )]
    pub(super) memory_mib: NonZeroUsize,
    /// Processor time that one call may use, in the component and in the host
    /// [env: PROXMOX_MCP_CPU_SECONDS]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value = "10",
        value_parser = positive::<NonZeroU64>,
        allow_negative_numbers = true,
        help_heading = "Limits"
    )]
    pub(super) cpu_seconds: NonZeroU64,
    /// Time limit of one call, without the task that it started
    /// [env: PROXMOX_MCP_CALL_SECONDS]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value = "120",
        value_parser = positive::<NonZeroU64>,
        allow_negative_numbers = true,
        help_heading = "Limits"
    )]
    pub(super) call_seconds: NonZeroU64,
    /// Number of calls that run at the same time; further calls are queued
    /// [env: PROXMOX_MCP_CONCURRENCY]
    #[arg(
        long,
        global = true,
        value_name = "COUNT",
        default_value = "16",
        value_parser = positive::<NonZeroUsize>,
        allow_negative_numbers = true,
        help_heading = "Limits"
    )]
    pub(super) concurrency: NonZeroUsize,

    /// Requests that one call may make; while a task is followed, reads are counted anew
    /// for each look at it
    /// [env: PROXMOX_MCP_CALL_REQUESTS]
    #[arg(
        long,
        global = true,
        value_name = "COUNT",
        default_value = "1000",
        value_parser = whole::<u32>,
        allow_negative_numbers = true,
        help_heading = "Limits"
    )]
    pub call_requests: u32,

    /// What the operator permits.
    #[command(flatten)]
    pub policy: PolicyFlags,

    /// When serving, leave out tools for which the token has no privilege: `auto` waits
    /// only briefly for Proxmox VE to say what the token may do, `on` waits for the
    /// answer, `off` does not ask
    /// [env: PROXMOX_MCP_FIT_TOKEN] [default: auto]
    #[arg(long, global = true, value_name = "WHEN")]
    pub(super) fit_token: Option<FitToken>,

    /// Format of the text of results, unless a call chooses with its argument `detail`:
    /// `concise` (tables), or `full` (JSON, with complete schemas in the list of tools)
    /// [env: PROXMOX_MCP_DETAIL] [default: concise]
    #[arg(long, global = true, value_name = "HOW")]
    pub(super) detail: Option<Detail>,
    /// The maximum size of a result in tokens, counted as 2 bytes of text each (1,000 to
    /// 100,000). Longer lists are returned in parts, and the result says how to continue
    /// [env: PROXMOX_MCP_RESULT_TOKENS] [default: 20000]
    #[arg(long, global = true, value_name = "TOKENS", value_parser = ResultTokens::parse)]
    pub(super) result_tokens: Option<ResultTokens>,
    /// When serving, how often to read the resources that a client watches for changes
    /// [env: PROXMOX_MCP_POLL_SECONDS] [default: 10]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = poll_seconds)]
    pub(super) poll_seconds: Option<Duration>,
    /// Refuse to serve if the checksum of what clients are shown differs from this one;
    /// `host-runner tools --checksum` prints it
    /// [env: PROXMOX_MCP_TOOLS_CHECKSUM]
    #[arg(long, global = true, value_name = "HEX", value_parser = Digest::parse)]
    pub(super) tools_checksum: Option<Digest>,

    /// Write to stderr when each phase of the start ends
    /// [env: PROXMOX_MCP_TIMINGS]
    #[arg(long, global = true)]
    pub timings: bool,
    /// Log level for stderr: off, error, warn, info, debug or trace
    /// [env: PROXMOX_MCP_LOG] [default: warn]
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true,
          value_parser = Named::by(parse_log_level, LOG_LEVELS))]
    pub(super) log_level: Option<LevelFilter>,
    /// Format of the log on stderr: text, or json (a JSON object per line, with the time)
    /// [env: PROXMOX_MCP_LOG_FORMAT] [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

impl Options {
    /// The file of settings that was named.
    pub(crate) fn named_env_file(&self) -> Option<&Path> {
        self.env_file.as_deref()
    }

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

    /// Whether a flag says where Proxmox VE is, or names a file that may.
    pub(super) fn has_connection(&self) -> bool {
        let texts = [
            &self.url,
            &self.user,
            &self.token_id,
            &self.verify_ssl,
            &self.ca_file,
            &self.fingerprint,
            &self.client_cert,
            &self.client_key,
            &self.clusters,
        ];
        texts.iter().any(|text| text.is_some()) || self.env_file.is_some() || self.dotenv
    }

    /// Whether `.env` in the working directory is asked for.
    pub(crate) fn reads_dotenv(&self) -> bool {
        self.dotenv
    }

    /// How long to follow a task, if that was said.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait_seconds.map(Duration::from_secs)
    }
}
