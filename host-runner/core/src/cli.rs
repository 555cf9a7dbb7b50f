//! The command line.

mod advice;
mod arguments;
mod client;
mod environment;
mod faulty;
mod help;
mod operator;
mod options;
mod output;
mod setup;

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum as _};
use clap_complete::Shell;

pub(crate) use self::advice::report;
pub(crate) use self::arguments::{
    AuditCommand, CallArgs, ExplainArgs, ForwardArgs, HealthArgs, InspectArgs, PolicyCommand,
    ServeArgs, ToolsArgs, VerifyArgs,
};
pub(crate) use self::client::{ClientArgs, ENTRY};
pub(crate) use self::faulty::client_fault;
pub(crate) use self::operator::Operator;
pub(crate) use self::options::Options;
pub(crate) use self::output::{Format, OutputArgs};
pub(crate) use self::setup::{ClientNames, SetupArgs};

use crate::digest::Digest;
use crate::log::LogFormat;
use crate::settings::{EnvFile, SettingsError, Sources, Variable};

/// Serve the tools of the proxmox-mcp component over MCP on stdin and stdout.
///
/// The component runs in a sandbox: it reaches the configured Proxmox VE and
/// nothing else, and never sees the token. The address, the token and the
/// certificate settings must come from the same source: flags and environment
/// variables, the file passed with --env-file, .env in the working directory,
/// or the file that `host-runner setup` writes. The last two are used only if
/// no other source provides any of these settings, and the server reads .env
/// only with --dotenv. The token's secret has no flag: give it as
/// PROXMOX_TOKEN_SECRET, or name a file that holds it in
/// PROXMOX_TOKEN_SECRET_FILE.
#[derive(Debug, Parser)]
#[command(
    name = "host-runner",
    version,
    disable_help_subcommand = true,
    after_long_help = help::ALL
)]
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
    #[command(after_long_help = help::SERVE)]
    Serve(Box<ServeArgs>),
    /// Connect to Proxmox VE: ask for what is needed, check it, and write a file of settings
    ///
    /// Asks at the terminal for what flags and environment variables do not give; without a
    /// terminal, nothing is asked. Shows the certificate of each address before the token is
    /// sent. Exits with 1 if Proxmox VE cannot be reached or does not accept the token, with 2
    /// if something is missing or the file exists.
    #[command(after_long_help = help::SETUP)]
    Setup(Box<SetupArgs>),
    /// Check settings, connection, token and rights, and say how to fix what is wrong
    ///
    /// Changes nothing on Proxmox VE. Exits with 0 if all is well (there may be warnings),
    /// with 1 if Proxmox VE or the token cannot be used, with 2 if the settings cannot.
    #[command(after_long_help = help::DOCTOR, mut_arg("output", |arg| arg.help(help::TABLE_FORMAT)))]
    Doctor(OutputArgs),
    /// Print the configuration for an MCP client, or write it into the client's file
    ///
    /// Without a name, lists the clients, the file that configures each, and whether it has
    /// an entry; -o is the format of this list. What is written is the path of this program
    /// and of the file that --env-file names; the token stays in that file.
    #[command(after_long_help = help::CLIENT)]
    Client(ClientArgs),
    /// List the tools, or describe one of them; needs no settings
    ///
    /// With a NAME, shows the tool's arguments with their types, the fields of its result, its
    /// effect, and the calls to Proxmox VE that it makes with the privileges that they need.
    #[command(after_long_help = help::TOOLS)]
    Tools(ToolsArgs),
    /// Call a tool and wait for its end
    ///
    /// Arguments are written as key=value; their types come from the tool, and `host-runner
    /// tools NAME` lists them. A list is written as a,b or by repeating its key. A part of an
    /// object is written as key.part=value. A value that begins with [ or { is JSON where the
    /// tool takes a list or an object. Instead, all arguments can be one JSON object, or -
    /// to read that object from stdin.
    ///
    /// On a terminal, stderr shows how the call's Proxmox task progresses. Ctrl-C ends the
    /// call, not the task, and shows how to follow the task.
    #[command(after_long_help = help::CALL)]
    Call(CallArgs),
    /// Forward the requests of a component in another host to Proxmox VE
    ///
    /// Listens on a loopback address without TLS. Requests that the policy
    /// allows are sent to the configured Proxmox VE with the token, over
    /// verified TLS; the component needs a key instead of the token, and never
    /// sees the token. At most --call-requests requests are sent in any period
    /// of --call-seconds.
    #[command(after_long_help = help::FORWARD)]
    Forward(ForwardArgs),
    /// Ask whether `serve --http` is ready, as container platforms do
    ///
    /// Prints what the server says. Exits with 1 if it does not answer within 5 s or is not
    /// ready. With PROXMOX_MCP_TLS_CERT, it speaks TLS and expects that certificate.
    #[command(after_long_help = help::HEALTH)]
    Health(HealthArgs),
    /// Show the policy, or what it decides about a call
    #[command(subcommand, after_long_help = help::POLICY)]
    Policy(PolicyCommand),
    /// Check an audit log
    #[command(subcommand, after_long_help = help::AUDIT)]
    Audit(AuditCommand),
    /// Show what a component imports, and which imports are granted or refused
    ///
    /// The component is not run, so this also works for one that would be
    /// refused. Needs no settings.
    #[command(after_long_help = help::INSPECT)]
    Inspect(InspectArgs),
    /// Print the script that completes commands and options in a shell
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// The shell: bash, zsh, fish, powershell or elvish
        #[arg(hide_possible_values = true)]
        shell: Shell,
    },
    /// Print the manual page, or write one for each command into a folder
    #[command(after_long_help = help::MAN)]
    Man {
        /// Write the pages host-runner.1, host-runner-call.1, … into this folder
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Show the help of host-runner or of a command
    #[command(after_long_help = help::HELP)]
    Help {
        /// The command, such as `call` or `policy show`
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Compile a component ahead of time, for embedding
    #[command(hide = true)]
    Precompile {
        /// The component
        input: PathBuf,
        /// Where to write the code
        code: PathBuf,
        /// The target to compile for, if it is not that of this program. It must have the
        /// same kind of processor
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
}

impl Cli {
    /// The program's name.
    pub(crate) const NAME: &str = "host-runner";

    /// The command line as it is described in help, completions and manual pages.
    pub(crate) fn documented() -> clap::Command {
        Self::command()
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

    /// Whether this is a command that somebody types in a folder of their choice.
    fn is_for_the_user(&self) -> bool {
        matches!(
            self.command,
            Some(Command::Call(_) | Command::Doctor(_) | Command::Policy(_) | Command::Tools(_))
        )
    }

    /// Which file of settings may count.
    fn env_file(&self) -> EnvFile {
        let needs_none = matches!(
            self.command,
            Some(
                Command::Setup(_)
                    | Command::Client(_)
                    | Command::Audit(_)
                    | Command::Inspect(_)
                    | Command::Completions { .. }
                    | Command::Man { .. }
                    | Command::Help { .. }
                    | Command::Precompile { .. }
            )
        );
        match &self.options.env_file {
            // It is only written into the configuration.
            Some(_) if matches!(self.command, Some(Command::Client(_))) => EnvFile::None,
            Some(path) => EnvFile::Named(path.clone()),
            None if self.options.dotenv => EnvFile::DotEnv,
            None if self.options.demo || needs_none => EnvFile::None,
            None if self.is_for_the_user() => EnvFile::Fallback,
            None => EnvFile::Own,
        }
    }
}

#[cfg(test)]
mod tests {
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

    /// Whatever sets something can be given by the environment, and its help says so.
    #[test]
    fn every_option_names_its_variable() {
        let cli = Cli::command();
        let of = |command: &str| {
            let command = cli.get_subcommands().find(|one| one.get_name() == command);
            command.into_iter().flat_map(clap::Command::get_arguments)
        };
        let options = cli.get_arguments().chain(of("serve")).chain(of("forward"));
        for option in options {
            let help = option
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let name = help
                .split("[env: ")
                .nth(1)
                .and_then(|rest| rest.split(']').next());
            let name =
                name.unwrap_or_else(|| panic!("{} has no variable: {help}", option.get_id()));
            assert!(Variable::named(name).is_some(), "{name}");
        }
        assert_eq!(environment::without_option(&cli), [""; 0]);
    }

    /// Each example of the help is one that can be typed.
    #[test]
    fn every_example_can_be_parsed() {
        fn check(command: &clap::Command) {
            let text = command.get_after_long_help().map(ToString::to_string);
            let text = text.unwrap_or_default();
            let examples = text
                .lines()
                .filter(|line| line.starts_with("  host-runner"));
            for example in examples {
                let typed = example.split(['|', '<', '>']).next().unwrap().trim();
                let quoted: Vec<_> = typed.split(['\'', '"']).collect();
                let mut words: Vec<String> = Vec::new();
                for (at, part) in quoted.iter().enumerate() {
                    match at % 2 {
                        0 => words.extend(part.split_whitespace().map(str::to_owned)),
                        _ if part.contains(':') && !part.contains(' ') => {}
                        _ => words.push((*part).to_owned()),
                    }
                }
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn the_demo_takes_no_settings() {
        let parsed = Cli::try_parse_from(["host-runner", "--demo", "--url", "https://pve"]);
        assert!(parsed.is_err());
    }
}
