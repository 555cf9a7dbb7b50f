//! Figures of a running process, and of many measurements.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Nearest rank, of sorted times.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// With two digits.
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// The resident memory of a process in bytes, where the system tells it.
pub(crate) fn resident(process: u32) -> Option<f64> {
    memory(process, "VmRSS:")
}

/// The memory of a process, in bytes.
pub(crate) struct Rollup {
    pub(crate) resident: f64,
    /// Of pages that several processes share, only its part.
    pub(crate) proportional: f64,
}

/// None where the system does not report it, or not to this user.
pub(crate) fn rollup(process: u32) -> Option<Rollup> {
    let path = format!("/proc/{process}/smaps_rollup");
    Some(Rollup {
        resident: field(&path, "Rss:")?,
        proportional: field(&path, "Pss:")?,
    })
}

/// The most memory that a process has from here on.
///
/// The kernel's own mark is reset where it lets us; where it does not, the
/// memory is looked at every few milliseconds.
pub(crate) struct Peak {
    process: u32,
    is_reset: bool,
    ended: Arc<AtomicBool>,
    samples: JoinHandle<Option<f64>>,
}

impl Peak {
    pub(crate) fn begin(process: u32) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let is_reset = fs::write(format!("/proc/{process}/clear_refs"), "5").is_ok();
        let samples = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let mut peak = resident(process);
                while !ended.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(4));
                    // A process that has ended tells nothing more.
                    if let Some(now) = resident(process) {
                        peak = Some(now.max(peak.unwrap_or_default()));
                    }
                }
                peak
            }
        });
        Self {
            process,
            is_reset,
            ended,
            samples,
        }
    }

    /// In bytes, where the system tells it.
    pub(crate) fn end(self) -> Option<f64> {
        self.ended.store(true, Ordering::Relaxed);
        let sampled = self.samples.join().ok().flatten();
        let marked = match self.is_reset {
            true => memory(self.process, "VmHWM:"),
            false => None,
        };
        marked.or(sampled)
    }
}

fn memory(process: u32, name: &str) -> Option<f64> {
    field(&format!("/proc/{process}/status"), name)
}

/// A field of a file of the kernel, in bytes.
fn field(path: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let kib: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix(name))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kib * 1024.0)
}

/// How many files and sockets a process has open, where the system tells it.
pub(crate) fn open_files(process: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}
