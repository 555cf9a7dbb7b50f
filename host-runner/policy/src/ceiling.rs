//! A policy that nothing widens: what comes after it can only take away.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use super::file::{
    ALL_TOOLSETS, AuditSection, Confirm, Fallback, LimitsSection, PolicyFile, ScopeSection,
};
use super::prompts::PromptSection;

/// Something that would allow more than a locked policy does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} would allow more than the locked policy, which {reason}")]
pub struct Widening {
    /// The key of the policy file, such as `preset` or `scope.vmids`.
    pub key: &'static str,
    reason: String,
}

impl PolicyFile {
    /// This policy, made narrower by `by`. Fails where `by` would allow
    /// anything that this policy does not, instead of leaving that out: whoever
    /// asked for it should know.
    ///
    /// Lists of what is allowed must be a part of this policy's; lists of what
    /// is denied add up. A scope on guests (`vmids`, `pools`, `tags`) is one
    /// thing: where this policy has one, `by` may only name parts of the same
    /// lists, and what it names takes the place of all three.
    pub fn narrowed(self, by: Self) -> Result<Self, Widening> {
        let scope = self.scope.narrowed(by.scope)?;
        let limits = self.limits.narrowed(by.limits)?;
        let audit = self.audit.narrowed(by.audit)?;
        let confirm = by.confirm.or(self.confirm);
        if confirm.unwrap_or_default().strictness() < self.confirm.unwrap_or_default().strictness()
        {
            return Err(widening("confirm", "asks for consent in more cases"));
        }
        let asks = self.confirm.unwrap_or_default() != Confirm::Never;
        let fallback = |file: Option<Fallback>| file.unwrap_or_default();
        if asks
            && fallback(self.confirm_fallback) == Fallback::Refuse
            && by.confirm_fallback == Some(Fallback::Allow)
        {
            let reason = "makes no change without consent";
            return Err(widening("confirm_fallback", reason));
        }
        if self.read_only == Some(true) && by.read_only == Some(false) {
            return Err(widening("read_only", "only lets reads through"));
        }
        // Whoever is allowed everything of a kind needs no names.
        let dangerous = self.actions().iter().any(|action| action.is_dangerous());
        let allow_tools = match (&self.allow_tools, &by.allow_tools) {
            (_, None) => self.allow_tools.clone(),
            (_, Some(tools)) if dangerous => Some(tools.clone()),
            (base, Some(tools)) => {
                let base = base.clone().unwrap_or_default();
                subset("allow_tools", Some(&base), Some(tools))?
            }
        };
        let allow = match by.allow {
            None => self.allow.clone(),
            Some(patterns) => {
                let base = self.allow.as_deref().unwrap_or_default();
                if let Some(more) = patterns.iter().find(|pattern| !base.contains(pattern)) {
                    let reason = format!("has no rule {more}");
                    return Err(widening("allow", reason));
                }
                Some(patterns)
            }
        };
        let actions = self.actions();
        let narrowed = Self {
            locked: self.locked.or(by.locked),
            preset: by.preset.or(self.preset),
            read_only: by.read_only.or(self.read_only),
            allow_actions: united(self.allow_actions, by.allow_actions),
            deny_actions: united(self.deny_actions, by.deny_actions),
            toolsets: toolsets(self.toolsets.as_ref(), by.toolsets.as_ref())?,
            tools: subset("tools", self.tools.as_ref(), by.tools.as_ref())?,
            exclude_tools: united(self.exclude_tools, by.exclude_tools),
            allow_tools,
            confirm,
            confirm_fallback: by.confirm_fallback.or(self.confirm_fallback),
            allow,
            deny: match (self.deny, by.deny) {
                (Some(base), Some(more)) => Some([base, more].concat()),
                (base, more) => base.or(more),
            },
            scope,
            limits,
            audit,
            // They say what a model is asked to do, not what it may do.
            prompts: {
                let mut prompts = self.prompts;
                let is_new = |prompt: &PromptSection, known: &[PromptSection]| {
                    known.iter().all(|one| one.name != prompt.name)
                };
                let more = by.prompts.into_iter();
                let more: Vec<_> = more.filter(|prompt| is_new(prompt, &prompts)).collect();
                prompts.extend(more);
                prompts
            },
            // The one that counts is a part of either policy already.
            clients: Vec::new(),
        };
        if let Some(more) = narrowed.actions().difference(&actions).next() {
            let of_preset = by
                .preset
                .is_some_and(|preset| preset.actions().any(|action| action == *more));
            let key = if of_preset { "preset" } else { "allow_actions" };
            let reason = format!("does not allow {}", more.name());
            return Err(widening(key, reason));
        }
        Ok(narrowed)
    }
}

