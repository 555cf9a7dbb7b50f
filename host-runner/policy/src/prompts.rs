//! Prompts that an operator adds.

use std::collections::BTreeSet;
use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Few enough for a menu.
const MAX_PROMPTS: usize = 50;
const MAX_ARGUMENTS: usize = 20;
const MAX_NAME_CHARS: usize = 64;
const MAX_TITLE_CHARS: usize = 100;
const MAX_DESCRIPTION_CHARS: usize = 500;
/// A few pages.
const MAX_TEXT_CHARS: usize = 10_000;

/// A prompt: a text that a user picks in the client, and the model gets. It takes the
/// place of a built-in prompt of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptSection {
    /// Its name: lower-case letters, digits, `_` and `-`.
    pub name: String,
    /// A short name for people. Default: the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The text. `{vmid}` stands for the value of the argument `vmid`.
    pub text: String,
    /// What the user can give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<PromptArgument>,
}

/// An argument of a prompt. The values of `node`, `vmid`, `template`, `storage`,
/// `snapshot` (after `vmid`), `pool` and `upid` are suggested to the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptArgument {
    /// Its name: lower-case letters, digits and `_`.
    pub name: String,
    /// What to give, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the user must give it. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// What takes its place in the text if it is not given. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// The names in braces in a text, in their order, and the text before each of them; at
/// last, the rest of the text without a name. Braces around anything but a name are text.
pub fn parts(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut parts = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(open) = text.get(from..).and_then(|rest| rest.find('{')) {
        let open = from + open;
        from = open + 1;
        // No name is longer, so that a text of braces is not read again for each of them.
        let ahead = text.as_bytes().get(from..).unwrap_or_default().iter();
        let close = ahead
            .take(MAX_NAME_CHARS + 1)
            .position(|byte| *byte == b'}');
        let name = close.and_then(|close| text.get(from..from + close));
        let Some(name) = name.filter(|name| is_name(name, false)) else {
            continue;
        };
        parts.push((text.get(start..open).unwrap_or_default(), Some(name)));
        from += name.len() + 1;
        start = from;
    }
    parts.push((text.get(start..).unwrap_or_default(), None));
    parts
}

/// What is wrong with an operator's prompts, if anything is.
pub(crate) fn check(prompts: &[PromptSection]) -> Result<(), String> {
    if prompts.len() > MAX_PROMPTS {
        return Err(format!("there are more than {MAX_PROMPTS} prompts"));
    }
    let mut names = BTreeSet::new();
    for prompt in prompts {
        let name = &prompt.name;
        if !is_name(name, true) {
            return Err(format!(
                "prompts: {name:?} is not a name for a prompt: begin with a lower-case letter, and \
                 use only such letters, digits, _ and -, at most {MAX_NAME_CHARS}"
            ));
        }
        if !names.insert(name) {
            return Err(format!("prompts: {name} is given more than once"));
        }
        check_one(prompt).map_err(|problem| format!("the prompt {name}: {problem}"))?;
    }
    Ok(())
}

fn check_one(prompt: &PromptSection) -> Result<(), String> {
    bounded("title", prompt.title.as_deref(), MAX_TITLE_CHARS)?;
    let description = prompt.description.as_deref();
    bounded("description", description, MAX_DESCRIPTION_CHARS)?;
    bounded("text", Some(&prompt.text), MAX_TEXT_CHARS)?;
    if prompt.text.trim().is_empty() {
        return Err("text is empty".to_owned());
    }
    if prompt.arguments.len() > MAX_ARGUMENTS {
        return Err(format!("it has more than {MAX_ARGUMENTS} arguments"));
    }
    let used: BTreeSet<&str> = parts(&prompt.text)
        .into_iter()
        .filter_map(|(_, name)| name)
        .collect();
    let mut known = BTreeSet::new();
    for argument in &prompt.arguments {
        let name = argument.name.as_str();
        if !is_name(name, false) {
            return Err(format!(
                "{name:?} is not a name for an argument: begin with a lower-case letter, and use \
                 only such letters, digits and _, at most {MAX_NAME_CHARS}"
            ));
        }
        if !known.insert(name) {
            return Err(format!("the argument {name} is given more than once"));
        }
        let of = |key: &str| format!("{key} of the argument {name}");
        let description = argument.description.as_deref();
        bounded(of("description"), description, MAX_DESCRIPTION_CHARS)?;
        let default = argument.default.as_deref();
        bounded(of("default"), default, MAX_DESCRIPTION_CHARS)?;
        if argument.required && argument.default.is_some() {
            return Err(format!(
                "the argument {name} is required, so its default has no use: leave one of them out"
            ));
        }
        if !used.contains(name) {
            return Err(format!(
                "the text does not contain {{{name}}}: add it, or leave the argument out"
            ));
        }
    }
    match used.difference(&known).next() {
        Some(name) => Err(format!(
            "the text contains {{{name}}}, which is not an argument: add it to arguments"
        )),
        None => Ok(()),
    }
}

