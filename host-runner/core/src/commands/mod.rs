//! One file per command.

pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod client;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod forward;
pub(crate) mod health;
pub(crate) mod help;
pub(crate) mod inspect;
mod interrupt;
pub(crate) mod man;
mod output;
pub(crate) mod policy;
pub(crate) mod precompile;
mod rights;
pub(crate) mod serve;
pub(crate) mod setup;
mod token;
mod tool_page;
pub(crate) mod tools;
mod words;

use std::io::{self, Write as _};
use std::sync::Arc;

use host_runner_policy::PolicyFile;

use crate::audit::{Audit, AuditError};
use crate::budget::Budget;
use crate::cli::{Operator, Options};
use crate::demo::{Demo, DemoError};
use crate::digest::Digest;
use crate::engine::{Embedded, LoadError, Loader, Program, ToolError};
use crate::offer::{Catalog, Fleet, OfferError};
use crate::policy::{Choice, PolicyFileError};
use crate::render;
use crate::sandbox::{Capacity, Cluster, MAX_CALL_BYTES, Rules, Sandbox, SharedMeter, TrustError};
use crate::settings::{Settings, SettingsError};

/// Why a command ends without success. Each message is one line, but for those
/// of tools.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The settings of TLS cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The component cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
    /// The audit log cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The policy and the component do not fit.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// Clients would be shown something else than the operator has seen.
    #[error(
        "the tools, instructions, resources, prompts and views have the checksum {found}, but \
         --tools-checksum requires {expected}: compare the output of `host-runner tools --surface` \
         with what it was for the tools that you approved; if the change is intended, give the new \
         checksum"
    )]
    Checksum {
        /// What was asked for.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// What clients would be shown is not what the operator has seen, as the settings cannot
    /// be used.
    #[error("no tools are listed, since they cannot be compared with --tools-checksum: {0}")]
    Uncompared(Box<CommandError>),
    /// A request that is none.
    #[error("{0:?} is not a request: write it as \"DELETE /nodes/pve1/qemu/100\"")]
    Request(String),
    /// The arguments of a call are not a JSON object.
    #[error(
        "the arguments of the call are not a JSON object ({0}), for example '{{\"vmid\":100}}'"
    )]
    Arguments(String),
    /// An argument of a call, written as key=value, does not fit the tool.
    #[error("{0}")]
    Argument(String),
    /// The user has pressed Ctrl-C.
    #[error("{0}")]
    Interrupted(String),
    /// The simulated cluster cannot be used.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The tool reports an error.
    #[error("{}", render::error_text(.0))]
    Tool(ToolError),
    /// What is wrong was printed already. The exit status says the rest.
    #[error("an error was reported")]
    Reported(u8),
    /// The command line cannot be understood.
    #[error("{0}")]
    Usage(String),
    /// The server could not be used, and that was said already.
    #[error("the server could not be used")]
    Faulty,
    /// A server does not answer, or is not ready.
    #[error("{0}")]
    Unhealthy(String),
    /// Reading or writing fails.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client does not speak MCP.
    #[error("{0}")]
    Protocol(String),
}

/// The exit status after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// What the commands that call tools need.
pub(crate) struct Context {
    /// The component, loaded when it is needed, and its tools.
    pub catalog: Fleet,
    /// Where Proxmox VE is, and with which token to talk to it.
    pub settings: Settings,
    /// Lives as long as the calls.
    pub demo: Option<Demo>,
}

impl CommandError {
    /// The same, where a checksum was given that nothing can be compared with.
    pub(crate) fn uncompared(self) -> Self {
        Self::Uncompared(Box::new(self))
    }

    /// The exit status of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_)
            | Self::Trust(_)
            | Self::Load(_)
            | Self::Policy(_)
            | Self::Audit(_)
            | Self::Offer(_)
            | Self::Checksum { .. }
            | Self::Uncompared(_)
            | Self::Request(_)
            | Self::Arguments(_)
            | Self::Argument(_)
            | Self::Usage(_)
            | Self::Faulty => 2,
            Self::Interrupted(_) => INTERRUPTED,
            Self::Reported(status) => *status,
            Self::Tool(error) => Self::exit_code_of(error),
            Self::Demo(error) => error.exit_code(),
            Self::Unhealthy(_) | Self::Io(_) | Self::Protocol(_) => 1,
        }
    }

    /// The exit status for the error of a tool: a call that was written wrong is not one
    /// that failed.
    pub(crate) fn exit_code_of(error: &ToolError) -> u8 {
        match error {
            ToolError::UnknownTool(_) | ToolError::InvalidArguments(_) => 2,
            _ => 1,
        }
    }
}

impl From<ToolError> for CommandError {
    fn from(error: ToolError) -> Self {
        Self::Tool(error)
    }
}

impl Context {
    /// With the settings, or the demo's.
    pub(crate) async fn new(
        operator: &Operator<'_>,
        embedded: Embedded,
    ) -> Result<Self, CommandError> {
        let (settings, demo) = settings(operator).await?;
        let process = Process::new(operator, embedded);
        let catalog = Fleet::of_one(catalog(operator, &process, &settings)?);
        Ok(Self {
            catalog,
            settings,
            demo,
        })
    }

