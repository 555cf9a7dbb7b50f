//! Limits on what a component returns.

use super::bindings::exports::proxmox::mcp::tools::{Outcome, Tool, ToolError, ToolResult};
use super::bindings::guided::exports::proxmox::mcp::guide::Contents as Guide;

/// What a call may answer, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// What it may answer, in JSON values: each takes a hundred bytes once it is
/// read.
const MAX_ANSWER_VALUES: usize = 50_000;
/// The result of a call whose task is still running.
const MAX_INTERIM_BYTES: usize = 64 << 10;
const MAX_TICKET_BYTES: usize = 16 << 10;
const MAX_MESSAGE_CHARS: usize = 1000;
/// What names a task of Proxmox VE, and the tools for it: a longer name is not one.
const MAX_TASK_BYTES: usize = 512;

/// What all tools may say of themselves, schemas included.
const MAX_LIST_BYTES: usize = 2 << 20;
/// What all schemas may be made of.
const MAX_LIST_VALUES: usize = 100_000;
const MAX_TOOLS: usize = 1000;
const MAX_NAME_BYTES: usize = 64;

/// What a guide may hold: resources, suggestions, prompts and views, of each so many.
const MAX_GUIDE_ENTRIES: usize = 100;
const MAX_GUIDE_BYTES: usize = 256 << 10;

/// The instructions for all of them: a few paragraphs.
const MAX_INSTRUCTIONS_BYTES: usize = 4 << 10;
/// The calls that all tools may declare.
const MAX_LIST_CALLS: usize = 20_000;

/// What the host copies out of a component at once: whatever it says is smaller
/// or refused.
pub(super) const MAX_COPIED_BYTES: usize = 2 * MAX_ANSWER_BYTES + MAX_LIST_BYTES;

/// Refuses results that are too large for a model.
pub(super) fn checked(answer: Result<Outcome, ToolError>) -> Result<Outcome, ToolError> {
    let of = |result: &ToolResult| result.structured.len() + result.text.len();
    let mut values = 0;
    let bytes = match &answer {
        Ok(Outcome::Done(result)) => {
            values = json_values(&result.structured);
            of(result)
        }
        Ok(Outcome::Running(pending)) => {
            if of(&pending.interim) > MAX_INTERIM_BYTES || pending.ticket.len() > MAX_TICKET_BYTES {
                return Err(too_large("report of the task", MAX_INTERIM_BYTES));
            }
            pending.message.len()
        }
        Err(ToolError::InvalidArguments(invalid)) => {
            let problems = invalid.problems.iter();
            let problems = problems.map(|one| 64 + one.pointer.len() + one.message.len());
            invalid.message.len() + problems.sum::<usize>()
        }
        Err(ToolError::FailedTask(failed)) => {
            let lines = failed.log_tail.iter().map(|line| 64 + line.len());
            failed.message.len()
                + failed.upid.len()
                + failed.exit_status.len()
                + lines.sum::<usize>()
        }
        Err(
            ToolError::UnknownTool(message)
            | ToolError::Denied(message)
            | ToolError::NotFound(message)
            | ToolError::Conflict(message)
            | ToolError::Unreachable(message)
            | ToolError::Unauthorized(message)
            | ToolError::Internal(message),
        ) => message.len(),
    };
    if bytes > MAX_ANSWER_BYTES {
        return Err(too_large("answer", MAX_ANSWER_BYTES));
    }
    if values > MAX_ANSWER_VALUES {
        return Err(ToolError::Internal(format!(
            "the component's answer holds more than {MAX_ANSWER_VALUES} values and was thrown away: \
             {LOOK}"
        )));
    }
    answer.map(|outcome| match outcome {
        Outcome::Running(mut pending) => {
            cut(&mut pending.message);
            pending.task = pending.task.filter(|task| {
                let names = [&task.upid, &task.followed_by, &task.stopped_by];
                names.into_iter().map(String::len).sum::<usize>() <= MAX_TASK_BYTES
            });
            Outcome::Running(pending)
        }
        done => done,
    })
}

/// Refuses instructions that are longer than a model should read.
pub(super) fn checked_instructions(text: String) -> Result<String, ToolError> {
    match text.len() > MAX_INSTRUCTIONS_BYTES {
        true => Err(ToolError::Internal(format!(
            "the component's instructions are longer than {} KiB",
            MAX_INSTRUCTIONS_BYTES >> 10
        ))),
        false => Ok(text),
    }
}

