//! A headless Chromium, driven by the DevTools protocol over a pair of pipes.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::workspace::{Workspace, output};

/// Under which names Chromium is installed.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// The browser answers within this time.
const PATIENCE: Duration = Duration::from_secs(60);
/// The descriptors on which Chromium expects the pipes.
const WITH_PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// Ends with its owner.
pub(crate) struct Browser {
    child: Child,
    stdin: ChildStdin,
    messages: Receiver<Value>,
    events: Vec<Value>,
    sent: u64,
}

/// A page, or a frame in a process of its own.
#[derive(Debug, Clone)]
pub(crate) struct Session(String);

/// The Chromium of this machine: `CHROMIUM` names it, or it is on the path.
pub(crate) fn find() -> Option<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    let names = NAMES.into_iter().map(PathBuf::from);
    let mut programs = named.into_iter().chain(names);
    programs.find(|program| output(Command::new(program).arg("--version")).is_ok())
}

impl Browser {
    /// Starts Chromium with an empty profile below the build directory.
    pub(crate) fn start(workspace: &Workspace, program: &Path) -> Result<Self> {
        let profile = workspace.target("apps/profile");
        if profile.exists() {
            fs::remove_dir_all(&profile)?;
        }
        fs::create_dir_all(&profile)?;
        let mut child = Command::new("sh")
            .args(["-c", WITH_PIPES])
            .arg(program)
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--hide-scrollbars",
            ])
            .args([
                "--disable-gpu",
                "--force-device-scale-factor=1",
                "--lang=en-US",
            ])
            // Root may start it only so. It loads nothing but pages of the component.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            // Frames as clients isolate them.
            .arg("--enable-features=IsolateSandboxedIframes")
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start Chromium")?;
        let stdin = child.stdin.take().context("no pipe to Chromium")?;
        let stdout = child.stdout.take().context("no pipe from Chromium")?;
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut message = Vec::new();
            while stdout
                .read_until(0, &mut message)
                .is_ok_and(|read| read > 0)
            {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else {
                    return;
                };
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        Ok(Self {
            child,
            stdin,
            messages,
            events: Vec::new(),
            sent: 0,
        })
    }

    /// Opens a page with this HTML, so wide and high.
    pub(crate) fn open(&mut self, html: &str, (width, height): (u32, u32)) -> Result<Session> {
        let target = self.command(None, "Target.createTarget", json!({ "url": "about:blank" }))?;
        let id = text(&target, "targetId")?;
        let attach = json!({ "targetId": id, "flatten": true });
        let attached = self.command(None, "Target.attachToTarget", attach)?;
        let session = Session(text(&attached, "sessionId")?);
        let follow =
            json!({ "autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true });
        self.command(Some(&session), "Target.setAutoAttach", follow)?;
        self.resize(&session, (width, height))?;
        let frames = self.command(Some(&session), "Page.getFrameTree", json!({}))?;
        let frame = frames.pointer("/frameTree/frame/id");
        let content = json!({ "frameId": frame, "html": html });
        self.command(Some(&session), "Page.setDocumentContent", content)?;
        Ok(session)
    }

    /// Gives a page another size.
    pub(crate) fn resize(&mut self, page: &Session, (width, height): (u32, u32)) -> Result<()> {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.command(Some(page), "Emulation.setDeviceMetricsOverride", metrics)?;
        Ok(())
    }

    /// The next frame that a page has opened in a process of its own.
    pub(crate) fn frame(&mut self) -> Result<Session> {
        let is_frame = |event: &Value| {
            event.get("method") == Some(&json!("Target.attachedToTarget"))
                && event.pointer("/params/targetInfo/type") == Some(&json!("iframe"))
        };
        let start = Instant::now();
        loop {
            if let Some(at) = self.events.iter().position(is_frame) {
                let event = self.events.remove(at);
                let params = event.get("params").context("an event without parameters")?;
                return Ok(Session(text(params, "sessionId")?));
            }
            self.receive(start)?;
        }
    }

    /// The value of an expression; a promise is awaited.
    pub(crate) fn value(&mut self, session: &Session, expression: &str) -> Result<Value> {
        let params = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let mut result = self.command(Some(session), "Runtime.evaluate", params)?;
        if let Some(exception) = result.get("exceptionDetails") {
            bail!("{expression} failed: {exception}");
        }
        let value = result.pointer_mut("/result/value").map(Value::take);
        Ok(value.unwrap_or_default())
    }

    /// Presses a key while a session has the focus.
    pub(crate) fn press(&mut self, session: &Session, key: &str, code: u32) -> Result<()> {
        // Enter presses a button as a character, Tab moves the focus without one.
        let text = if key == "Enter" { "\r" } else { "" };
        let kind = if text.is_empty() {
            "rawKeyDown"
        } else {
            "keyDown"
        };
        for kind in [kind, "keyUp"] {
            let params = json!({
                "type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text,
            });
            self.command(Some(session), "Input.dispatchKeyEvent", params)?;
        }
        Ok(())
    }

    /// The roles and names that assistive technology gets of a frame.
    pub(crate) fn accessible(&mut self, session: &Session) -> Result<Vec<(String, String)>> {
        let tree = self.command(Some(session), "Accessibility.getFullAXTree", json!({}))?;
        let nodes = tree.get("nodes").and_then(Value::as_array);
        let nodes = nodes.context("no accessibility tree")?.iter();
        let word = |node: &Value, pointer: &str| {
            let word = node.pointer(pointer).and_then(Value::as_str);
            word.unwrap_or_default().to_owned()
        };
        let shown = nodes.filter(|node| node.get("ignored") != Some(&json!(true)));
        Ok(shown
            .map(|node| (word(node, "/role/value"), word(node, "/name/value")))
            .collect())
    }

    /// A picture of a page, as PNG.
    pub(crate) fn picture(&mut self, page: &Session) -> Result<Vec<u8>> {
        let picture = self.command(Some(page), "Page.captureScreenshot", json!({}))?;
        Ok(STANDARD.decode(text(&picture, "data")?)?)
    }

    fn command(&mut self, session: Option<&Session>, method: &str, params: Value) -> Result<Value> {
        self.sent += 1;
        let id = self.sent;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let (Some(Session(session)), Some(fields)) = (session, message.as_object_mut()) {
            fields.insert("sessionId".to_owned(), json!(session));
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.stdin.write_all(&bytes)?;
        self.stdin.flush()?;
        let start = Instant::now();
        let is_answer = |message: &Value| message.get("id") == Some(&json!(id));
        loop {
            if let Some(at) = self.events.iter().position(is_answer) {
                let mut answer = self.events.remove(at);
                if let Some(error) = answer.get("error") {
                    bail!("Chromium refused {method}: {error}");
                }
                return Ok(answer
                    .get_mut("result")
                    .map(Value::take)
                    .unwrap_or_default());
            }
            self.receive(start)?;
        }
    }

    fn receive(&mut self, since: Instant) -> Result<()> {
        let left = PATIENCE.saturating_sub(since.elapsed());
        ensure!(
            !left.is_zero(),
            "Chromium did not answer within {} s",
            PATIENCE.as_secs()
        );
        let message = self.messages.recv_timeout(left);
        self.events
            .push(message.context("Chromium gave no answer")?);
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.command(None, "Browser.close", json!({}));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value.get(field).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("Chromium gave no {field}"))?
        .to_owned())
}
