//! The clock by which components let others run.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// How long a component runs before it has to let others run.
const TICK: Duration = Duration::from_millis(10);

/// Advances the engine's epoch while calls run, from a separate thread: no
/// component can keep it from running.
pub(super) struct Ticker(Arc<Shared>);

/// Keeps the ticker going while a call runs.
pub(super) struct Running(Arc<Shared>);

#[derive(Default)]
struct Shared {
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