/// Refuses a list of tools that is too large for people and models.
pub(super) fn checked_list(tools: Vec<Tool>) -> Result<Vec<Tool>, ToolError> {
    let bytes = tools.iter().map(|tool| {
        let texts = [
            &tool.name,
            &tool.title,
            &tool.description,
            &tool.toolset,
            &tool.input_schema,
            &tool.output_schema,
        ];
        let texts = texts.into_iter().chain(&tool.calls);
        texts.map(String::len).sum::<usize>()
    });
    let calls = tools.iter().map(|tool| tool.calls.len());
    let values = |tool: &Tool| json_values(&tool.input_schema) + json_values(&tool.output_schema);
    let reason = if tools.len() > MAX_TOOLS {
        format!("has more than {MAX_TOOLS} tools")
    } else if bytes.sum::<usize>() > MAX_LIST_BYTES {
        format!(
            "describes its tools in more than {} MiB",
            MAX_LIST_BYTES >> 20
        )
    } else if tools.iter().map(values).sum::<usize>() > MAX_LIST_VALUES {
        format!("has schemas of more than {MAX_LIST_VALUES} values")
    } else if calls.sum::<usize>() > MAX_LIST_CALLS {
        format!("declares more than {MAX_LIST_CALLS} calls")
    } else if tools.iter().any(|tool| tool.name.len() > MAX_NAME_BYTES) {
        format!("has a tool whose name is longer than {MAX_NAME_BYTES} bytes")
    } else {
        return Ok(tools);
    };
    Err(ToolError::Internal(format!(
        "the component {reason}: use another component"
    )))
}

/// Refuses a guide that is too large for people and models.
pub(super) fn checked_guide(guide: Guide) -> Result<Guide, ToolError> {
    let counts = [
        guide.resources.len(),
        guide.suggestions.len(),
        guide.prompts.len(),
        guide.views.len(),
    ];
    let bytes = serde_json::to_string(&guide).map_or(usize::MAX, |text| text.len());
    if counts.into_iter().any(|count| count > MAX_GUIDE_ENTRIES) || bytes > MAX_GUIDE_BYTES {
        return Err(ToolError::Internal(format!(
            "the component has more than {MAX_GUIDE_ENTRIES} resources, suggestions, prompts or \
             views, or describes them in more than {} KiB: use another component",
            MAX_GUIDE_BYTES >> 10
        )));
    }
    Ok(guide)
}

/// An answer that could not even be copied.
pub(super) fn not_copied() -> ToolError {
    too_large("answer", MAX_ANSWER_BYTES)
}

const LOOK: &str = "if the call was meant to change something, check whether it did; if it was a \
                    list, request fewer entries";

fn too_large(what: &str, limit: usize) -> ToolError {
    ToolError::Internal(format!(
        "the component's {what} is larger than {} KiB and was discarded: {LOOK}",
        limit >> 10
    ))
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_MESSAGE_CHARS) {
        text.truncate(end);
        text.push('…');
    }
}

/// The most values that this text can be read as, names included.
fn json_values(text: &str) -> usize {
    let mut values = 1;
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b':' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(structured: String) -> Result<Outcome, ToolError> {
        Ok(Outcome::Done(ToolResult {
            structured,
            text: String::new(),
        }))
    }

    #[test]
    fn values_are_counted_outside_of_strings() {
        assert_eq!(json_values(""), 1);
        assert_eq!(json_values(r#"{"a":1,"b":[2,3]}"#), 7);
        assert_eq!(json_values(r#"{"a,:[{\",[":"\\"}"#), 3);
    }

    #[test]
    fn answers_have_a_size() {
        assert!(checked(done("x".repeat(MAX_ANSWER_BYTES))).is_ok());
        for answer in [
            "x".repeat(MAX_ANSWER_BYTES + 1),
            format!("[{}]", "0,".repeat(MAX_ANSWER_VALUES)),
        ] {
            let error = checked(done(answer)).map(drop).unwrap_err();
            assert!(matches!(error, ToolError::Internal(_)), "{error:?}");
        }
    }

    #[test]
    fn a_message_is_cut() {
        let mut text = "é".repeat(2000);
        cut(&mut text);
        assert_eq!(text.chars().count(), MAX_MESSAGE_CHARS + 1);
    }
}
