//! Logs: the cluster's, and a node's journal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};
use crate::pve::{Num, Params, Path, Pve, Text};
use crate::text;
use crate::tool::{Reply, Run};
use crate::tools::nodes::{check_node, known_node};

/// The cluster's log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetClusterLog {
    /// Of this node.
    node: Option<String>,
    /// Part of the user's name.
    user: Option<String>,
    /// Part of the message, in any case.
    contains: Option<String>,
    /// At least so grave.
    severity: Option<Severity>,
    /// Since: 2h, 3d, a date (UTC) or a time.
    since: Option<String>,
    /// Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ClusterLog {
    /// Newest first.
    entries: Vec<LogEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct LogEntry {
    at: String,
    node: String,
    user: String,
    service: String,
    severity: Severity,
    message: String,
}

#[derive(Debug, Deserialize)]
struct RawEntry {
    /// Without it nothing is known of an entry: it is left out, and counted.
    time: Num<u64>,
    #[serde(default)]
    node: String,
    #[serde(default)]
    user: Option<Text>,
    #[serde(default)]
    tag: Option<Text>,
    #[serde(default)]
    pri: Option<Num<u8>>,
    #[serde(default)]
    msg: Option<Text>,
}

const DEFAULT_LIMIT: u32 = 50;

/// Lines may be of any length.
const LINE_LENGTH: usize = 500;

/// How many are asked for where only some of them will fit: about as many as
/// the cluster keeps.
const ALL_ENTRIES: u32 = 5000;

impl Run for GetClusterLog {
    type Output = ClusterLog;

    fn run(self, pve: &Pve) -> Result<Reply<ClusterLog>> {
        let since = self
            .since
            .as_deref()
            .map(|since| clock::moment("since", since))
            .transpose()?;
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        // One more than wanted shows whether there are more.
        let max = if self.is_filtered() {
            ALL_ENTRIES
        } else {
            limit + 1
        };
        let raw: Vec<RawEntry> = pve.get(
            &Path::new(["cluster", "log"]),
            &Params::new().set("max", max),
        )?;
        let none_seen = raw.is_empty();
        // A node that is gone may still have entries.
        if let Some(node) = &self.node
            && !raw.iter().any(|entry| entry.node == *node)
        {
            known_node(pve, node)?;
        }
        let mut found: Vec<RawEntry> = raw
            .into_iter()
            .filter(|entry| self.fits(entry, since))
            .collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.time.0));
        let cut = found.len() > limit as usize;
        found.truncate(limit as usize);
        let hint = if none_seen {
            Some(pve.empty_hint("Sys.Syslog", "/"))
        } else if cut {
            Some(
                "there are more: raise limit, or narrow by node, user, contains, severity or since"
                    .to_owned(),
            )
        } else {
            None
        };
        let entries: Vec<LogEntry> = found.into_iter().map(LogEntry::from).collect();
        let text = match entries.first() {
            Some(last) => format!(
                "{} lines, the latest at {}: {}",
                entries.len(),
                last.at,
                text::cut(&last.message, 120)
            ),
            None => "no line".to_owned(),
        };
        Ok(Reply::Done(ClusterLog { entries, hint }, text))
    }
}

impl GetClusterLog {
    fn is_filtered(&self) -> bool {
        self.node.is_some()
            || self.user.is_some()
            || self.contains.is_some()
            || self.severity.is_some()
            || self.since.is_some()
    }

    fn fits(&self, entry: &RawEntry, since: Option<u64>) -> bool {
        let holds = |field: &Option<Text>, part: &String| {
            field
                .as_ref()
                .is_some_and(|text| text.0.to_lowercase().contains(&part.to_lowercase()))
        };
        self.node.as_ref().is_none_or(|node| *node == entry.node)
            && self
                .user
                .as_ref()
                .is_none_or(|user| holds(&entry.user, user))
            && self
                .contains
                .as_ref()
                .is_none_or(|part| holds(&entry.msg, part))
            && self.severity.is_none_or(|least| entry.severity() <= least)
            && since.is_none_or(|since| entry.time.0 >= since)
    }
}

impl RawEntry {
    fn severity(&self) -> Severity {
        // As in syslog: 0 is the gravest, 6 is usual.
        match self.pri.map_or(6, |pri| pri.0) {
            0..=2 => Severity::Critical,
            3 => Severity::Error,
            4 => Severity::Warning,
            5 => Severity::Notice,
            6 => Severity::Info,
            _ => Severity::Debug,
        }
    }
}

