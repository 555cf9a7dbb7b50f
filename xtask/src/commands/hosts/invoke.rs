//! `wasmtime run --invoke`: a process for each call.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::install::Program;
use super::scene::{Scene, Visit, settings};
use super::tour::{self, Caller, Said};
use super::typed;
use crate::simulator::Simulator;

pub(super) fn visit(
    scene: &Scene<'_>,
    program: &Program,
    simulator: &mut Simulator,
) -> Result<Visit> {
    let mut host = Invoke {
        program,
        tools: scene.tools,
        component: scene.all("typed")?,
        settings: settings(simulator),
    };
    let started = Instant::now();
    host.call("list_nodes", &json!({}))?.ok();
    let start = started.elapsed();
    let (call, mut said) = tour::calls(&mut host, simulator)?;

    host.component = scene.narrow("typed")?;
    let refused = host.call("start_guest", &json!({ "vmid": 100 }));
    ensure!(
        refused.is_err(),
        "start-guest can be called where only tools that read should be"
    );
    said.push("observe has no function that writes".to_owned());
    Ok(Visit { start, call, said })
}

struct Invoke<'a> {
    program: &'a Program,
    tools: &'a [Value],
    component: PathBuf,
    settings: Vec<(&'static str, String)>,
}

impl Caller for Invoke<'_> {
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Said> {
        let mut command = self.program.command();
        command.args(["run", "-Scli", "-Shttp"]);
        for (name, value) in &self.settings {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command
            .arg("--invoke")
            .arg(typed::wave(self.tools, tool, arguments)?)
            .arg(&self.component);
        let ended = command.output().context("cannot start wasmtime")?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let text = text.trim();
        let inner = |case: &str| {
            text.strip_prefix(case)?
                .strip_prefix("(\"")?
                .strip_suffix("\")")
        };
        if let Some(json) = inner("ok") {
            return Ok(Ok(serde_json::from_str(&unescaped(json)?)?));
        }
        if let Some(error) = inner("err") {
            return Ok(Err(unescaped(error)?));
        }
        // Its last line says why.
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!(
            "wasmtime said {text:?} and {:?}",
            said.lines().last().unwrap_or_default()
        )
    }
}

/// The text of a string in WAVE.
fn unescaped(text: &str) -> Result<String> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next().context("a string ends in a backslash")? {
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            'u' => {
                let code: String = letters.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let code = u32::from_str_radix(&code, 16)?;
                plain.push(char::from_u32(code).context("no such character")?);
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_wave_are_read() {
        assert_eq!(
            unescaped(r#"{\"a\": \"b\\n\", \'c\'}\n\u{e9}"#).unwrap(),
            "{\"a\": \"b\\n\", 'c'}\né"
        );
    }
}
