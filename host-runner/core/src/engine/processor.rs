//! The processor time of calls, and the threads that they run on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::system::process::thread_time;

/// Threads that calls run on: components compute there, and nothing else
/// waits for its turn behind them, be it a message, a signal or an answer of
/// Proxmox.
const THREADS: usize = 2;

/// The threads that calls run on, each with the calls that it was given. They share no queue:
/// idle threads would be woken with each step of a call, to look for work that is not there.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// How many calls it has.
    calls: Arc<AtomicUsize>,
    /// The thread ends when this is dropped.
    _running: DropGuard,
}

/// One of the calls of a thread.
struct Place(Arc<AtomicUsize>);

/// Counts the processor time of one call: the component's own, and that of the
/// host's functions that it calls.
pub(super) struct Meter {
    budget: Duration,
    spent: AtomicU64,
}

/// A call that ran for longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("out of processor time")]
pub(super) struct OutOfTime;

/// Counts the time that a part of a call takes.
pub(super) struct Metered<F> {
    future: Pin<Box<F>>,
    meter: Arc<Meter>,
}

/// The same, and ends it when the time is over. It looks whenever the future
/// lets others run.
pub(super) struct Bounded<F>(Metered<F>);

impl Workers {
    pub(super) fn start() -> io::Result<Self> {
        let workers = (0..THREADS).map(|_| Worker::start());
        Ok(Self(workers.collect::<io::Result<_>>()?))
    }

    /// Runs it on the thread with the fewest calls; it ends when this is dropped.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<AbortOnDropHandle<T>> {
        let calls = |worker: &&Worker| worker.calls.load(Ordering::Relaxed);
        let worker = self.0.iter().min_by_key(calls)?;
        let place = Place::new(&worker.calls);
        let running = worker.runtime.spawn(async move {
            let _place = place;
            future.await
        });
        Some(AbortOnDropHandle::new(running))
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            // Each turn of a component is long: what else there is to do must
            // not wait for dozens of them.
            .event_interval(2)
            .global_queue_interval(2)
            .enable_time()
            .build()?;
        let handle = runtime.handle().clone();
        let running = CancellationToken::new();
        let ended = running.clone();
        thread::Builder::new()
            .name("call".to_owned())
            .spawn(move || runtime.block_on(ended.cancelled()))?;
        Ok(Self {
            runtime: handle,
            calls: Arc::default(),
            _running: running.drop_guard(),
        })
    }
}

impl Place {
    fn new(calls: &Arc<AtomicUsize>) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(calls))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Meter {
    pub(super) fn new(budget: Duration) -> Arc<Self> {
        Arc::new(Self {
            budget,
            spent: AtomicU64::new(0),
        })
    }

    /// Runs this, and counts the time that it takes.
    fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = thread_time();
        let outcome = work();
        let spent = thread_time().saturating_sub(before);
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(spent, Ordering::Relaxed);
        outcome
    }

    fn is_spent(&self) -> bool {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed)) > self.budget
    }
}

impl<F> Metered<F> {
    pub(super) fn new(meter: Arc<Meter>, future: F) -> Self {
        Self {
            future: Box::pin(future),
            meter,
        }
    }
}

impl<F> Bounded<F> {
    pub(super) fn new(meter: Arc<Meter>, future: F) -> Self {
        Self(Metered::new(meter, future))
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, meter } = &mut *self;
        meter.run(|| future.as_mut().poll(context))
    }
}

impl<F: Future> Future for Bounded<F> {
    type Output = Result<F::Output, OutOfTime>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.0.meter.is_spent() => Poll::Ready(Err(OutOfTime)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn computing_is_counted() {
        let meter = Meter::new(Duration::from_millis(20));
        let endless = async {
            let mut turns = 0_u64;
            loop {
                for _ in 0..10_000 {
                    turns = std::hint::black_box(turns.wrapping_add(1));
                }
                tokio::task::yield_now().await;
            }
        };
        let ended: Result<(), _> = Bounded::new(Arc::clone(&meter), endless).await;
        assert!(ended.is_err() && meter.is_spent());
    }

    #[tokio::test]
    async fn waiting_is_not_counted() {
        let meter = Meter::new(Duration::from_millis(20));
        let pause = tokio::time::sleep(Duration::from_millis(60));
        assert!(Bounded::new(meter, pause).await.is_ok());
    }

    #[tokio::test]
    async fn what_runs_elsewhere_is_counted_too() {
        let meter = Meter::new(Duration::ZERO);
        let part = Metered::new(Arc::clone(&meter), async {
            std::hint::black_box((0..100_000_u64).map(std::hint::black_box).sum::<u64>())
        });
        part.await;
        assert!(meter.is_spent());
    }
}