impl From<RawEntry> for LogEntry {
    fn from(raw: RawEntry) -> Self {
        let word = |text: Option<Text>| text.map(|text| text.0).unwrap_or_default();
        Self {
            at: text::time(raw.time.0),
            severity: raw.severity(),
            node: raw.node,
            user: word(raw.user),
            service: word(raw.tag),
            message: text::cut(&word(raw.msg), LINE_LENGTH),
        }
    }
}

/// A node's journal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetNodeLog {
    /// Its name; case matters.
    #[schemars(length(min = 1))]
    node: String,
    /// Of this systemd unit, such as pveproxy.
    #[schemars(length(min = 1, max = 128))]
    service: Option<String>,
    /// Part of a line, in any case.
    contains: Option<String>,
    /// Since: 2h, 3d, a date (UTC) or a time; default 1d.
    since: Option<String>,
    /// Until, likewise.
    until: Option<String>,
    /// The last so many lines; default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NodeLog {
    node: String,
    /// Of the times in the lines.
    time_zone: String,
    /// Oldest first.
    lines: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RawLine {
    #[serde(default)]
    t: Text,
}

#[derive(Debug, Deserialize)]
struct NodeTime {
    time: Option<Num<i64>>,
    localtime: Option<Num<i64>>,
    #[serde(default)]
    timezone: String,
}

/// How many of the last lines are looked through for a word.
const SEARCHED_LINES: u32 = 5000;

const DAY_SECONDS: u64 = 24 * 3600;

impl Run for GetNodeLog {
    type Output = NodeLog;

    fn run(self, pve: &Pve) -> Result<Reply<NodeLog>> {
        let since = self.since.as_deref();
        let until = self.until.as_deref();
        let since = since.map(|text| clock::moment("since", text)).transpose()?;
        let until = until
            .map(|text| clock::last_moment("until", text))
            .transpose()?;
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            return Err(Error::argument("until", "must be later than since"));
        }
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        check_node(pve, "node", &self.node)?;
        // A range is given in the node's own time.
        let clock: NodeTime = pve.get(&Path::new(["nodes", &self.node, "time"]), &Params::new())?;
        let since = since.unwrap_or_else(|| {
            let end = until.unwrap_or_else(clock::now);
            end.saturating_sub(DAY_SECONDS)
        });
        let params = Params::new()
            .set("since", clock.local(since))
            .opt("until", until.map(|until| clock.local(until)))
            .opt("service", self.service.as_deref());
        let window = match self.contains {
            Some(_) => SEARCHED_LINES,
            None => limit,
        };
        let (raw, total) = self.tail(pve, &params, window.into())?;
        let mut lines: Vec<String> = raw
            .into_iter()
            .map(|line| line.t.0)
            .filter(|line| self.fits(line))
            .collect();
        let fitting = lines.len();
        lines.drain(..fitting.saturating_sub(limit as usize));
        let hint = if lines.is_empty() && total <= window.into() {
            Some("no line fits: take an earlier since, or look for another word".to_owned())
        } else if self.contains.is_some() && total > window.into() {
            Some(format!(
                "only the last {window} of {total} lines were looked through: narrow by service, \
                 since or until"
            ))
        } else if total > window.into() || fitting > lines.len() {
            Some(
                "the last lines only: raise limit, or narrow by service, contains, since or until"
                    .to_owned(),
            )
        } else {
            None
        };
        let zone_unknown = clock.offset().is_none().then(|| {
            "the node does not tell its local time: since and until were taken as if it were UTC, \
             and may be hours off"
                .to_owned()
        });
        let notes: Vec<String> = hint.into_iter().chain(zone_unknown).collect();
        let hint = (!notes.is_empty()).then(|| notes.join("; "));
        let text = match lines.last() {
            Some(last) => format!("{} lines, the last: {}", lines.len(), text::cut(last, 160)),
            None => "no line".to_owned(),
        };
        let lines = lines
            .iter()
            .map(|line| text::cut(line, LINE_LENGTH))
            .collect();
        Ok(Reply::Done(
            NodeLog {
                node: self.node,
                time_zone: clock.timezone,
                lines,
                hint,
            },
            text,
        ))
    }
}

