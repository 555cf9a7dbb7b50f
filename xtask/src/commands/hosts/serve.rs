//! `wasmtime serve`: MCP over HTTP, and Proxmox by way of `host-runner forward`.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::conformance;
use super::http::{self, Answer};
use super::install::Program;
use super::scene::{Scene, Visit, WAIT_SECONDS, tool_names};
use super::tour::{self, Caller, Said};
use crate::process::Process;
use crate::simulator::Simulator;
use crate::workspace::{Workspace, output};

/// The bearer token of all servers here: nothing behind it is real.
pub(super) const TOKEN: &str = "the-bearer-token-of-cargo-xtask-hosts";
const PATIENCE: Duration = Duration::from_secs(120);
const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// A running `host-runner forward`.
pub(super) struct Forward {
    _process: Process,
    url: String,
    key: String,
    token_id: String,
}

/// A running `wasmtime serve`.
pub(super) struct Serve {
    _process: Process,
    pub(super) address: String,
}

impl Forward {
    pub(super) fn start(
        workspace: &Workspace,
        simulator: &Simulator,
        folder: &Path,
        policy: &[&str],
    ) -> Result<Self> {
        let (key, log) = (folder.join("forward-key"), folder.join("forward.log"));
        let mut command = simulator.host_runner(workspace);
        command
            .args(policy)
            .args(["forward", "--listen=127.0.0.1:0", "--key-file"])
            .arg(&key)
            .stderr(File::create(&log)?);
        let mut process = Process(command.spawn().context("cannot start host-runner")?);
        let text = wait_for(&mut process, || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.contains("PROXMOX_TOKEN_SECRET=").then_some(text)
        })?;
        let setting = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
            line.map(str::to_owned)
                .with_context(|| format!("no {name} in {text}"))
        };
        Ok(Self {
            _process: process,
            url: setting("PROXMOX_URL=")?,
            token_id: setting("PROXMOX_TOKEN_ID=")?,
            key: fs::read_to_string(&key)?.trim().to_owned(),
        })
    }
}

impl Serve {
    /// Starts it, with a bearer token or without, and waits until it answers.
    pub(super) fn start(
        program: &Program,
        component: &Path,
        forward: &Forward,
        folder: &Path,
        token: Option<&str>,
    ) -> Result<Self> {
        // Somebody else may take it meanwhile; then this fails.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = program.command();
        command
            .args(["serve", "--addr", &address, "-Scli"])
            .arg("--env")
            .arg(format!("PROXMOX_URL={}", forward.url))
            .arg("--env")
            .arg(format!("PROXMOX_TOKEN_ID={}", forward.token_id))
            .arg("--env")
            .arg(format!("PROXMOX_TOKEN_SECRET={}", forward.key))
            .arg("--env")
            .arg(format!("PROXMOX_MCP_WAIT_SECONDS={WAIT_SECONDS}"));
        if let Some(token) = token {
            command
                .arg("--env")
                .arg(format!("PROXMOX_MCP_HTTP_TOKEN={token}"));
        }
        let log = folder.join(format!("serve-{}.log", address.replace(':', "-")));
        command
            .arg(component)
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let mut process = Process(command.spawn().context("cannot start wasmtime serve")?);
        wait_for(&mut process, || {
            let answer = http::send(&address, "GET", "/healthz", &[], "").ok()?;
            [200, 401].contains(&answer.status).then_some(())
        })?;
        Ok(Self {
            _process: process,
            address,
        })
    }
}