impl ScopeSection {
    fn narrowed(&self, by: Self) -> Result<Self, Widening> {
        let nodes = subset("scope.nodes", self.nodes.as_ref(), by.nodes.as_ref())?;
        let storages = subset(
            "scope.storages",
            self.storages.as_ref(),
            by.storages.as_ref(),
        )?;
        let named = by.vmids.is_some() || by.pools.is_some() || by.tags.is_some();
        let limited = self.vmids.is_some() || self.pools.is_some() || self.tags.is_some();
        if !named {
            return Ok(Self {
                nodes,
                storages,
                ..self.clone()
            });
        }
        if !limited {
            return Ok(Self {
                nodes,
                storages,
                ..by
            });
        }
        let other = |key| widening(key, "limits guests by other lists");
        if by.pools.is_some() && self.pools.is_none() {
            return Err(other("scope.pools"));
        }
        if by.tags.is_some() && self.tags.is_none() {
            return Err(other("scope.tags"));
        }
        if let Some(vmids) = &by.vmids {
            let Some(base) = &self.vmids else {
                return Err(other("scope.vmids"));
            };
            let base = merged(base.iter().map(|range| range.range()));
            let within = |range: &RangeInclusive<u32>| {
                base.iter()
                    .any(|base| base.start() <= range.start() && range.end() <= base.end())
            };
            let mut ranges = vmids.iter().map(|range| range.range());
            if let Some(more) = ranges.find(|range| !within(range)) {
                let reason = format!("does not have {}-{}", more.start(), more.end());
                return Err(widening("scope.vmids", reason));
            }
        }
        Ok(Self {
            vmids: by.vmids,
            pools: within("scope.pools", self.pools.as_ref(), by.pools)?,
            tags: within("scope.tags", self.tags.as_ref(), by.tags)?,
            nodes,
            storages,
        })
    }
}

impl LimitsSection {
    fn narrowed(&self, by: Self) -> Result<Self, Widening> {
        let least = |key, base: Option<NonZeroU32>, by: Option<NonZeroU32>| match (base, by) {
            (Some(base), Some(by)) if by > base => {
                Err(widening(key, format!("allows at most {base}")))
            }
            (base, by) => Ok(by.or(base)),
        };
        Ok(Self {
            writes_per_minute: least(
                "limits.writes_per_minute",
                self.writes_per_minute,
                by.writes_per_minute,
            )?,
            destructive_per_minute: least(
                "limits.destructive_per_minute",
                self.destructive_per_minute,
                by.destructive_per_minute,
            )?,
            max_new_guests_per_hour: least(
                "limits.max_new_guests_per_hour",
                self.max_new_guests_per_hour,
                by.max_new_guests_per_hour,
            )?,
            max_disk_gib: least("limits.max_disk_gib", self.max_disk_gib, by.max_disk_gib)?,
            max_memory_mib: least(
                "limits.max_memory_mib",
                self.max_memory_mib,
                by.max_memory_mib,
            )?,
            max_cores: least("limits.max_cores", self.max_cores, by.max_cores)?,
        })
    }
}

impl AuditSection {
    fn narrowed(&self, by: Self) -> Result<Self, Widening> {
        if let (Some(file), Some(other)) = (&self.file, &by.file)
            && file != other
        {
            let reason = format!("requires the audit log in {}", file.display());
            return Err(widening("audit.file", reason));
        }
        let wanted = self.file.is_some() || self.required.is_some();
        if wanted && self.required.unwrap_or(true) && by.required == Some(false) {
            let reason = "makes no change that cannot be logged";
            return Err(widening("audit.required", reason));
        }
        Ok(Self {
            file: by.file.or_else(|| self.file.clone()),
            required: by.required.or(self.required),
        })
    }
}

