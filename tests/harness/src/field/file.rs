//! The format of a field case.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A situation that Proxmox users ran into: what the API answers, the calls,
/// and what must come of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of its file.
    #[serde(skip)]
    pub name: String,
    /// The situation, and why it matters to a user.
    pub about: String,
    /// Why the case fails today: it may, until this line goes.
    pub pending: Option<String>,
    /// The address that the server listens on.
    #[serde(default = "loopback")]
    pub listen: IpAddr,
    /// Environment variables of host-runner, beside or in place of the usual
    /// ones; null removes one. `PORT` is the server's port.
    #[serde(default)]
    pub environment: BTreeMap<String, Option<String>>,
    /// Command-line arguments of host-runner.
    #[serde(default)]
    pub options: Vec<String>,
    /// What the API answers, by `METHOD /path?parameters`; `*` answers all else
    /// that no other line does. Without it, that is 501 as of Proxmox. When
    /// host-runner itself asks which nodes the cluster has, it gets those that
    /// these answers name; that question counts nowhere.
    #[serde(deserialize_with = "answers")]
    pub answers: Vec<(String, Vec<Reply>)>,
    /// Fails the case if one of its answers was never asked for.
    #[serde(default)]
    pub every_answer_is_asked: bool,
    /// The calls, in order, to one host-runner.
    pub calls: Vec<Call>,
}

/// One answer of the API. What is absent has Proxmox's own form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The HTTP status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The reason phrase. Where absent it is the message, as of Proxmox, or
    /// the usual one.
    pub reason: Option<String>,
    /// The body's data; null where absent.
    #[serde(default, deserialize_with = "present")]
    pub data: Option<Value>,
    /// The body's number of entries in all.
    #[serde(default, deserialize_with = "present")]
    pub total: Option<Value>,
    /// The body's message.
    pub message: Option<String>,
    /// The body's errors, by parameter.
    #[serde(default, deserialize_with = "present")]
    pub errors: Option<Value>,
    /// The body as it is, in place of JSON.
    pub raw: Option<String>,
    /// The content type.
    #[serde(rename = "type")]
    pub content_type: Option<String>,
    /// More headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Closes the connection without any answer.
    #[serde(default)]
    pub hang_up: bool,
}

/// One call of a tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    #[serde(default = "no_arguments")]
    pub arguments: Value,
    /// Environment variables for this call alone, which then has a host-runner
    /// of its own.
    pub environment: Option<BTreeMap<String, Option<String>>>,
    /// What must come of it.
    pub expect: Expectation,
}

/// What must come of a call. A place is a JSON pointer into the structured
/// result, in which `/guests[vmid=100]` is the entry of `guests` whose `vmid`
/// is 100.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The kind of the error; where absent, the call must succeed.
    pub error: Option<ErrorKind>,
    /// Places and what must be there.
    #[serde(default)]
    pub equal: BTreeMap<String, Value>,
    /// Places that must be there.
    #[serde(default)]
    pub present: Vec<String>,
    /// Places that must not be there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Lists or objects and the number of their entries.
    #[serde(default)]
    pub count: BTreeMap<String, usize>,
    /// Places and the words that must occur there.
    #[serde(default)]
    pub contains: BTreeMap<String, Words>,
    /// Words that must occur in the text of the answer.
    #[serde(default)]
    pub says: Words,
    /// Words that must not occur in it.
    #[serde(default)]
    pub never_says: Vec<String>,
    /// Requests, as `METHOD /path?parameters`, and how often they must be sent.
    /// A method may be `*`, a path may end with `*`. A request that could
    /// change anything and is not named here must not be sent.
    #[serde(default)]
    pub requests: BTreeMap<String, Times>,
    /// The size of the answer's text, at most.
    pub max_bytes: Option<usize>,
}

/// Words that must all occur, in any case of letters. A list among them is a
/// choice: one of its words is enough.
#[derive(Debug, Clone, Default)]
pub struct Words(pub Vec<Vec<String>>);

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Whichever kind.
    Any,
    /// A JSON-RPC error in place of a result.
    Protocol,
    /// The tool does not exist.
    UnknownTool,
    /// The arguments do not fit.
    InvalidArguments,
    /// Not allowed.
    Denied,
    /// No such thing.
    NotFound,
    /// Not in this state.
    Conflict,
    /// Proxmox or a node does not answer.
    Unreachable,
    /// The token is not accepted.
    Unauthorized,
    /// A task failed.
    FailedTask,
    /// An answer that cannot be read.
    Internal,
}

/// How often a request must be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So often.
    Exactly(usize),
    /// Once or more: `"some"`.
    Some,
    /// As often as it likes: `"any"`.
    Any,
}

