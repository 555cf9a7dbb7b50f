//! `get_node_log`: the last lines of a node's journal.

use pve_api::calls;
use schemars::JsonSchema;

use super::line::{DEFAULT_LIMIT, LINE_LENGTH};
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{At, Num, Params, Pve, Text, check_node};
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Part, Reply, Run};
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
    /// Lines to skip, from the end.
    offset: Option<Offset>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct NodeLog {
    node: String,
    /// The time zone of the times in the lines.
    time_zone: String,
    /// Oldest first.
    lines: Vec<String>,
    /// Number of matches, including those not shown.
    total: usize,
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
const SEARCHED_LINES: usize = 5000;

/// The list in the result, and what narrows it.
const LINES: &str = "/lines";
const NARROW: &str = "service, contains, since or until";

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
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
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
            Some(_) => Page {
                offset: 0,
                limit: SEARCHED_LINES,
            },
            None => page,
        };
        let (raw, total) = self.tail(pve, &params, window)?;
        let mut lines: Vec<String> = raw
            .into_iter()
            .map(|line| line.t.0)
            .filter(|line| self.fits(line))
            .collect();
        let part = match self.contains {
            Some(_) => last_lines(page, &mut lines).partial(total > SEARCHED_LINES),
            None if lines.is_empty() && page.offset == 0 => page.part(0, LINES, NARROW),
            None => page.part(total, LINES, NARROW),
        };
        let part = part.counted_back();
        let total_lines = part.total();
        let hint = self.hint(&part, total);
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
        let log = NodeLog {
            node: self.node,
            time_zone: clock.timezone,
            lines,
            total: total_lines,
            hint,
        };
        Ok(Reply::Listed(log, text, part))
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

    /// How to see more: the period has `total` lines.
    fn hint(&self, part: &Part, total: usize) -> Option<String> {
        let is_searched = self.contains.is_some() && total > SEARCHED_LINES;
        let mut parts: Vec<String> = part.note().into_iter().collect();
        if part.total() == 0 && parts.is_empty() && !is_searched {
            parts.push("no line matches: use an earlier since or another search word".to_owned());
        }
        if is_searched {
            parts.push(format!(
                "only the last {SEARCHED_LINES} of {total} lines were looked through: narrow by \
                 service, since or until"
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// A part of the lines of a period, counted from the end, and how many lines the
    /// period has.
    ///
    /// The node's other way to its journal, `/journal`, would read from the
    /// end, but compresses its response with gzip for every client.
    fn tail(&self, pve: &Pve, period: &Params, page: Page) -> Result<(Vec<RawLine>, usize)> {
        let request = calls::nodes::SYSLOG.at([&self.node]);
        let read = |start: usize, limit: usize| {
            let params = period.clone().set("start", start).set("limit", limit);
            pve.send_paged::<Vec<RawLine>>(&request, &params)
        };
        let first = read(0, page.limit)?;
        let mut lines = first.data;
        let total = first.total.unwrap_or(0);
        let total = usize::try_from(total)
            .unwrap_or(usize::MAX)
            .max(lines.len());
        let end = total.saturating_sub(page.offset);
        let start = total.saturating_sub(page.end());
        if start > 0 {
            lines = read(start, end - start)?.data;
        }
        lines.truncate(end - start);
        Ok((lines, total))
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

/// Keeps a part of all lines, counted from the end.
fn last_lines(page: Page, lines: &mut Vec<String>) -> Part {
    let total = lines.len();
    lines.truncate(total.saturating_sub(page.offset));
    lines.drain(..total.saturating_sub(page.end()));
    page.part(total, LINES, NARROW)
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
