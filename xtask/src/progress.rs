//! The progress of a command, step by step, on stderr.

use std::time::Instant;

use anyhow::Result;

/// Counts the steps of one command.
pub(crate) struct Progress {
    done: usize,
    total: usize,
    started: Instant,
}

/// How a step ended.
pub(crate) enum Step {
    /// It did its work.
    Done,
    /// There was nothing to do.
    Fresh,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            done: 0,
            total,
            started: Instant::now(),
        }
    }

    /// Runs one step between a line that says what is being done and one that says
    /// how long it took.
    pub(crate) fn step(&mut self, what: &str, work: impl FnOnce() -> Result<Step>) -> Result<()> {
        self.done += 1;
        let label = format!("[{}/{}]", self.done, self.total);
        eprintln!("{label} {what}…");
        let started = Instant::now();
        let step = work()?;
        let seconds = started.elapsed().as_secs_f64();
        match step {
            Step::Done => eprintln!("{label} done in {seconds:.1} s"),
            Step::Fresh => eprintln!("{label} nothing to do ({seconds:.1} s)"),
        }
        Ok(())
    }

    /// Seconds since the command began.
    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
