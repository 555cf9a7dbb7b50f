//! What differs for some of the clients of a server.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use pve_api::{ACTIONS, Action};

use super::file::{Confirm, Fallback, LimitsSection, PolicyFile, ScopeSection};
use super::pattern::Pattern;
use super::preset::Preset;

/// What differs for some of the clients that are served over HTTP. What a key says counts
/// in the place of what the file says otherwise; omitted keys change nothing. Lists of what
/// is refused or left out add up. With a `preset`, the file's `allow_actions`, `allow_tools`
/// and `allow` do not count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSection {
    /// The clients, by their names in the audit log; `*` stands for any characters. The
    /// first section that names a client counts.
    #[serde(rename = "match")]
    pub names: BTreeSet<String>,
    /// Set of allowed actions.
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
    /// The toolsets to list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toolsets: Option<BTreeSet<String>>,
    /// The tools of these toolsets to list.
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
    /// Requests to refuse, even if other keys allow them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<Pattern>>,
    /// The part of the cluster that these clients may see.
    #[serde(default, skip_serializing_if = "ScopeSection::is_empty")]
    pub scope: ScopeSection,
    /// Limits, which these clients share.
    #[serde(default, skip_serializing_if = "LimitsSection::is_empty")]
    pub limits: LimitsSection,
}

impl ClientSection {
    /// Whether it is for the client of this name.
    fn is_for(&self, client: &str) -> bool {
        self.names.iter().any(|pattern| fits(pattern, client))
    }

    fn into_file(self) -> PolicyFile {
        PolicyFile {
            preset: self.preset,
            read_only: self.read_only,
            allow_actions: self.allow_actions,
            deny_actions: self.deny_actions,
            toolsets: self.toolsets,
            tools: self.tools,
            exclude_tools: self.exclude_tools,
            allow_tools: self.allow_tools,
            confirm: self.confirm,
            confirm_fallback: self.confirm_fallback,
            deny: self.deny,
            scope: self.scope,
            limits: self.limits,
            ..PolicyFile::default()
        }
    }
}

impl PolicyFile {
    /// The place of the section that counts for a client, if any does. Without names of
    /// clients, none does.
    pub fn section_for(&self, client: Option<&str>) -> Option<usize> {
        let client = client?;
        self.clients
            .iter()
            .position(|section| section.is_for(client))
    }

    /// What it says for the clients of one of its sections, or for all others.
    #[must_use]
    pub fn with_section(mut self, section: Option<usize>) -> Self {
        let sections = std::mem::take(&mut self.clients);
        let Some(section) = section.and_then(|place| sections.into_iter().nth(place)) else {
            return self;
        };
        let mut section = section.into_file();
        section.deny_actions = both(self.deny_actions.as_ref(), section.deny_actions);
        section.exclude_tools = both(self.exclude_tools.as_ref(), section.exclude_tools);
        section.deny = both(self.deny.as_ref(), section.deny);
        if section.preset.is_some() {
            self.allow_actions = None;
            self.allow_tools = None;
            self.allow = None;
        }
        self.overridden(section)
    }

    /// A name for each of its sections that it is for.
    pub fn clients_named(&self) -> impl Iterator<Item = String> {
        let name = |section: &ClientSection| section.names.first().cloned().unwrap_or_default();
        let names = self.clients.iter().map(name);
        names.map(|pattern| pattern.replace('*', ""))
    }

    /// The same, with no more actions than this preset has. The widest one takes nothing.
    #[must_use]
    pub fn at_most(self, preset: Preset) -> Self {
        if preset == Preset::Admin {
            return self;
        }
        let kept: BTreeSet<_> = preset.actions().collect();
        let beyond = ACTIONS.into_iter().map(|(action, _)| action);
        let beyond = beyond.filter(|action| !kept.contains(action)).collect();
        Self {
            preset: Some(self.preset.unwrap_or_default().min(preset)),
            read_only: match preset {
                Preset::Observe => Some(true),
                Preset::Operate | Preset::Admin => self.read_only,
            },
            allow_actions: None,
            // Also where a dangerous tool is allowed.
            deny_actions: both(self.deny_actions.as_ref(), Some(beyond)),
            // They let more through than any preset.
            allow: None,
            allow_tools: None,
            ..self
        }
    }
}