impl Case {
    /// Reads a case. Fails on a key that is unknown, and on a pattern of
    /// repetition that is incomplete.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let parse = || -> anyhow::Result<Self> {
            let value: Value = serde_json::from_str(text)?;
            let mut case: Self = serde_json::from_value(expand(value)?)?;
            name.clone_into(&mut case.name);
            Ok(case)
        };
        parse().with_context(|| name.to_owned())
    }

    /// All cases of a folder, in the order of their names.
    pub fn all(folder: &Path) -> anyhow::Result<Vec<Self>> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .with_context(|| folder.display().to_string())?
            .map(|entry| Ok(entry?.path()))
            .collect::<anyhow::Result<_>>()?;
        files.sort();
        files
            .iter()
            .map(|file| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let text = std::fs::read_to_string(file)?;
                Self::parse(&name, &text)
            })
            .collect()
    }
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

fn ok() -> u16 {
    200
}

fn no_arguments() -> Value {
    Value::Object(Map::new())
}

/// Null is a value like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// One answer, or a list of answers to be given one after the other. Read by
/// hand, so that an error names what is wrong.
fn answers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, Vec<Reply>)>, D::Error> {
    Map::deserialize(deserializer)?
        .into_iter()
        .map(|(request, answer)| {
            let replies = match answer {
                Value::Array(replies) => replies.into_iter().map(part).collect(),
                one => part(one).map(|reply| vec![reply]),
            };
            let replies =
                replies.map_err(|error| serde::de::Error::custom(format!("{request}: {error}")))?;
            Ok((request, replies))
        })
        .collect()
}

fn part<T: DeserializeOwned>(value: Value) -> serde_json::Result<T> {
    serde_json::from_value(value)
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let choice = |value: &Value| -> Option<Vec<String>> {
            match value {
                Value::String(word) => Some(vec![word.clone()]),
                Value::Array(words) if !words.is_empty() => words
                    .iter()
                    .map(|word| word.as_str().map(str::to_owned))
                    .collect(),
                _ => None,
            }
        };
        let value = Value::deserialize(deserializer)?;
        let words = match &value {
            Value::String(word) => Some(vec![vec![word.clone()]]),
            Value::Array(words) => words.iter().map(choice).collect(),
            _ => None,
        };
        let wrong = "words are a string, or a list of strings and of lists of strings";
        words
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(wrong))
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let exactly = value.as_u64().and_then(|times| times.try_into().ok());
        match (exactly, value.as_str()) {
            (Some(times), _) => Ok(Self::Exactly(times)),
            (None, Some("some")) => Ok(Self::Some),
            (None, Some("any")) => Ok(Self::Any),
            _ => Err(serde::de::Error::custom(
                "how often a request is sent is a number, \"some\" or \"any\"",
            )),
        }
    }
}

/// Writes out what a file says in short:
///
/// - `{"$repeat": {"from": 1, "to": 3, "of": X}}` in a list is X three times,
///   with the number in place of each `{i}`. The text `"{i}"` alone becomes a
///   number.
/// - `{"$text": {"times": 3, "of": "ab"}}` is `"ababab"`.
fn expand(value: Value) -> anyhow::Result<Value> {
    match value {
        Value::Array(items) => {
            let mut all = Vec::new();
            for item in items {
                match short(&item, "$repeat") {
                    Some(repeat) => repeated(repeat, &mut all)?,
                    None => all.push(expand(item)?),
                }
            }
            Ok(all.into())
        }
        Value::Object(fields) => {
            let value = Value::Object(fields);
            if let Some(text) = short(&value, "$text") {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Text {
                    times: usize,
                    of: String,
                }
                let Text { times, of } = part(text.clone()).context("$text")?;
                return Ok(of.repeat(times).into());
            }
            let Value::Object(fields) = value else {
                bail!("not an object")
            };
            fields
                .into_iter()
                .map(|(key, value)| Ok((key, expand(value)?)))
                .collect::<anyhow::Result<Map<_, _>>>()
                .map(Value::Object)
        }
        value => Ok(value),
    }
}

fn short<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.get(key)
}

fn repeated(repeat: &Value, all: &mut Vec<Value>) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Repeat {
        from: u64,
        to: u64,
        of: Value,
    }
    let Repeat { from, to, of } = part(repeat.clone()).context("$repeat")?;
    let of = expand(of)?;
    all.extend((from..=to).map(|i| numbered(&of, i)));
    Ok(())
}

fn numbered(value: &Value, i: u64) -> Value {
    match value {
        Value::String(text) if text == "{i}" => i.into(),
        Value::String(text) => text.replace("{i}", &i.to_string()).into(),
        Value::Array(items) => items.iter().map(|item| numbered(item, i)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), numbered(value, i)))
            .collect(),
        value => value.clone(),
    }
}
