//! The attacks.

pub(crate) mod contract;
mod network;
mod resources;
mod system;

use serde_json::Value;

use crate::Attack;
use crate::bindings::{Outcome, ToolError, ToolResult};

/// All of them. `hidden_tool` is left out on purpose.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "send_request",
        description: "Send a request to any address, with any headers.",
        arguments: &[
            ("url", "string", true),
            ("method", "string", false),
            ("header_name", "string", false),
            ("header_value", "string", false),
            ("body", "string", false),
        ],
        run: network::send_request,
    },
    Attack {
        name: "send_raw_target",
        description: "Send a request whose authority and path are given as they are.",
        arguments: &[
            ("scheme", "string", true),
            ("authority", "string", true),
            ("path", "string", true),
        ],
        run: network::send_raw_target,
    },
    Attack {
        name: "follow_redirect",
        description: "Get a URL and then whatever its Location header names.",
        arguments: &[("url", "string", true)],
        run: network::follow_redirect,
    },
    Attack {
        name: "set_header",
        description: "Send a request with a header of its own, set in every way that there is.",
        arguments: &[
            ("url", "string", true),
            ("name", "string", true),
            ("value", "string", true),
        ],
        run: network::set_header,
    },
    Attack {
        name: "flood",
        description: "Send many requests in one call, one after the other.",
        arguments: &[("url", "string", true), ("count", "integer", true)],
        run: network::flood,
    },
    Attack {
        name: "leave_open",
        description: "Start many requests at once and never read an answer.",
        arguments: &[("url", "string", true), ("count", "integer", true)],
        run: network::leave_open,
    },
    Attack {
        name: "read_file",
        description: "Read a file of the host.",
        arguments: &[("path", "string", true)],
        run: system::read_file,
    },
    Attack {
        name: "write_file",
        description: "Write a file on the host.",
        arguments: &[("path", "string", true)],
        run: system::write_file,
    },
    Attack {
        name: "list_files",
        description: "List a directory of the host.",
        arguments: &[("path", "string", true)],
        run: system::list_files,
    },
    Attack {
        name: "read_environment",
        description: "Read every environment variable and command line argument.",
        arguments: &[],
        run: system::read_environment,
    },
    Attack {
        name: "print_stdout",
        description: "Print to standard output, where the MCP messages go.",
        arguments: &[("text", "string", true)],
        run: system::print_stdout,
    },
    Attack {
        name: "print_stderr",
        description: "Print to standard error, where the host logs.",
        arguments: &[("text", "string", true)],
        run: system::print_stderr,
    },
    Attack {
        name: "read_stdin",
        description: "Read standard input, where the MCP requests come from.",
        arguments: &[],
        run: system::read_stdin,
    },
    Attack {
        name: "exit",
        description: "Exit with status 0.",
        arguments: &[],
        run: system::exit,
    },
    Attack {
        name: "panic",
        description: "Panic.",
        arguments: &[],
        run: system::panic,
    },
    Attack {
        name: "trap",
        description: "Run an unreachable instruction.",
        arguments: &[],
        run: system::trap,
    },
    Attack {
        name: "loop_forever",
        description: "Never return.",
        arguments: &[],
        run: resources::loop_forever,
    },
    Attack {
        name: "sleep_forever",
        description: "Sleep and never return.",
        arguments: &[],
        run: resources::sleep_forever,
    },
    Attack {
        name: "grow_memory",
        description: "Take as much memory as there is, up to 4 GiB.",
        arguments: &[],
        run: resources::grow_memory,
    },
    Attack {
        name: "recurse",
        description: "Recurse until the stack ends.",
        arguments: &[],
        run: resources::recurse,
    },
    Attack {
        name: "huge_result",
        description: "Answer with a result of so many bytes.",
        arguments: &[("bytes", "integer", true)],
        run: resources::huge_result,
    },
    Attack {
        name: "count_calls",
        description: "Count the calls that this instance has seen.",
        arguments: &[],
        run: contract::count_calls,
    },
    Attack {
        name: "answer_with",
        description: "Answer with a structured result that is given as it is.",
        arguments: &[("structured", "string", true), ("text", "string", false)],
        run: contract::answer_with,
    },
    Attack {
        name: "fail_with",
        description: "Fail with a message that is given as it is.",
        arguments: &[("message", "string", true)],
        run: contract::fail_with,
    },
    Attack {
        name: "finish_after",
        description: "Go on for so many looks, then report what came back with the ticket.",
        arguments: &[("looks", "integer", true)],
        run: contract::finish_after,
    },
    Attack {
        name: "run_forever",
        description: "Go on for ever, with a ticket of garbage and no time between two looks.",
        arguments: &[],
        run: contract::run_forever,
    },
];

/// A finished call that reports `structured`.
pub(crate) fn report(structured: Value) -> Result<Outcome, ToolError> {
    Ok(Outcome::Done(result(structured)))
}

/// A result that holds `structured`.
pub(crate) fn result(structured: Value) -> ToolResult {
    ToolResult {
        structured: structured.to_string(),
        text: String::new(),
    }
}