/// One list with the entries of the other.
fn both<L: Clone + Extend<T> + IntoIterator<Item = T>, T>(
    one: Option<&L>,
    other: Option<L>,
) -> Option<L> {
    match (one.cloned(), other) {
        (Some(mut all), Some(more)) => {
            all.extend(more);
            Some(all)
        }
        (one, other) => one.or(other),
    }
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_section_that_names_a_client_counts() {
        let file = PolicyFile::parse(
            r#"
            preset = "operate"
            [scope]
            pools = ["lab"]
            [[clients]]
            match = ["ci", "deploy-*"]
            preset = "observe"
            [[clients]]
            match = ["*"]
            [clients.scope]
            tags = ["web"]
            "#,
        )
        .unwrap();
        let of = |client: Option<&str>| file.clone().with_section(file.section_for(client));
        let pools = |file: &PolicyFile| file.scope.pools.clone().unwrap();
        for client in ["ci", "deploy-", "deploy-7"] {
            let file = of(Some(client));
            assert_eq!(file.preset, Some(Preset::Observe), "{client}");
            assert_eq!(pools(&file), BTreeSet::from(["lab".to_owned()]));
        }
        let other = of(Some("alice"));
        assert_eq!(other.preset, Some(Preset::Operate));
        // A scope on guests is one thing.
        assert!(other.scope.pools.is_none() && other.scope.tags.is_some());
        assert_eq!(pools(&of(None)), BTreeSet::from(["lab".to_owned()]));
        assert!(of(Some("ci")).clients.is_empty() && of(None).clients.is_empty());
        let named: Vec<_> = file.clients_named().collect();
        assert_eq!(named, ["ci", ""]);
    }

    #[test]
    fn a_section_takes_no_refusal_back() {
        let file = PolicyFile::parse(
            r#"
            preset = "operate"
            allow_actions = ["guest-exec"]
            deny_actions = ["rollback"]
            deny = ["* /nodes/pve2/**"]
            [[clients]]
            match = ["ci"]
            preset = "observe"
            deny_actions = ["backup"]
            deny = ["* /nodes/pve3/**"]
            "#,
        )
        .unwrap();
        let file = file.clone().with_section(file.section_for(Some("ci")));
        assert_eq!(file.deny.as_ref().map(Vec::len), Some(2));
        assert_eq!(file.deny_actions.as_ref().map(BTreeSet::len), Some(2));
        assert_eq!(file.actions(), BTreeSet::from([Action::Read]));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, fitting, others) in [
            ("a", vec!["a"], vec!["", "ab", "A"]),
            ("*", vec!["", "a"], vec![]),
            ("a*", vec!["a", "ab"], vec!["ba", ""]),
            ("*a", vec!["a", "ba"], vec!["ab", ""]),
            (
                "a*b*c",
                vec!["abc", "axbxc", "abbcc"],
                vec!["acb", "ab", "abcx"],
            ),
            ("a*a", vec!["aa", "aba"], vec!["a"]),
        ] {
            for name in fitting {
                assert!(fits(pattern, name), "{pattern} {name}");
            }
            for name in others {
                assert!(!fits(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn a_lower_preset_takes_what_goes_beyond_it() {
        let file = PolicyFile::parse(
            "preset = \"admin\"\nallow_actions = [\"guest-exec\"]\nallow = [\"POST /nodes/*/wol\"]\n\
             allow_tools = [\"run_in_guest\"]",
        )
        .unwrap();
        assert_eq!(file.clone().at_most(Preset::Admin), file);
        for preset in [Preset::Observe, Preset::Operate] {
            let less = file.clone().at_most(preset);
            let all: BTreeSet<_> = preset.actions().collect();
            assert!(less.actions().is_subset(&all), "{preset:?}");
            assert!(less.allow.is_none() && less.allow_tools.is_none());
            let denied = less.deny_actions.unwrap();
            assert!(denied.contains(&Action::GuestExec) && denied.is_disjoint(&all));
        }
        let observe = PolicyFile::parse("preset = \"observe\"").unwrap();
        assert_eq!(
            observe.clone().at_most(Preset::Admin).actions(),
            observe.actions()
        );
        assert!(
            observe
                .at_most(Preset::Operate)
                .actions()
                .iter()
                .all(|action| *action == Action::Read)
        );
    }

    #[test]
    fn what_is_for_the_whole_server_is_not_for_a_client() {
        for text in [
            "[[clients]]\npreset = \"observe\"",
            "[[clients]]\nmatch = [\"a\"]\nlocked = true",
            "[[clients]]\nmatch = [\"a\"]\n[clients.audit]\nfile = \"x\"",
        ] {
            assert!(PolicyFile::parse(text).is_err(), "{text}");
        }
    }
}