fn widening(key: &'static str, reason: impl Into<String>) -> Widening {
    let reason = reason.into();
    Widening { key, reason }
}

/// What is left of a list of what is allowed. None is no limit.
fn subset<T: Ord + Clone + Display>(
    key: &'static str,
    base: Option<&BTreeSet<T>>,
    by: Option<&BTreeSet<T>>,
) -> Result<Option<BTreeSet<T>>, Widening> {
    let (Some(base), Some(by)) = (base, by) else {
        return Ok(by.or(base).cloned());
    };
    match by.difference(base).next() {
        Some(more) => Err(widening(key, format!("does not have {more}"))),
        None => Ok(Some(by.clone())),
    }
}

/// The same for toolsets. `all` limits nothing, yet it is a choice: the default toolsets
/// are what applies where none is made.
fn toolsets(
    base: Option<&BTreeSet<String>>,
    by: Option<&BTreeSet<String>>,
) -> Result<Option<BTreeSet<String>>, Widening> {
    match by {
        None => Ok(base.cloned()),
        Some(_) => subset(
            "toolsets",
            base.filter(|sets| !sets.contains(ALL_TOOLSETS)),
            by,
        ),
    }
}

/// The same for a list that takes the place of this policy's.
fn within(
    key: &'static str,
    base: Option<&BTreeSet<String>>,
    by: Option<BTreeSet<String>>,
) -> Result<Option<BTreeSet<String>>, Widening> {
    match by {
        None => Ok(None),
        Some(by) => subset(key, base, Some(&by)),
    }
}

fn united<T: Ord>(base: Option<BTreeSet<T>>, more: Option<BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (base, more) {
        (Some(mut base), Some(more)) => {
            base.extend(more);
            Some(base)
        }
        (base, more) => base.or(more),
    }
}

