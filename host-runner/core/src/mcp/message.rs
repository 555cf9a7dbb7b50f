//! One line of stdin: a message for rmcp, or the answer to one that is none.
//!
//! rmcp drops a line that is not JSON, and takes a call whose parameters are
//! malformed for a method that it does not know. Both are answered here, by
//! what JSON-RPC has for them, and so is a line that is too long or has too many
//! values, before either can take much memory. Nothing but requests is ever answered twice: an
//! answer that comes back is not answered again.

use std::fmt;

use rmcp::RoleServer;
use rmcp::model::{ClientRequest, ErrorCode, JsonRpcMessage};
use rmcp::service::RxJsonRpcMessage;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::room::ROOM_BYTES;

/// The longest line that is read. Longer ones are answered and left out. The
/// largest arguments, a file or what a command reads, have some 100 KB, and no
/// request to Proxmox VE has more than 512 KiB.
pub(super) const MAX_LINE_BYTES: usize = 1024 * 1024;
/// The most JSON values that a line may have: each takes up to a hundred times
/// its text.
pub(super) const MAX_VALUES: usize = 10_000;
/// The longest id of a line that is not read.
const MAX_ID_BYTES: usize = 256;

/// What is to be done with a line.
#[derive(Debug)]
pub(super) enum Line {
    /// rmcp can read it.
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// It cannot be read, and this is the answer to it.
    Answer(Value),
    /// There is nothing in it, or nothing to answer.
    Nothing,
}

/// The methods that this server or rmcp has: their parameters are known.
const METHODS: [&str; 18] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "completion/complete",
    "logging/setLevel",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/update",
];

/// Those of them that revision 2026-07-28 has removed. What such a request has as parameters
/// does not matter: the method is unknown.
const REMOVED: [&str; 5] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
];
/// Where a request of that revision or a later one names it.
const REVISION: &str = "/_meta/io.modelcontextprotocol~1protocolVersion";

const CALL_EXAMPLE: &str = r#"for example {"name":"get_guest","arguments":{"vmid":100}}"#;

/// Reads a line, with or without the characters that end it.
pub(super) fn read(line: &[u8]) -> Line {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if line.trim_ascii().is_empty() {
        return Line::Nothing;
    }
    if values(line) > MAX_VALUES {
        let problem = format!("the message has more than {MAX_VALUES} JSON values");
        return match find_id(line) {
            // A notification is never answered.
            Ok(None) => Line::Nothing,
            Ok(id) | Err(id) => {
                answer(id.unwrap_or_default(), ErrorCode::INVALID_REQUEST, &problem)
            }
        };
    }
    let message = match serde_json::from_slice(line) {
        Ok(Value::Object(message)) => message,
        Ok(Value::Array(_)) => {
            let problem = "batches are not supported: send one message at a time";
            return answer(Value::Null, ErrorCode::INVALID_REQUEST, problem);
        }
        Ok(_) => {
            let problem = "a message is a JSON object with jsonrpc, method and id";
            return answer(Value::Null, ErrorCode::INVALID_REQUEST, problem);
        }
        Err(error) => {
            // Its text names a position and nothing from the line.
            let problem = format!("the message is not JSON: {error}");
            return answer(Value::Null, ErrorCode::PARSE_ERROR, &problem);
        }
    };
    match message.contains_key("method") {
        true => read_request(message),
        false => read_response(message),
    }
}

