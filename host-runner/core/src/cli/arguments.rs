//! The arguments of single commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OutputArgs, help};
use crate::digest::Digest;
use crate::settings::Variable;

/// Where to serve MCP over HTTP, and for whom. The tokens of clients have no flag.
#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// Serve MCP over HTTP on this address instead of stdin and stdout; port 0 takes a free
    /// one. Any but a loopback address requires tokens of clients, or an OAuth issuer
    /// [env: PROXMOX_MCP_HTTP]
    #[arg(long, value_name = "ADDRESS", help_heading = "HTTP")]
    pub(super) http: Option<String>,
    /// A private file with a line NAME:TOKEN for each client; without it and
    /// PROXMOX_MCP_HTTP_TOKENS, everyone on this machine may call tools
    /// [env: PROXMOX_MCP_HTTP_TOKENS_FILE]
    #[arg(long, value_name = "FILE", help_heading = "HTTP")]
    pub(super) http_tokens_file: Option<String>,
    /// The names by which clients know this server, besides localhost
    /// [env: PROXMOX_MCP_HTTP_HOSTS]
    #[arg(long, value_name = "NAME,…", help_heading = "HTTP")]
    pub(super) http_hosts: Option<String>,
    /// The web pages that may send requests [env: PROXMOX_MCP_HTTP_ORIGINS]
    #[arg(long, value_name = "ORIGIN,…", help_heading = "HTTP")]
    pub(super) http_origins: Option<String>,
    /// Connections that may be open at the same time
    /// [env: PROXMOX_MCP_HTTP_CONNECTIONS] [default: 256]
    #[arg(long, value_name = "COUNT", help_heading = "HTTP")]
    pub(super) http_connections: Option<String>,
    /// Requests that a client may send in a minute
    /// [env: PROXMOX_MCP_HTTP_REQUESTS] [default: 600]
    #[arg(long, value_name = "COUNT", help_heading = "HTTP")]
    pub(super) http_requests: Option<String>,
    /// Requests of a client that may be open at the same time, streams among them
    /// [env: PROXMOX_MCP_HTTP_CONCURRENCY] [default: 64]
    #[arg(long, value_name = "COUNT", help_heading = "HTTP")]
    pub(super) http_concurrency: Option<String>,
    /// The certificate for HTTPS with its chain (PEM); read again when it changes
    /// [env: PROXMOX_MCP_TLS_CERT]
    #[arg(long, value_name = "FILE", help_heading = "HTTP")]
    pub(super) tls_cert: Option<String>,
    /// The certificate's private key (PEM) [env: PROXMOX_MCP_TLS_KEY]
    #[arg(long, value_name = "FILE", help_heading = "HTTP")]
    pub(super) tls_key: Option<String>,
    /// The OAuth issuers whose access tokens are accepted, as the tokens name them (iss)
    /// [env: PROXMOX_MCP_OAUTH_ISSUERS]
    #[arg(long, value_name = "URL,…", help_heading = "OAuth")]
    pub(super) oauth_issuers: Option<String>,
    /// The URL that clients use, which access tokens are requested for; with --oauth-issuers
    /// [env: PROXMOX_MCP_HTTP_URL]
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    pub(super) http_url: Option<String>,
    /// The audiences of which an access token must have one (aud)
    /// [env: PROXMOX_MCP_OAUTH_AUDIENCES] [default: the URL that clients use]
    #[arg(long, value_name = "AUDIENCE,…", help_heading = "OAuth")]
    pub(super) oauth_audiences: Option<String>,
    /// Where the keys of each issuer are, if its metadata does not say so or names another
    /// origin [env: PROXMOX_MCP_OAUTH_JWKS]
    #[arg(long, value_name = "URL,…", help_heading = "OAuth")]
    pub(super) oauth_jwks: Option<String>,
    /// CA certificates to trust for the issuers in addition to the system's (PEM)
    /// [env: PROXMOX_MCP_OAUTH_CA_FILE]
    #[arg(long, value_name = "FILE", help_heading = "OAuth")]
    pub(super) oauth_ca_file: Option<String>,
    /// What the names of the scopes begin with; observe, operate and admin follow
    /// [env: PROXMOX_MCP_OAUTH_SCOPE_PREFIX] [default: proxmox:]
    #[arg(long, value_name = "TEXT", help_heading = "OAuth")]
    pub(super) oauth_scope_prefix: Option<String>,
    /// Send traces of calls to this collector, by OTLP over HTTP: its URL, or `environment` to
    /// take it from OTEL_EXPORTER_OTLP_ENDPOINT [env: PROXMOX_MCP_TRACES]
    #[arg(long, value_name = "URL", help_heading = "Traces")]
    pub(super) traces: Option<String>,
    /// CA certificates to trust for the collector in addition to the system's (PEM)
    /// [env: PROXMOX_MCP_TRACES_CA_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Traces")]
    pub(super) traces_ca_file: Option<String>,
}

