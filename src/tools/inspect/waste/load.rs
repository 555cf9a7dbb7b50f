//! Running guests that do next to nothing, or never use most of their memory.

use pve_api::{GuestType, calls};

use super::finding::{Waste, WasteKind};
use super::survey::{MOST_METRICS, Survey};
use crate::json::DeserializeFields;
use crate::order;
use crate::pve::{Guest, Num, Params, Pve};
use crate::text;
use crate::tool_names;

/// A mean over half an hour, as Proxmox keeps them for a month.
#[derive(Debug, Clone, Copy, Default, DeserializeFields)]
struct Point {
    cpu: Option<Num<f64>>,
    mem: Option<Num<f64>>,
    /// What a VM takes of the node's memory. Equal to `mem` where the VM tells nothing of
    /// its memory.
    memhost: Option<Num<f64>>,
    netin: Option<Num<f64>>,
    netout: Option<Num<f64>>,
    diskread: Option<Num<f64>>,
    diskwrite: Option<Num<f64>>,
}

/// What counts as idle in 95 % of the half hours: this share of the CPUs, and so many bytes
/// per second over the network and on disks.
const IDLE_CPU: f64 = 0.05;
const IDLE_BYTES: f64 = 150_000.0;

/// What counts as too much memory: less than this share is ever used.
const MOST_USED: f64 = 0.3;

/// Smaller guests are not worth a change.
const LEAST_MEMORY: u64 = 1 << 30;

/// A week.
const LEAST_SAMPLES: usize = 336;

/// What was measured of a guest within a month.
struct Measured {
    samples: usize,
    cpu: f64,
    network: f64,
    disk: f64,
    /// The highest; none where the guest does not tell it.
    memory: Option<f64>,
}

/// Adds what is found to the findings. The guests with most memory come first.
pub(crate) fn find(pve: &Pve, survey: &mut Survey, found: &mut Vec<Waste>) {
    let mut running: Vec<&Guest> = survey
        .guests
        .iter()
        .filter(|guest| guest.is_running() && !guest.template.0)
        .filter(|guest| memory_of(guest) >= LEAST_MEMORY)
        .collect();
    order::by_key(&mut running, |guest| std::cmp::Reverse(memory_of(guest)));
    let mut budget = survey.budget.part(MOST_METRICS);
    let request = |guest: &&Guest| (guest.request(&calls::guests::METRICS), query());
    pve.start(running.iter().take(budget.left()).map(request));
    let (mut beyond, mut young) = (0, 0);
    for guest in running {
        if !budget.take() {
            beyond += 1;
            continue;
        }
        let (request, params) = request(&guest);
        let points = pve.send::<Option<Vec<Point>>>(&request, &params);
        match Measured::of(guest, &points.ok().flatten().unwrap_or_default()) {
            Some(measured) => found.extend(measured.judge(guest)),
            None => young += 1,
        }
    }
    survey.budget.give_back(&budget);
    for (count, why) in [
        (
            beyond,
            "with less memory than the others: their load was not looked at within the limits of \
             one call: call again with a node",
        ),
        (
            young,
            "running with less than a week of measurements: not judged",
        ),
    ] {
        if count > 0 {
            let guests = text::count(count, "guest");
            survey.not_checked.push(format!("{guests} {why}"));
        }
    }
}

fn query() -> Params {
    Params::new().set("timeframe", "month").set("cf", "AVERAGE")
}

fn memory_of(guest: &Guest) -> u64 {
    guest.maxmem.map_or(0, |bytes| bytes.0)
}

impl Measured {
    /// None where there is less than a week of measurements.
    fn of(guest: &Guest, points: &[Point]) -> Option<Self> {
        let sum = |a: Option<Num<f64>>, b: Option<Num<f64>>| {
            a.map_or(0.0, |value| value.0) + b.map_or(0.0, |value| value.0)
        };
        let points = points.iter().filter(|point| point.cpu.is_some());
        let points: Vec<Point> = points.copied().collect();
        if points.len() < LEAST_SAMPLES {
            return None;
        }
        let tells = |point: &Point| match (point.mem, point.memhost) {
            (Some(own), Some(host)) => (own.0 - host.0).abs() > 1.0,
            (Some(_), None) => true,
            _ => false,
        };
        let tells = guest.kind == GuestType::Lxc || points.iter().any(tells);
        let memory = points.iter().filter_map(|point| point.mem);
        Some(Self {
            samples: points.len(),
            cpu: most(points.iter().map(|point| sum(point.cpu, None))),
            network: most(points.iter().map(|point| sum(point.netin, point.netout))),
            disk: most(
                points
                    .iter()
                    .map(|point| sum(point.diskread, point.diskwrite)),
            ),
            memory: tells
                .then(|| memory.map(|bytes| bytes.0).fold(0.0, f64::max))
                .filter(|bytes| *bytes > 0.0),
        })
    }

