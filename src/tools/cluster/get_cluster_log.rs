//! `get_cluster_log`: what was done in the cluster, and by whom.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::line::{DEFAULT_LIMIT, LINE_LENGTH};
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{At, Listed, Num, Params, Pve, Text, known_node};
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Reply, Run};
use crate::{clock, text};

/// The cluster's log.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetClusterLog {
    /// Of this node.
    node: Option<String>,
    /// Part of the user's name.
    user: Option<String>,
    /// Part of the message, in any case.
    contains: Option<String>,
    /// Minimum severity.
    severity: Option<Severity>,
    /// Since: 2h, 3d, a date (UTC) or a time.
    since: Option<String>,
    /// Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
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

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct ClusterLog {
    /// Newest first.
    entries: Vec<LogEntry>,
    /// Number of matches, including those not shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
struct LogEntry {
    at: String,
    node: String,
    user: String,
    service: String,
    severity: Severity,
    message: String,
}

#[derive(Debug, DeserializeFields)]
struct RawEntry {
    /// An entry without a message is left out, and counted.
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

/// How many entries are read: about as many as the cluster keeps.
const ALL_ENTRIES: u32 = 5000;

impl Run for GetClusterLog {
    type Output = ClusterLog;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::LOG),
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<ClusterLog>> {
        let since = self
            .since
            .as_deref()
            .map(|since| clock::moment("since", since))
            .transpose()?;
        let raw: Vec<RawEntry> = pve.send(
            &calls::cluster::LOG.at([]),
            &Params::new().set("max", ALL_ENTRIES),
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
        order::by_key(&mut found, |entry| std::cmp::Reverse(entry.time.0));
        let total = found.len();
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let narrow = "node, user, contains, severity or since";
        let part = page.cut(&mut found, "/entries", narrow);
        let hint = match none_seen {
            true => Some(pve.empty_hint(Listed::Log)),
            false => part.note(),
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
        let log = ClusterLog {
            entries,
            total,
            hint,
        };
        Ok(Reply::Listed(log, text, part))
    }
}

impl GetClusterLog {
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
}
