//! Tasks: what a node remembers of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::faults::TaskFault;

/// A task's log.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lines {
    pub(crate) lines: Vec<String>,
    pub(crate) warnings: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// A warning, which also shows in the task's exit status.
    pub(crate) fn warn(&mut self, line: &str) {
        self.lines.push(format!("WARN: {line}"));
        self.warnings += 1;
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Task {
    pub(crate) upid: String,
    pub(crate) node: String,
    pub(crate) pid: u32,
    pub(crate) pstart: u32,
    pub(crate) kind: String,
    pub(crate) id: String,
    /// With the token: `root@pam!full`.
    pub(crate) user: String,
    pub(crate) start: i64,
    pub(crate) end: Option<i64>,
    pub(crate) status: Option<String>,
    /// Since the cluster's birth, as [`Clock::at`](crate::clock::Clock::at). Says nothing of a
    /// task that has ended.
    #[serde(skip)]
    pub(crate) started: Duration,
    #[serde(skip)]
    pub(crate) ends: Duration,
    /// Empty once it has ended.
    #[serde(skip)]
    pub(crate) script: Vec<(f64, String)>,
    pub(crate) lines: Lines,
    #[serde(skip)]
    pub(crate) on_stop: &'static str,
}

#[derive(Clone)]
pub(crate) struct Tasks {
    pub(crate) list: Vec<Task>,
    /// How long a task of length 1 runs.
    pub(crate) seconds: f64,
    pub(crate) faults: Vec<TaskFault>,
    pub(crate) next_pid: u32,
}

impl Tasks {
    pub(crate) fn new(seconds: f64) -> Tasks {
        Tasks {
            list: Vec::new(),
            seconds,
            faults: Vec::new(),
            next_pid: 0x107,
        }
    }

    pub(crate) fn find(&self, upid: &str) -> Option<&Task> {
        self.list.iter().find(|task| task.upid == upid)
    }
}

impl Tasks {
    pub(crate) fn fault_for(&mut self, kind: &str) -> Option<TaskFault> {
        let fault = self
            .faults
            .iter_mut()
            .find(|fault| fault.task == kind && fault.times > 0)?;
        fault.times -= 1;
        Some(fault.clone())
    }
}

impl Task {
    /// How much of its time has passed then, from 0 to 1.
    pub(crate) fn progress(&self, at: Duration) -> f64 {
        let whole = self.ends.saturating_sub(self.started).as_secs_f64();
        if whole == 0.0 {
            return 1.0;
        }
        at.saturating_sub(self.started).as_secs_f64() / whole
    }

    /// The log as it is then.
    pub(crate) fn log(&self, at: Duration) -> Vec<&str> {
        let passed = self.progress(at);
        let script = self
            .script
            .iter()
            .filter(|(at, _)| *at <= passed)
            .map(|(_, line)| line.as_str());
        self.lines
            .lines
            .iter()
            .map(String::as_str)
            .chain(script)
            .collect()
    }

    fn user_and_token(&self) -> (&str, Option<&str>) {
        self.user
            .split_once('!')
            .map_or((self.user.as_str(), None), |(user, token)| {
                (user, Some(token))
            })
    }

    /// As `GET /nodes/{node}/tasks/{upid}/status` answers.
    pub(crate) fn status_json(&self) -> Value {
        let mut fields = self.fields();
        fields.insert("pid".into(), json!(self.pid));
        fields.insert("pstart".into(), json!(self.pstart));
        match &self.status {
            Some(status) => {
                fields.insert("status".into(), json!("stopped"));
                fields.insert("exitstatus".into(), json!(status));
            }
            None => {
                fields.insert("status".into(), json!("running"));
            }
        }
        Value::Object(fields)
    }

    /// As an entry of `GET /nodes/{node}/tasks`.
    pub(crate) fn node_json(&self) -> Value {
        let mut fields = self.fields();
        fields.insert("pid".into(), json!(self.pid));
        fields.insert("pstart".into(), json!(self.pstart));
        self.add_end(&mut fields);
        if self.status.is_none() {
            fields.insert("status".into(), json!("RUNNING"));
        }
        Value::Object(fields)
    }

    /// As an entry of `GET /cluster/tasks`.
    pub(crate) fn cluster_json(&self) -> Value {
        let mut fields = self.fields();
        self.add_end(&mut fields);
        fields.insert(
            "saved".into(),
            json!(if self.status.is_some() { "1" } else { "0" }),
        );
        if self.status.is_none() {
            fields.insert("pid".into(), json!(self.pid));
        }
        Value::Object(fields)
    }

    fn add_end(&self, fields: &mut Map<String, Value>) {
        if let (Some(end), Some(status)) = (self.end, &self.status) {
            fields.insert("endtime".into(), json!(end));
            fields.insert("status".into(), json!(status));
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let (user, token) = self.user_and_token();
        let mut fields = Map::new();
        fields.insert("upid".into(), json!(self.upid));
        fields.insert("node".into(), json!(self.node));
        fields.insert("type".into(), json!(self.kind));
        fields.insert("id".into(), json!(self.id));
        fields.insert("user".into(), json!(user));
        fields.insert("starttime".into(), json!(self.start));
        if let Some(token) = token {
            fields.insert("tokenid".into(), json!(token));
        }
        fields
    }
}