/// At most so many JSON values are in a line: each but the first follows one of
/// these characters. (An empty list counts as two.)
pub(super) fn values(line: &[u8]) -> usize {
    let mut count = 1;
    let mut is_text = false;
    let mut is_escaped = false;
    for byte in line {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match byte {
            b'"' => is_text = !is_text,
            b'\\' => is_escaped = is_text,
            b',' | b'[' | b'{' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

/// The answer to a line that is too long to be kept, of which these are the
/// start and the end: clients write the id first or last.
pub(super) fn too_long(start: &[u8], end: &[u8]) -> Value {
    let problem = format!("the line is longer than {MAX_LINE_BYTES} bytes");
    let id = find_id(start).unwrap_or_else(|id| id);
    let id = id.or_else(|| last_id(end));
    error(id.unwrap_or_default(), ErrorCode::INVALID_REQUEST, &problem)
}

/// The answer to a message that finds no room. None for a message that gets no
/// answer.
pub(super) fn no_room(message: &RxJsonRpcMessage<RoleServer>) -> Option<Value> {
    let JsonRpcMessage::Request(request) = message else {
        return None;
    };
    let problem = format!(
        "the arguments of queued and running calls already take {} MiB of memory, which is the \
         limit: call again once one of them has finished",
        ROOM_BYTES >> 20
    );
    let id = serde_json::to_value(&request.id).unwrap_or_default();
    Some(error(id, ErrorCode::INTERNAL_ERROR, &problem))
}

/// The id in a line, of which nothing else is kept. An error, with the id if it
/// was found before, where the line is not a complete object.
fn find_id(line: &[u8]) -> Result<Option<Value>, Option<Value>> {
    let mut id = None;
    let mut reader = serde_json::Deserializer::from_slice(line);
    let found = reader.deserialize_map(Envelope(&mut id));
    match found.and_then(|()| reader.end()) {
        Ok(()) => Ok(id),
        Err(_) => Err(id),
    }
}

/// The id at the end of a line: `…,"id":7}`. A quote within a text would be
/// escaped, so this is the outermost object's.
fn last_id(end: &[u8]) -> Option<Value> {
    let (_, end) = end.split_at_checked(end.len().saturating_sub(2 * MAX_ID_BYTES))?;
    let start = end.iter().rposition(|byte| *byte == b',')?;
    let member = end.get(start + 1..)?.trim_ascii().strip_suffix(b"}")?;
    find_id(&[b"{", member, b"}"].concat()).ok()?
}

/// Takes the id out of an object.
struct Envelope<'a>(&'a mut Option<Value>);

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "id" => *self.0 = Some(map.next_value_seed(Id)?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads what may be an id.
struct Id;

impl<'de> DeserializeSeed<'de> for Id {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl Visitor<'_> for Id {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a short string or an integer")
    }

    fn visit_i64<E>(self, id: i64) -> Result<Value, E> {
        Ok(id.into())
    }

    fn visit_u64<E>(self, id: u64) -> Result<Value, E> {
        Ok(id.into())
    }

    fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<Value, E> {
        match id.len() <= MAX_ID_BYTES {
            true => Ok(id.into()),
            false => Err(E::custom("too long")),
        }
    }
}

fn read_request(mut message: Map<String, Value>) -> Line {
    // A notification is never answered.
    let Some(id) = message.get("id").cloned() else {
        return serde_json::from_value(Value::Object(message))
            .map_or(Line::Nothing, |message| Line::Message(Box::new(message)));
    };
    let invalid = |id, problem: &str| answer(id, ErrorCode::INVALID_REQUEST, problem);
    if !(id.is_string() || id.is_i64() || id.is_u64()) {
        return invalid(Value::Null, "id is neither a string nor an integer");
    }
    if message.get("jsonrpc") != Some(&json!("2.0")) {
        return invalid(id, "jsonrpc is not \"2.0\"");
    }
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        return invalid(id, "method is not a string");
    };
    let method = method.to_owned();
    if message.contains_key("result") || message.contains_key("error") {
        return invalid(id, "a request has neither result nor error");
    }
    if message.get("params").is_some_and(Value::is_null) {
        message.remove("params");
    }
    if let Err(problem) = check_params(&method, message.get("params")) {
        return answer(id, ErrorCode::INVALID_PARAMS, &problem);
    }
    let is_removed = REMOVED.contains(&method.as_str()) && names_revision(message.get("params"));
    let known = METHODS.contains(&method.as_str()) && !is_removed;
    match serde_json::from_value(Value::Object(message)) {
        // rmcp takes what it cannot read for a method that it does not know.
        Ok(JsonRpcMessage::Request(request))
            if known && matches!(request.request, ClientRequest::CustomRequest(_)) =>
        {
            let problem = format!("invalid parameters for {method}");
            answer(id, ErrorCode::INVALID_PARAMS, &problem)
        }
        Ok(message) => Line::Message(Box::new(message)),
        Err(_) if known => {
            let problem = format!("invalid parameters for {method}");
            answer(id, ErrorCode::INVALID_PARAMS, &problem)
        }
        Err(_) => invalid(id, "the message is not a request"),
    }
}

/// Whether a request names its revision, as all do since `initialize` was removed.
fn names_revision(params: Option<&Value>) -> bool {
    params.is_some_and(|params| params.pointer(REVISION).is_some())
}

/// What is wrong with invalid parameters, for people.
fn check_params(method: &str, params: Option<&Value>) -> Result<(), String> {
    let call = method == "tools/call";
    let params = match params {
        Some(Value::Object(params)) => params,
        None if !call => return Ok(()),
        None => return Err(format!("params is missing, {CALL_EXAMPLE}")),
        Some(other) => {
            let example = if call { CALL_EXAMPLE } else { "for example {}" };
            return Err(format!(
                "params is {}: give an object, {example}",
                kind(other)
            ));
        }
    };
    if !call {
        return Ok(());
    }
    match params.get("name") {
        Some(Value::String(_)) => {}
        Some(other) => {
            return Err(format!(
                "name is {}: give the name of a tool, {CALL_EXAMPLE}",
                kind(other)
            ));
        }
        None => {
            return Err(format!(
                "name is missing: give the name of a tool, {CALL_EXAMPLE}"
            ));
        }
    }
    match params.get("arguments") {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(other) => Err(format!(
            "arguments is {}: give an object, {CALL_EXAMPLE}",
            kind(other)
        )),
    }
}

fn read_response(message: Map<String, Value>) -> Line {
    let answers = message.contains_key("result") || message.contains_key("error");
    if !answers {
        let id = message.get("id").cloned();
        let id = id.filter(|id| id.is_string() || id.is_number());
        let problem = "the message has no method";
        return answer(id.unwrap_or_default(), ErrorCode::INVALID_REQUEST, problem);
    }
    serde_json::from_value(Value::Object(message))
        .map_or(Line::Nothing, |message| Line::Message(Box::new(message)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn answer(id: Value, code: ErrorCode, problem: &str) -> Line {
    Line::Answer(error(id, code, problem))
}

fn error(id: Value, code: ErrorCode, problem: &str) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": { "code": code.0, "message": problem },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> (Value, i64, String) {
        match read(line.as_bytes()) {
            Line::Answer(answer) => (
                answer["id"].clone(),
                answer["error"]["code"].as_i64().unwrap(),
                answer["error"]["message"].as_str().unwrap().to_owned(),
            ),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_a_message_is_answered() {
        for (line, id, code) in [
            ("not json", json!(null), -32700),
            ("{", json!(null), -32700),
            ("\u{0}", json!(null), -32700),
            ("[]", json!(null), -32600),
            (
                r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
                json!(null),
                -32600,
            ),
            ("42", json!(null), -32600),
            ("{}", json!(null), -32600),
            (r#"{"jsonrpc":"2.0","id":7}"#, json!(7), -32600),
            (r#"{"id":7,"method":"ping"}"#, json!(7), -32600),
            (
                r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#,
                json!("a"),
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
                json!(null),
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
                json!(null),
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#,
                json!(null),
                -32600,
            ),
            (r#"{"jsonrpc":"2.0","id":7,"method":5}"#, json!(7), -32600),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}"#,
                json!(7),
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}"#,
                json!(7),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}"#,
                json!(7),
                -32602,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"initialize"}"#,
                json!(7),
                -32602,
            ),
        ] {
            let (got_id, got_code, _) = answered(line);
            assert_eq!((got_id, got_code), (id, code), "{line}");
        }
        assert_eq!(answered("\u{feff}{").1, -32700);
        let line = [b"{\"a\":\"".as_slice(), b"\xff\"}"].concat();
        assert!(matches!(read(&line), Line::Answer(_)));
    }

    #[test]
    fn lines_with_too_many_values_are_answered_unread() {
        let call = |values: usize, head: &str, tail: &str| {
            let list = vec!["0"; values].join(",");
            format!(
                r#"{{{head}"jsonrpc":"2.0","method":"tools/call","params":{{"name":"a","arguments":{{"x":[{list}]}}}}{tail}}}"#
            )
        };
        let id = r#""id":7,"#;
        let fits = call(MAX_VALUES - 20, id, "");
        assert!(matches!(read(fits.as_bytes()), Line::Message(_)));
        for (line, id) in [
            (call(MAX_VALUES, id, ""), json!(7)),
            (call(MAX_VALUES, "", r#","id":"seven""#), json!("seven")),
            (call(MAX_VALUES, r#""id":[],"#, ""), json!(null)),
            ("[".repeat(MAX_VALUES + 1), json!(null)),
            (r#"{"a":"#.repeat(MAX_VALUES + 1), json!(null)),
        ] {
            let (got, code, message) = answered(&line);
            assert_eq!((got, code), (id, -32600), "{message}");
            assert!(message.contains("10000 JSON values"), "{message}");
        }
        let notification = call(MAX_VALUES, "", "");
        assert!(matches!(read(notification.as_bytes()), Line::Nothing));
        // What is in a string is not a value.
        let text = r#"\",[{"#.repeat(MAX_VALUES);
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{text}"}}}}"#);
        assert!(matches!(read(line.as_bytes()), Line::Message(_)));
    }

    #[test]
    fn a_long_line_is_answered_by_its_id_where_that_is_found() {
        let id = |start: &str, end: &str| too_long(start.as_bytes(), end.as_bytes())["id"].clone();
        assert_eq!(
            id(r#"{"jsonrpc":"2.0","id":7,"params":{"x":"aaa"#, "aaa"),
            7
        );
        let start = r#"{"method":"tools/call","params":{"id":3,"x":"aaa"#;
        assert_eq!(id(start, r#"a"},"jsonrpc":"2.0","id":7}"#), 7);
        assert_eq!(id(start, "a\"}, \"id\": \"x\"}\r\n"), "x");
        for end in [
            r#"a\",\"id\":7}"#,
            r#""id":7}"#,
            r#","id":7"#,
            r#","id":[7]}"#,
            r#",{"id":7}}"#,
            "",
        ] {
            assert_eq!(id(start, end), Value::Null, "{end}");
        }
    }

    #[test]
    fn malformed_calls_are_answered_by_what_is_wrong() {
        let call = |params: &str| {
            answered(&format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#
            ))
        };
        for (params, says) in [
            (r#"{"arguments":{}}"#, "name is missing"),
            (r#"{"name":5}"#, "name is a number"),
            (r#"{"name":null}"#, "name is null"),
            (r#"{"name":"a","arguments":"{}"}"#, "arguments is a string"),
            (r#"{"name":"a","arguments":[1]}"#, "arguments is a list"),
            (r#"{"name":"a","arguments":true}"#, "arguments is a boolean"),
            (r#"{"name":"a","_meta":5}"#, "invalid parameters for"),
            (r#"["a"]"#, "params is a list"),
            (r#""a""#, "params is a string"),
            ("null", "params is missing"),
        ] {
            let (id, code, message) = call(params);
            assert_eq!((id, code), (json!(1), -32602), "{params}: {message}");
            assert!(message.contains(says), "{params}: {message}");
        }
    }

    #[test]
    fn messages_go_to_rmcp_and_nothing_else_is_answered() {
        for line in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":null}}"#,
            r#"{"jsonrpc":"2.0","id":"x","method":"tools/list","params":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#,
            // Unknown to its revision, so its parameters are not looked at.
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":9,"result":{}}"#,
            "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r\n",
        ] {
            assert!(matches!(read(line.as_bytes()), Line::Message(_)), "{line}");
        }
        for line in [
            "",
            " \r\n",
            r#"{"jsonrpc":"2.0","method":"tools/call","params":5}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":"x"}}"#,
        ] {
            assert!(matches!(read(line.as_bytes()), Line::Nothing), "{line}");
        }
        // Our own answers come back from a client that echoes.
        for line in ["{", "[]", "{}"] {
            let Line::Answer(answer) = read(line.as_bytes()) else {
                panic!("{line}");
            };
            let again = read(answer.to_string().as_bytes());
            assert!(!matches!(again, Line::Answer(_)), "{line}");
        }
    }
}
