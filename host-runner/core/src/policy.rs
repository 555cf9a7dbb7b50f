//! The operator's policy: from a file and from flags, which beat it.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use host_runner_policy::{
    Action, AuditSection, Confirm, Fallback, LimitsSection, Policy, PolicyFile, Preset,
    PromptSection, ScopeSection, VmidRange, Widening,
};

use crate::audit::AuditTarget;
use crate::operator_file::{self, FileError, MAX_POLICY_BYTES};
use crate::option_value::{Named, positive};
use crate::sandbox::Rules;
use crate::settings::file_name;
use crate::system::place;

/// Where a key comes from that no policy file gives: a flag, or its variable in the environment
/// or in the file of settings.
const FLAGS: &str = "the command line or the settings";

/// The flags for what a policy file can say, too.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFlags {
    /// Policy file (TOML); the flags below override it, unless it is locked
    /// [env: PROXMOX_MCP_POLICY]
    #[arg(long, global = true, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Allowed actions: observe, operate or admin [default: operate]
    /// [env: PROXMOX_MCP_PRESET]
    #[arg(long, global = true, value_name = "NAME", hide_possible_values = true,
          value_parser = Named::of(&Preset::ALL))]
    preset: Option<Preset>,
    /// Allow only reads, and list only tools that read
    /// [env: PROXMOX_MCP_READ_ONLY]
    #[arg(long, global = true)]
    read_only: bool,
    /// List the tools of these toolsets; `all` means every toolset, and `default` those
    /// that are on without this option
    /// [env: PROXMOX_MCP_TOOLSETS]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    toolsets: Option<Vec<String>>,
    /// List only these tools
    /// [env: PROXMOX_MCP_TOOLS]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    tools: Option<Vec<String>>,
    /// Do not list these tools
    /// [env: PROXMOX_MCP_EXCLUDE_TOOLS]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    exclude_tools: Option<Vec<String>>,
    /// Offer these tools, which are marked dangerous, even if their toolset is off by
    /// default, and allow what they need under `operate`
    /// [env: PROXMOX_MCP_ALLOW_TOOL]
    #[arg(
        long = "allow-tool",
        global = true,
        value_name = "NAMES",
        value_delimiter = ','
    )]
    allow_tools: Option<Vec<String>>,
    /// Restrict the scope to these guests: vmids and ranges, such as
    /// 100,200-299
    /// [env: PROXMOX_MCP_VMIDS]
    #[arg(long, global = true, value_name = "RANGES", value_delimiter = ',')]
    vmids: Option<Vec<VmidRange>>,
    /// Restrict the scope to guests in these pools
    /// [env: PROXMOX_MCP_POOLS]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    pools: Option<Vec<String>>,
    /// Restrict the scope to guests with one of these tags
    /// [env: PROXMOX_MCP_TAGS]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    tags: Option<Vec<String>>,
    /// Restrict the scope to these nodes and their guests
    /// [env: PROXMOX_MCP_NODES]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    nodes: Option<Vec<String>>,
    /// Restrict the scope to these storages
    /// [env: PROXMOX_MCP_STORAGES]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    storages: Option<Vec<String>>,
    /// Changes that need the user's consent: never, destructive or writes
    /// [default: never]
    /// [env: PROXMOX_MCP_CONFIRM]
    #[arg(long, global = true, value_name = "WHICH", hide_possible_values = true,
          value_parser = Named::of(&Confirm::ALL))]
    confirm: Option<Confirm>,
    /// If the client cannot ask for consent: refuse or allow [default: refuse]
    /// [env: PROXMOX_MCP_CONFIRM_FALLBACK]
    #[arg(long, global = true, value_name = "WHAT", hide_possible_values = true,
          value_parser = Named::of(&Fallback::ALL))]
    confirm_fallback: Option<Fallback>,
    /// Maximum number of changes per minute [default: no limit]
    /// [env: PROXMOX_MCP_WRITES_PER_MINUTE]
    #[arg(long, global = true, value_name = "COUNT", value_parser = positive::<NonZeroU32>,
          allow_negative_numbers = true)]
    writes_per_minute: Option<NonZeroU32>,
    /// Maximum number of destructive changes per minute [default: no limit]
    /// [env: PROXMOX_MCP_DESTRUCTIVE_PER_MINUTE]
    #[arg(long, global = true, value_name = "COUNT", value_parser = positive::<NonZeroU32>,
          allow_negative_numbers = true)]
    destructive_per_minute: Option<NonZeroU32>,
    /// Append an audit log of JSON lines to this file; -, journald and syslog are stderr
    /// and the daemons of this machine (write ./journald for a file of this name)
    /// [env: PROXMOX_MCP_AUDIT]
    #[arg(long, global = true, value_name = "TARGET")]
    audit: Option<PathBuf>,
    /// Whether to refuse changes while the audit log cannot be written
    /// [default: true]
    /// [env: PROXMOX_MCP_AUDIT_REQUIRED]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true")]
    audit_required: Option<bool>,
}

