//! The table: each figure beside its floor and its target.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::sample::{Sample, median};
use crate::table;

/// What is measured, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    Start,
    FirstList,
    FirstCall,
    Resident,
    Proportional,
    NoRequest,
    Guests20,
    Guests1000,
    Guests10000,
    InstanceMemory,
    Callers,
    Component,
    MachineCode,
    WasmPerTool,
    Dist,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// It is shown for comparison only.
    None,
    AtMost(f64),
    /// The floor and this much. On another machine, the ratio that this is on the
    /// machine where the target was set.
    FloorPlus {
        extra: f64,
        ratio: f64,
    },
    FloorTimes(f64),
    /// At least this part of the floor, which is a rate.
    FloorShare(f64),
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Milliseconds,
    PerSecond,
    Mebibytes,
    Kilobytes,
    Megabytes,
}

/// What `--check` refuses.
#[derive(Debug, Clone, Copy)]
enum Gate {
    None,
    /// More than twice the ratio of the target, which noise cannot reach.
    Ratio(f64),
    /// Sizes are the same on every machine.
    Size(f64),
}

impl Figure {
    /// Its name in JSON, and in the table.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Start => (
                "start",
                "Start of the process to the response to `initialize`",
            ),
            Self::FirstList => ("first_list", "First `tools/list`"),
            Self::FirstCall => ("first_call", "First `list_guests`, with the TLS handshake"),
            Self::Resident => ("resident", "Resident memory after `tools/list` and a call"),
            Self::Proportional => ("proportional", "The same, shared pages divided (PSS)"),
            Self::NoRequest => ("no_request", "A call that sends no request"),
            Self::Guests20 => ("guests_20", "`list_guests`, 20 guests"),
            Self::Guests1000 => ("guests_1000", "`list_guests`, 1,000 guests"),
            Self::Guests10000 => ("guests_10000", "`list_guests`, 10,000 guests"),
            Self::InstanceMemory => ("instance_memory", "Memory of the instance, 10,000 guests"),
            Self::Callers => ("callers_64", "`get_guest` from 64 concurrent callers"),
            Self::Component => ("component", "Component"),
            Self::MachineCode => ("machine_code", "Its machine code"),
            Self::WasmPerTool => ("wasm_per_tool", "Component per tool, on average"),
            Self::Dist => ("dist", "Static release binary with the demo"),
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Start | Self::FirstList | Self::FirstCall | Self::NoRequest => Unit::Milliseconds,
            Self::Guests20 | Self::Guests1000 | Self::Guests10000 => Unit::Milliseconds,
            Self::Resident | Self::Proportional | Self::InstanceMemory => Unit::Mebibytes,
            Self::Callers => Unit::PerSecond,
            Self::Component | Self::MachineCode | Self::Dist => Unit::Megabytes,
            Self::WasmPerTool => Unit::Kilobytes,
        }
    }

    fn target(self) -> Target {
        match self {
            Self::Start => Target::AtMost(2.5),
            Self::FirstList => Target::AtMost(3.0),
            Self::FirstCall | Self::Proportional => Target::None,
            Self::WasmPerTool => Target::AtMost(30.0),
            Self::Resident => Target::AtMost(18.0),
            Self::NoRequest => Target::AtMost(0.1),
            Self::Guests20 => Target::FloorPlus {
                extra: 0.3,
                ratio: 2.1,
            },
            Self::Guests1000 => Target::FloorTimes(1.5),
            Self::Guests10000 => Target::FloorTimes(1.3),
            Self::InstanceMemory => Target::AtMost(48.0),
            Self::Callers => Target::FloorShare(0.5),
            // `sizes` adds what each further tool may add.
            Self::Component => Target::AtMost(1.4),
            Self::MachineCode => Target::AtMost(3.5),
            Self::Dist => Target::AtMost(16.0),
        }
    }

    fn gate(self) -> Gate {
        match (self, self.target()) {
            (Self::InstanceMemory, Target::AtMost(most)) => Gate::Size(most),
            (_, Target::FloorPlus { ratio, .. } | Target::FloorTimes(ratio)) => {
                Gate::Ratio(2.0 * ratio)
            }
            (_, Target::FloorShare(share)) => Gate::Ratio(share / 2.0),
            _ => Gate::None,
        }
    }

    /// A peer, and how many times as fast we want to be.
    fn times_as_fast(self) -> Option<(&'static str, f64)> {
        (self == Self::Start).then_some(("plus", 200.0))
    }

    fn is_rate(self) -> bool {
        matches!(self.target(), Target::FloorShare(_))
    }
}