/// The same numbers in as few ranges as possible.
fn merged(ranges: impl Iterator<Item = RangeInclusive<u32>>) -> Vec<RangeInclusive<u32>> {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u32>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

impl Confirm {
    fn strictness(self) -> u8 {
        match self {
            Self::Never => 0,
            Self::Destructive => 1,
            Self::Writes => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    const BASE: &str = r#"
        locked = true
        preset = "operate"
        deny_actions = ["migrate"]
        toolsets = ["guests", "power", "agent"]
        exclude_tools = ["stop_guest"]
        confirm = "destructive"
        allow = ["GET /nodes/*/disks/list"]
        deny = ["POST /nodes/*/qemu/100/**"]
        [scope]
        vmids = ["100-149", "150-199", 300]
        tags = ["ai", "lab"]
        nodes = ["pve1", "pve2"]
        [limits]
        writes_per_minute = 30
        [audit]
        file = "/var/log/audit.jsonl"
    "#;

    fn file(text: &str) -> PolicyFile {
        PolicyFile::parse(text).unwrap()
    }

    #[test]
    fn what_would_widen_is_refused_by_its_key() {
        for (by, key) in [
            (r#"preset = "admin""#, "preset"),
            (r#"allow_actions = ["rollback"]"#, "allow_actions"),
            (r#"allow_actions = ["hard-stop"]"#, "allow_actions"),
            (r#"toolsets = ["guests", "backups"]"#, "toolsets"),
            (r#"allow_tools = ["run_in_guest"]"#, "allow_tools"),
            (r#"confirm = "never""#, "confirm"),
            (r#"confirm_fallback = "allow""#, "confirm_fallback"),
            (r#"allow = ["GET /nodes/*/disks/**"]"#, "allow"),
            ("[scope]\nvmids = [200]", "scope.vmids"),
            ("[scope]\nvmids = [\"100-200\"]", "scope.vmids"),
            ("[scope]\npools = [\"lab\"]", "scope.pools"),
            ("[scope]\ntags = [\"web\"]", "scope.tags"),
            ("[scope]\nvmids = [100]\npools = [\"lab\"]", "scope.pools"),
            ("[scope]\nnodes = [\"pve3\"]", "scope.nodes"),
            (
                "[limits]\nwrites_per_minute = 31",
                "limits.writes_per_minute",
            ),
            ("[audit]\nfile = \"/dev/null\"", "audit.file"),
            ("[audit]\nrequired = false", "audit.required"),
        ] {
            let error = file(BASE).narrowed(file(by)).unwrap_err();
            assert_eq!(error.key, key, "{by}: {error}");
        }
        let base = file("read_only = true");
        let error = base.narrowed(file("read_only = false")).unwrap_err();
        assert_eq!(error.key, "read_only");
        // The default is operate.
        let error = file("").narrowed(file("preset = \"admin\"")).unwrap_err();
        assert_eq!(error.key, "preset");
    }

    #[test]
    fn what_narrows_adds_up() {
        let by = r#"
            preset = "observe"
            deny_actions = ["backup"]
            toolsets = ["guests"]
            tools = ["list_guests"]
            exclude_tools = ["get_guest"]
            confirm = "writes"
            deny = ["GET /cluster/log"]
            [scope]
            vmids = ["140-160"]
            nodes = ["pve1"]
            storages = ["nas"]
            [limits]
            writes_per_minute = 3
            destructive_per_minute = 1
        "#;
        let narrowed = file(BASE).narrowed(file(by)).unwrap();
        let expected = r#"
            locked = true
            preset = "observe"
            deny_actions = ["migrate", "backup"]
            toolsets = ["guests"]
            tools = ["list_guests"]
            exclude_tools = ["get_guest", "stop_guest"]
            confirm = "writes"
            allow = ["GET /nodes/*/disks/list"]
            deny = ["POST /nodes/*/qemu/100/**", "GET /cluster/log"]
            [scope]
            vmids = ["140-160"]
            nodes = ["pve1"]
            storages = ["nas"]
            [limits]
            writes_per_minute = 3
            destructive_per_minute = 1
            [audit]
            file = "/var/log/audit.jsonl"
        "#;
        assert_eq!(narrowed, file(expected));
        assert!(!narrowed.policy().unwrap().scope.tags.contains("ai"));
    }

    /// Whatever is put on top of a locked policy is refused, or allows no
    /// action, tool or guest that the policy does not.
    #[test]
    fn nothing_on_top_allows_more() {
        let parts = [
            r#"preset = "observe""#,
            r#"preset = "operate""#,
            r#"preset = "admin""#,
            r#"allow_actions = ["migrate", "read"]"#,
            r#"allow_actions = ["guest-exec"]"#,
            r#"deny_actions = ["read"]"#,
            r#"deny_actions = []"#,
            r#"toolsets = ["guests"]"#,
            r#"exclude_tools = []"#,
            r#"allow_tools = []"#,
        ];
        let bases = [BASE, "", r#"preset = "observe""#, r#"preset = "admin""#];
        let actions = |file: &PolicyFile| -> Policy { file.policy().unwrap() };
        let mut narrowed = 0;
        for base in bases {
            for one in parts {
                for other in parts {
                    let Ok(by) = PolicyFile::parse(&format!("{one}\n{other}")) else {
                        continue;
                    };
                    let Ok(result) = file(base).narrowed(by) else {
                        continue;
                    };
                    narrowed += 1;
                    let base = file(base);
                    let (now, before) = (actions(&result), actions(&base));
                    assert!(now.actions.is_subset(&before.actions), "{one} {other}");
                    let excluded =
                        |file: &PolicyFile| file.exclude_tools.clone().unwrap_or_default();
                    assert!(excluded(&result).is_superset(&excluded(&base)));
                }
            }
        }
        assert!(narrowed > 50, "{narrowed}");
    }

    #[test]
    fn an_empty_policy_on_top_changes_nothing() {
        for text in [BASE, "", r#"preset = "admin""#] {
            let narrowed = file(text).narrowed(PolicyFile::default()).unwrap();
            assert_eq!(narrowed, file(text));
        }
    }
}
