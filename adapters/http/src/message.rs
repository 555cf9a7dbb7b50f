//! What is not a message of MCP. rmcp answers it with a text, or takes it for a
//! method that it does not know; clients expect JSON-RPC's own errors.

use serde_json::{Map, Value, json};

/// The answer to a body that is not a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Malformed {
    /// The HTTP status.
    pub(crate) status: u16,
    /// A JSON-RPC error.
    pub(crate) body: Value,
}

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const INVALID_PARAMS: i32 = -32602;

/// Whether a body is a message that rmcp can read.
pub(crate) fn check(body: &[u8]) -> Result<(), Malformed> {
    let message: Value = serde_json::from_slice(body).map_err(|error| {
        let text = format!("the body is not JSON: {error}");
        malformed(400, Value::Null, PARSE_ERROR, &text)
    })?;
    let message = match message {
        Value::Object(message) => message,
        Value::Array(_) => {
            let text = "batches are not supported: send one message per request";
            return Err(malformed(400, Value::Null, INVALID_REQUEST, text));
        }
        _ => {
            let text = "a message is a JSON object with jsonrpc, method and id";
            return Err(malformed(400, Value::Null, INVALID_REQUEST, text));
        }
    };
    let id = match message.get("id") {
        None => Value::Null,
        Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
        Some(_) => {
            let text = "id is not a string or a number";
            return Err(malformed(400, Value::Null, INVALID_REQUEST, text));
        }
    };
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        let text = "jsonrpc is not \"2.0\"";
        return Err(malformed(400, id, INVALID_REQUEST, text));
    }
    let is_answer = message.contains_key("result") || message.contains_key("error");
    let method = match message.get("method") {
        Some(Value::String(method)) => method.as_str(),
        None if is_answer => return Ok(()),
        _ => {
            let text = "the message has no method";
            return Err(malformed(400, id, INVALID_REQUEST, text));
        }
    };
    match params_problem(method, message.get("params")) {
        Some(problem) if !id.is_null() => Err(malformed(200, id, INVALID_PARAMS, problem)),
        _ => Ok(()),
    }
}

fn params_problem(method: &str, params: Option<&Value>) -> Option<&'static str> {
    let none = Map::new();
    let params = match params {
        None | Some(Value::Null) => &none,
        Some(Value::Object(params)) => params,
        Some(_) => return Some("params is not an object"),
    };
    if method != "tools/call" {
        return None;
    }
    if !params.get("name").is_some_and(Value::is_string) {
        return Some(
            "tools/call needs the tool's name, for example {\"name\":\"get_guest\",\
             \"arguments\":{\"vmid\":100}}",
        );
    }
    match params.get("arguments") {
        None | Some(Value::Null | Value::Object(_)) => None,
        Some(_) => Some("arguments is not an object, for example {\"vmid\":100}"),
    }
}

fn malformed(status: u16, id: Value, code: i32, message: &str) -> Malformed {
    let error = json!({ "code": code, "message": message });
    Malformed {
        status,
        body: json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Option<(u16, i64)> {
        let malformed = check(body.as_bytes()).err()?;
        let code = malformed.body.pointer("/error/code")?.as_i64()?;
        Some((malformed.status, code))
    }

    #[test]
    fn messages_pass() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":"a","method":"no/such","params":{}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        ] {
            assert_eq!(check(body.as_bytes()), Ok(()), "{body}");
        }
    }

    #[test]
    fn all_else_has_the_error_that_json_rpc_has_for_it() {
        for (body, answer) in [
            ("", (400, -32700)),
            ("{", (400, -32700)),
            ("\u{feff}x", (400, -32700)),
            ("[]", (400, -32600)),
            (
                r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
                (400, -32600),
            ),
            ("1", (400, -32600)),
            ("{}", (400, -32600)),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, (400, -32600)),
            (
                r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
                (400, -32600),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, (400, -32600)),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#,
                (200, -32602),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
                (200, -32602),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#,
                (200, -32602),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":"{}"}}"#,
                (200, -32602),
            ),
        ] {
            assert_eq!(code(body), Some(answer), "{body}");
        }
    }
}
