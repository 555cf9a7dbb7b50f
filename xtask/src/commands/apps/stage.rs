//! A client that shows views: host-runner on one side, a page with a frame on the other.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::view_of;
use crate::browser::{Browser, Session};
use crate::mcp::{Client, Server};
use crate::simulator::Simulator;
use crate::workspace::Workspace;

const CLIENT: &str = include_str!("client.html");
const EXTENSION: &str = "io.modelcontextprotocol/ui";
const MIME_TYPE: &str = "text/html;profile=mcp-app";
/// A page shows what it has within this time.
const PATIENCE: Duration = Duration::from_secs(20);
/// Everything that a view may send.
const MESSAGES: [&str; 5] = [
    "ui/initialize",
    "ui/notifications/initialized",
    "ui/notifications/size-changed",
    "ui/message",
    "tools/call",
];

/// The lowest contrast of a text with the background of the page, as WCAG defines it.
pub(super) const LOWEST_CONTRAST: &str = "(() => {
    const light = color => {
        const parts = color.match(/[\\d.]+/g).slice(0, 3).map(part => {
            const value = part / 255;
            return value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
        });
        return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2];
    };
    const back = light(getComputedStyle(document.body).backgroundColor);
    const contrasts = [...document.querySelectorAll('body *')]
        .filter(one => [...one.childNodes].some(node => node.nodeType == 3 && node.data.trim()))
        .filter(one => !one.closest('script, style'))
        .map(one => light(getComputedStyle(one).color))
        .map(text => (Math.max(text, back) + .05) / (Math.min(text, back) + .05));
    return Math.min(...contrasts);
})()";

pub(super) struct Stage {
    browser: Browser,
    client: Client,
    tools: Vec<Value>,
    called: Vec<String>,
    said: Vec<String>,
}

/// A view that is shown.
pub(super) struct Shown {
    page: Session,
    frame: Session,
}

impl Stage {
    pub(super) fn new(
        workspace: &Workspace,
        simulator: &Simulator,
        chromium: &Path,
    ) -> Result<Self> {
        let mut command = simulator.host_runner(workspace);
        command.args(["--toolsets", "all"]).stderr(Stdio::inherit());
        let mut settings = Map::new();
        settings.insert("mimeTypes".to_owned(), json!([MIME_TYPE]));
        let server = Server::start(&mut command)?.with_extension(EXTENSION, settings);
        let client = server.without_secret(simulator.secret()).connect()?;
        Ok(Self {
            browser: Browser::start(workspace, chromium)?,
            tools: client.tools()?,
            client,
            called: Vec::new(),
            said: Vec::new(),
        })
    }

    /// Calls a tool and shows its result, in a client that can do everything.
    pub(super) fn show(&mut self, tool: &str, arguments: Value, size: (u32, u32)) -> Result<Shown> {
        let capabilities = json!({ "serverTools": {}, "message": { "text": {} } });
        self.show_with(tool, arguments, size, capabilities)
    }

    /// The same in a client with these capabilities.
    pub(super) fn show_with(
        &mut self,
        tool: &str,
        arguments: Value,
        size: (u32, u32),
        capabilities: Value,
    ) -> Result<Shown> {
        let uri = view_of(&self.tools, tool)?;
        let view = self.client.read(&uri)?;
        let content = view.pointer("/contents/0").context("an empty view")?;
        ensure!(
            content.get("mimeType") == Some(&json!(MIME_TYPE)),
            "{uri} is not a view: {content}"
        );
        let result = self.call(tool, &arguments)?;
        let page = self.browser.open(CLIENT, size)?;
        let settings = json!({
            "html": content.get("text"),
            "capabilities": capabilities,
            "theme": "light",
            "tool": self.tools.iter().find(|one| one.get("name") == Some(&json!(tool))),
            "arguments": arguments,
            "result": result,
        });
        self.called.clear();
        self.said.clear();
        self.browser.value(&page, &format!("start({settings})"))?;
        let frame = self.browser.frame()?;
        Ok(Shown { page, frame })
    }

    /// Gives the view another result.
    pub(super) fn replace_result(&mut self, shown: &Shown, result: &Value) -> Result<()> {
        let message = json!({ "method": "ui/notifications/tool-result", "params": result });
        self.browser
            .value(&shown.page, &format!("post({message})"))?;
        Ok(())
    }

