//! How loaded a node is, and whether that hurts.

use schemars::JsonSchema;

use super::pools::used_of_available;
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{NodeStatus, Num};
use crate::text;
use crate::tools::finding::{Finding, Severity};

/// A minute. One without data has its time alone.
#[derive(Debug, Default, Clone, Copy, DeserializeFields)]
#[serde(default)]
pub(crate) struct RawRow {
    time: Option<Num<u64>>,
    cpu: Option<Num<f64>>,
    arcsize: Option<Num<f64>>,
    swapused: Option<Num<f64>>,
    pressurecpusome: Option<Num<f64>>,
    pressureiofull: Option<Num<f64>>,
    pressurememoryfull: Option<Num<f64>>,
    pressurememorysome: Option<Num<f64>>,
}

/// Means over the last ten minutes, as far as they are known.
#[derive(Debug, Default, PartialEq, SerializeFields, JsonSchema)]
pub(crate) struct Load {
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_used_percent: Option<f64>,
    /// Over 5 minutes; processes that wait for a disk count too.
    #[serde(skip_serializing_if = "Option::is_none")]
    load_per_cpu: Option<f64>,
    /// Without the cache of ZFS, which gives way.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_used_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_used_percent: Option<f64>,
    /// Share of time in which some process waited for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_pressure_percent: Option<f64>,
    /// Share of time in which all processes waited for disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    io_pressure_percent: Option<f64>,
    /// Share of time in which all processes waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_pressure_percent: Option<f64>,
    #[serde(skip)]
    some_memory_pressure: bool,
    /// Whether the cache of ZFS is known, and not counted as use.
    #[serde(skip)]
    is_without_cache: bool,
}

/// Over how long means are taken.
const SECONDS: u64 = 600;

/// The rows of the last minutes before the newest, which may be empty itself.
fn recent(rows: &[RawRow]) -> Vec<RawRow> {
    let newest = rows
        .iter()
        .filter_map(|row| row.time)
        .map(|time| time.0)
        .max();
    let is_recent = |row: &&RawRow| match (row.time, newest) {
        (Some(time), Some(newest)) => time.0.saturating_add(SECONDS) > newest,
        _ => true,
    };
    rows.iter().filter(is_recent).copied().collect()
}