    fn judge(&self, guest: &Guest) -> Option<Waste> {
        let days = self.samples / 48;
        let all = memory_of(guest);
        let over = format!("over {} of half-hour means", text::count(days, "day"));
        if self.cpu < IDLE_CPU && self.network < IDLE_BYTES && self.disk < IDLE_BYTES {
            let evidence = format!(
                "95% of the time at most {}% CPU, {}/s network and {}/s disk, {over}",
                text::round(self.cpu * 100.0, 1),
                text::bytes(self.network as u64),
                text::bytes(self.disk as u64)
            );
            let fix = format!(
                "ask its owner whether it is needed (a standby may be); if not, {} shuts it down \
                 and frees its memory",
                tool_names::STOP_GUEST
            );
            let finding = format!("{} runs and does next to nothing", guest.label());
            let waste = Waste::new(WasteKind::IdleGuest, finding, evidence, fix);
            return Some(waste.on(guest).bytes(Some(all)));
        }
        let peak = self.memory?;
        if peak >= all as f64 * MOST_USED {
            return None;
        }
        // Twice what was ever used, in steps of 256 MiB.
        const STEP: u64 = 256 << 20;
        let enough = ((peak * 2.0) as u64).div_ceil(STEP).max(2) * STEP;
        let finding = format!(
            "{} uses at most {} of its {} of memory",
            guest.label(),
            text::bytes(peak as u64),
            text::bytes(all)
        );
        let evidence = format!(
            "highest use {}%, {over}; the cache inside the guest counts as used",
            text::percent(peak, all as f64)
        );
        let fix = format!(
            "{} with memory_mib {} leaves twice that; it takes effect at the next full start of a \
             VM",
            tool_names::SET_GUEST_RESOURCES,
            enough >> 20
        );
        let waste = Waste::new(WasteKind::OversizedMemory, finding, evidence, fix);
        Some(waste.on(guest).bytes(Some(all.saturating_sub(enough))))
    }
}

/// The value that 95 % of the values do not exceed.
fn most(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    order::by(&mut values, f64::total_cmp);
    let index = values.len() * 95 / 100;
    values.get(index).or(values.last()).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn guest(kind: &str) -> Guest {
        let json = json!({"vmid": 100, "type": kind, "node": "pve1", "status": "running",
            "maxmem": 8_u64 << 30});
        serde_json::from_value(json).unwrap()
    }

    fn points(count: usize, mem: u64, memhost: Option<u64>, cpu: f64, net: f64) -> Vec<Point> {
        let json = json!({"cpu": cpu, "mem": mem, "memhost": memhost, "netin": net});
        vec![serde_json::from_value(json).unwrap(); count]
    }

    fn judged(kind: &str, points: &[Point]) -> Option<Waste> {
        Measured::of(&guest(kind), points)?.judge(&guest(kind))
    }

    #[test]
    fn what_is_idle_and_what_is_too_large() {
        let idle = judged("qemu", &points(400, 1 << 30, None, 0.01, 10.0)).unwrap();
        assert_eq!(
            (idle.kind, idle.bytes),
            (WasteKind::IdleGuest, Some(8 << 30))
        );
        let large = judged("qemu", &points(400, 1 << 30, Some(2 << 30), 0.5, 1e6)).unwrap();
        assert_eq!(large.kind, WasteKind::OversizedMemory);
        assert_eq!(large.bytes, Some(6 << 30));
        assert!(large.fix.contains("memory_mib 2048"), "{}", large.fix);
        // Most of it is used.
        assert_eq!(judged("lxc", &points(400, 6 << 30, None, 0.5, 1e6)), None);
        // A VM that tells nothing of its memory.
        let silent = points(400, 1 << 30, Some(1 << 30), 0.5, 1e6);
        assert_eq!(judged("qemu", &silent), None);
        assert!(judged("lxc", &silent).is_some());
        // Less than a week.
        assert_eq!(judged("qemu", &points(300, 1 << 30, None, 0.0, 0.0)), None);
    }

    #[test]
    fn a_burst_does_not_make_a_guest_busy() {
        let values = (0..100).map(|number| if number < 4 { 1.0 } else { 0.01 });
        assert_eq!(most(values), 0.01);
    }
}