/// A policy that cannot be used. One line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyFileError {
    /// The file cannot be read.
    #[error("the policy {} {error}", file_name(&.path.to_string_lossy()))]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        error: FileError,
    },
    /// A `.env` that was found and not named refers to it, and it has an audit log
    /// written.
    #[error(
        "the policy {} writes an audit log, which a .env in the working directory may ask for \
         only if you trust it: pass --dotenv, or name it by --env-file",
        .path.display()
    )]
    Untrusted {
        /// The file.
        path: PathBuf,
    },
    /// It is locked, and something would widen it.
    #[error("the policy {} is locked, and {by} would widen it: {error}", .path.display())]
    Locked {
        /// The locked one.
        path: PathBuf,
        /// What would widen it.
        by: String,
        /// In which way.
        error: Widening,
    },
    /// It makes no sense.
    #[error("the policy {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong in it, and in which line.
        error: host_runner_policy::PolicyError,
    },
    /// The flags make no sense.
    #[error("the policy: {0}")]
    Flags(host_runner_policy::PolicyError),
}

impl PolicyFlags {
    /// The file that `--policy` names.
    pub(crate) fn file(&self) -> Option<&Path> {
        let file = self.policy.as_deref();
        file.filter(|path| !path.as_os_str().is_empty())
    }

    /// The preset, if a flag or its variable gives it.
    pub(crate) fn preset(&self) -> Option<Preset> {
        self.preset
    }

    /// What else flags or their variables give, as flags.
    pub(crate) fn besides_preset(&self) -> Vec<String> {
        let keys = keys(&self.as_file()).into_iter().map(|(key, _)| key);
        let others = keys.filter(|key| key != "preset");
        let flag = |key: String| match key.as_str() {
            "allow_tools" => "--allow-tool".to_owned(),
            "audit.file" => "--audit".to_owned(),
            "audit.required" => "--audit-required".to_owned(),
            key => {
                let name = key.rsplit('.').next().unwrap_or(key);
                format!("--{}", name.replace('_', "-"))
            }
        };
        others.map(flag).collect()
    }

    /// The policy in force, of all its parts. Of the files that are named, the
    /// first one counts, and those behind it that are locked: naming another
    /// one must not get around them.
    ///
    /// Each file comes with whether it is trusted. One that is not may not have
    /// an audit log written: a `.env` that was found and not named refers to it.
    pub(crate) fn policies<'a>(
        &self,
        named: impl Iterator<Item = (&'a Path, bool)>,
    ) -> Result<Policies, PolicyFileError> {
        let system = place::system_policy();
        let mut ceilings = match system.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            // Also one that cannot be looked at: it may forbid everything.
            _ => vec![(system.clone(), read(&system)?)],
        };
        let mut file: Option<(PathBuf, PolicyFile)> = None;
        for (path, trusted) in named {
            if file.as_ref().is_some_and(|(first, _)| first == path) {
                continue;
            }
            let policy = read(path)?;
            let counts = file.is_none() || policy.locked == Some(true);
            if counts && !trusted && policy.audit.file.is_some() {
                return Err(PolicyFileError::Untrusted {
                    path: path.to_owned(),
                });
            }
            match &file {
                None => file = Some((path.to_owned(), policy)),
                Some(_) if counts => ceilings.push((path.to_owned(), policy)),
                Some(_) => {}
            }
        }
        Ok(Policies {
            ceilings,
            file,
            flags: self.as_file(),
        })
    }

    fn as_file(&self) -> PolicyFile {
        PolicyFile {
            locked: None,
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
                ..LimitsSection::default()
            },
            audit: AuditSection {
                file: self.audit.clone(),
                required: self.audit_required,
            },
            prompts: Vec::new(),
            clients: Vec::new(),
        }
    }
}

