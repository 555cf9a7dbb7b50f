//! The command line.

mod arguments;
mod faulty;
mod operator;
mod options;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum as _};

pub(crate) use self::arguments::{AuditCommand, ForwardArgs, PolicyCommand, ServeArgs};
pub(crate) use self::faulty::client_fault;
pub(crate) use self::operator::Operator;
pub(crate) use self::options::Options;

use crate::digest::Digest;
use crate::log::LogFormat;
use crate::settings::{EnvFile, SettingsError, Sources, Variable};

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