/// All measurements of a figure.
#[derive(Default)]
struct Measured {
    ours: Vec<f64>,
    /// As many as `ours`, each measured beside it; or none.
    floor: Vec<f64>,
    peers: BTreeMap<String, Result<Vec<f64>, String>>,
    /// The largest size, where it depends on what is measured.
    most: Option<f64>,
    note: Option<String>,
}

/// All figures of a run.
#[derive(Default)]
pub(super) struct Report {
    figures: BTreeMap<Figure, Measured>,
    peers: Vec<String>,
    facts: Vec<(&'static str, String)>,
}

impl Report {
    pub(super) fn new(facts: Vec<(&'static str, String)>, peers: Vec<String>) -> Self {
        Self {
            facts,
            peers,
            ..Self::default()
        }
    }

    /// A figure in its unit.
    pub(super) fn ours(&mut self, figure: Figure, value: f64) {
        self.measured(figure).ours.push(value);
    }

    /// A figure, and its floor from right beside it.
    pub(super) fn pair(&mut self, figure: Figure, ours: f64, floor: f64) {
        let measured = self.measured(figure);
        measured.ours.push(ours);
        measured.floor.push(floor);
    }

    /// The same of another server, or why it cannot be measured.
    pub(super) fn peer(&mut self, figure: Figure, peer: &str, value: &Result<f64>) {
        let peers = &mut self.measured(figure).peers;
        match value {
            Ok(value) => {
                let values = peers
                    .entry(peer.to_owned())
                    .or_insert_with(|| Ok(Vec::new()));
                if let Ok(values) = values {
                    values.push(*value);
                }
            }
            Err(error) => {
                peers.insert(peer.to_owned(), Err(format!("{error:#}")));
            }
        }
    }

    /// The largest size of a figure, instead of its target. `--check` refuses what is more
    /// than 5 % above.
    pub(super) fn at_most(&mut self, figure: Figure, most: f64) {
        self.measured(figure).most = Some(most);
    }

    /// Something to know about a figure, or why there is none.
    pub(super) fn note(&mut self, figure: Figure, note: impl Into<String>) {
        self.measured(figure).note = Some(note.into());
    }

    fn measured(&mut self, figure: Figure) -> &mut Measured {
        self.figures.entry(figure).or_default()
    }

    fn rows(&self) -> impl Iterator<Item = (Figure, &Measured)> {
        let rows = self.figures.iter();
        rows.map(|(figure, measured)| (*figure, measured))
    }

    pub(super) fn json(&self, phases: &Value) -> Value {
        let figures: Map<String, Value> = self
            .rows()
            .map(|(figure, measured)| (figure.names().0.to_owned(), measured.json(figure)))
            .collect();
        let facts: Map<String, Value> = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        json!({ "run": facts, "figures": figures, "phases": phases })
    }

    /// The table in Markdown, which also reads well as it is.
    pub(super) fn markdown(&self) -> String {
        let mut head = vec!["", "Median (p10–p90)", "Floor", "Ratio to the floor"];
        head.extend(["Target", "Met"]);
        head.extend(self.peers.iter().map(String::as_str));
        let rows = self.rows();
        let rows = rows.map(|(figure, measured)| measured.cells(figure, &self.peers));
        let mut text = table::markdown(&head, rows);
        for (figure, measured) in self.rows() {
            let name = figure.names().1;
            if let Some((peer, times)) = figure.times_as_fast()
                && let Some(Ok(values)) = measured.peers.get(peer)
                && let Some(ours) = Sample::of(&measured.ours)
            {
                let is_met = median(values) / ours.median >= times;
                text.push_str(&format!(
                    "\n- {name}: the target of {times} times as fast as {peer} is {}met.",
                    if is_met { "" } else { "not " }
                ));
            }
            if let Some(note) = &measured.note {
                text.push_str(&format!("\n- {name}: {note}."));
            }
            for (peer, result) in &measured.peers {
                if let Err(error) = result {
                    text.push_str(&format!("\n- {name}, {peer}: {}", error.trim()));
                }
            }
        }
        let facts = self.facts.iter();
        let facts: Vec<String> = facts
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        format!("{}\n\n{}.\n", text.trim_end(), facts.join("; "))
    }

    /// Fails where a ratio is more than twice its target, or a size above its
    /// limit.
    pub(super) fn check(&self) -> Result<()> {
        let faults: Vec<String> = self
            .rows()
            .filter_map(|(figure, measured)| measured.fault(figure))
            .collect();
        match faults.as_slice() {
            [] => Ok(()),
            faults => bail!("too slow or too large: {}", faults.join("; ")),
        }
    }
}

/// How far above its limit a size may be, as toolchains differ.
const SLACK: f64 = 1.05;

impl Measured {
    fn target(&self, figure: Figure) -> Target {
        self.most.map_or(figure.target(), Target::AtMost)
    }