/// The files of a policy as they were read, and the flags.
pub(crate) struct Policies {
    ceilings: Vec<(PathBuf, PolicyFile)>,
    file: Option<(PathBuf, PolicyFile)>,
    flags: PolicyFile,
}

/// The clients to whom the same sections of all files apply, and the most that they may be
/// allowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Clients {
    sections: Vec<Option<usize>>,
    most: Option<Preset>,
}

impl Clients {
    /// The sections that apply to them.
    pub(crate) fn sections(&self) -> &[Option<usize>] {
        &self.sections
    }
}

impl Policies {
    /// What an earlier reading had, and this one has not, though only a restart may drop it.
    pub(crate) fn lost(&self, earlier: &Self) -> Option<String> {
        let paths = |of: &Self| {
            of.ceilings
                .iter()
                .map(|(path, _)| path.clone())
                .collect::<Vec<_>>()
        };
        let now = paths(self);
        if let Some(path) = paths(earlier).into_iter().find(|path| !now.contains(path)) {
            return Some(format!(
                "the policy {}, which is locked, is gone",
                path.display()
            ));
        }
        match (&self.file, &earlier.file) {
            (Some((path, now)), Some((_, before)))
                if *now == PolicyFile::default() && *before != PolicyFile::default() =>
            {
                Some(format!("the policy {} is empty", path.display()))
            }
            _ => None,
        }
    }

    /// Which clients a client is one of. `most` is what its credential is for.
    pub(crate) fn clients(&self, name: Option<&str>, most: Option<Preset>) -> Clients {
        let files = self.ceilings.iter().chain(&self.file);
        let sections = files.map(|(_, file)| file.section_for(name));
        Clients {
            sections: sections.collect(),
            most,
        }
    }

    /// The clients of each section of the files, by a name that it is for.
    pub(crate) fn named(&self) -> Vec<Clients> {
        let files = self.ceilings.iter().chain(&self.file).enumerate();
        let named = files.flat_map(|(at, (_, file))| {
            file.clients_named()
                .enumerate()
                .map(move |named| (at, named))
        });
        let clients = named.map(|(at, (section, name))| {
            let mut clients = self.clients(Some(&name), None);
            // An earlier section may take the name.
            if let Some(place) = clients.sections.get_mut(at) {
                *place = Some(section);
            }
            clients
        });
        clients.collect()
    }

    /// The policy for these clients.
    pub(crate) fn layers(&self, clients: &Clients) -> Result<Layers, PolicyFileError> {
        let mut sections = clients.sections.iter().copied();
        let mut one = |(path, file): &(PathBuf, PolicyFile)| {
            let section = sections.next().flatten();
            (path.clone(), file.clone().with_section(section))
        };
        let ceilings = self.ceilings.iter().map(&mut one).collect();
        let file = self.file.as_ref().map(&mut one);
        let mut layers = Layers::new(ceilings, file, self.flags.clone())?;
        if let Some(most) = clients.most {
            layers.effective = layers.effective.at_most(most);
        }
        Ok(layers)
    }
}

/// The parts of a policy, and what they come to.
pub(crate) struct Layers {
    /// The system's, and locked ones that are named beside the file.
    ceilings: Vec<(PathBuf, PolicyFile)>,
    file: Option<(PathBuf, PolicyFile)>,
    flags: PolicyFile,
    effective: PolicyFile,
}