fn wait_for<T>(process: &mut Process, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(done) = ready() {
            return Ok(done);
        }
        if let Some(status) = process.0.try_wait()? {
            bail!("it ended with {status}");
        }
        ensure!(started.elapsed() < PATIENCE, "it does not get ready");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A client of the newer revision.
pub(super) struct Client {
    pub(super) address: String,
    /// What must be in no answer.
    secret: String,
}

impl Client {
    pub(super) fn new(address: &str, secret: &str) -> Self {
        Self {
            address: address.to_owned(),
            secret: secret.to_owned(),
        }
    }

    /// Sends a message of the newer revision; returns its result, or the code and
    /// the message of its error.
    pub(super) fn request(
        &self,
        method: &str,
        params: &Value,
    ) -> Result<Result<Value, (i64, String)>> {
        let mut params = params.as_object().cloned().unwrap_or_default();
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        params.insert("_meta".to_owned(), meta);
        let name = params.get("name").and_then(Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        let mut headers = vec![("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)];
        if !name.is_empty() {
            headers.push(("Mcp-Name", &name));
        }
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.post(&headers, &message.to_string())?.json()?;
        if let Some(result) = answer.get("result") {
            return Ok(Ok(result.clone()));
        }
        let code = answer.pointer("/error/code").and_then(Value::as_i64);
        let text = answer.pointer("/error/message").and_then(Value::as_str);
        match (code, text) {
            (Some(code), Some(text)) => Ok(Err((code, text.to_owned()))),
            _ => bail!("neither result nor error: {answer}"),
        }
    }

    fn post(&self, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
        let authorization = format!("Bearer {TOKEN}");
        let own = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        let headers = [&own[..], headers].concat();
        let answer = http::send(&self.address, "POST", "/mcp", &headers, body)?;
        ensure!(
            !format!("{answer:?}").contains(&self.secret),
            "the token of Proxmox is in an answer"
        );
        Ok(answer)
    }
}

impl Caller for Client {
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Said> {
        let params = json!({ "name": tool, "arguments": arguments });
        match self.request("tools/call", &params)? {
            Ok(result) if result["isError"] == true => Ok(Err(result["content"][0]["text"]
                .as_str()
                .unwrap_or_default()
                .to_owned())),
            Ok(result) => Ok(Ok(result["structuredContent"].clone())),
            Err((code, text)) => bail!("{code}: {text}"),
        }
    }
}

pub(super) fn visit(
    scene: &Scene<'_>,
    program: &Program,
    simulator: &mut Simulator,
) -> Result<Visit> {
    let component = scene.all("http")?;
    let folder = scene.folder("serve")?;
    let mut said = Vec::new();
    let forward = Forward::start(scene.workspace, simulator, &folder, &["--preset=admin"])?;
    let started = Instant::now();
    let serve = Serve::start(program, &component, &forward, &folder, Some(TOKEN))?;
    let mut client = Client::new(&serve.address, simulator.secret());
    let listed = client
        .request("tools/list", &json!({}))?
        .map_err(|(code, text)| anyhow::anyhow!("tools/list: {code} {text}"))?;
    let start = started.elapsed();
    let tools = listed["tools"].as_array().cloned().unwrap_or_default();
    tour::names(tool_names(&tools), &scene.names())?;
    said.push(format!("{} tools", tools.len()));
    let (call, calls) = tour::calls(&mut client, simulator)?;
    said.extend(calls);

    protocol(&client)?;
    said.push("keeps to the protocol in both eras".to_owned());
    door(program, &component, &forward, &folder, &client)?;
    said.push("serves no one without the token".to_owned());

    let strict = folder.join("read-only");
    fs::create_dir_all(&strict)?;
    let narrow = Forward::start(scene.workspace, simulator, &strict, &["--read-only"])?;
    let other = Serve::start(program, &component, &narrow, &strict, Some(TOKEN))?;
    let mut refused = Client::new(&other.address, simulator.secret());
    let reboot = refused.call("restart_guest", &json!({ "vmid": 100 }))?;
    match reboot {
        Err(text) if text.contains("rule read-only") => {}
        other => bail!("forward --read-only did not refuse a change as it should: {other:?}"),
    }
    said.push("forward's policy holds".to_owned());

    said.push(python(scene.workspace, &serve.address)?);
    said.push(conformance::run(scene.workspace, &serve.address, TOKEN)?);
    Ok(Visit { start, call, said })
}

/// What no tool shows.
fn protocol(client: &Client) -> Result<()> {
    let legacy = [("MCP-Protocol-Version", LEGACY)];
    let initialize = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": LEGACY,
            "capabilities": {},
            "clientInfo": { "name": "xtask", "version": "0" },
        },
    });
    let greeted = client.post(&[], &initialize.to_string())?.json()?;
    ensure!(
        greeted.pointer("/result/protocolVersion") == Some(&json!(LEGACY)),
        "initialize: {greeted}"
    );
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let taken = client.post(&legacy, initialized)?;
    ensure!(taken.status == 202 && taken.body.is_empty(), "{taken:?}");
    for (body, status, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, 200, None),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#,
            200,
            Some(-32601),
        ),
        ("{", 400, Some(-32700)),
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            400,
            Some(-32600),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            200,
            Some(-32602),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"no_such"}}"#,
            200,
            Some(-32602),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#,
            200,
            Some(-32601),
        ),
    ] {
        let answer = client.post(&legacy, body)?;
        let said = answer
            .json()?
            .pointer("/error/code")
            .and_then(Value::as_i64);
        ensure!(
            answer.status == status && said == code,
            "{body} was answered {answer:?}"
        );
    }
    let discovered = client.request("server/discover", &json!({}))?;
    ensure!(
        discovered.is_ok_and(|found| found["supportedVersions"].to_string().contains(MODERN)),
        "server/discover does not name {MODERN}"
    );
    let list = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/list",
        "params": { "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        }},
    });
    let mismatch = [
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", "tools/call"),
    ];
    let answer = client.post(&mismatch, &list.to_string())?;
    ensure!(answer.status == 400, "a wrong Mcp-Method: {answer:?}");
    let large = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#,
        "x".repeat(1 << 20)
    );
    let answer = client.post(&legacy, &large);
    // It may hang up before all was sent.
    ensure!(
        answer.as_ref().map_or(true, |answer| answer.status == 413),
        "a large body: {answer:?}"
    );
    Ok(())
}