    fn gate(&self, figure: Figure) -> Gate {
        let gate = |most| Gate::Size(most * SLACK);
        self.most.map_or(figure.gate(), gate)
    }

    fn ratio(&self) -> Option<Sample> {
        let pairs = self.ours.iter().zip(&self.floor);
        let ratios: Vec<f64> = pairs.map(|(ours, floor)| ours / floor).collect();
        Sample::of(&ratios)
    }

    /// None where nothing was measured.
    fn is_met(&self, target: Target) -> Option<bool> {
        let ours = Sample::of(&self.ours)?.median;
        match target {
            Target::None => None,
            Target::AtMost(most) => Some(ours <= most),
            Target::FloorPlus { extra, .. } => {
                let pairs = self.ours.iter().zip(&self.floor);
                let extras: Vec<f64> = pairs.map(|(ours, floor)| ours - floor).collect();
                Some(median(&extras) <= extra)
            }
            Target::FloorTimes(most) => Some(self.ratio()?.median <= most),
            Target::FloorShare(least) => Some(self.ratio()?.median >= least),
        }
    }

    fn fault(&self, figure: Figure) -> Option<String> {
        let name = figure.names().1;
        match self.gate(figure) {
            Gate::None => None,
            Gate::Ratio(limit) => {
                let ratio = self.ratio()?;
                // A busy machine slows most rounds down, a mistake all of them.
                let (best, is_fault) = match figure.is_rate() {
                    true => (ratio.most, ratio.most < limit),
                    false => (ratio.least, ratio.least > limit),
                };
                is_fault
                    .then(|| format!("{name}: {best:.2} of the floor at best (limit {limit:.2})"))
            }
            Gate::Size(limit) => {
                let ours = Sample::of(&self.ours)?.median;
                let unit = figure.unit();
                (ours > limit)
                    .then(|| format!("{name}: {} (limit {})", unit.shown(ours), unit.shown(limit)))
            }
        }
    }

    fn cells(&self, figure: Figure, peers: &[String]) -> Vec<String> {
        let unit = figure.unit();
        let shown = |values: &[f64]| Sample::of(values).map(|sample| unit.range(sample));
        let dash = || "–".to_owned();
        let floor = Sample::of(&self.floor).map(|floor| unit.shown(floor.median));
        let ratio = self
            .ratio()
            .map(|ratio| format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.low, ratio.high));
        let target = self.target(figure);
        let met = self
            .is_met(target)
            .map(|met| if met { "yes" } else { "**no**" });
        let mut cells = vec![
            figure.names().1.to_owned(),
            shown(&self.ours).unwrap_or_else(dash),
            floor.unwrap_or_else(dash),
            ratio.unwrap_or_else(dash),
            target.shown(unit),
            met.map_or_else(dash, str::to_owned),
        ];
        cells.extend(peers.iter().map(|peer| match self.peers.get(peer) {
            None => dash(),
            Some(Err(_)) => "fails".to_owned(),
            Some(Ok(values)) => self.beside(unit, values).unwrap_or_else(dash),
        }));
        cells
    }

    /// What a peer takes, and how many times as much as ours that is.
    fn beside(&self, unit: Unit, peer: &[f64]) -> Option<String> {
        let (ours, peer) = (Sample::of(&self.ours)?.median, Sample::of(peer)?.median);
        let times = peer / ours;
        let digits = if times < 9.95 { 1 } else { 0 };
        Some(format!("{} ({times:.digits$} ×)", unit.shown(peer)))
    }

    fn json(&self, figure: Figure) -> Value {
        let sample = |values: &[f64]| Sample::of(values).map(Sample::to_json);
        let peers: Map<String, Value> = self
            .peers
            .iter()
            .map(|(peer, values)| {
                let value = match values {
                    Ok(values) => json!(sample(values)),
                    Err(error) => json!({ "error": error }),
                };
                (peer.clone(), value)
            })
            .collect();
        json!({
            "about": figure.names().1.replace('`', ""),
            "unit": figure.unit().name(),
            "ours": sample(&self.ours),
            "floor": sample(&self.floor),
            "ratio": self.ratio().map(Sample::to_json),
            "target": self.target(figure).json(),
            "met": self.is_met(self.target(figure)),
            "peers": peers,
            "note": self.note,
        })
    }
}

impl Target {
    fn shown(self, unit: Unit) -> String {
        match self {
            Self::None => "–".to_owned(),
            Self::AtMost(most) => format!("≤ {}", unit.shown(most)),
            Self::FloorPlus { extra, .. } => format!("≤ floor + {}", unit.shown(extra)),
            Self::FloorTimes(times) => format!("≤ floor × {times}"),
            Self::FloorShare(share) => format!("≥ {:.0} % of the floor", share * 100.0),
        }
    }