impl Layers {
    /// The flags beat the file, but they only narrow one that is locked; and
    /// both of them only narrow the ceilings, whatever those say of themselves.
    fn new(
        mut ceilings: Vec<(PathBuf, PolicyFile)>,
        file: Option<(PathBuf, PolicyFile)>,
        flags: PolicyFile,
    ) -> Result<Self, PolicyFileError> {
        for (_, ceiling) in &mut ceilings {
            ceiling.locked = Some(true);
        }
        let own = match &file {
            None => flags.clone(),
            Some((path, file)) if file.locked == Some(true) => file
                .clone()
                .narrowed(flags.clone())
                .map_err(|error| PolicyFileError::Locked {
                    path: path.clone(),
                    by: FLAGS.to_owned(),
                    error,
                })?,
            Some((_, file)) => file.clone().overridden(flags.clone()),
        };
        let by = match &file {
            Some((path, _)) => format!("{} or {FLAGS}", path.display()),
            None => FLAGS.to_owned(),
        };
        let mut effective = own;
        // The system's is the first one, and the last to narrow.
        for (path, ceiling) in ceilings.iter().rev() {
            effective =
                ceiling
                    .clone()
                    .narrowed(effective)
                    .map_err(|error| PolicyFileError::Locked {
                        path: path.clone(),
                        by: by.clone(),
                        error,
                    })?;
        }
        Ok(Self {
            ceilings,
            file,
            flags,
            effective,
        })
    }

    /// What is in force.
    pub(crate) fn effective(&self) -> &PolicyFile {
        &self.effective
    }

    /// Whether a policy that nothing may widen says which tools there are.
    pub(crate) fn binds_tools(&self) -> bool {
        // `new` has locked each of the ceilings.
        self.ceilings
            .iter()
            .chain(&self.file)
            .any(|(_, file)| file.locked == Some(true) && chooses_tools(file))
    }

    /// Each key that is in force, and where it comes from.
    pub(crate) fn origins(&self) -> Vec<(String, String)> {
        let files = self.ceilings.iter().chain(&self.file);
        let files = files.map(|(path, file)| (keys(file), path.display().to_string()));
        let flags = (keys(&self.flags), FLAGS.to_owned());
        let layers: Vec<_> = files.chain([flags]).collect();
        let described = keys(&self.effective).into_iter().map(|(key, value)| {
            let mut places: Vec<_> = layers
                .iter()
                .filter(|(keys, _)| keys.iter().any(|(one, _)| *one == key))
                .collect();
            // The last one that gives the value as it is has decided alone.
            let decides =
                |(keys, _): &&(Keys, String)| keys.contains(&(key.clone(), value.clone()));
            if let Some(alone) = places.iter().rev().copied().find(decides) {
                places = vec![alone];
            }
            let places: Vec<_> = places.iter().map(|(_, name)| name.as_str()).collect();
            let place = match places.is_empty() {
                true => "the default".to_owned(),
                false => places.join(" and "),
            };
            (key, place)
        });
        described.collect()
    }
}

/// Whether a policy says which tools there are.
pub(crate) fn chooses_tools(file: &PolicyFile) -> bool {
    file.toolsets.is_some() || file.tools.is_some() || file.exclude_tools.is_some()
}

type Keys = Vec<(String, serde_json::Value)>;

/// The keys of a file that are given, with those of its sections.
fn keys(file: &PolicyFile) -> Keys {
    let serde_json::Value::Object(all) = serde_json::to_value(file).unwrap_or_default() else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (key, value) in all {
        match value {
            serde_json::Value::Object(section) => {
                let section = section.into_iter();
                keys.extend(section.map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            value => keys.push((key, value)),
        }
    }
    keys
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

/// Where its audit log goes.
pub(crate) fn audit_target(file: &PolicyFile) -> Option<AuditTarget> {
    file.audit.file.as_deref().map(AuditTarget::named)
}

/// Which tools a policy offers, and which prompts it adds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    /// Of these toolsets, by name or keyword; those on by default where neither a
    /// toolset nor a tool is named.
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
    /// Only those of which this allows something.
    pub policy: Option<Policy>,
    /// Prompts beside those of the component.
    pub prompts: Vec<PromptSection>,
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
            policy: Some(rules.policy.clone()),
            prompts: file.prompts.clone(),
        }
    }
}

