//! The policy file, and the policy that it makes.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use pve_api::{Action, Vmid};

use super::Policy;
use super::caps::{Caps, Sizes};
use super::clients::ClientSection;
use super::naming::by_name;
use super::pattern::Pattern;
use super::preset::Preset;
use super::prompts::{self, PromptSection};
use super::scope::{Scope, range};

/// In the place of toolsets: every toolset.
pub const ALL_TOOLSETS: &str = "all";
/// In the place of toolsets: those that are on by default.
pub const DEFAULT_TOOLSETS: &str = "default";

/// What the operator of host-runner lets an AI client do with Proxmox VE.
///
/// Omitted keys have their defaults; command-line flags override the file. No
/// key can allow what is refused as built-in, such as deleting a guest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Flags and other policy files that would allow more are refused. Always
    /// true for the system policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// Set of allowed actions: `observe` (reads), `operate` (the default: also
    /// reversible or additive changes) or `admin` (all actions, including those
    /// that lose data or cut the power).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Allows only reads, and lists only tools that read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Actions to allow in addition to the preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_actions: Option<BTreeSet<Action>>,
    /// Actions to remove from the preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny_actions: Option<BTreeSet<Action>>,
    /// The toolsets to list, by name; `all` means every toolset, `default` those that are
    /// on by default. Default: `default`, or `all` if `tools` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toolsets: Option<BTreeSet<String>>,
    /// The tools of these toolsets to list. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeSet<String>>,
    /// Tools not to list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_tools: Option<BTreeSet<String>>,
    /// Dangerous tools to enable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_tools: Option<BTreeSet<String>>,
    /// Changes that need the user's consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirm>,
    /// What to do with such a change if the client cannot ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_fallback: Option<Fallback>,
    /// Requests to allow in addition to the actions, such as
    /// `GET /nodes/*/disks/**`. For experts: responses to reads allowed only
    /// here are not filtered by the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Pattern>>,
    /// Requests to refuse, even if other keys allow them, such as
    /// `POST /nodes/*/qemu/100/**`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<Pattern>>,
    /// The part of the cluster that this server may see.
    #[serde(default, skip_serializing_if = "ScopeSection::is_empty")]
    pub scope: ScopeSection,
    /// Limits.
    #[serde(default, skip_serializing_if = "LimitsSection::is_empty")]
    pub limits: LimitsSection,
    /// The audit log.
    #[serde(default, skip_serializing_if = "AuditSection::is_empty")]
    pub audit: AuditSection,
    /// Prompts to offer besides the built-in ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<PromptSection>,
    /// What differs for some of the clients that are served over HTTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientSection>,
}

/// The part of the cluster that this server may see. A guest is in scope if its
/// node is in `nodes`, and its vmid is in `vmids`, its pool in `pools` or one
/// of its tags in `tags`. Omitted keys do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeSection {
    /// Vmids and ranges, such as `100` and `"200-299"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmids: Option<Vec<VmidRange>>,
    /// Names of pools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pools: Option<BTreeSet<String>>,
    /// Tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeSet<String>>,
    /// Names of nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<BTreeSet<String>>,
    /// Names of storages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storages: Option<BTreeSet<String>>,
}

/// Limits on how many changes are made, and on the size of what they make.
/// Omitted keys set no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes_per_minute: Option<NonZeroU32>,
    /// Changes that can lose data or interrupt a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destructive_per_minute: Option<NonZeroU32>,
    /// Guests that are created, cloned or restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_guests_per_hour: Option<NonZeroU32>,
    /// Size of a disk that is created or grown, in GiB. Disks must then be
    /// grown to a size, not by one. An imported image is not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_disk_gib: Option<NonZeroU32>,
    /// Memory that a guest is created with or set to, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_mib: Option<NonZeroU32>,
    /// CPUs (cores times sockets) that a guest is created with or set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cores: Option<NonZeroU32>,
}

/// The audit log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    /// File to append to; `-` is stderr, and `journald` and `syslog` are the
    /// daemons of this machine (`./journald` is a file). Default: no audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Whether to refuse changes while the log cannot be written. Default:
    /// true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
}

/// Changes that need the user's consent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confirm {
    /// None.
    #[default]
    Never,
    /// Changes that can lose data or interrupt a guest.
    Destructive,
    /// All.
    Writes,
}

/// What to do with a change if the client cannot ask the user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Refuse it.
    #[default]
    Refuse,
    /// Make it.
    Allow,
}

/// One vmid, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmidRange(RangeInclusive<u32>);

/// A policy that makes no sense. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

impl Confirm {
    /// All, with their names in a policy.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Never, "never"),
        (Self::Destructive, "destructive"),
        (Self::Writes, "writes"),
    ];
}

impl Fallback {
    /// All, with their names in a policy.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Refuse, "refuse"), (Self::Allow, "allow")];
}

by_name!(Confirm, Confirm::ALL, "way to confirm");
by_name!(Fallback, Fallback::ALL, "fallback");

