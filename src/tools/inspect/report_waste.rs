//! `report_waste`: what takes memory and storage and may not be needed.

use pve_api::calls;
use schemars::JsonSchema;

use super::waste::finding::{Waste, WasteKind};
use super::waste::survey::Survey;
use super::waste::{guests, load, volumes};
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::Pve;
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Part, Reply, Run};

/// What may not be needed.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportWaste {
    /// Only guests and storages of this node.
    node: Option<String>,
    /// Minimum age, in days, of the snapshots and stopped guests to report. Default 30.
    #[schemars(range(min = 1, max = 3650))]
    older_than_days: Option<u32>,
    /// Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

const DEFAULT_DAYS: u32 = 30;
const DEFAULT_LIMIT: u32 = 50;

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct WasteReport {
    /// The largest first; those of unknown size last.
    findings: Vec<Waste>,
    totals: Vec<Total>,
    /// Also those that are not shown.
    total: usize,
    /// What could not be looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_checked: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Total {
    kind: WasteKind,
    count: usize,
    /// Of those whose size is known.
    bytes: u64,
}

impl Run for ReportWaste {
    type Output = WasteReport;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::access::PERMISSIONS),
        Calls::One(&calls::cluster::REPLICATION),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::TASKS),
        Calls::One(&calls::storage::CONTENT),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::METRICS),
        Calls::Guest(&calls::guests::PENDING),
        Calls::Guest(&calls::snapshots::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<WasteReport>> {
        let days = u64::from(self.older_than_days.unwrap_or(DEFAULT_DAYS));
        let mut survey = Survey::read(pve, self.node.as_deref())?;
        let mut found = Vec::new();
        volumes::find(pve, &mut survey, &mut found);
        guests::find_snapshots(pve, &mut survey, days, &mut found);
        guests::find_stopped(pve, &mut survey, days, &mut found);
        load::find(pve, &mut survey, &mut found);
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let (report, part) = WasteReport::new(found, survey.into_not_checked(), page);
        let text = report.text();
        Ok(Reply::Listed(report, text, part))
    }
}

impl WasteReport {
    fn new(mut findings: Vec<Waste>, not_checked: Vec<String>, page: Page) -> (Self, Part) {
        order::by_key(&mut findings, |waste| {
            (std::cmp::Reverse(waste.bytes), waste.finding.clone())
        });
        let totals = WasteKind::ALL
            .into_iter()
            .map(|kind| {
                let of_kind = || findings.iter().filter(move |waste| waste.is(kind));
                Total {
                    kind,
                    count: of_kind().count(),
                    bytes: of_kind().filter_map(|waste| waste.bytes).sum(),
                }
            })
            .filter(|total| total.count > 0)
            .collect();
        let total = findings.len();
        let part = page.cut(&mut findings, "/findings", "node or older_than_days");
        let mut notes: Vec<String> = part.note().into_iter().collect();
        if total == 0 {
            notes.push("nothing was found; see not_checked for what was not looked at".into());
        }
        let report = Self {
            findings,
            totals,
            total,
            not_checked,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        (report, part)
    }

    fn text(&self) -> String {
        let mut text = text::count(self.total, "finding");
        if let Some(first) = self.findings.first() {
            let bytes = first
                .bytes
                .map_or_else(String::new, |bytes| format!(" ({})", text::bytes(bytes)));
            text.push_str(&format!("; the largest: {}{bytes}", first.finding));
        }
        if !self.not_checked.is_empty() {
            text.push_str(&format!("; not checked: {}", self.not_checked.join("; ")));
        }
        text
    }
}