fn read(path: &Path) -> Result<PolicyFile, PolicyFileError> {
    let text = operator_file::read_text(path, MAX_POLICY_BYTES);
    let text = text.map_err(|error| PolicyFileError::Read {
        path: path.to_owned(),
        error,
    })?;
    let malformed = |error| PolicyFileError::File {
        path: path.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> PolicyFile {
        PolicyFile::parse(text).unwrap()
    }

    fn named(text: &str) -> Option<(PathBuf, PolicyFile)> {
        Some((PathBuf::from("own.toml"), file(text)))
    }

    fn origin(layers: &Layers, key: &str) -> String {
        let origins = layers.origins();
        let found = origins.iter().find(|(name, _)| name == key);
        found.map_or_else(String::new, |(_, place)| place.clone())
    }

    #[test]
    fn flags_beat_a_file_and_narrow_a_locked_one() {
        let flags = file("preset = \"admin\"");
        let layers = Layers::new(Vec::new(), named("preset = \"observe\""), flags.clone()).unwrap();
        assert_eq!(layers.effective().preset, Some(Preset::Admin));
        assert_eq!(origin(&layers, "preset"), FLAGS);

        let locked = "locked = true\npreset = \"observe\"";
        let error = Layers::new(Vec::new(), named(locked), flags).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("own.toml") && text.contains("preset"),
            "{text}"
        );
        let flags = file("exclude_tools = [\"get_guest\"]");
        let layers = Layers::new(Vec::new(), named(locked), flags).unwrap();
        assert_eq!(layers.effective().preset, Some(Preset::Observe));
        assert_eq!(origin(&layers, "preset"), "own.toml");
        assert_eq!(origin(&layers, "exclude_tools"), FLAGS);
    }

    const SYSTEM_POLICY: &str = "/etc/proxmox-mcp/policy.toml";

    #[test]
    fn nothing_widens_the_systems_policy() {
        // It need not say that it is locked.
        let text = "preset = \"observe\"\ndeny = [\"GET /version\"]";
        let system = || vec![(PathBuf::from(SYSTEM_POLICY), file(text))];
        for (own, flags) in [
            (named("preset = \"operate\""), ""),
            (None, "preset = \"operate\""),
            (named(""), "preset = \"admin\""),
            (named("allow = [\"POST /nodes/*/wakeonlan\"]"), ""),
        ] {
            let error = Layers::new(system(), own, file(flags)).err().unwrap();
            assert!(error.to_string().contains(SYSTEM_POLICY), "{error}");
        }
        // Undoing a part of a file by flags is not a widening.
        let own = named("preset = \"admin\"\ndeny = [\"GET /cluster/log\"]");
        let layers = Layers::new(system(), own, file("preset = \"observe\"")).unwrap();
        assert_eq!(origin(&layers, "preset"), FLAGS);
        let both = format!("{SYSTEM_POLICY} and own.toml");
        assert_eq!(origin(&layers, "deny"), both);
        assert_eq!(origin(&layers, "locked"), SYSTEM_POLICY);
        let layers = Layers::new(system(), None, file("")).unwrap();
        assert_eq!(layers.effective().preset, Some(Preset::Observe));
    }

    #[test]
    fn another_file_does_not_get_around_a_locked_one() {
        let lock = || {
            let text = "locked = true\npreset = \"observe\"\n[scope]\nvmids = [100]";
            vec![(PathBuf::from("lock.toml"), file(text))]
        };
        for (own, flags, key) in [
            (named("preset = \"admin\""), "", "preset"),
            (named(""), "preset = \"operate\"", "preset"),
            (named("scope = { vmids = [101] }"), "", "scope.vmids"),
        ] {
            let error = Layers::new(lock(), own, file(flags)).err().unwrap();
            let text = error.to_string();
            for say in ["lock.toml", "locked", "own.toml", key] {
                assert!(text.contains(say), "{say}: {text}");
            }
        }
        let own = named("exclude_tools = [\"get_guest\"]");
        let layers = Layers::new(lock(), own, file("")).unwrap();
        assert_eq!(layers.effective().preset, Some(Preset::Observe));
        assert_eq!(origin(&layers, "preset"), "lock.toml");
        assert_eq!(origin(&layers, "exclude_tools"), "own.toml");
        // The system's is above it.
        let mut both = vec![(PathBuf::from(SYSTEM_POLICY), file("read_only = true"))];
        both.extend(lock());
        let layers = Layers::new(both, named(""), file("")).unwrap();
        assert_eq!(layers.effective().read_only, Some(true));
        assert_eq!(layers.effective().preset, Some(Preset::Observe));
    }
}
