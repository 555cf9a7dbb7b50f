//! A request such as users write, and how to tell whether it was fulfilled.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::simulator::Simulator;

/// A file in `evals/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    /// The file's name without number and ending.
    #[serde(skip)]
    pub(super) name: String,
    /// What the user writes.
    pub(super) ask: String,
    /// Control lines for the simulated cluster, before the session begins.
    #[serde(default)]
    setup: Vec<Value>,
    /// What a good agent calls, in this order.
    pub(super) calls: Vec<Call>,
    /// What the user must be told. The scripted agent says nothing, so for it,
    /// the results of its calls must contain it.
    #[serde(default)]
    finds: Vec<String>,
    /// What must be true of the cluster at the end.
    #[serde(default)]
    state: Vec<State>,
}

/// A tool call of the scripted agent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) tool: String,
    arguments: Map<String, Value>,
    /// Values to keep from the result: a name, and a JSON pointer into the
    /// structured content. A later argument `"{name}"` is replaced by the value.
    #[serde(default)]
    save: BTreeMap<String, String>,
}

/// What must be true of a guest. The pointers lead into what the simulator
/// answers to the control line `get`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    vmid: u32,
    /// Pointers to values that must be equal.
    #[serde(default)]
    is: BTreeMap<String, Value>,
    /// Pointers to texts or lists that must contain a text.
    #[serde(default)]
    contains: BTreeMap<String, String>,
}

/// All tasks, in the order of their numbers.
pub(super) fn load(folder: &Path) -> Result<Vec<Task>> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let tasks: Vec<Task> = files.iter().map(|file| read(file)).collect::<Result<_>>()?;
    ensure!(!tasks.is_empty(), "no tasks in {}", folder.display());
    Ok(tasks)
}

fn read(file: &Path) -> Result<Task> {
    let text = fs::read_to_string(file)?;
    let mut task: Task =
        serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    task.name = name
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim_start_matches('-')
        .to_owned();
    Ok(task)
}

impl Task {
    /// Brings the cluster into the state in which the user finds it.
    pub(super) fn set_up(&self, simulator: &mut Simulator) -> Result<()> {
        self.setup.iter().try_for_each(|line| {
            simulator.control(line)?;
            Ok(())
        })
    }

    /// What is missing in what the user was told. Case does not matter.
    pub(super) fn missing(&self, told: &str) -> Vec<String> {
        let told = told.to_lowercase();
        self.finds
            .iter()
            .filter(|text| !told.contains(&text.to_lowercase()))
            .map(|text| format!("nothing says '{text}'"))
            .collect()
    }

    /// What is not as it must be at the end.
    pub(super) fn wrong(&self, simulator: &mut Simulator) -> Vec<String> {
        self.state
            .iter()
            .flat_map(|state| match state.wrong(simulator) {
                Ok(wrong) => wrong,
                Err(error) => vec![format!("guest {}: {error:#}", state.vmid)],
            })
            .collect()
    }
}

impl Call {
    /// The arguments, with what earlier calls have saved.
    pub(super) fn arguments(&self, saved: &BTreeMap<String, Value>) -> Result<Value> {
        let mut arguments = Value::Object(self.arguments.clone());
        fill(&mut arguments, saved)?;
        Ok(arguments)
    }

    /// Saves what later calls need.
    pub(super) fn save(&self, content: &Value, saved: &mut BTreeMap<String, Value>) -> Result<()> {
        for (name, pointer) in &self.save {
            let value = content
                .pointer(pointer)
                .with_context(|| format!("{} returned no {pointer}", self.tool))?;
            saved.insert(name.clone(), value.clone());
        }
        Ok(())
    }
}

fn fill(value: &mut Value, saved: &BTreeMap<String, Value>) -> Result<()> {
    match value {
        Value::String(text) => {
            let name = text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'));
            if let Some(name) = name {
                let found = saved.get(name);
                *value = found
                    .cloned()
                    .with_context(|| format!("no call has saved {name}"))?;
            }
            Ok(())
        }
        Value::Array(values) => values.iter_mut().try_for_each(|value| fill(value, saved)),
        Value::Object(fields) => fields.values_mut().try_for_each(|value| fill(value, saved)),
        _ => Ok(()),
    }
}

impl State {
    fn wrong(&self, simulator: &mut Simulator) -> Result<Vec<String>> {
        let guest = simulator.control(&json!({"cmd": "get", "vmid": self.vmid}))?;
        let found = |pointer: &str| guest.pointer(pointer).cloned().unwrap_or_default();
        let differs = |(pointer, expected): (&String, &Value)| {
            let found = found(pointer);
            (found != *expected)
                .then(|| format!("guest {}: {pointer} is {found}, not {expected}", self.vmid))
        };
        let lacks = |(pointer, text): (&String, &String)| {
            let found = found(pointer).to_string();
            (!found.contains(text.as_str()))
                .then(|| format!("guest {}: {pointer} is {found}, without {text}", self.vmid))
        };
        let differing = self.is.iter().filter_map(differs);
        Ok(differing
            .chain(self.contains.iter().filter_map(lacks))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_values_keep_their_type() {
        let call: Call = serde_json::from_value(json!({
            "tool": "get_guest",
            "arguments": {"vmid": "{vmid}", "deep": [{"upid": "{upid}"}], "name": "web"},
            "save": {"node": "/node"}
        }))
        .expect("a call");
        let mut saved = BTreeMap::from([
            ("vmid".to_owned(), json!(101)),
            ("upid".to_owned(), json!("UPID:x")),
        ]);
        let arguments = call.arguments(&saved).expect("all are saved");
        assert_eq!(
            arguments,
            json!({"vmid": 101, "deep": [{"upid": "UPID:x"}], "name": "web"})
        );
        call.save(&json!({"node": "pve1"}), &mut saved)
            .expect("saved");
        assert_eq!(saved.get("node"), Some(&json!("pve1")));
        let error = call
            .save(&json!({}), &mut saved)
            .expect_err("nothing there");
        assert_eq!(error.to_string(), "get_guest returned no /node");
    }
}
