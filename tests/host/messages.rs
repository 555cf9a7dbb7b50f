//! Made-up lines on stdin, against the real process: whatever comes, in whatever order,
//! each request is answered once, and the process lives on.
//!
//! `STDIO_CASES` says how many cases are tried, with another seed each time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::{Raw, Sim};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

/// How many cases a usual run has: they take some seconds.
const CASES: u32 = 60;
/// How long the process may be silent while it owes an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// What the process may grow by, whatever it has read: 16 MiB of messages may wait, and
/// as many answers.
const MAX_GROWTH_BYTES: usize = 96 << 20;
/// The longest line that is read.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What a client sends.
#[derive(Debug, Clone)]
enum Line {
    Request(Request),
    /// Two requests with the same id, which MCP forbids: while the first is open, both
    /// have one answer.
    Twice(Request),
    /// A request that is cancelled at once.
    Cancelled(Request),
    /// The start of a request, up to this part of it.
    Cut(Request, u8),
    Batch(Vec<Request>),
    /// A request with so many arguments too many.
    ManyValues(usize),
    /// A request longer than a line may be, whose id comes first, last, or not at all.
    Oversized(IdPlace),
    /// Opening brackets, and nothing else.
    Nested(usize),
    Noise(Vec<u8>),
    /// An envelope that is wrong, with its id or not.
    Wrong(usize),
    Notification(usize),
    /// The answer to a question that nobody has asked.
    Answer,
    Blank(usize),
}

#[derive(Debug, Clone)]
struct Request {
    method: usize,
    params: Value,
    /// With what requests of the newer era say of their client.
    has_meta: bool,
    has_text_id: bool,
    ends_with_return: bool,
}

#[derive(Debug, Clone, Copy)]
enum IdPlace {
    First,
    Last,
    Nowhere,
}

const METHODS: [&str; 18] = [
    "ping",
    "initialize",
    "server/discover",
    "tools/list",
    "tools/call",
    "tools/call",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "no/such",
];

const BLANKS: [&str; 4] = ["", "  ", "\t\r", "\u{feff}"];

