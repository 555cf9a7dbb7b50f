//! Tasks: their status and their logs.

use pve_api::{Upid, calls};
use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

use super::client::Pve;
use super::failure::Failure;
use super::num::{Num, Text};
use super::params::Params;
use super::request::At;

use crate::json::DeserializeFields;

/// The answer of a call that starts a task.
///
/// Some calls answer something else with status 200: `vzdump` of a guest that
/// has left the node answers "OK" and does nothing, older versions resize a
/// disk at once and answer null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Started {
    Task(Upid),
    /// No task was named; the text of the answer, where it is one.
    WithoutTask(Option<String>),
}

impl<'de> Deserialize<'de> for Started {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = value
            .as_str()
            .or_else(|| value.get("upid").and_then(Value::as_str))
            .map(str::trim)
            .filter(|text| !text.is_empty());
        Ok(match text.map(|text| (text, text.parse())) {
            Some((_, Ok(upid))) => Self::Task(upid),
            Some((text, Err(_))) => Self::WithoutTask(Some(text.to_owned())),
            None => Self::WithoutTask(None),
        })
    }
}

/// The exit status of a task whose outcome is unknown.
pub(crate) const UNKNOWN_EXIT: &str = "unknown";

/// Whether an exit status says that the task's outcome is unknown: Proxmox calls
/// it an unexpected status where the log breaks off.
pub(crate) fn is_unknown_exit(exit: &str) -> bool {
    matches!(exit.trim(), "" | UNKNOWN_EXIT | "unexpected status")
}

/// What Proxmox says of a task.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct TaskStatus {
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) exitstatus: Option<Text>,
    #[serde(default)]
    pub(crate) starttime: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) endtime: Option<Num<u64>>,
}

impl TaskStatus {
    /// Asks for it.
    pub(crate) fn read(pve: &Pve, upid: &Upid) -> Result<Self, Failure> {
        pve.send(
            &calls::nodes::TASK_STATUS.at([upid.node(), upid.as_str()]),
            &Params::new(),
        )
    }

    /// The exit status of a task that has ended; [`UNKNOWN_EXIT`] where Proxmox
    /// has none, as after a power cut.
    pub(crate) fn exit(&self) -> Option<&str> {
        let exit = self
            .exitstatus
            .as_ref()
            .map(|text| text.0.trim())
            .filter(|exit| !exit.is_empty());
        match self.status.as_str() {
            "stopped" => Some(exit.unwrap_or(UNKNOWN_EXIT)),
            "running" => None,
            // An odd status; only an ended task has an exit status.
            _ => exit,
        }
    }

    /// Whether it has ended well: warnings count as well.
    pub(crate) fn is_ok(&self) -> bool {
        self.exit()
            .is_some_and(|exit| exit == "OK" || exit.starts_with("WARNINGS"))
    }

    /// How long it took, where Proxmox says it.
    pub(crate) fn duration_seconds(&self) -> Option<u64> {
        Some(self.endtime?.0.saturating_sub(self.starttime?.0))
    }
}

/// Lines of a task's log.
#[derive(Debug, Clone)]
pub(crate) struct TaskLog {
    /// Oldest first.
    pub(crate) lines: Vec<String>,
    /// How many lines the whole log has.
    pub(crate) total: u64,
}

impl TaskLog {
    /// The last lines.
    pub(crate) fn tail(pve: &Pve, upid: &Upid, most: u64) -> Result<Self, Failure> {
        let first = Self::page(pve, upid, 0, most)?;
        if first.total <= most {
            return Ok(first);
        }
        Self::page(pve, upid, first.total - most, most)
    }

    /// A page of lines, counted from 0.
    pub(crate) fn page(pve: &Pve, upid: &Upid, start: u64, limit: u64) -> Result<Self, Failure> {
        #[derive(DeserializeFields)]
        struct Line {
            #[serde(default)]
            t: Option<String>,
        }
        let page = pve.send_paged::<Vec<Line>>(
            &calls::nodes::TASK_LOG.at([upid.node(), upid.as_str()]),
            &Params::new().set("start", start).set("limit", limit),
        )?;
        let lines: Vec<String> = page.data.into_iter().filter_map(|line| line.t).collect();
        // What Proxmox says in place of a log that holds nothing yet.
        if start == 0 && lines.len() == 1 && lines.iter().all(|line| line == "no content") {
            return Ok(Self {
                lines: Vec::new(),
                total: 0,
            });
        }
        let total = page.total.unwrap_or(start + lines.len() as u64);
        Ok(Self { lines, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_no_task_is_an_answer() {
        let started = |json: &str| serde_json::from_str::<Started>(json).unwrap();
        let upid = "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:";
        let task = Started::Task(upid.parse().unwrap());
        assert_eq!(started(&format!("\"{upid}\"")), task);
        assert_eq!(started(&format!("{{\"upid\":\"{upid}\"}}")), task);
        assert_eq!(
            started("\"OK\""),
            Started::WithoutTask(Some("OK".to_owned()))
        );
        for nothing in ["null", "\"\"", "{}", "[]", "1"] {
            assert_eq!(started(nothing), Started::WithoutTask(None), "{nothing}");
        }
    }

    #[test]
    fn warnings_are_success_and_running_is_no_end() {
        let status = |json: &str| serde_json::from_str::<TaskStatus>(json).unwrap();
        assert!(status(r#"{"status":"stopped","exitstatus":"OK"}"#).is_ok());
        assert!(status(r#"{"status":"stopped","exitstatus":"WARNINGS: 1"}"#).is_ok());
        let failed = status(r#"{"status":"stopped","exitstatus":"VM is locked (backup)"}"#);
        assert!(!failed.is_ok());
        assert_eq!(failed.exit(), Some("VM is locked (backup)"));
        assert_eq!(status(r#"{"status":"running"}"#).exit(), None);
        for odd in [
            r#"{"status":"stopped"}"#,
            r#"{"status":"stopped","exitstatus":""}"#,
        ] {
            assert_eq!(status(odd).exit(), Some(UNKNOWN_EXIT));
            assert!(!status(odd).is_ok());
        }
        assert_eq!(
            status(r#"{"status":"","exitstatus":"OK"}"#).exit(),
            Some("OK")
        );
        assert_eq!(status("{}").exit(), None);
    }
}
