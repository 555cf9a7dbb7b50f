//! A call's turn among those that run at the same time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turn that a call currently has, if any.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<Option<OwnedSemaphorePermit>>);

/// Where a call that has given up its turn gets it back.
#[derive(Debug)]
pub(crate) struct GivenUp(Arc<Semaphore>);

/// Ends a turn when it is dropped.
pub(crate) struct Running<'a>(&'a Turn);

impl Turn {
    /// Begins a turn, which ends with what is returned.
    pub(crate) fn begin(&self, turn: OwnedSemaphorePermit) -> Running<'_> {
        *self.lock() = Some(turn);
        Running(self)
    }

    /// Lets another call have the turn for the time being.
    pub(crate) fn give_up(&self) -> Option<GivenUp> {
        let turn = self.lock().take()?;
        Some(GivenUp(Arc::clone(turn.semaphore())))
    }

    /// Waits until it is this call's turn again.
    pub(crate) async fn take_back(&self, given_up: GivenUp) {
        // It is never closed.
        if let Ok(turn) = given_up.0.acquire_owned().await {
            *self.lock() = Some(turn);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_was_given_up_is_another_call_s() {
        let turns = Arc::new(Semaphore::new(1));
        let next = || Arc::clone(&turns).try_acquire_owned();
        let waiting = Turn::default();
        let running = waiting.begin(next().unwrap());
        assert!(next().is_err());
        let given_up = waiting.give_up().unwrap();
        assert!(waiting.give_up().is_none());
        let other = next().unwrap();
        let back = waiting.take_back(given_up);
        let mut back = std::pin::pin!(back);
        assert!(futures_are_pending(back.as_mut()).await);
        drop(other);
        back.await;
        assert!(next().is_err());
        drop(running);
        assert!(next().is_ok());
    }

    async fn futures_are_pending(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        tokio::select! {
            biased;
            () = future => false,
            () = std::future::ready(()) => true,
        }
    }
}
