//! `get_node_log`: the last lines of a node's journal.

use pve_api::calls;
use schemars::JsonSchema;

use super::line::{DEFAULT_LIMIT, LINE_LENGTH};
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{At, Num, Params, Pve, Text, check_node};
use crate::tool::declared::Calls;
use crate::tool::{Reply, Run};
use crate::{clock, text};

/// A node's journal.
#[derive(Debug, DeserializeFields, JsonSchema)]
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
    /// End of the period, as since.
    until: Option<String>,
    /// Number of lines, from the end. Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct NodeLog {
    node: String,
    /// The time zone of the times in the lines.
    time_zone: String,
    /// Oldest first.
    lines: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, DeserializeFields)]
struct RawLine {
    #[serde(default)]
    t: Text,
}

#[derive(Debug, DeserializeFields)]
struct NodeTime {
    time: Option<Num<i64>>,
    localtime: Option<Num<i64>>,
    #[serde(default)]
    timezone: String,
}

/// How many of the last lines are searched for a word.
const SEARCHED_LINES: u32 = 5000;

const DAY_SECONDS: u64 = 24 * 3600;

impl Run for GetNodeLog {
    type Output = NodeLog;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::SYSLOG),
        Calls::One(&calls::nodes::TIME),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<NodeLog>> {
        let (since, until) = self.range()?;
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        check_node(pve, "node", &self.node)?;
        // A range is given in the node's own time.
        let clock: NodeTime = pve.send(&calls::nodes::TIME.at([&self.node]), &Params::new())?;
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
        let hint = self.hint(lines.len(), fitting, total, window);
        let zone_unknown = clock.offset().is_none().then(|| {
            "the node does not report its time zone: since and until were read as UTC and may be \
             off by hours"
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
    /// `since` and `until`, in seconds since 1970.
    fn range(&self) -> Result<(Option<u64>, Option<u64>)> {
        let since = self.since.as_deref();
        let until = self.until.as_deref();
        let since = since.map(|text| clock::moment("since", text)).transpose()?;
        let until = until
            .map(|text| clock::last_moment("until", text))
            .transpose()?;
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            return Err(Error::argument("until", "must be later than since"));
        }
        Ok((since, until))
    }

    /// How to see more, where the last `window` of `total` lines were read,
    /// `fitting` of them match, and `shown` are in the result.
    fn hint(&self, shown: usize, fitting: usize, total: u64, window: u32) -> Option<String> {
        let is_cut = total > window.into();
        if shown == 0 && !is_cut {
            Some("no line matches: use an earlier since or another search word".to_owned())
        } else if self.contains.is_some() && is_cut {
            Some(format!(
                "only the last {window} of {total} lines were looked through: narrow by service, \
                 since or until"
            ))
        } else if is_cut || fitting > shown {
            Some(
                "the last lines only: raise limit, or narrow by service, contains, since or until"
                    .to_owned(),
            )
        } else {
            None
        }
    }

    /// The last lines of a range, and how many lines the range has.
    ///
    /// The node's other way to its journal, `/journal`, would read from the
    /// end, but compresses its response with gzip for every client.
    fn tail(&self, pve: &Pve, range: &Params, window: u64) -> Result<(Vec<RawLine>, u64)> {
        let request = calls::nodes::SYSLOG.at([&self.node]);
        let page = |start: u64| {
            let params = range.clone().set("start", start).set("limit", window);
            pve.send_paged::<Vec<RawLine>>(&request, &params)
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
