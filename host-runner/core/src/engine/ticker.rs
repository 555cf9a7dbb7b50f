//! The clock by which a component's processor time is counted.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// How long a component runs before it has to let others run.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Advances the engine's epoch while calls run, from a thread of its own: no
/// component can keep it from running.
pub(super) struct Ticker(Arc<Shared>);

/// Keeps the ticker going while a call runs.
pub(super) struct Running(Arc<Shared>);

/// Counts the ticks that one call has spent running.
pub(super) struct Stopwatch {
    shared: Arc<Shared>,
    deadline: u64,
    spent: u32,
    budget: u32,
}

/// A call that ran for longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("out of processor time")]
pub(super) struct OutOfTime;

#[derive(Default)]
struct Shared {
    ticks: AtomicU64,
    running: Mutex<usize>,
    started: Condvar,
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (ticking, engine) = (Arc::clone(&shared), engine.weak());
        thread::Builder::new()
            .name("ticker".to_owned())
            .spawn(move || ticking.run(&engine))?;
        Ok(Self(shared))
    }

    pub(super) fn running(&self) -> Running {
        *self.0.count() += 1;
        self.0.started.notify_one();
        Running(Arc::clone(&self.0))
    }

    pub(super) fn stopwatch(&self, budget: Duration) -> Stopwatch {
        let ticks = budget.as_millis() / TICK.as_millis();
        Stopwatch {
            shared: Arc::clone(&self.0),
            deadline: self.0.ticks.load(Ordering::Relaxed) + 1,
            spent: 0,
            budget: u32::try_from(ticks).unwrap_or(u32::MAX),
        }
    }
}

impl Stopwatch {
    /// The component has run into a tick. Whoever comes late for it was
    /// waiting, not running.
    pub(super) fn tick(&mut self) -> Result<(), OutOfTime> {
        let now = self.shared.ticks.load(Ordering::Relaxed);
        if now <= self.deadline {
            self.spent += 1;
        }
        self.deadline = now + 1;
        if self.spent > self.budget {
            return Err(OutOfTime);
        }
        Ok(())
    }
}

impl Shared {
    fn run(&self, engine: &EngineWeak) {
        loop {
            let mut running = self.count();
            while *running == 0 {
                running = self
                    .started
                    .wait(running)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            drop(running);
            thread::sleep(TICK);
            let Some(engine) = engine.upgrade() else {
                return;
            };
            self.ticks.fetch_add(1, Ordering::Relaxed);
            engine.increment_epoch();
        }
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.count() -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopwatch(budget: u32) -> Stopwatch {
        Stopwatch {
            shared: Arc::new(Shared::default()),
            deadline: 1,
            spent: 0,
            budget,
        }
    }

    #[test]
    fn running_through_is_counted() {
        let mut stopwatch = stopwatch(3);
        let mut ran = 0;
        loop {
            stopwatch.shared.ticks.fetch_add(1, Ordering::Relaxed);
            if stopwatch.tick().is_err() {
                break;
            }
            ran += 1;
        }
        assert_eq!(ran, 3);
    }

    #[test]
    fn waiting_is_not_counted() {
        let mut stopwatch = stopwatch(3);
        for _ in 0..100 {
            stopwatch.shared.ticks.fetch_add(7, Ordering::Relaxed);
            stopwatch.tick().unwrap();
        }
    }
}