/// Envelopes around an id, and whether they are answered with it.
const WRONG: [(&str, bool); 9] = [
    (r#"{"jsonrpc":"1.0","id":ID,"method":"ping"}"#, true),
    (r#"{"id":ID,"method":"ping"}"#, true),
    (r#"{"jsonrpc":"2.0","id":ID}"#, true),
    (r#"{"jsonrpc":"2.0","id":ID,"method":7}"#, true),
    (
        r#"{"jsonrpc":"2.0","id":ID,"method":"ping","params":[]}"#,
        true,
    ),
    (
        r#"{"jsonrpc":"2.0","id":ID,"method":"ping","result":{}}"#,
        true,
    ),
    (r#"{"jsonrpc":"2.0","id":[ID],"method":"ping"}"#, false),
    (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, false),
    (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, false),
];

const NOTIFICATIONS: [&str; 6] = [
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nothing"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2}}"#,
    r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"list_nodes"}}"#,
    r#"{"jsonrpc":"2.0","method":"no/such","params":[[]]}"#,
];

fn requests() -> impl Strategy<Value = Request> {
    let params = prop_oneof![
        Just(json!({})),
        Just(json!({ "name": "list_nodes", "arguments": {} })),
        Just(json!({ "name": "get_guest", "arguments": { "vmid": 100 } })),
        Just(json!({ "name": "get_guest", "arguments": { "vmid": "x" } })),
        Just(json!({ "name": "stop_guest", "arguments": 7 })),
        Just(json!({ "uri": "pve://nodes", "taskId": "x", "inputResponses": {} })),
        Just(json!({ "ref": { "type": "ref/prompt", "name": "x" },
            "argument": { "name": "vmid", "value": "1" } })),
        Just(json!({ "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "x", "version": "0" } })),
        Just(json!({ "level": "debug", "cursor": "x" })),
        ".{0,40}".prop_map(|text| json!({ "name": text, "uri": text, "taskId": text })),
        any::<i64>().prop_map(|number| json!({ "name": number, "cursor": number })),
        Just(Value::Null),
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (0..METHODS.len(), params, flags).prop_map(|(method, params, flags)| Request {
        method,
        params,
        has_meta: flags.0,
        has_text_id: flags.1,
        ends_with_return: flags.2,
    })
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let noise = prop::collection::vec(any::<u8>(), 0..60);
    let place = prop_oneof![
        Just(IdPlace::First),
        Just(IdPlace::Last),
        Just(IdPlace::Nowhere)
    ];
    let line = prop_oneof![
        8 => requests().prop_map(Line::Request),
        1 => requests().prop_map(Line::Twice),
        1 => requests().prop_map(Line::Cancelled),
        2 => (requests(), any::<u8>()).prop_map(|(request, part)| Line::Cut(request, part)),
        1 => prop::collection::vec(requests(), 0..4).prop_map(Line::Batch),
        1 => (0_usize..20_000).prop_map(Line::ManyValues),
        1 => place.prop_map(Line::Oversized),
        1 => (1_usize..30_000).prop_map(Line::Nested),
        2 => noise.prop_map(Line::Noise),
        2 => (0..WRONG.len()).prop_map(Line::Wrong),
        1 => (0..NOTIFICATIONS.len()).prop_map(Line::Notification),
        1 => Just(Line::Answer),
        1 => (0..BLANKS.len()).prop_map(Line::Blank),
    ];
    prop::collection::vec(line, 1..16)
}

impl Request {
    fn id(&self, number: u64) -> Value {
        match self.has_text_id {
            true => json!(format!("id {number}")),
            false => json!(number),
        }
    }

    fn message(&self, number: u64) -> Value {
        let method = METHODS.get(self.method).copied().unwrap_or("ping");
        let mut params = self.params.clone();
        if let (true, Some(params)) = (self.has_meta, params.as_object_mut()) {
            params.insert("_meta".to_owned(), meta());
        }
        json!({ "jsonrpc": "2.0", "id": self.id(number), "method": method, "params": params })
    }

    fn line(&self, number: u64) -> Vec<u8> {
        let end = if self.ends_with_return { "\r" } else { "" };
        format!("{}{end}", self.message(number)).into_bytes()
    }
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// The process, and what is known of what it owes.
struct Session {
    raw: Raw,
    last: u64,
    /// Requests that were cancelled: their answers may come at any time, or never.
    cancelled: BTreeSet<String>,
}

/// How many answers there are to each id.
type Answers = BTreeMap<String, usize>;
/// The fewest and the most that there may be.
type Owed = BTreeMap<String, (usize, usize)>;

impl Session {
    async fn start(sim: &Sim) -> anyhow::Result<Self> {
        let mut session = Self {
            raw: sim.host()?.raw()?,
            last: 0,
            cancelled: BTreeSet::new(),
        };
        session.barrier(&mut Answers::new()).await?;
        Ok(session)
    }

    /// Sends lines, and checks the answers.
    async fn check(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        let mut owed = Owed::new();
        for line in lines {
            self.send(line, &mut owed).await?;
        }
        let mut answers = Answers::new();
        let has_enough = |answers: &Answers| {
            let mut owed = owed.iter();
            owed.all(|(id, (least, _))| answers.get(id) >= Some(least))
        };
        while !has_enough(&answers) {
            let missing = || format!("of {owed:?} there are {answers:?}");
            let next = tokio::time::timeout(ANSWER_TIME, self.raw.next());
            let message = next.await.with_context(missing)?.with_context(missing)?;
            self.note(&message, &mut answers);
        }
        // Whatever is answered twice is answered by now.
        self.barrier(&mut answers).await?;
        let is_owed = |(id, count): (&String, &usize)| {
            let most = owed.get(id).map_or(0, |(_, most)| *most);
            *count <= most
        };
        ensure!(
            answers.iter().all(is_owed),
            "{answers:?} instead of {owed:?}"
        );
        Ok(())
    }

    /// Sends a request of its own, and reads until it is answered.
    async fn barrier(&mut self, answers: &mut Answers) -> anyhow::Result<()> {
        let id = format!("barrier {}", self.next());
        let params = json!({ "_meta": meta() });
        let request =
            json!({ "jsonrpc": "2.0", "id": id, "method": "server/discover", "params": params });
        self.raw.send_json(request).await?;
        loop {
            let message = self.raw.next().await?;
            if message.get("id") == Some(&json!(id)) {
                ensure!(message.get("result").is_some(), "{message}");
                return Ok(());
            }
            self.note(&message, answers);
        }
    }

    fn note(&self, message: &Value, answers: &mut Answers) {
        // What the server says on its own is no answer.
        if message.get("method").is_some() {
            return;
        }
        let id = message["id"].to_string();
        if !self.cancelled.contains(&id) {
            *answers.entry(id).or_default() += 1;
        }
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Sends a line, and notes how it is to be answered.
    async fn send(&mut self, line: &Line, owed: &mut Owed) -> anyhow::Result<()> {
        let number = self.next();
        let mut owes = |id: &Value| {
            let (least, most) = owed.entry(id.to_string()).or_default();
            *least += 1;
            *most += 1;
        };
        let bytes = match line {
            Line::Request(request) => {
                owes(&request.id(number));
                request.line(number)
            }
            Line::Twice(request) => {
                owed.insert(request.id(number).to_string(), (1, 2));
                let line = request.line(number);
                [line.as_slice(), b"\n", line.as_slice()].concat()
            }
            Line::Cancelled(request) => {
                let id = request.id(number);
                self.cancelled.insert(id.to_string());
                let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
                    "params": { "requestId": id } });
                let cancel = cancel.to_string().into_bytes();
                [request.line(number).as_slice(), b"\n", &cancel].concat()
            }
            Line::Cut(request, part) => {
                let mut line = request.message(number).to_string().into_bytes();
                let length = line.len() * usize::from(*part) / 256;
                // Nothing at all is a blank line.
                line.truncate(length.max(1));
                owes(&Value::Null);
                line
            }
            Line::Batch(requests) => {
                owes(&Value::Null);
                let all = requests.iter().map(|one| one.message(number));
                Value::Array(all.collect()).to_string().into_bytes()
            }
            other => without_request(other, number, owes),
        };
        self.raw.send_bytes(&bytes).await
    }
}

/// A line that is made without a request, and what is owed for it.
fn without_request(line: &Line, number: u64, mut owes: impl FnMut(&Value)) -> Vec<u8> {
    match line {
        Line::ManyValues(count) => {
            owes(&json!(number));
            let list = vec![0; 10_000 + count];
            json!({ "jsonrpc": "2.0", "id": number, "method": "tools/call",
                "params": { "name": "list_nodes", "arguments": { "x": list } } })
            .to_string()
            .into_bytes()
        }
        Line::Oversized(place) => {
            let long = "x".repeat(MAX_LINE_BYTES);
            let (first, last) = match place {
                IdPlace::First => (format!("\"id\":{number},"), String::new()),
                IdPlace::Last => (String::new(), format!(",\"id\":{number}")),
                IdPlace::Nowhere => Default::default(),
            };
            owes(&match place {
                IdPlace::Nowhere => Value::Null,
                IdPlace::First | IdPlace::Last => json!(number),
            });
            format!(
                r#"{{"jsonrpc":"2.0",{first}"method":"tools/call","params":{{"name":"{long}"}}{last}}}"#
            )
            .into_bytes()
        }
        Line::Nested(depth) => {
            owes(&Value::Null);
            vec![b'['; *depth]
        }
        Line::Noise(noise) => {
            let noise: Vec<u8> = noise.iter().copied().filter(|one| *one != b'\n').collect();
            let text = noise.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&noise);
            if !text.trim_ascii().is_empty() {
                owes(&Value::Null);
            }
            noise
        }
        Line::Wrong(index) => {
            let (text, has_id) = WRONG.get(*index).copied().unwrap_or_default();
            owes(&match has_id {
                true => json!(number),
                false => Value::Null,
            });
            text.replace("ID", &number.to_string()).into_bytes()
        }
        Line::Notification(index) => text_of(&NOTIFICATIONS, *index),
        Line::Answer => {
            let answer = json!({ "jsonrpc": "2.0", "id": number, "result": {} });
            answer.to_string().into_bytes()
        }
        Line::Blank(index) => text_of(&BLANKS, *index),
        Line::Request(_) | Line::Twice(_) | Line::Cancelled(_) | Line::Cut(..) | Line::Batch(_) => {
            Vec::new()
        }
    }
}

fn text_of(all: &[&str], index: usize) -> Vec<u8> {
    all.get(index)
        .map_or_else(Vec::new, |text| text.as_bytes().to_vec())
}

#[test]
fn each_request_is_answered_once_whatever_else_comes() -> anyhow::Result<()> {
    let cases = std::env::var("STDIO_CASES").ok();
    let cases: Option<u32> = cases.map(|cases| cases.parse()).transpose()?;
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::with_cases(cases.unwrap_or(CASES))
    };
    let mut runner = match cases {
        Some(_) => TestRunner::new(config),
        None => {
            let random = proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            );
            TestRunner::new_with_rng(config, random)
        }
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let sim = runtime.block_on(Sim::options().private_log().start())?;
    let session = std::cell::RefCell::new(runtime.block_on(Session::start(&sim))?);
    let usual = session.borrow().raw.memory("VmRSS:")?;
    let checked = runner.run(&lines(), |lines| {
        let mut session = session.borrow_mut();
        let checked = runtime.block_on(session.check(&lines));
        if checked.is_err() {
            // What comes next gets a process that works.
            if let Ok(new) = runtime.block_on(Session::start(&sim)) {
                *session = new;
            }
        }
        checked.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    checked.map_err(|error| anyhow::anyhow!("{error}"))?;
    let session = session.into_inner();
    let now = session.raw.memory("VmRSS:")?;
    let growth = now.saturating_sub(usual);
    ensure!(
        growth < MAX_GROWTH_BYTES,
        "the process has grown by {} MiB",
        growth >> 20
    );
    let ended = runtime.block_on(session.raw.finish())?;
    ensure!(ended.status == Some(0), "{ended:?}");
    Ok(())
}

/// rmcp would end the session over the first of these.
#[tokio::test]
async fn a_client_that_has_only_asked_what_there_is_may_send_anything() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for begins in [false, true] {
        let mut raw = sim.host()?.raw()?;
        if begins {
            let params = json!({ "_meta": meta() });
            let found = raw.request("server/discover", params).await?;
            ensure!(found.get("result").is_some(), "{found}");
        }
        let unknown = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "2099-01-01",
            "io.modelcontextprotocol/clientCapabilities": {} } });
        let refused = raw.request("tools/list", unknown).await?;
        ensure!(refused.get("error").is_some(), "{refused}");
        raw.send_json(json!({ "jsonrpc": "2.0", "id": 7, "result": {} }))
            .await?;
        for notification in NOTIFICATIONS {
            raw.send(notification).await?;
        }
        let list = raw
            .request("tools/list", json!({ "_meta": meta() }))
            .await?;
        ensure!(list["result"]["tools"].is_array(), "{list}");
        ensure!(raw.finish().await?.status == Some(0));
    }
    Ok(())
}
