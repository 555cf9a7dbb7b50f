//! Field cases: reports of users as files. A case says what the API answers,
//! which tools are called and what must come of it; it is played by a real
//! server, host-runner and MCP client. `docs/development.md` shows how to add
//! one.

mod file;
mod judge;
mod server;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

pub use file::{Call, Case, ErrorKind, Expectation, Reply, Times, Words};

use crate::Client;
use judge::Outcome;
use server::Server;

/// So much of an answer is shown where it is not as expected.
const SHOWN_BYTES: usize = 2000;

impl Case {
    /// Plays the case: each way in which something else came of a call than
    /// the file says, in words.
    pub async fn play(&self) -> Vec<String> {
        match self.try_play().await {
            Ok(problems) => problems,
            Err(error) => vec![format!("cannot be played: {error:#}")],
        }
    }

    async fn try_play(&self) -> anyhow::Result<Vec<String>> {
        anyhow::ensure!(!self.calls.is_empty(), "it calls no tool");
        let server = Server::start(self.listen, &self.answers).await?;
        let mut shared: Option<Host> = None;
        let mut problems = Vec::new();
        for (index, call) in self.calls.iter().enumerate() {
            let mut own: Option<Host> = None;
            let host = match &call.environment {
                Some(environment) => own.insert(self.host(&server, environment).await?),
                None => match &mut shared {
                    Some(host) => host,
                    none => none.insert(self.host(&server, &BTreeMap::new()).await?),
                },
            };
            let found = call.play(&server, host).await;
            let place = format!("call {}: {} {}", index + 1, call.tool, call.arguments);
            match found {
                Ok(found) => problems.extend(found.into_iter().map(|it| format!("{place}: {it}"))),
                Err(error) => problems.push(format!("{place}: {error:#}")),
            }
        }
        if self.every_answer_is_asked {
            let unasked = server.unasked().into_iter();
            problems.extend(unasked.map(|line| format!("no call asked for {line}")));
        }
        Ok(problems)
    }

    async fn host(
        &self,
        server: &Server,
        more: &BTreeMap<String, Option<String>>,
    ) -> anyhow::Result<Host> {
        let directory = TempDir::new()?;
        let audit = directory.path().join("audit.jsonl");
        let mut host = server.rogue.host()?;
        let port = server.rogue.port().to_string();
        for (name, value) in self.environment.iter().chain(more) {
            host = match value {
                Some(value) => host.env(name, value.replace("PORT", &port)),
                None => host.env_remove(name),
            };
        }
        host = host.arg("--audit").arg(audit.display().to_string());
        host = host.args(self.options.iter().map(String::as_str));
        Ok(Host {
            client: host.connect().await?,
            directory,
        })
    }
}

/// A running host-runner, and the folder of its audit log.
struct Host {
    client: Client,
    directory: TempDir,
}

impl Host {
    /// The kind of the error that the last call ended with.
    fn error_kind(&self) -> anyhow::Result<Option<String>> {
        let file = self.directory.path().join("audit.jsonl");
        let Ok(text) = std::fs::read_to_string(file) else {
            return Ok(None);
        };
        let mut last = None;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).context("in the audit log")?;
            let text = |name: &str| line.get(name).and_then(Value::as_str);
            if text("event") == Some("outcome") {
                last = text("error").map(str::to_owned);
            }
        }
        Ok(last)
    }
}

impl Call {
    async fn play(&self, server: &Server, host: &Host) -> anyhow::Result<Vec<String>> {
        let before = server.requests().len();
        let answer = host
            .client
            .answer(&self.tool, self.arguments.clone())
            .await?;
        let requests = server.requests().split_off(before);
        let outcome = Outcome {
            answer,
            error_kind: host.error_kind()?,
            requests,
        };
        let mut problems = judge::problems(&self.expect, &outcome)?;
        if !problems.is_empty() {
            problems.push(format!(
                "it answered {}",
                cut(&judge::text(&outcome.answer))
            ));
            let requests: Vec<String> = outcome.requests.iter().map(ToString::to_string).collect();
            problems.push(format!("it asked for {}", requests.join(", ")));
        }
        Ok(problems)
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN_BYTES)]
}

/// Where the cases are.
pub fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../field"))
}