fn bounded(key: impl Display, text: Option<&str>, limit: usize) -> Result<(), String> {
    match text.is_some_and(|text| text.chars().count() > limit) {
        true => Err(format!("{key} is longer than {limit} characters")),
        false => Ok(()),
    }
}

/// Whether a component's prompt or argument can have this name: the contract promises so.
#[must_use]
pub fn is_declared_name(text: &str) -> bool {
    is_name(text, false)
}

/// Whether this is a name of an argument, or of a prompt, which may have dashes.
fn is_name(text: &str, dashes: bool) -> bool {
    let of_name =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || (dashes && c == '-');
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= MAX_NAME_CHARS
        && text.chars().all(of_name)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicyFile;

    fn problem(text: &str) -> String {
        let error = PolicyFile::parse(text).and_then(|file| file.policy().map(drop));
        error.unwrap_err().to_string()
    }

    #[test]
    fn names_in_braces_are_found_and_other_braces_are_text() {
        assert_eq!(
            parts(r#"a {x}{"vmid": 1} {x y} {y_2} {{z}} {"#),
            [
                ("a ", Some("x")),
                (r#"{"vmid": 1} {x y} "#, Some("y_2")),
                (" {", Some("z")),
                ("} {", None),
            ]
        );
        assert_eq!(parts(""), [("", None)]);
        let longest = "x".repeat(MAX_NAME_CHARS);
        let text = format!("{{{longest}}} {{{longest}x}}");
        assert_eq!(parts(&text)[0], ("", Some(longest.as_str())));
        assert_eq!(parts(&text).len(), 2);
        assert_eq!(parts("é{aé} {é").len(), 1);
    }

    /// Searching the whole rest for each brace would take a minute.
    #[test]
    fn many_braces_take_no_time() {
        let text = "{".repeat(1_000_000);
        let start = std::time::Instant::now();
        assert_eq!(parts(&text), [(text.as_str(), None)]);
        assert!(
            start.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn a_prompt_is_read_and_written() {
        let text = r#"
            [[prompts]]
            name = "patch-day"
            title = "Patch day"
            text = "Update {vmid}, which is {note}. {\"keep\": this}"

            [[prompts.arguments]]
            name = "vmid"
            required = true

            [[prompts.arguments]]
            name = "note"
            default = "a web server"
        "#;
        let file = PolicyFile::parse(text).unwrap();
        file.policy().unwrap();
        assert_eq!(file.prompts.len(), 1);
        let again = PolicyFile::parse(&file.to_text().unwrap()).unwrap();
        assert_eq!(again, file);
    }

    #[test]
    fn problems_name_the_prompt_and_the_fix() {
        let prompt = |more: &str| format!("[[prompts]]\nname = \"p\"\n{more}");
        let argument = |more: &str| {
            prompt(&format!(
                "text = \"do {{a}}\"\n[[prompts.arguments]]\nname = \"a\"\n{more}"
            ))
        };
        for (text, says) in [
            (
                "[[prompts]]\nname = \"P\"\ntext = \"x\"".to_owned(),
                "lower-case",
            ),
            (prompt(""), "missing field `text`"),
            (prompt("text = \" \""), "the prompt p: text is empty"),
            (prompt("text = \"{b}\""), "{b}, which is not an argument"),
            (
                prompt("text = \"x\"\ntitel = \"y\""),
                "unknown field `titel`",
            ),
            (
                argument("required = true\ndefault = \"z\""),
                "default has no use",
            ),
            (
                argument("[[prompts.arguments]]\nname = \"a\""),
                "the argument a is given more than once",
            ),
            (
                argument("[[prompts.arguments]]\nname = \"c\""),
                "does not contain {c}",
            ),
            (
                argument("[[prompts.arguments]]\nname = \"c d\""),
                "\"c d\" is not a name",
            ),
            (
                prompt("text = \"x\"\n[[prompts]]\nname = \"p\"\ntext = \"y\""),
                "p is given more than once",
            ),
            (
                prompt(&format!("text = \"{}\"", "x".repeat(MAX_TEXT_CHARS + 1))),
                "text is longer than 10000 characters",
            ),
        ] {
            let problem = problem(&text);
            assert!(problem.contains(says), "{says}: {problem}");
        }
    }

    /// They say what a model is asked to do, not what it may do.
    #[test]
    fn a_locked_policy_takes_more_prompts_but_keeps_its_own() {
        let file = |text: &str| PolicyFile::parse(text).unwrap();
        let base = file("locked = true\n[[prompts]]\nname = \"a\"\ntext = \"base\"");
        let by = file(
            "[[prompts]]\nname = \"a\"\ntext = \"other\"\n[[prompts]]\nname = \"b\"\ntext = \"b\"",
        );
        let texts = |file: PolicyFile| -> Vec<String> {
            file.prompts.into_iter().map(|prompt| prompt.text).collect()
        };
        assert_eq!(texts(base.narrowed(by.clone()).unwrap()), ["base", "b"]);
        assert_eq!(
            texts(file("").narrowed(by.clone()).unwrap()),
            ["other", "b"]
        );
        assert_eq!(texts(by.overridden(file(""))), ["other", "b"]);
    }
}