impl GetNodeLog {
    /// The last lines of a range, and how many the whole of it has.
    ///
    /// The node's other way to its journal, `/journal`, would read from the
    /// end, but answers in gzip to whoever asks.
    fn tail(&self, pve: &Pve, range: &Params, window: u64) -> Result<(Vec<RawLine>, u64)> {
        let path = Path::new(["nodes", &self.node, "syslog"]);
        let page = |start: u64| {
            let params = range.clone().set("start", start).set("limit", window);
            pve.get_paged::<Vec<RawLine>>(&path, &params)
        };
        let first = page(0)?;
        let total = first.total.unwrap_or(first.data.len() as u64);
        if total <= window {
            return Ok((first.data, total));
        }
        Ok((page(total - window)?.data, total))
    }

    fn fits(&self, line: &str) -> bool {
        // What Proxmox and journalctl say in place of lines.
        let is_remark = line == "no content"
            || line.starts_with("-- No entries")
            || line.starts_with("-- Journal begins");
        !is_remark
            && self
                .contains
                .as_ref()
                .is_none_or(|part| line.to_lowercase().contains(&part.to_lowercase()))
    }
}

impl NodeTime {
    /// How many seconds its local time is ahead of UTC.
    fn offset(&self) -> Option<i64> {
        let (local, utc) = self.localtime.zip(self.time)?;
        Some(local.0.saturating_sub(utc.0))
    }

    /// A moment as the node's clock shows it: `2026-11-22 08:04:13`. In UTC
    /// where its local time is not known.
    fn local(&self, seconds: u64) -> String {
        let offset = self.offset().unwrap_or(0);
        text::time(seconds.saturating_add_signed(offset))
            .trim_end_matches('Z')
            .replace('T', " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> RawEntry {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn cluster_filters() {
        let raw = r#"{"id":"8:pve1","pri":4,"user":"root@pam!full","pid":156,"msg":"end task X: OK","tag":"pvedaemon","uid":"8","time":1795338155,"node":"pve1"}"#;
        for (arguments, fits) in [
            ("{}", true),
            (
                r#"{"node":"pve1","user":"ROOT","contains":"End Task","severity":"warning"}"#,
                true,
            ),
            (r#"{"severity":"info"}"#, true),
            (r#"{"severity":"error"}"#, false),
            (r#"{"node":"pve2"}"#, false),
            (r#"{"contains":"start"}"#, false),
        ] {
            let tool: GetClusterLog = serde_json::from_str(arguments).unwrap();
            assert_eq!(
                tool.fits(&entry(raw), Some(1_795_338_155)),
                fits,
                "{arguments}"
            );
            assert!(!tool.fits(&entry(raw), Some(1_795_338_156)));
        }
        let shown = LogEntry::from(entry(raw));
        assert_eq!(shown.at, "2026-11-22T09:02:35Z");
        assert_eq!(
            (shown.severity, shown.service.as_str()),
            (Severity::Warning, "pvedaemon")
        );
        assert_eq!(entry(r#"{"time":1}"#).severity(), Severity::Info);
        assert!(serde_json::from_str::<RawEntry>("{}").is_err());
    }

    #[test]
    fn ranges_are_in_the_nodes_time() {
        let clock: NodeTime = serde_json::from_str(
            r#"{"time":1795338154,"localtime":1795341754,"timezone":"Europe/Vienna"}"#,
        )
        .unwrap();
        assert_eq!(clock.local(1_795_338_154), "2026-11-22 10:02:34");
        let west: NodeTime =
            serde_json::from_str(r#"{"time":1795338154,"localtime":1795320154}"#).unwrap();
        assert_eq!(west.local(1_795_338_154), "2026-11-22 04:02:34");
    }

    #[test]
    fn remarks_are_no_lines() {
        let tool: GetNodeLog = serde_json::from_str(r#"{"node":"pve1","contains":"PVE"}"#).unwrap();
        assert!(tool.fits("Nov 22 08:04:13 pve1 pvedaemon[1]: x"));
        assert!(!tool.fits("Nov 22 08:04:13 node systemd[1]: x"));
        let all: GetNodeLog = serde_json::from_str(r#"{"node":"pve1"}"#).unwrap();
        assert!(!all.fits("-- No entries --") && !all.fits("no content"));
        assert!(all.fits("-- Boot 0123 --"));
    }
}