    /// For serving: the settings of each cluster, of which the first is given apart. Only the
    /// tools that fit the token of a cluster are offered for it.
    pub(crate) async fn serving(
        first: &Operator<'_>,
        others: &[Operator<'_>],
        embedded: Embedded,
    ) -> Result<Self, CommandError> {
        let (settings, demo) = settings(first).await?;
        let process = Process::new(first, embedded);
        let fit = first.fit_token();
        let of_first = catalog(first, &process, &settings)?.fitting(fit);
        let mut catalogs = vec![(first.cluster().cloned(), of_first)];
        for other in others {
            let of_other = catalog(other, &process, &other.settings()?)?.fitting(fit);
            catalogs.push((other.cluster().cloned(), of_other));
        }
        let catalog = Fleet::from_catalogs(catalogs).ok_or(OfferError::Nothing)?;
        Ok(Self {
            catalog,
            settings,
            demo,
        })
    }

    /// For showing the tools where nothing may be sent: those that the policy
    /// offers, as far as it can be read.
    pub(crate) fn sealed(
        options: &Options,
        operators: &[Operator<'_>],
        embedded: Embedded,
    ) -> Self {
        let limits = options.limits();
        let memory_bytes = limits.memory_bytes;
        let program = Program::new(options.component(embedded), limits);
        let catalog = |operator: Option<&Operator<'_>>| {
            let choice = operator.and_then(|operator| {
                let file = operator.policy().ok()?;
                let rules = operator.rules(&file).ok()?;
                Some(Choice::new(&file, &rules))
            });
            let sealed = Sandbox::sealed(memory_bytes);
            let loader = Loader::new(&program, sealed, Vec::new());
            Catalog::new(loader, choice.unwrap_or_default())
        };
        let catalogs = operators.iter();
        let catalogs =
            catalogs.map(|operator| (operator.cluster().cloned(), catalog(Some(operator))));
        let fleet = Fleet::from_catalogs(catalogs.collect());
        Self {
            catalog: fleet.unwrap_or_else(|| Fleet::of_one(catalog(None))),
            settings: Settings::nowhere(),
            demo: None,
        }
    }
}

/// The settings, or the demo's, which lives as long as the second value.
async fn settings(operator: &Operator<'_>) -> Result<(Settings, Option<Demo>), CommandError> {
    if !operator.options.demo {
        return Ok((operator.settings()?, None));
    }
    let demo = Demo::start(operator.options.demo_state.as_deref()).await?;
    Ok((demo.settings()?, Some(demo)))
}

/// What all catalogs of a process share.
pub(crate) struct Process {
    program: Arc<Program>,
    capacity: Arc<Capacity>,
}

impl Process {
    pub(crate) fn new(operator: &Operator<'_>, embedded: Embedded) -> Self {
        let limits = operator.options.limits();
        Self {
            capacity: Capacity::new(Budget::new(limits.memory_bytes, MAX_CALL_BYTES)),
            program: Program::new(operator.options.component(embedded), limits),
        }
    }
}

/// The component and its tools, which can send to a configured Proxmox VE.
fn catalog(
    operator: &Operator<'_>,
    process: &Process,
    settings: &Settings,
) -> Result<Catalog, CommandError> {
    let file = operator.policy()?;
    let rules = operator.rules(&file)?;
    let parts = Parts::new(process, settings, &file)?;
    Ok(parts.catalog(&file, rules, SharedMeter::default()))
}

/// What the catalogs of a cluster share, whatever the policy.
pub(crate) struct Parts {
    program: Arc<Program>,
    cluster: Arc<Cluster>,
    capacity: Arc<Capacity>,
    audit: Option<Audit>,
    environment: Vec<(String, String)>,
    /// The cluster's name, where the file of clusters has one.
    name: Option<Arc<str>>,
}

impl Parts {
    /// With the audit log of this policy.
    pub(crate) fn new(
        process: &Process,
        settings: &Settings,
        policy: &PolicyFile,
    ) -> Result<Self, CommandError> {
        let audit = match crate::policy::audit_target(policy) {
            Some(target) => {
                let required = policy.audit.required.unwrap_or(true);
                Some(Audit::open(target, required, settings.cluster.clone())?)
            }
            None if policy.audit.required == Some(true) => {
                return Err(CommandError::Usage(
                    "the policy requires an audit log (audit.required) and names none: give one \
                     with --audit, or audit.file in the policy"
                        .to_owned(),
                ));
            }
            None => None,
        };
        Ok(Self {
            program: Arc::clone(&process.program),
            cluster: Cluster::new(settings)?,
            capacity: Arc::clone(&process.capacity),
            audit,
            environment: settings.guest_environment(),
            name: settings.cluster.clone(),
        })
    }

    /// The cluster's name, where the file of clusters has one.
    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The tools under a policy.
    pub(crate) fn catalog(&self, policy: &PolicyFile, rules: Rules, meter: SharedMeter) -> Catalog {
        let choice = Choice::new(policy, &rules);
        let sandbox = Sandbox::new(
            &self.cluster,
            &self.capacity,
            rules,
            self.audit.clone(),
            meter,
        );
        let loader = Loader::new(&self.program, sandbox, self.environment.clone());
        Catalog::new(loader, choice)
    }
}

/// Writes to stdout. A closed pipe is not an error.
fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