impl PolicyFile {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.matches('\n').count() + 1);
            let message = error.message().trim().replace('\n', ", ");
            // As the type is called in Rust.
            let message = message.replace("a nonzero u32", "a whole number of at least 1");
            PolicyError(match line {
                Some(line) => format!("line {line}: {message}"),
                None => message,
            })
        })
    }

    /// As the text of a file.
    pub fn to_text(&self) -> Result<String, PolicyError> {
        toml::to_string_pretty(self).map_err(|error| PolicyError(error.to_string()))
    }

    /// Puts whatever `flags` says in the place of what is here. A scope on guests
    /// (`vmids`, `pools`, `tags`) is one thing: more lists would be more guests.
    #[must_use]
    pub fn overridden(mut self, flags: Self) -> Self {
        if flags.scope.limits_guests() {
            self.scope = ScopeSection {
                nodes: self.scope.nodes,
                storages: self.scope.storages,
                ..ScopeSection::default()
            };
        }
        Self {
            locked: flags.locked.or(self.locked),
            preset: flags.preset.or(self.preset),
            read_only: flags.read_only.or(self.read_only),
            allow_actions: flags.allow_actions.or(self.allow_actions),
            deny_actions: flags.deny_actions.or(self.deny_actions),
            toolsets: flags.toolsets.or(self.toolsets),
            tools: flags.tools.or(self.tools),
            exclude_tools: flags.exclude_tools.or(self.exclude_tools),
            allow_tools: flags.allow_tools.or(self.allow_tools),
            confirm: flags.confirm.or(self.confirm),
            confirm_fallback: flags.confirm_fallback.or(self.confirm_fallback),
            allow: flags.allow.or(self.allow),
            deny: flags.deny.or(self.deny),
            scope: ScopeSection {
                vmids: flags.scope.vmids.or(self.scope.vmids),
                pools: flags.scope.pools.or(self.scope.pools),
                tags: flags.scope.tags.or(self.scope.tags),
                nodes: flags.scope.nodes.or(self.scope.nodes),
                storages: flags.scope.storages.or(self.scope.storages),
            },
            limits: LimitsSection {
                writes_per_minute: flags
                    .limits
                    .writes_per_minute
                    .or(self.limits.writes_per_minute),
                destructive_per_minute: flags
                    .limits
                    .destructive_per_minute
                    .or(self.limits.destructive_per_minute),
                max_new_guests_per_hour: flags
                    .limits
                    .max_new_guests_per_hour
                    .or(self.limits.max_new_guests_per_hour),
                max_disk_gib: flags.limits.max_disk_gib.or(self.limits.max_disk_gib),
                max_memory_mib: flags.limits.max_memory_mib.or(self.limits.max_memory_mib),
                max_cores: flags.limits.max_cores.or(self.limits.max_cores),
            },
            audit: AuditSection {
                file: flags.audit.file.or(self.audit.file),
                required: flags.audit.required.or(self.audit.required),
            },
            prompts: match flags.prompts.is_empty() {
                true => self.prompts,
                false => flags.prompts,
            },
            clients: match flags.clients.is_empty() {
                true => self.clients,
                false => flags.clients,
            },
        }
    }

    /// The policy about requests that it makes. A limit that lets nothing
    /// through is an error: it looks like one that was forgotten. So is a prompt
    /// that cannot be used.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        let scope = &self.scope;
        let sets = [
            ("pools", &scope.pools),
            ("tags", &scope.tags),
            ("nodes", &scope.nodes),
            ("storages", &scope.storages),
            ("toolsets", &self.toolsets),
            ("tools", &self.tools),
        ];
        let mut empty = sets
            .into_iter()
            .filter(|(_, set)| set.as_ref().is_some_and(BTreeSet::is_empty))
            .map(|(name, _)| name)
            .chain(
                scope
                    .vmids
                    .as_ref()
                    .filter(|vmids| vmids.is_empty())
                    .map(|_| "vmids"),
            );
        if let Some(name) = empty.next() {
            return Err(PolicyError(format!(
                "{name} is an empty list: leave it out for no limit"
            )));
        }
        prompts::check(&self.prompts).map_err(PolicyError)?;
        let set = |set: &Option<BTreeSet<String>>| set.clone().unwrap_or_default();
        Ok(Policy {
            read_only: self.read_only.unwrap_or_default(),
            actions: self.actions(),
            denied: self.deny_actions.iter().flatten().copied().collect(),
            scope: Scope {
                vmids: scope
                    .vmids
                    .iter()
                    .flatten()
                    .map(|one| one.0.clone())
                    .collect(),
                pools: set(&scope.pools),
                tags: set(&scope.tags),
                nodes: set(&scope.nodes),
                storages: set(&scope.storages),
            },
            deny: self.deny.clone().unwrap_or_default(),
            allow: self.allow.clone().unwrap_or_default(),
            sizes: Sizes {
                disk_gib: self.limits.max_disk_gib,
                memory_mib: self.limits.max_memory_mib,
                cores: self.limits.max_cores,
            },
        })
    }

    /// The caps that it sets.
    pub fn caps(&self) -> Caps {
        Caps {
            writes: self.limits.writes_per_minute,
            destructive: self.limits.destructive_per_minute,
            new_guests: self.limits.max_new_guests_per_hour,
        }
    }

    /// What it allows, by its preset and its lists of actions.
    pub(crate) fn actions(&self) -> BTreeSet<Action> {
        let mut actions: BTreeSet<_> = self.preset.unwrap_or_default().actions().collect();
        actions.extend(self.allow_actions.iter().flatten());
        for action in self.deny_actions.iter().flatten() {
            actions.remove(action);
        }
        actions
    }
}