fn mean(rows: &[RawRow], of: impl Fn(&RawRow) -> Option<Num<f64>>) -> Option<f64> {
    let values: Vec<f64> = rows
        .iter()
        .filter_map(|row| of(row).map(|value| value.0))
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn bytes(value: f64) -> Option<u64> {
    (value >= 0.0).then_some(value as u64)
}

impl Load {
    pub(crate) fn new(status: NodeStatus, rows: &[RawRow]) -> Self {
        let rows = &recent(rows);
        let arc_size = mean(rows, |row| row.arcsize);
        let arc = arc_size.unwrap_or_default();
        let bytes_of = |number: Option<Num<u64>>| number.map(|bytes| bytes.0 as f64);
        let memory = status.memory.unwrap_or_default();
        let total = bytes_of(memory.total).filter(|total| *total > 0.0);
        let used = bytes_of(memory.available)
            .and_then(|available| Some(total? - available))
            .or(bytes_of(memory.used));
        let memory_used = used
            .zip(total)
            .map(|(used, total)| text::percent((used - arc).max(0.0), total));
        let available = total
            .zip(used)
            .and_then(|(total, used)| bytes(total - (used - arc).max(0.0)));
        let cpus = status.cpuinfo.and_then(|cpu| cpu.cpus);
        let load = status
            .loadavg
            .and_then(|load| load.get(1).copied().flatten());
        let root = status.rootfs.unwrap_or_default();
        let pressure = |of: fn(&RawRow) -> Option<Num<f64>>| {
            mean(rows, of).map(|percent| text::round(percent, 1))
        };
        Self {
            uptime_seconds: status.uptime.map(|seconds| seconds.0),
            cpu_used_percent: mean(rows, |row| row.cpu)
                .map(|share| text::percent(share, 1.0))
                .filter(|percent| (0.0..=100.0).contains(percent)),
            load_per_cpu: load
                .zip(cpus)
                .filter(|(_, cpus)| cpus.0 > 0)
                .map(|(load, cpus)| text::round(load.0 / cpus.0 as f64, 2)),
            memory_used_percent: memory_used,
            memory_available_bytes: available,
            swap_used_bytes: mean(rows, |row| row.swapused).and_then(bytes),
            root_used_percent: used_of_available(root.used, root.avail, root.total),
            cpu_pressure_percent: pressure(|row| row.pressurecpusome),
            io_pressure_percent: pressure(|row| row.pressureiofull),
            memory_pressure_percent: pressure(|row| row.pressurememoryfull),
            some_memory_pressure: mean(rows, |row| row.pressurememorysome)
                .is_some_and(|percent| percent >= 1.0),
            is_without_cache: arc_size.is_some(),
        }
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.limits().iter().filter_map(Limit::finding).collect();
        if self.some_memory_pressure
            && let Some(used) = self.swap_used_bytes.filter(|used| *used > 0)
        {
            findings.push(Finding::new(
                Severity::Low,
                format!(
                    "{} are swapped out while memory is short",
                    text::bytes(used)
                ),
                SPREAD,
            ));
        }
        findings
    }

    /// What is judged, and from where on it is bad.
    fn limits(&self) -> Vec<Limit> {
        let limit = |value, warn, critical, text, fix| Limit {
            value,
            warn,
            critical,
            text,
            fix,
        };
        let memory = if self.is_without_cache {
            "{}% of the memory is in use (ZFS's cache not counted)"
        } else {
            "{}% of the memory is in use (the cache of ZFS, if there is one, included)"
        };
        // Without pressure figures, the load average has to do.
        let has_pressure =
            self.cpu_pressure_percent.is_some() || self.io_pressure_percent.is_some();
        let load_per_cpu = self.load_per_cpu.filter(|_| !has_pressure);
        vec![
            limit(
                self.memory_pressure_percent,
                5.0,
                15.0,
                "memory is short: everything waited for it {}% of the time",
                SPREAD,
            ),
            limit(self.memory_used_percent, 85.0, 95.0, memory, SPREAD),
            limit(
                self.io_pressure_percent,
                10.0,
                30.0,
                "the disks are the bottleneck: everything waited for them {}% of the time",
                "look for backups, snapshots and a failing disk, and for the guest that writes most",
            ),
            limit(
                self.cpu_pressure_percent,
                40.0,
                70.0,
                "processes waited for a processor {}% of the time",
                SPREAD,
            ),
            limit(
                self.cpu_used_percent,
                85.0,
                95.0,
                "the processors are {}% busy",
                SPREAD,
            ),
            limit(
                load_per_cpu,
                2.0,
                4.0,
                "the load is {} per processor, waiting for disks included",
                SPREAD,
            ),
            limit(
                self.root_used_percent,
                85.0,
                95.0,
                "the root filesystem is {}% full",
                "look for old kernels, logs, ISO images and backups on the storage local",
            ),
        ]
    }
}

const SPREAD: &str = "move guests to other nodes, or give the busiest of them less";

/// A figure, and from where on it is bad.
struct Limit {
    value: Option<f64>,
    warn: f64,
    critical: f64,
    /// With `{}` for the figure.
    text: &'static str,
    fix: &'static str,
}

impl Limit {
    fn finding(&self) -> Option<Finding> {
        let value = self.value.filter(|value| *value >= self.warn)?;
        let severity = if value >= self.critical {
            Severity::High
        } else {
            Severity::Medium
        };
        let text = self.text.replace("{}", &value.to_string());
        Some(Finding::new(severity, text, self.fix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(status: serde_json::Value, rows: serde_json::Value) -> Load {
        let rows: Vec<RawRow> = serde_json::from_value(rows).unwrap();
        Load::new(serde_json::from_value(status).unwrap(), &rows)
    }

    #[test]
    fn the_cache_of_zfs_is_not_use() {
        let status = json!({"memory": {"total": 100, "used": 95, "available": 5, "free": 5},
            "loadavg": ["8.0", "6.0", "1"], "cpuinfo": {"cpus": 2}, "uptime": "60",
            "rootfs": {"total": 100, "used": 80, "avail": 10, "free": 20}});
        let rows = json!([
            {"time": 1},
            {"time": 2, "cpu": 0.5, "arcsize": 40, "pressureiofull": 31.04, "swapused": 9,
                "pressurememorysome": 2, "pressurecpusome": "0"},
        ]);
        let load = load(status, rows);
        assert_eq!(load.memory_used_percent, Some(55.0));
        assert_eq!(load.memory_available_bytes, Some(45));
        assert_eq!(load.load_per_cpu, Some(3.0));
        assert_eq!(load.root_used_percent, Some(88.9));
        let found: Vec<String> = load.findings().into_iter().map(|one| one.finding).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].contains("waited for them 31% of the time"),
            "{found:?}"
        );
        assert!(found[1].contains("root filesystem is 88.9%"), "{found:?}");
        assert!(found[2].contains("9 B are swapped out"), "{found:?}");
    }

    #[test]
    fn old_figures_do_not_count() {
        let rows = json!([{"time": 600, "cpu": 0.9}, {"time": 6000, "cpu": 0.5}, {"time": 6060}]);
        assert_eq!(load(json!({}), rows).cpu_used_percent, Some(50.0));
        let silent = json!([{"time": 600, "cpu": 0.9}, {"time": 6060}]);
        assert_eq!(load(json!({}), silent).cpu_used_percent, None);
    }

    #[test]
    fn the_cache_is_only_named_where_it_is_known() {
        let status = json!({"memory": {"total": 100, "used": 95, "available": 5}});
        let found = load(status, json!([{"time": 1}])).findings();
        assert!(!found[0].finding.contains("not counted"), "{found:?}");
    }

    #[test]
    fn without_pressure_the_load_counts() {
        let busy = load(
            json!({"loadavg": [1, "9.0"], "cpuinfo": {"cpus": 4}}),
            json!([{"time": 1}]),
        );
        assert_eq!(busy.findings()[0].severity, Severity::Medium);
        assert_eq!(load(json!({}), json!([])), Load::default());
    }
}