    /// Waits until the view has these words.
    pub(super) fn until_says(&mut self, shown: &Shown, words: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            self.serve(shown)?;
            let text = self.text(shown)?;
            if text.contains(words) {
                return Ok(());
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "the page does not say {words:?}:\n{text}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// All text of the view.
    pub(super) fn text(&mut self, shown: &Shown) -> Result<String> {
        let text = self.value(shown, "document.body?.innerText ?? ''")?;
        Ok(text.as_str().unwrap_or_default().replace('\u{a0}', " "))
    }

    /// The value of an expression in the view.
    pub(super) fn value(&mut self, shown: &Shown, expression: &str) -> Result<Value> {
        self.browser.value(&shown.frame, expression)
    }

    /// Moves the focus to the first button by the keyboard, and presses it.
    pub(super) fn press_first_button(&mut self, shown: &Shown) -> Result<()> {
        self.value(shown, "window.focus()")?;
        self.browser.press(&shown.frame, "Tab", 9)?;
        let focused = self.value(shown, "document.activeElement.tagName")?;
        ensure!(focused == json!("BUTTON"), "the focus is on {focused}");
        self.browser.press(&shown.frame, "Enter", 13)
    }

    pub(super) fn accessible(&mut self, shown: &Shown) -> Result<Vec<(String, String)>> {
        self.browser.accessible(&shown.frame)
    }

    /// A picture of the view, so wide and as high as it wants to be.
    pub(super) fn picture(&mut self, shown: &Shown, width: u32) -> Result<Vec<u8>> {
        self.until(shown, "true")?;
        let height = self.value(
            shown,
            "Math.ceil(document.documentElement.getBoundingClientRect().height)",
        )?;
        // The view has sent its height, but the client may not have received it.
        let height = self
            .browser
            .value(&shown.page, &format!("sized({height})"))?;
        let height = u32::try_from(height.as_u64().context("no height")?)?;
        ensure!(
            (100..4000).contains(&height),
            "the view is {height} px high"
        );
        self.browser.resize(&shown.page, (width, height))?;
        self.browser.picture(&shown.page)
    }

    pub(super) fn resize(&mut self, shown: &Shown, size: (u32, u32)) -> Result<()> {
        self.browser.resize(&shown.page, size)?;
        self.until(shown, &format!("innerWidth === {}", size.0))
    }

    pub(super) fn change_theme(&mut self, shown: &Shown, theme: &str) -> Result<()> {
        let context = json!({ "theme": theme });
        self.browser
            .value(&shown.page, &format!("change({context})"))?;
        let scheme = "document.documentElement.style.colorScheme";
        self.until(shown, &format!("{scheme} === {}", json!(theme)))
    }

    /// The tools that the view has called since it was shown.
    pub(super) fn called(&self) -> Vec<String> {
        self.called.clone()
    }

    /// The messages that it has sent since then.
    pub(super) fn said(&self) -> Vec<String> {
        self.said.clone()
    }

    /// Waits until the view fulfils a condition and has been laid out after that.
    fn until(&mut self, shown: &Shown, condition: &str) -> Result<()> {
        let settled = format!(
            "new Promise(done => {{
                const look = () => requestAnimationFrame({condition} ? last : look);
                const last = () => requestAnimationFrame(() => done());
                look();
            }})"
        );
        self.value(shown, &settled).map(drop)
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        let result = self.client.call_any(tool, arguments)?;
        let result = result.map_err(|error| anyhow::anyhow!("{tool}: {error}"))?;
        Ok(serde_json::to_value(result)?)
    }

    /// Does what the view asks for.
    fn serve(&mut self, shown: &Shown) -> Result<()> {
        let sent = self.browser.value(&shown.page, "all.splice(0)")?;
        for message in sent.as_array().into_iter().flatten() {
            ensure!(message.get("jsonrpc") == Some(&json!("2.0")), "{message}");
            let method = message.get("method").and_then(Value::as_str);
            ensure!(
                method.is_none_or(|method| MESSAGES.contains(&method)),
                "an unknown message: {message}"
            );
        }
        let asked = self.browser.value(&shown.page, "take()")?;
        for message in asked.as_array().into_iter().flatten() {
            let id = message.get("id").context("a request without an id")?;
            let params = message.get("params").context("no parameters")?;
            let result = match message.get("method").and_then(Value::as_str) {
                Some("tools/call") => {
                    let name = params.get("name").and_then(Value::as_str);
                    let name = name.context("no tool")?.to_owned();
                    self.may_call(&name)?;
                    let arguments = params.get("arguments").context("no arguments")?;
                    let result = self.call(&name, arguments)?;
                    self.called.push(name);
                    result
                }
                Some("ui/message") => {
                    let text = params.pointer("/content/0/text").and_then(Value::as_str);
                    ensure!(params.get("role") == Some(&json!("user")), "{params}");
                    self.said.push(text.context("no text")?.to_owned());
                    json!({})
                }
                _ => bail!("an unknown request: {message}"),
            };
            self.browser
                .value(&shown.page, &format!("answer({id}, {result})"))?;
        }
        Ok(())
    }

    /// Clients refuse views the tools that are for the model alone.
    fn may_call(&self, tool: &str) -> Result<()> {
        let mut tools = self.tools.iter();
        let tool = tools.find(|one| one.get("name") == Some(&json!(tool)));
        let tool = tool.context("a view called a tool that is not offered")?;
        let reads = tool.pointer("/annotations/readOnlyHint") == Some(&json!(true));
        let is_hidden = tool.pointer("/_meta/ui/visibility") == Some(&json!(["model"]));
        ensure!(reads && !is_hidden, "a view called {tool}");
        Ok(())
    }
}
