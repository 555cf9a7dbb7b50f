//! Compares what came of a call with what must come of it.

use serde_json::Value;

use super::file::{ErrorKind, Expectation, Times, Words};
use super::server::{Pattern, Request};
use crate::Answer;

/// What came of a call.
pub(super) struct Outcome {
    pub(super) answer: Answer,
    /// The kind of the error, as the audit log has it.
    pub(super) error_kind: Option<String>,
    /// What was sent during the call.
    pub(super) requests: Vec<Request>,
}

/// Each way in which the outcome differs from the expectation.
pub(super) fn problems(expected: &Expectation, outcome: &Outcome) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    problems.extend(ended_otherwise(expected.error, outcome));
    let text = text(&outcome.answer);
    let result = match &outcome.answer {
        Answer::Success { structured, .. } => Some(structured),
        Answer::Error(_) | Answer::Protocol(_) => None,
    };
    if expected.error.is_none() {
        let result = result.unwrap_or(&Value::Null);
        in_result(expected, result, &mut problems)?;
    } else if about_a_result(expected) {
        anyhow::bail!("an error has no structured result to look into");
    }
    for missing in missing(&expected.says, &text) {
        problems.push(format!("does not say {missing}"));
    }
    for word in &expected.never_says {
        if contains(&text, word) {
            problems.push(format!("says {word:?}"));
        }
    }
    let size = text.len();
    if let Some(limit) = expected.max_bytes.filter(|limit| size > *limit) {
        problems.push(format!("holds {size} bytes, more than {limit}"));
    }
    in_requests(expected, &outcome.requests, &mut problems)?;
    Ok(problems)
}

/// All that the answer says.
pub(super) fn text(answer: &Answer) -> String {
    match answer {
        Answer::Success { text, .. } | Answer::Error(text) => text.clone(),
        Answer::Protocol(error) => error.message.to_string(),
    }
}

fn about_a_result(expected: &Expectation) -> bool {
    let places = [&expected.present, &expected.absent];
    places.iter().any(|places| !places.is_empty())
        || !expected.equal.is_empty()
        || !expected.count.is_empty()
        || !expected.contains.is_empty()
}

fn ended_otherwise(expected: Option<ErrorKind>, outcome: &Outcome) -> Option<String> {
    let kind = match &outcome.answer {
        Answer::Success { .. } => None,
        Answer::Error(_) => Some(outcome.error_kind.as_deref().unwrap_or("unknown")),
        Answer::Protocol(_) => Some("protocol"),
    };
    let fits = match (expected, kind) {
        (None, None) => true,
        (Some(ErrorKind::Any), Some(kind)) => kind != "protocol",
        (Some(expected), Some(kind)) => name(expected) == kind,
        (None, Some(_)) | (Some(_), None) => false,
    };
    let say = |kind: Option<&str>| match kind {
        None => "success".to_owned(),
        Some(kind) => format!("an error ({kind})"),
    };
    (!fits).then(|| format!("ended with {}, not {}", say(kind), say(expected.map(name))))
}

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Any => "any",
        ErrorKind::Protocol => "protocol",
        ErrorKind::UnknownTool => "unknown-tool",
        ErrorKind::InvalidArguments => "invalid-arguments",
        ErrorKind::Denied => "denied",
        ErrorKind::NotFound => "not-found",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::Unauthorized => "unauthorized",
        ErrorKind::FailedTask => "failed-task",
        ErrorKind::Internal => "internal",
    }
}

fn in_result(
    expected: &Expectation,
    result: &Value,
    problems: &mut Vec<String>,
) -> anyhow::Result<()> {
    for (place, value) in &expected.equal {
        match find(result, place)? {
            Some(found) if same(found, value) => {}
            Some(found) => problems.push(format!("{place} is {found}, not {value}")),
            None => problems.push(format!("{place} is absent, not {value}")),
        }
    }
    for place in &expected.present {
        if find(result, place)?.is_none() {
            problems.push(format!("{place} is absent"));
        }
    }
    for place in &expected.absent {
        if let Some(found) = find(result, place)? {
            problems.push(format!("{place} is there: {found}"));
        }
    }
    for (place, count) in &expected.count {
        let found = match find(result, place)? {
            Some(Value::Array(items)) => Some(items.len()),
            Some(Value::Object(fields)) => Some(fields.len()),
            _ => None,
        };
        match found {
            Some(found) if found == *count => {}
            Some(found) => problems.push(format!("{place} has {found} entries, not {count}")),
            None => problems.push(format!("{place} is not a list of {count} entries")),
        }
    }
    for (place, words) in &expected.contains {
        let Some(found) = find(result, place)? else {
            problems.push(format!("{place} is absent"));
            continue;
        };
        for missing in missing(words, &shown(found)) {
            problems.push(format!("{place} does not say {missing}: {found}"));
        }
    }
    Ok(())
}

fn in_requests(
    expected: &Expectation,
    requests: &[Request],
    problems: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut named = Vec::new();
    for (line, times) in &expected.requests {
        let pattern = Pattern::parse(line)?;
        let sent = requests.iter().filter(|request| pattern.fits(request));
        let sent = sent.count();
        let fits = match times {
            Times::Exactly(times) => sent == *times,
            Times::Some => sent > 0,
            Times::Any => true,
        };
        if !fits {
            problems.push(format!("{line} was sent {sent} times, not {times:?}"));
        }
        named.push(pattern);
    }
    for request in requests.iter().filter(|request| request.could_change()) {
        if !named.iter().any(|pattern| pattern.fits(request)) {
            problems.push(format!("{request} was sent, which nothing expects"));
        }
    }
    Ok(())
}

/// The words that do not occur, each choice as one.
fn missing(words: &Words, text: &str) -> Vec<String> {
    words
        .0
        .iter()
        .filter(|choice| !choice.iter().any(|word| contains(text, word)))
        .map(|choice| {
            let quoted: Vec<String> = choice.iter().map(|word| format!("{word:?}")).collect();
            quoted.join(" or ")
        })
        .collect()
}

fn contains(text: &str, word: &str) -> bool {
    text.to_lowercase().contains(&word.to_lowercase())
}

/// 2 and 2.0 are one number.
fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => found == expected,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// What is at a place: `/guests[vmid=100]/name`. An object that is null counts
/// as absent.
fn find<'a>(result: &'a Value, place: &str) -> anyhow::Result<Option<&'a Value>> {
    let mut rest = place;
    let mut at = Some(result);
    while !rest.is_empty() {
        anyhow::ensure!(rest.starts_with('/'), "{place} is not a place");
        rest = &rest[1..];
        let end = rest.find(['/', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        at = at.and_then(|value| match value {
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            value => value.get(name.replace("~1", "/").as_str()),
        });
        if let Some(after) = rest.strip_prefix('[') {
            let Some((condition, after)) = after.split_once(']') else {
                anyhow::bail!("{place} lacks a ]")
            };
            let Some((key, value)) = condition.split_once('=') else {
                anyhow::bail!("{place}: [{condition}] is not [key=value]")
            };
            rest = after;
            let items = at.and_then(Value::as_array);
            at = items.and_then(|items| {
                items
                    .iter()
                    .find(|item| item.get(key).is_some_and(|found| shown(found) == value))
            });
        }
    }
    Ok(at.filter(|value| !value.is_null()))
}
