//! The operator's policy: from a file and from flags, which beat it.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use host_runner_policy::{
    Action, AuditSection, Confirm, Fallback, LimitsSection, PolicyFile, Preset, ScopeSection,
    VmidRange,
};

use crate::audit::AuditTarget;
use crate::sandbox::Rules;

/// The flags for what a policy file can say, too.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFlags {
    /// A TOML file with the policy; the flags below beat it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PROXMOX_MCP_POLICY",
        hide_env_values = true
    )]
    policy: Option<PathBuf>,
    /// What may be done: observe, operate or admin [default: operate]
    #[arg(long, global = true, value_name = "NAME")]
    preset: Option<Preset>,
    /// Let nothing but reads through, and offer no tool that writes
    #[arg(long, global = true)]
    read_only: bool,
    /// Offer only the tools of these toolsets
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    toolsets: Option<Vec<String>>,
    /// Offer only these tools
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    tools: Option<Vec<String>>,
    /// Do not offer these tools
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    exclude_tools: Option<Vec<String>>,
    /// Offer these tools although they are marked dangerous
    #[arg(
        long = "allow-tool",
        global = true,
        value_name = "NAMES",
        value_delimiter = ','
    )]
    allow_tools: Option<Vec<String>>,
    /// Reach no guests but these: vmids and ranges of them, such as 100,200-299
    #[arg(long, global = true, value_name = "RANGES", value_delimiter = ',')]
    vmids: Option<Vec<VmidRange>>,
    /// Reach no guests but those of these pools
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    pools: Option<Vec<String>>,
    /// Reach no guests but those with one of these tags
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    tags: Option<Vec<String>>,
    /// Reach no nodes but these, and no guests elsewhere
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    nodes: Option<Vec<String>>,
    /// Reach no storages but these
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    storages: Option<Vec<String>>,
    /// Ask the user before changes: never, destructive or writes
    /// [default: never]
    #[arg(long, global = true, value_name = "WHICH")]
    confirm: Option<Confirm>,
    /// Where the client cannot ask: refuse or allow [default: refuse]
    #[arg(long, global = true, value_name = "WHAT")]
    confirm_fallback: Option<Fallback>,
    /// Requests in any minute that change anything [default: no limit]
    #[arg(long, global = true, value_name = "COUNT")]
    writes_per_minute: Option<NonZeroU32>,
    /// Requests in any minute that lose data or interrupt a guest
    /// [default: no limit]
    #[arg(long, global = true, value_name = "COUNT")]
    destructive_per_minute: Option<NonZeroU32>,
    /// Append an audit log of JSON lines to this file; - is stderr
    #[arg(long, global = true, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Whether to refuse changes while the audit log cannot be written
    /// [default: true]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true")]
    audit_required: Option<bool>,
}

/// A policy that cannot be used. One line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyFileError {
    /// The file cannot be read.
    #[error("cannot read the policy {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It makes no sense.
    #[error("the policy {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: host_runner_policy::PolicyError,
    },
    /// The flags make no sense.
    #[error("the policy: {0}")]
    Flags(host_runner_policy::PolicyError),
}

impl PolicyFlags {
    /// The file and the flags together.
    pub(crate) fn effective(&self) -> Result<PolicyFile, PolicyFileError> {
        let file = match &self.policy {
            Some(path) if !path.as_os_str().is_empty() => read(path)?,
            _ => PolicyFile::default(),
        };
        Ok(file.overridden(self.as_file()))
    }

    fn as_file(&self) -> PolicyFile {
        PolicyFile {
            preset: self.preset,
            // A flag that is not there takes nothing back.
            read_only: self.read_only.then_some(true),
            allow_actions: None,
            deny_actions: None,
            toolsets: set(&self.toolsets),
            tools: set(&self.tools),
            exclude_tools: set(&self.exclude_tools),
            allow_tools: set(&self.allow_tools),
            confirm: self.confirm,
            confirm_fallback: self.confirm_fallback,
            allow: None,
            deny: None,
            scope: ScopeSection {
                vmids: self.vmids.clone(),
                pools: set(&self.pools),
                tags: set(&self.tags),
                nodes: set(&self.nodes),
                storages: set(&self.storages),
            },
            limits: LimitsSection {
                writes_per_minute: self.writes_per_minute,
                destructive_per_minute: self.destructive_per_minute,
            },
            audit: AuditSection {
                file: self.audit.clone(),
                required: self.audit_required,
            },
        }
    }
}

/// What it says about requests.
pub(crate) fn rules(file: &PolicyFile, max_requests: u32) -> Result<Rules, PolicyFileError> {
    Ok(Rules {
        policy: file.policy().map_err(PolicyFileError::Flags)?,
        caps: file.caps(),
        max_requests,
        confirm: file.confirm.unwrap_or_default(),
        fallback: file.confirm_fallback.unwrap_or_default(),
    })
}

/// Where it wants the audit log.
pub(crate) fn audit_target(file: &PolicyFile) -> Option<AuditTarget> {
    let path = file.audit.file.as_ref()?;
    Some(match path.as_os_str() == "-" {
        true => AuditTarget::Stderr,
        false => AuditTarget::File(path.clone()),
    })
}

/// Which tools a policy offers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    /// Of these toolsets; all where none is named.
    pub toolsets: Option<BTreeSet<String>>,
    /// Of these tools; all where none is named.
    pub tools: Option<BTreeSet<String>>,
    /// But not these.
    pub exclude: BTreeSet<String>,
    /// Dangerous ones that the operator named.
    pub allowed: BTreeSet<String>,
    /// All dangerous ones.
    pub all_dangerous: bool,
    /// Only those that change nothing.
    pub read_only: bool,
}

impl Choice {
    /// What a policy says about tools.
    pub(crate) fn new(file: &PolicyFile, rules: &Rules) -> Self {
        let actions = &rules.policy.actions;
        let dangerous = actions.iter().any(|action| action.is_dangerous());
        let writes = actions.iter().any(|action| *action != Action::Read);
        // An expert's rule may let writes through that no action does.
        let only_reads = !writes && rules.policy.allow.is_empty();
        Self {
            toolsets: file.toolsets.clone(),
            tools: file.tools.clone(),
            exclude: file.exclude_tools.clone().unwrap_or_default(),
            allowed: file.allow_tools.clone().unwrap_or_default(),
            all_dangerous: dangerous,
            read_only: rules.policy.read_only || only_reads,
        }
    }
}

fn read(path: &PathBuf) -> Result<PolicyFile, PolicyFileError> {
    let text = std::fs::read_to_string(path).map_err(|error| PolicyFileError::Read {
        path: path.clone(),
        error,
    })?;
    let malformed = |error| PolicyFileError::File {
        path: path.clone(),
        error,
    };
    let file = PolicyFile::parse(&text).map_err(malformed)?;
    file.policy().map_err(malformed)?;
    Ok(file)
}

fn set(names: &Option<Vec<String>>) -> Option<BTreeSet<String>> {
    let names = names.as_ref()?.iter();
    let names = names
        .map(|name| name.trim())
        .filter(|name| !name.is_empty());
    Some(names.map(str::to_owned).collect())
}
