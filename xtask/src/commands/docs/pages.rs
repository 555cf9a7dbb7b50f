//! The tables of settings and the pages about messages, in each language.

use std::fs;

use anyhow::{Context, Result};
use host_runner_policy::Rule;
use serde::Deserialize;

use crate::table;
use crate::workspace::Workspace;

/// A language of the documentation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    French,
}

/// Every setting, from `docs/settings.json`.
#[derive(Deserialize)]
pub(super) struct Settings {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    /// The name of the table in the pages.
    id: String,
    settings: Vec<Setting>,
}

#[derive(Deserialize)]
struct Setting {
    /// The variables; more than one if they are only used together.
    names: Vec<String>,
    /// The flags, in the order of the variables. Empty for secrets.
    flags: Vec<String>,
    en: String,
    fr: String,
}

/// Every message with a page anchor, from `docs/messages.json`.
#[derive(Deserialize)]
pub(super) struct Messages {
    groups: Vec<Heading>,
    messages: Vec<Message>,
    rules: Vec<RuleAdvice>,
}

#[derive(Deserialize)]
struct Heading {
    id: String,
    en: String,
    fr: String,
}

#[derive(Deserialize)]
struct Message {
    group: String,
    id: String,
    message: String,
    en: String,
    fr: String,
}

#[derive(Deserialize)]
struct RuleAdvice {
    name: String,
    refuses_fr: String,
    en: String,
    fr: String,
}

/// Reads a file of `docs/` that holds texts in all languages.
pub(super) fn read<T: serde::de::DeserializeOwned>(workspace: &Workspace, path: &str) -> Result<T> {
    let text = fs::read_to_string(workspace.root().join(path))
        .with_context(|| format!("cannot read {path}"))?;
    serde_json::from_str(&text).with_context(|| format!("cannot parse {path}"))
}

impl Language {
    fn of<'a>(self, english: &'a str, french: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::French => french,
        }
    }
}

impl Settings {
    /// The table of a group of settings.
    pub(super) fn table(&self, id: &str, language: Language) -> Result<String> {
        let group = self.groups.iter().find(|group| group.id == id);
        let group = group.with_context(|| format!("no settings {id}"))?;
        let none = language.of("none", "aucune");
        let rows = group.settings.iter().map(|setting| {
            let flags = match setting.flags.as_slice() {
                [] => none.to_owned(),
                flags => code(flags),
            };
            let about = language.of(&setting.en, &setting.fr).to_owned();
            vec![code(&setting.names), flags, about]
        });
        let flag = language.of("Flag", "Option");
        Ok(table::markdown(&["Variable", flag, "Description"], rows))
    }
}

impl Messages {
    /// The sections of all messages. Fails if a rule of the policy has no advice.
    pub(super) fn sections(&self, language: Language) -> Result<String> {
        let mut text = String::new();
        for group in &self.groups {
            let title = language.of(&group.en, &group.fr);
            text.push_str(&format!("\n## {title}\n"));
            for message in self.messages.iter().filter(|one| one.group == group.id) {
                let shown = readable(&message.message);
                let about = language.of(&message.en, &message.fr);
                text.push_str(&anchored(&message.id, &format!("… {shown} …"), about));
            }
        }
        let title = language.of(
            "Refusals by a rule of the policy",
            "Refus par une règle de la politique",
        );
        text.push_str(&format!("\n## {title}\n"));
        for rule in Rule::ALL {
            let Some(refuses) = rule.refuses() else {
                continue;
            };
            let advice = self.advice(rule)?;
            let about = match language {
                Language::English => format!("Refuses: {refuses}.\n\n{}", advice.en),
                Language::French => {
                    let refuses = lower_first(&advice.refuses_fr);
                    format!("Refuse : {refuses}.\n\n{}", advice.fr)
                }
            };
            let id = format!("rule-{rule}");
            text.push_str(&anchored(&id, &format!("by rule {rule}"), &about));
        }
        text.push('\n');
        Ok(text)
    }

    /// The table of the rules in French, in the order in which they are evaluated.
    pub(super) fn french_rules(&self) -> Result<String> {
        let rules = Rule::ALL.into_iter();
        let rules = rules.filter(|rule| rule.refuses().is_some());
        let rows = rules.map(|rule| {
            let advice = self.advice(rule)?;
            Ok(vec![format!("`{rule}`"), advice.refuses_fr.clone()])
        });
        let rows: Vec<_> = rows.collect::<Result<_>>()?;
        Ok(table::markdown(&["Règle", "Refuse"], rows))
    }

    fn advice(&self, rule: Rule) -> Result<&RuleAdvice> {
        let advice = self.rules.iter().find(|one| one.name == rule.name());
        advice.with_context(|| format!("docs/messages.json lacks rule {rule}"))
    }
}

/// French text with no-break spaces before `:`, `;`, `!`, `?` and `»` and behind `«`, except in
/// code.
pub(super) fn typographic(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(at, part)| {
        if at % 2 == 1 {
            return part.to_owned();
        }
        let mut part = part.replace("« ", "«\u{a0}");
        for mark in [':', ';', '!', '?', '»'] {
            part = part.replace(&format!(" {mark}"), &format!("\u{a0}{mark}"));
        }
        part
    });
    parts.collect::<Vec<_>>().join("`")
}

fn anchored(id: &str, message: &str, about: &str) -> String {
    format!("\n<a id=\"{id}\"></a>\n\n### `{message}`\n\n{about}\n")
}

fn code(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// A template of a message as a reader may search for it: every value is `…`.
fn readable(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        text.push('…');
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text.trim_matches([' ', ',', '…']).to_owned()
}

/// A sentence as a part of another one.
fn lower_first(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(char::to_lowercase);
    first.into_iter().flatten().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn french_marks_have_no_break_spaces_except_in_code() {
        let text = "une « clé » : `a : b` ; voir";
        let expected = "une «\u{a0}clé\u{a0}»\u{a0}: `a : b`\u{a0}; voir";
        assert_eq!(typographic(text), expected);
    }

    #[test]
    fn values_of_a_message_are_left_out() {
        assert_eq!(readable("the tool {name:?} is off {}"), "the tool … is off");
    }
}