impl VmidRange {
    /// From the first vmid to the last.
    pub(crate) fn range(&self) -> RangeInclusive<u32> {
        self.0.clone()
    }
}

impl ScopeSection {
    fn limits_guests(&self) -> bool {
        self.vmids.is_some() || self.pools.is_some() || self.tags.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl LimitsSection {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AuditSection {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The JSON Schema of the policy file.
pub fn schema() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<PolicyFile>()
}

impl std::str::FromStr for VmidRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is neither a vmid nor a range of vmids: write 100 or \"200-299\", from 100 to \
                 999999999"
            )
        };
        let vmid = |text: &str| Vmid::parse(text).map(Vmid::get);
        let (start, end) = match text.split_once('-') {
            Some((start, end)) => (start.trim_end(), end.trim_start()),
            None => (text, text),
        };
        match (vmid(start), vmid(end)) {
            (Some(start), Some(end)) if start <= end => Ok(Self(start..=end)),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for VmidRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.start() == self.0.end() {
            return serializer.serialize_u32(*self.0.start());
        }
        serializer.serialize_str(&range(&self.0))
    }
}

impl<'de> Deserialize<'de> for VmidRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for VmidRange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VmidRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": Vmid::MIN, "maximum": Vmid::MAX },
                { "type": "string", "pattern": "^[1-9][0-9]{2,8}( *- *[1-9][0-9]{2,8})?$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_everything_comes_back() {
        let text = r#"
            locked = true
            preset = "admin"
            read_only = false
            allow_actions = ["guest-exec"]
            deny_actions = ["rollback"]
            toolsets = ["guests"]
            tools = ["list_guests"]
            exclude_tools = []
            allow_tools = ["run_in_guest"]
            confirm = "destructive"
            confirm_fallback = "allow"
            allow = ["GET /nodes/*/disks/**"]
            deny = ["* /nodes/pve2/**"]
            [scope]
            vmids = [100, "200-299", "300"]
            pools = ["lab"]
            tags = ["web"]
            nodes = ["pve1"]
            storages = ["local"]
            [limits]
            writes_per_minute = 30
            destructive_per_minute = 2
            max_new_guests_per_hour = 5
            max_disk_gib = 100
            max_memory_mib = 8192
            max_cores = 8
            [audit]
            file = "audit.jsonl"
            required = false
        "#;
        let file = PolicyFile::parse(text).unwrap();
        let policy = file.policy().unwrap();
        assert_eq!(policy.scope.vmids, [100..=100, 200..=299, 300..=300]);
        assert!(!policy.actions.contains(&Action::Rollback));
        assert_eq!(file.caps().destructive, NonZeroU32::new(2));
        let again = PolicyFile::parse(&file.to_text().unwrap()).unwrap();
        assert_eq!(again, file);
        assert_eq!(PolicyFile::default().overridden(file.clone()), file);
        assert_eq!(file.clone().overridden(PolicyFile::default()), file);
    }

    #[test]
    fn the_default_is_operate() {
        let policy = PolicyFile::parse("").unwrap().policy().unwrap();
        assert!(policy.actions.contains(&Action::Shutdown));
        assert!(!policy.actions.contains(&Action::HardStop));
        assert!(!policy.scope.is_limited() && !policy.read_only);
    }

    #[test]
    fn what_is_wrong_is_named_in_one_line() {
        for (text, named) in [
            ("presett = \"admin\"", "presett"),
            ("[limits]\nmax_cores = 0", "a whole number of at least 1"),
            ("preset = \"root\"", "observe, operate, admin"),
            ("\n\ndeny_actions = [\"delete\"]", "line 3"),
            ("allow = [\"GET nodes\"]", "leading slash"),
            ("[scope]\nvmids = [99]", "200-299"),
            ("[scope]\nvmids = [\"300-200\"]", "300-200"),
            ("[scope]\nvmid = [100]", "vmids"),
            ("[limits]\nwrites_per_minute = 0", "line 2"),
            ("confirm = \"always\"", "destructive"),
            ("= 1", "line 1"),
            ("a = {", "line 1"),
        ] {
            let error = PolicyFile::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        for text in ["tools = []", "[scope]\nvmids = []", "[scope]\npools = []"] {
            let error = PolicyFile::parse(text).unwrap().policy().unwrap_err();
            assert!(error.to_string().contains("empty list"), "{error}");
        }
    }

    #[test]
    fn its_schema_names_every_key() {
        let schema = schema();
        let properties = schema.get("properties").unwrap().as_object().unwrap();
        assert_eq!(properties.len(), 18);
        assert_eq!(schema.get("additionalProperties").unwrap(), false);
    }
}
