//! Tasks: their status and their logs.

use serde::Deserialize;

use super::{Failure, Num, Params, Path, Pve, Text, Upid};

/// What Proxmox says of a task.
#[derive(Debug, Clone, Deserialize)]
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
        pve.get(&path(upid, "status"), &Params::new())
    }

    /// The exit status of a task that has ended.
    pub(crate) fn exit(&self) -> Option<&str> {
        if self.status != "stopped" {
            return None;
        }
        Some(
            self.exitstatus
                .as_ref()
                .map_or("unknown", |text| text.0.as_str()),
        )
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
        #[derive(Deserialize)]
        struct Line {
            #[serde(default)]
            t: Option<String>,
        }
        let page = pve.get_paged::<Vec<Line>>(
            &path(upid, "log"),
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

fn path(upid: &Upid, what: &str) -> Path {
    Path::new(["nodes", upid.node(), "tasks", upid.as_str(), what])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_success_and_running_is_no_end() {
        let status = |json: &str| serde_json::from_str::<TaskStatus>(json).unwrap();
        assert!(status(r#"{"status":"stopped","exitstatus":"OK"}"#).is_ok());
        assert!(status(r#"{"status":"stopped","exitstatus":"WARNINGS: 1"}"#).is_ok());
        let failed = status(r#"{"status":"stopped","exitstatus":"VM is locked (backup)"}"#);
        assert!(!failed.is_ok());
        assert_eq!(failed.exit(), Some("VM is locked (backup)"));
        assert_eq!(status(r#"{"status":"running"}"#).exit(), None);
    }
}
