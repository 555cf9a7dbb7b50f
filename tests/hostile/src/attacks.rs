//! The attacks.

pub(crate) mod contract;
pub(crate) mod hoards;
mod network;
mod resources;
mod spins;
mod system;

use serde_json::Value;

use crate::bindings::{Outcome, ToolError, ToolResult};
use crate::{Attack, Claims};

/// Each part of a request. `headers` is a JSON object of lists of values.
const RAW: &[(&str, &str, bool)] = &[
    ("method", "string", false),
    ("scheme", "string", false),
    ("authority", "string", false),
    ("path", "string", false),
    ("headers", "object", false),
    ("body", "string", false),
];

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
        claims: Claims::Reads,
    },
    Attack {
        name: "send_raw",
        description: "Send a request of which every part is given as it is.",
        arguments: RAW,
        run: network::send_raw,
        claims: Claims::Writes,
    },
    Attack {
        name: "send_raw_calmly",
        description: "The same, from a tool that says that it only reads.",
        arguments: RAW,
        run: network::send_raw,
        claims: Claims::Reads,
    },
    Attack {
        name: "send_raw_dangerously",
        description: "The same, from a tool that says that it is dangerous.",
        arguments: RAW,
        run: network::send_raw,
        claims: Claims::Danger,
    },
    Attack {
        name: "send_raw_undeclared",
        description: "The same, from a tool that declares one call alone.",
        arguments: RAW,
        run: network::send_raw,
        claims: Claims::Little,
    },
    Attack {
        name: "send_later",
        description: "Send a request only when the ticket is resumed, from such a tool.",
        arguments: &[("url", "string", true)],
        run: contract::send_later,
        claims: Claims::Little,
    },
    Attack {
        name: "drip_body",
        description: "Send a body byte by byte, and never its end.",
        arguments: &[("url", "string", true)],
        run: network::drip_body,
        claims: Claims::Writes,
    },
    Attack {
        name: "hoard_bodies",
        description: "Fill the bodies of so many requests that are never sent.",
        arguments: &[("url", "string", true), ("count", "integer", true)],
        run: network::hoard_bodies,
        claims: Claims::Reads,
    },
    Attack {
        name: "hoard_answers",
        description: "Have so many requests answered, and read none of the answers.",
        arguments: &[("url", "string", true), ("count", "integer", true)],
        run: network::hoard_answers,
        claims: Claims::Reads,
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
        claims: Claims::Reads,
    },
    Attack {
        name: "follow_redirect",
        description: "Get a URL and then whatever its Location header names.",
        arguments: &[("url", "string", true)],
        run: network::follow_redirect,
        claims: Claims::Reads,
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
        claims: Claims::Reads,
    },
    Attack {
        name: "flood",
        description: "Send many requests in one call, one after the other.",
        arguments: &[("url", "string", true), ("count", "integer", true)],
        run: network::flood,
        claims: Claims::Reads,
    },
    Attack {
        name: "leave_open",
        description: "Start many requests at once and never read an answer.",
        arguments: &[("url", "string", true), ("count", "integer", true)],
        run: network::leave_open,
        claims: Claims::Reads,
    },
    Attack {
        name: "read_file",
        description: "Read a file of the host.",
        arguments: &[("path", "string", true)],
        run: system::read_file,
        claims: Claims::Reads,
    },
    Attack {
        name: "write_file",
        description: "Write a file on the host.",
        arguments: &[("path", "string", true)],
        run: system::write_file,
        claims: Claims::Reads,
    },
    Attack {
        name: "list_files",
        description: "List a directory of the host.",
        arguments: &[("path", "string", true)],
        run: system::list_files,
        claims: Claims::Reads,
    },
    Attack {
        name: "read_environment",
        description: "Read every environment variable and command line argument.",
        arguments: &[],
        run: system::read_environment,
        claims: Claims::Reads,
    },
    Attack {
        name: "print_stdout",
        description: "Print to standard output, where the MCP messages go.",
        arguments: &[("text", "string", true)],
        run: system::print_stdout,
        claims: Claims::Reads,
    },
    Attack {
        name: "print_stderr",
        description: "Print to standard error, where the host logs.",
        arguments: &[("text", "string", true)],
        run: system::print_stderr,
        claims: Claims::Reads,
    },
    Attack {
        name: "read_stdin",
        description: "Read standard input, where the MCP requests come from.",
        arguments: &[],
        run: system::read_stdin,
        claims: Claims::Reads,
    },
    Attack {
        name: "exit",
        description: "Exit with status 0.",
        arguments: &[],
        run: system::exit,
        claims: Claims::Reads,
    },
    Attack {
        name: "panic",
        description: "Panic.",
        arguments: &[],
        run: system::panic,
        claims: Claims::Reads,
    },
    Attack {
        name: "trap",
        description: "Run an unreachable instruction.",
        arguments: &[],
        run: system::trap,
        claims: Claims::Reads,
    },
    Attack {
        name: "loop_forever",
        description: "Never return.",
        arguments: &[],
        run: resources::loop_forever,
        claims: Claims::Reads,
    },
    Attack {
        name: "sleep_forever",
        description: "Sleep and never return.",
        arguments: &[],
        run: resources::sleep_forever,
        claims: Claims::Reads,
    },
    Attack {
        name: "grow_memory",
        description: "Take as much memory as there is, up to 4 GiB.",
        arguments: &[],
        run: resources::grow_memory,
        claims: Claims::Reads,
    },
    Attack {
        name: "recurse",
        description: "Recurse until the stack ends.",
        arguments: &[],
        run: resources::recurse,
        claims: Claims::Reads,
    },
    Attack {
        name: "huge_result",
        description: "Answer with a result of so many bytes.",
        arguments: &[("bytes", "integer", true)],
        run: resources::huge_result,
        claims: Claims::Reads,
    },
    Attack {
        name: "count_calls",
        description: "Count the calls that this instance has seen.",
        arguments: &[],
        run: contract::count_calls,
        claims: Claims::Reads,
    },
    Attack {
        name: "answer_with",
        description: "Answer with a structured result that is given as it is.",
        arguments: &[("structured", "string", true), ("text", "string", false)],
        run: contract::answer_with,
        claims: Claims::Reads,
    },
    Attack {
        name: "fail_with",
        description: "Fail with a message that is given as it is.",
        arguments: &[("message", "string", true)],
        run: contract::fail_with,
        claims: Claims::Reads,
    },
    Attack {
        name: "finish_after",
        description: "Go on for so many looks, then report what came back with the ticket.",
        arguments: &[("looks", "integer", true)],
        run: contract::finish_after,
        claims: Claims::Reads,
    },
    Attack {
        name: "run_forever",
        description: "Go on for ever, with a ticket of garbage and no time between two looks.",
        arguments: &[],
        run: contract::run_forever,
        claims: Claims::Reads,
    },
    Attack {
        name: "random_bytes",
        description: "Take random bytes, many at once and often.",
        arguments: &[("bytes", "integer", true), ("count", "integer", true)],
        run: hoards::random_bytes,
        claims: Claims::Reads,
    },
    Attack {
        name: "zeroes",
        description: "Have a stream write so many zeroes at once.",
        arguments: &[("bytes", "integer", true)],
        run: hoards::zeroes,
        claims: Claims::Reads,
    },
    Attack {
        name: "hoard_streams",
        description: "Keep so many streams, each with something written to it.",
        arguments: &[("count", "integer", true)],
        run: hoards::hoard_streams,
        claims: Claims::Reads,
    },
    Attack {
        name: "hoard_timers",
        description: "Keep so many timers.",
        arguments: &[("count", "integer", true)],
        run: hoards::hoard_timers,
        claims: Claims::Reads,
    },
    Attack {
        name: "hoard_headers",
        description: "Keep so many sets of headers, each as full as it gets.",
        arguments: &[("count", "integer", true)],
        run: hoards::hoard_headers,
        claims: Claims::Reads,
    },
    Attack {
        name: "hoard_requests",
        description: "Keep so many requests, each part of which is as long as it gets.",
        arguments: &[("count", "integer", true)],
        run: hoards::hoard_requests,
        claims: Claims::Reads,
    },
    Attack {
        name: "flood_refused",
        description: "Send many requests that are refused, with FILLER of so many bytes in them.",
        arguments: &[
            ("url", "string", true),
            ("method", "string", false),
            ("path", "string", true),
            ("body", "string", false),
            ("filler", "string", true),
            ("bytes", "integer", true),
            ("count", "integer", true),
        ],
        run: hoards::flood_refused,
        claims: Claims::Writes,
    },
    Attack {
        name: "bomb",
        description: "Answer with a list of small values.",
        arguments: &[
            ("bytes", "integer", true),
            ("piece", "string", true),
            ("end", "string", true),
        ],
        run: hoards::bomb,
        claims: Claims::Reads,
    },
    Attack {
        name: "huge_progress",
        description: "Go on for ever, and say so many bytes each time.",
        arguments: &[("bytes", "integer", true)],
        run: hoards::huge_progress,
        claims: Claims::Reads,
    },
    Attack {
        name: "many_problems",
        description: "Fail with so many problems of the arguments.",
        arguments: &[("count", "integer", true)],
        run: hoards::many_problems,
        claims: Claims::Reads,
    },
    Attack {
        name: "many_lines",
        description: "Fail with so many lines of a log.",
        arguments: &[("count", "integer", true)],
        run: hoards::many_lines,
        claims: Claims::Reads,
    },
    Attack {
        name: "spin",
        description: "Call a function of the host for ever.",
        arguments: &[("on", "string", true)],
        run: spins::spin,
        claims: Claims::Reads,
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