impl ServeArgs {
    pub(super) fn settings(&self) -> [(Variable, Option<&str>); 17] {
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
    /// [env: PROXMOX_MCP_FORWARD_LISTEN]
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8007")]
    pub(crate) listen: String,
    /// The file with the key that a client must give as the token's secret;
    /// made if there is none [default:
    /// ~/.local/state/proxmox-mcp/forward-key]
    /// [env: PROXMOX_MCP_FORWARD_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Which tools to list, and what of them.
#[derive(Debug, Args)]
pub(crate) struct ToolsArgs {
    /// Describe this tool only
    #[arg(conflicts_with_all = ["checksum", "surface", "guide"])]
    pub(crate) name: Option<String>,
    /// Print only the SHA-256 checksum of what clients are shown under these settings:
    /// tools, instructions, resources, prompts and views; --tools-checksum takes it
    #[arg(long, conflicts_with_all = ["output", "guide", "surface"])]
    pub(crate) checksum: bool,
    /// Print the JSON that the checksum is computed from, to compare it with what you
    /// approved
    #[arg(long, conflicts_with_all = ["output", "guide"])]
    pub(crate) surface: bool,
    /// Print the resources, prompts and views that are offered, instead of the tools
    #[arg(long)]
    pub(crate) guide: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Which tool to call.
#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The tool's name
    pub(crate) name: String,
    /// Its arguments, as key=value or as one JSON object; - reads the object from stdin
    #[arg(value_name = "KEY=VALUE|JSON|-")]
    pub(crate) arguments: Vec<String>,
    /// Consent to all changes for which the policy requires consent
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Which server to ask.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The address of the server [env: PROXMOX_MCP_HTTP]
    pub(crate) address: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Which component to look at.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A component's file, instead of the one inside this program
    #[arg(value_name = "COMPONENT")]
    pub(crate) file: Option<PathBuf>,
    /// Also list the calls to Proxmox VE that each tool declares, with the
    /// privileges that they require; to list them, a component from a file is
    /// run in a sandbox that sends nothing
    #[arg(long)]
    pub(crate) calls: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What to do with the policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print the policy in force as the text of a policy file
    ///
    /// With -o json or -o yaml, prints the same as data.
    #[command(
        after_long_help = help::POLICY_SHOW,
        mut_arg("output", |arg| arg.help(help::TEXT_FORMAT))
    )]
    Show {
        /// Show the policy for the client of this name, over HTTP
        #[arg(long, value_name = "NAME")]
        client: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show what the policy decides about a call, without changing anything
    ///
    /// Runs the tool: its reads are sent, and the first request that would
    /// change something is shown with its verdict and not sent. Without
    /// settings nothing is sent at all. Exits with 1 if it is refused.
    #[command(after_long_help = help::POLICY_EXPLAIN)]
    Explain(ExplainArgs),
}

/// Which call to explain.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The tool's name, or a request such as "DELETE /nodes/pve1/qemu/100"
    pub(crate) tool: String,
    /// The tool's arguments, as for `call`; the form of a request, as key=value
    #[arg(value_name = "KEY=VALUE|JSON|-")]
    pub(crate) arguments: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What to do with an audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no line of an audit log was changed, removed, inserted or moved
    ///
    /// Prints the last hash. Note it elsewhere: only with it can a later check show that
    /// lines were cut off the end, or that the file was written anew. Needs no settings.
    /// Exits with 1 if anything is wrong, and says in which line.
    #[command(after_long_help = help::AUDIT_VERIFY)]
    Verify(VerifyArgs),
}

/// Which audit log to check, and against which hashes.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The files, the oldest one first
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The last hash that an earlier check has printed: its line must still be there
    #[arg(long, value_name = "HASH", value_parser = Digest::parse)]
    pub(crate) expect: Vec<Digest>,
    /// The last hash of the file before the first one, which must follow it
    #[arg(long, value_name = "HASH", value_parser = Digest::parse)]
    pub(crate) from: Option<Digest>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