    fn json(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::AtMost(most) => json!({ "at_most": most }),
            Self::FloorPlus { extra, .. } => json!({ "at_most_floor_plus": extra }),
            Self::FloorTimes(times) => json!({ "at_most_ratio": times }),
            Self::FloorShare(share) => json!({ "at_least_ratio": share }),
        }
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::PerSecond => "/s",
            Self::Mebibytes => "MiB",
            Self::Kilobytes => "KB",
            Self::Megabytes => "MB",
        }
    }

    /// With three significant digits.
    fn digits(self, value: f64) -> String {
        let digits = match value {
            _ if value >= 99.5 => 0,
            _ if value >= 9.95 => 1,
            _ => 2,
        };
        format!("{value:.digits$}")
    }

    fn shown(self, value: f64) -> String {
        format!("{} {}", self.digits(value), self.name())
    }

    /// A single value has no range.
    fn range(self, sample: Sample) -> String {
        let (low, high) = (self.digits(sample.low), self.digits(sample.high));
        match low == high {
            true => self.shown(sample.median),
            false => format!("{} ({low}–{high})", self.shown(sample.median)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(figure: Figure, pairs: &[(f64, f64)]) -> Report {
        let mut report = Report::default();
        for (ours, floor) in pairs {
            report.pair(figure, *ours, *floor);
        }
        report
    }

    #[test]
    fn a_ratio_fails_at_twice_its_target() {
        // One slow round is noise.
        let good = [(2.9, 1.0), (2.9, 1.0), (90.0, 1.0)];
        assert!(report(Figure::Guests1000, &good).check().is_ok());
        let error = report(Figure::Guests1000, &[(31.0, 10.0)]).check();
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("3.10 of the floor at best (limit 3.00)"),
            "{error}"
        );
        assert!(report(Figure::Callers, &[(26.0, 100.0)]).check().is_ok());
        assert!(report(Figure::Callers, &[(24.0, 100.0)]).check().is_err());
    }

    #[test]
    fn absolute_times_are_not_checked() {
        let mut report = Report::default();
        report.ours(Figure::Start, 9_000.0);
        assert!(report.check().is_ok());
        report.ours(Figure::InstanceMemory, 49.0);
        assert!(report.check().is_err());
    }

    #[test]
    fn a_size_may_depend_on_what_is_measured() {
        let mut report = Report::default();
        report.ours(Figure::Component, 2.02);
        report.at_most(Figure::Component, 2.03);
        assert!(report.check().is_ok());
        assert!(report.markdown().contains("≤ 2.03 MB | yes"));
        report.at_most(Figure::Component, 1.93);
        assert!(report.check().is_ok());
        assert!(report.markdown().contains("≤ 1.93 MB | **no**"));
        report.at_most(Figure::Component, 1.92);
        assert!(report.check().is_err());
    }

    #[test]
    fn a_figure_stands_beside_its_target() {
        let text = report(Figure::Guests20, &[(0.5, 0.3), (0.6, 0.3)]).markdown();
        assert!(
            text.contains(
                "| 0.55 ms (0.51–0.59) | 0.30 ms | 1.83 (1.70–1.97) | ≤ floor + 0.30 ms | yes |"
            ),
            "{text}"
        );
        let json = report(Figure::Guests1000, &[(16.0, 10.0)]).json(&json!([]));
        assert_eq!(
            json.pointer("/figures/guests_1000/met"),
            Some(&json!(false))
        );
        assert_eq!(
            json.pointer("/figures/guests_1000/ratio/median"),
            Some(&json!(1.6))
        );
    }

    #[test]
    fn peers_are_shown_beside_ours() {
        let mut report = Report::new(Vec::new(), vec!["other".to_owned()]);
        report.ours(Figure::Start, 4.0);
        report.peer(Figure::Start, "other", &Ok(800.0));
        report.ours(Figure::Guests20, 1.0);
        report.peer(
            Figure::Guests20,
            "other",
            &Err(anyhow::anyhow!("no such tool")),
        );
        let text = report.markdown();
        assert!(text.contains("| 800 ms (200 ×) |"), "{text}");
        assert!(
            text.contains("| fails |") && text.contains("no such tool"),
            "{text}"
        );
    }
}
