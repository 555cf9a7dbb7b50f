//! `--timings`: when the program reaches each milestone of its start.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::system::process::process_time;

/// A milestone of the start. Some are reached at the same time, in different
/// threads; one that is not needed is never reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Milestone {
    /// The command line and the environment are read.
    CommandLine,
    /// The threads for everything but calls are there.
    Runtime,
    /// The settings and the policy are read.
    Settings,
    /// Messages of the client are read from here on.
    Serving,
    /// The client's first request has arrived.
    FirstRequest,
    /// The response to it is written.
    FirstResponse,
    /// The engine that runs the component is there.
    Engine,
    /// The component's machine code is loaded.
    MachineCode,
    /// The component is linked: calls can run.
    Component,
    /// The certificates to trust are read.
    Certificates,
    /// The first list of tools is ready to be sent.
    ToolList,
    /// The first call has ended.
    FirstCall,
}

/// The milestones that were reached, one bit for each.
static REACHED: AtomicU32 = AtomicU32::new(0);
static RECORD: Mutex<Record> = Mutex::new(Record {
    start: None,
    before: Duration::ZERO,
    is_shown: false,
    lines: Vec::new(),
});

struct Record {
    start: Option<Instant>,
    /// The processor time that the program took before its start: to load it.
    before: Duration,
    is_shown: bool,
    /// What was reached before it was known whether to show it.
    lines: Vec<(Milestone, Duration)>,
}

/// The program starts here.
pub(crate) fn begin() {
    let mut record = record();
    record.start = Some(Instant::now());
    record.before = process_time();
}

/// Writes all milestones to stderr: those that were reached, and each later one
/// when it is reached. Of the time before `begin`, only the processor time is
/// known.
pub(crate) fn show() {
    let mut record = record();
    write(
        "(processor time before that, to load the program)",
        record.before,
    );
    for (milestone, time) in std::mem::take(&mut record.lines) {
        write(milestone.name(), time);
    }
    record.is_shown = true;
}

/// A milestone is reached. Only the first time counts.
pub(crate) fn reached(milestone: Milestone) {
    let bit = 1 << milestone as u32;
    if REACHED.load(Ordering::Relaxed) & bit != 0
        || REACHED.fetch_or(bit, Ordering::Relaxed) & bit != 0
    {
        return;
    }
    let mut record = record();
    let Some(start) = record.start else {
        return;
    };
    let time = start.elapsed();
    match record.is_shown {
        true => write(milestone.name(), time),
        false => record.lines.push((milestone, time)),
    }
}

impl Milestone {
    fn name(self) -> &'static str {
        match self {
            Self::CommandLine => "command line and environment read",
            Self::Runtime => "threads started",
            Self::Settings => "settings and policy read",
            Self::Serving => "reading messages",
            Self::FirstRequest => "first request read",
            Self::FirstResponse => "first response written",
            Self::Engine => "engine ready",
            Self::MachineCode => "machine code loaded",
            Self::Component => "component ready",
            Self::Certificates => "certificates read",
            Self::ToolList => "first tool list ready",
            Self::FirstCall => "first call ended",
        }
    }
}

fn write(name: &str, time: Duration) {
    // There is nowhere else to report a failure.
    let _ = writeln!(
        io::stderr(),
        "timing: {:8.3} ms  {name}",
        time.as_secs_f64() * 1000.0
    );
}

fn record() -> MutexGuard<'static, Record> {
    RECORD.lock().unwrap_or_else(PoisonError::into_inner)
}
