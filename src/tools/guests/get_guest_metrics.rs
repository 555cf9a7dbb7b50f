//! `get_guest_metrics`: a guest's load over time.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{ErrorResponse, Failure, Guest, Num, Params, Pve, Vmid};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Reply, Run};

/// A guest's load over a timeframe.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetGuestMetrics {
    vmid: Vmid,
    /// How far back. Default hour.
    timeframe: Option<Timeframe>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Timeframe {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Timeframe {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct Metrics {
    vmid: Vmid,
    timeframe: Timeframe,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_at: Option<String>,
    /// How many points hold values, and how far apart points are.
    samples: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_used_bytes: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_in_bytes_per_second: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_out_bytes_per_second: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_read_bytes_per_second: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_write_bytes_per_second: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
struct Range {
    min: f64,
    mean: f64,
    max: f64,
    last: f64,
}

/// A point. If the guest was off or did not exist yet, it has only the time.
#[derive(Debug, DeserializeFields)]
struct Point {
    time: Num<u64>,
    cpu: Option<Num<f64>>,
    mem: Option<Num<f64>>,
    maxmem: Option<Num<f64>>,
    netin: Option<Num<f64>>,
    netout: Option<Num<f64>>,
    diskread: Option<Num<f64>>,
    diskwrite: Option<Num<f64>>,
}

impl Run for GetGuestMetrics {
    type Output = Metrics;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::RESOURCES),
        Calls::Guest(&calls::guests::METRICS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Metrics>> {
        let timeframe = self.timeframe.unwrap_or(Timeframe::Hour);
        let query = Params::new()
            .set("timeframe", timeframe.as_str())
            .set("cf", "AVERAGE");
        // Every node has the load of all guests, also of those on nodes that are
        // offline.
        let guest = Guest::find(pve, self.vmid)?;
        let (guest, points) = guest.retry_if_moved(pve, |guest| {
            match pve.send::<Option<Vec<Point>>>(&guest.request(&calls::guests::METRICS), &query) {
                Ok(points) => Ok(points.unwrap_or_default()),
                Err(Failure::Api(error)) if error.says("rrd") => Err(broken(guest, &error)),
                Err(failure) => Err(failure.into()),
            }
        })?;
        let metrics = Metrics::new(self.vmid, timeframe, &points);
        let text = match (&metrics.cpu_percent, &metrics.memory_used_bytes) {
            (Some(cpu), Some(memory)) => format!(
                "{} over the last {}: CPU {}% on average, {}% at most; memory {} on average",
                guest.label(),
                timeframe.as_str(),
                cpu.mean,
                cpu.max,
                text::bytes(memory.mean as u64)
            ),
            _ if metrics.samples > 0 => format!(
                "{} over the last {}: {}",
                guest.label(),
                timeframe.as_str(),
                text::count(metrics.samples, "sample")
            ),
            _ => format!("{}: no values in this timeframe", guest.label()),
        };
        Ok(Reply::Done(metrics, text))
    }
}

/// The error of a broken load database on the node, which affects no other call of the
/// API.
fn broken(guest: &Guest, error: &ErrorResponse) -> Error {
    Error::Conflict(format!(
        "the load database (RRD) of node {} cannot be read for {} ({}): the guest itself is not \
         affected; look at rrdcached and pvestatd on the node, and let an administrator move the \
         guest's damaged file out of /var/lib/rrdcached/db, which pvestatd then makes anew",
        guest.node,
        guest.label(),
        text::cut(error.message.trim(), 200)
    ))
}

impl Metrics {
    fn new(vmid: Vmid, timeframe: Timeframe, points: &[Point]) -> Self {
        let filled: Vec<&Point> = points.iter().filter(|point| point.is_filled()).collect();
        let range = |value: fn(&Point) -> Option<Num<f64>>, scale: f64, decimals: i32| {
            Range::of(
                filled
                    .iter()
                    .filter_map(|point| value(point).map(|number| number.0 * scale)),
                decimals,
            )
        };
        let mut times = points.iter().map(|point| point.time.0);
        let resolution_seconds = times
            .next()
            .zip(times.next())
            .map(|(first, second)| second.saturating_sub(first));
        Self {
            vmid,
            timeframe,
            from_at: points.first().map(|point| text::time(point.time.0)),
            to_at: points.last().map(|point| text::time(point.time.0)),
            samples: filled.len(),
            resolution_seconds,
            cpu_percent: range(|point| point.cpu, 100.0, 2),
            memory_used_bytes: range(|point| point.mem, 1.0, 0),
            memory_total_bytes: filled
                .last()
                .and_then(|point| point.maxmem)
                .map(|bytes| bytes.0 as u64),
            network_in_bytes_per_second: range(|point| point.netin, 1.0, 0),
            network_out_bytes_per_second: range(|point| point.netout, 1.0, 0),
            disk_read_bytes_per_second: range(|point| point.diskread, 1.0, 0),
            disk_write_bytes_per_second: range(|point| point.diskwrite, 1.0, 0),
            hint: filled.is_empty().then(|| {
                "no values: the guest was off all the time, is new, or its node is offline; try a \
                 longer timeframe"
                    .to_owned()
            }),
        }
    }
}

impl Point {
    /// Whether it has any load. The sizes are also present while a guest is off.
    fn is_filled(&self) -> bool {
        [
            self.cpu,
            self.mem,
            self.netin,
            self.netout,
            self.diskread,
            self.diskwrite,
        ]
        .iter()
        .flatten()
        .any(|value| value.0.is_finite())
    }
}

impl Range {
    /// A statistic of the valid values: none is below 0.
    fn of(values: impl Iterator<Item = f64>, decimals: i32) -> Option<Self> {
        let values: Vec<f64> = values
            .filter(|value| value.is_finite() && *value >= 0.0)
            .collect();
        let last = *values.last()?;
        let sum: f64 = values.iter().sum();
        let round = |value| text::round(value, decimals);
        Some(Self {
            min: round(values.iter().copied().fold(f64::INFINITY, f64::min)),
            mean: round(sum / values.len() as f64),
            max: round(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            last: round(last),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn points(value: serde_json::Value) -> Vec<Point> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn values_are_summarized() {
        let metrics = Metrics::new(
            Vmid::new(100).unwrap(),
            Timeframe::Hour,
            &points(json!([
                {"time": 1_795_334_640}, {"time": 1_795_334_700, "cpu": 0.1, "mem": 100, "maxmem": 400},
                {"time": 1_795_334_760, "cpu": 0.3, "mem": 300.4, "maxmem": 400, "netin": 12.6}
            ])),
        );
        assert_eq!(metrics.samples, 2);
        assert_eq!(metrics.resolution_seconds, Some(60));
        assert_eq!(
            metrics.cpu_percent,
            Some(Range {
                min: 10.0,
                mean: 20.0,
                max: 30.0,
                last: 30.0
            })
        );
        assert_eq!(metrics.memory_used_bytes.unwrap().mean, 200.0);
        assert_eq!(metrics.network_in_bytes_per_second.unwrap().last, 13.0);
        assert_eq!(metrics.disk_read_bytes_per_second, None);
        assert_eq!(metrics.hint, None);
    }

    #[test]
    fn impossible_values_count_for_nothing() {
        let cpu = Metrics::new(
            Vmid::new(100).unwrap(),
            Timeframe::Hour,
            &points(json!([{"time": 60, "cpu": 0.2}, {"time": 120, "cpu": -0.1}])),
        )
        .cpu_percent
        .unwrap();
        assert_eq!((cpu.min, cpu.mean, cpu.last), (20.0, 20.0, 20.0));
    }

    #[test]
    fn empty_points_are_no_zeros() {
        let metrics = Metrics::new(
            Vmid::new(100).unwrap(),
            Timeframe::Day,
            &points(json!([{"time": 1}, {"time": 2}])),
        );
        assert_eq!(metrics.samples, 0);
        assert_eq!(metrics.cpu_percent, None);
        assert!(metrics.hint.is_some());
    }
}