/// Who is served.
fn door(
    program: &Program,
    component: &Path,
    forward: &Forward,
    folder: &Path,
    client: &Client,
) -> Result<()> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let good = format!("Bearer {TOKEN}");
    let longer = format!("Bearer {TOKEN}0");
    let ask = |address: &str, method: &str, path: &str, headers: &[(&str, &str)]| {
        let own = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        let headers = [&own[..], headers].concat();
        http::send(address, method, path, &headers, body)
    };
    for headers in [&[][..], &[("Authorization", longer.as_str())]] {
        for path in ["/mcp", "/", "/.well-known/oauth-protected-resource"] {
            let answer = ask(&client.address, "POST", path, headers)?;
            let challenge = answer.headers.get("www-authenticate");
            let challenge = challenge.map_or("", |value| value.to_str().unwrap_or_default());
            ensure!(
                answer.status == 401 && challenge.starts_with("Bearer"),
                "{path} with {headers:?}: {answer:?}"
            );
        }
    }
    let known = ("Authorization", good.as_str());
    for (method, path, other, status) in [
        ("GET", "/mcp", ("Accept", "text/event-stream"), 405),
        ("DELETE", "/mcp", ("Mcp-Session-Id", "1"), 405),
        ("POST", "/other", ("Accept-Language", "en"), 404),
        ("POST", "/mcp", ("Host", "evil.example"), 403),
        ("POST", "/mcp", ("Origin", "https://evil.example"), 403),
        ("POST", "/mcp", ("Origin", "null"), 403),
        ("POST", "/mcp", ("Origin", "http://localhost:3000"), 200),
    ] {
        let answer = ask(&client.address, method, path, &[known, other])?;
        ensure!(
            answer.status == status,
            "{method} {path} with {other:?}: {answer:?}"
        );
    }
    let health = ask(&client.address, "GET", "/healthz", &[])?;
    ensure!(health.status == 200 && health.body == "ok", "{health:?}");

    let locked = Serve::start(program, component, forward, folder, None)?;
    for (method, path) in [("POST", "/mcp"), ("GET", "/healthz"), ("GET", "/")] {
        for token in [good.as_str(), "Bearer "] {
            let answer = ask(&locked.address, method, path, &[("Authorization", token)])?;
            ensure!(
                answer.status == 401,
                "without a token in its environment: {answer:?}"
            );
        }
    }
    Ok(())
}

/// The reference client of Python, where it is installed as `.ci/run` does.
fn python(workspace: &Workspace, address: &str) -> Result<String> {
    let python: PathBuf = workspace.target("venv/bin/python");
    if !python.exists() {
        return Ok("Python client skipped (no venv)".to_owned());
    }
    let said = output(
        Command::new(python)
            .arg(workspace.root().join("tests/python/test_http.py"))
            .arg(format!("http://{address}/mcp"))
            .env("PROXMOX_MCP_HTTP_TOKEN", TOKEN),
    )?;
    Ok(format!("Python client: {}", said.trim()))
}
