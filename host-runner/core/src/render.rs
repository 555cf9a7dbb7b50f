//! Formats the results and errors of calls for clients and terminals.

use serde_json::{Map, Value, json};

use crate::engine::{Tool, ToolError, ToolResult};

/// The result as JSON: an object, as its schema says.
pub(crate) fn structured(result: &ToolResult) -> Result<Map<String, Value>, ToolError> {
    serde_json::from_str(&result.structured).map_err(|_| {
        ToolError::Internal(
            "the component's result is not a JSON object: this is a bug in the component, please \
             report it"
                .to_owned(),
        )
    })
}

/// A tool's schema as JSON: an object.
pub(crate) fn schema(tool: &Tool, text: &str) -> Result<Map<String, Value>, ToolError> {
    serde_json::from_str(text).map_err(|_| {
        ToolError::Internal(format!(
            "a schema of the tool {:?} is not a json object: this is a fault of the component, \
             please report it",
            tool.name
        ))
    })
}

/// The error for a model or a person: the message, and what else helps to do
/// better.
pub(crate) fn error_text(error: &ToolError) -> String {
    match error {
        ToolError::InvalidArguments(invalid) if !invalid.problems.is_empty() => {
            // The message says all of it in one sentence: once is enough.
            let lines = invalid.problems.iter().map(|problem| {
                let pointer = match problem.pointer.as_str() {
                    "" => "arguments",
                    pointer => pointer,
                };
                format!("\n- {pointer}: {}", problem.message)
            });
            format!("invalid arguments:{}", lines.collect::<String>())
        }
        ToolError::FailedTask(failed) => {
            let mut lines = vec![
                failed.message.clone(),
                format!("task {} ended: {}", failed.upid, failed.exit_status),
            ];
            if !failed.log_tail.is_empty() {
                lines.push("end of its log:".to_owned());
            }
            lines.extend(failed.log_tail.iter().map(|line| format!("  {line}")));
            lines.join("\n")
        }
        error => message(error).to_owned(),
    }
}

/// What a call that ended early has changed.
pub(crate) fn what_remains(has_written: bool) -> &'static str {
    match has_written {
        true => "earlier changes made by this call remain: check the guest",
        false => "nothing was changed",
    }
}

/// A text of several lines in which nothing acts on a terminal: it may come
/// from a component or a guest.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || is_harmless(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}

/// Whether a character can be seen, stays in its line and has no effect on others.
pub(crate) fn is_harmless(c: char) -> bool {
    !c.is_control() && !is_unseen(c)
}

/// Whether a character is invisible, or turns the direction of writing: by it,
/// a text looks like another.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The kind of an error, as programs know it.
pub(crate) fn kind(error: &ToolError) -> &'static str {
    match error {
        ToolError::UnknownTool(_) => "unknown-tool",
        ToolError::InvalidArguments(_) => "invalid-arguments",
        ToolError::Denied(_) => "denied",
        ToolError::NotFound(_) => "not-found",
        ToolError::Conflict(_) => "conflict",
        ToolError::Unreachable(_) => "unreachable",
        ToolError::Unauthorized(_) => "unauthorized",
        ToolError::FailedTask(_) => "failed-task",
        ToolError::Internal(_) => "internal",
    }
}

/// The error for a program.
pub(crate) fn error_json(error: &ToolError) -> Value {
    let mut json = Map::new();
    json.insert("error".to_owned(), json!(kind(error)));
    json.insert("message".to_owned(), json!(message(error)));
    match error {
        ToolError::InvalidArguments(invalid) => {
            let problems = invalid.problems.iter();
            let problems = problems
                .map(|problem| json!({ "pointer": problem.pointer, "message": problem.message }))
                .collect();
            json.insert("problems".to_owned(), problems);
        }
        ToolError::FailedTask(failed) => {
            json.insert("upid".to_owned(), json!(failed.upid));
            json.insert("exit_status".to_owned(), json!(failed.exit_status));
            json.insert("log_tail".to_owned(), json!(failed.log_tail));
        }
        _ => {}
    }
    Value::Object(json)
}

fn message(error: &ToolError) -> &str {
    match error {
        ToolError::InvalidArguments(invalid) => &invalid.message,
        ToolError::FailedTask(failed) => &failed.message,
        ToolError::UnknownTool(message)
        | ToolError::Denied(message)
        | ToolError::NotFound(message)
        | ToolError::Conflict(message)
        | ToolError::Unreachable(message)
        | ToolError::Unauthorized(message)
        | ToolError::Internal(message) => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ArgumentProblem, FailedTask, InvalidArguments};

    fn invalid() -> ToolError {
        let problem = |pointer: &str, message: &str| ArgumentProblem {
            pointer: pointer.to_owned(),
            message: message.to_owned(),
        };
        ToolError::InvalidArguments(InvalidArguments {
            message: "2 arguments cannot be used".to_owned(),
            problems: vec![
                problem("/vmid", "must be from 100 to 999999999"),
                problem("", "unknown field \"vm\""),
            ],
        })
    }

    #[test]
    fn each_bad_argument_has_its_line() {
        assert_eq!(
            error_text(&invalid()),
            "invalid arguments:\n\
             - /vmid: must be from 100 to 999999999\n\
             - arguments: unknown field \"vm\""
        );
        assert_eq!(error_json(&invalid())["problems"][0]["pointer"], "/vmid");
    }

    #[test]
    fn a_failed_task_shows_its_log() {
        let error = ToolError::FailedTask(FailedTask {
            message: "backup of guest 100 failed: free some space on local".to_owned(),
            upid: "UPID:pve1:1".to_owned(),
            exit_status: "job errors".to_owned(),
            log_tail: vec!["INFO: starting".to_owned(), "ERROR: no space".to_owned()],
        });
        assert_eq!(
            error_text(&error),
            "backup of guest 100 failed: free some space on local\n\
             task UPID:pve1:1 ended: job errors\n\
             end of its log:\n  INFO: starting\n  ERROR: no space"
        );
        assert_eq!(error_json(&error)["error"], "failed-task");
    }

    #[test]
    fn nothing_acts_on_a_terminal() {
        assert_eq!(
            for_terminal("first\u{1b}[2J\r\nsécond\u{9b}31m"),
            "first\\u{1b}[2J\\r\nsécond\\u{9b}31m"
        );
        assert_eq!(
            for_terminal("vm\u{202e}001\u{200b} \u{2066}\u{e0041}"),
            "vm\\u{202e}001\\u{200b} \\u{2066}\\u{e0041}"
        );
    }

    #[test]
    fn a_result_must_be_an_object() {
        let result = |text: &str| ToolResult {
            structured: text.to_owned(),
            text: String::new(),
        };
        assert!(structured(&result("{\"b\":1,\"a\":2}")).is_ok());
        for text in ["", "[]", "3", "{"] {
            assert!(structured(&result(text)).is_err(), "{text}");
        }
    }
}
