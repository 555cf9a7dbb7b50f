//! Places for connections: how many there may be, and how many of them from one address
//! that has not yet presented a right token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::network;

/// Strangers from one address get at most this part of all places, …
const SHARE: usize = 4;
/// … but so many if there are few.
const FEW: usize = 8;

/// The places for connections.
pub(super) struct Places {
    all: Arc<Semaphore>,
    most_strangers: usize,
    /// The connections of each address on which no request was admitted yet.
    strangers: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The place of a connection, until it is dropped.
pub(super) struct Place {
    address: IpAddr,
    is_known: AtomicBool,
    strangers: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            most_strangers: (most / SHARE).max(FEW),
            strangers: Arc::default(),
        }
    }

    /// A place for a connection from this address. None if too many are open.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut strangers = lock(&self.strangers);
        let near = strangers.entry(network(address)).or_default();
        if *near >= self.most_strangers {
            return None;
        }
        *near += 1;
        Some(Place {
            address,
            is_known: AtomicBool::new(false),
            strangers: Arc::clone(&self.strangers),
            _permit: permit,
        })
    }
}

impl Place {
    /// Where the connection comes from.
    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }

    /// A request on the connection was admitted: it is no longer a stranger's.
    pub(super) fn know(&self) {
        if self.is_known.swap(true, Ordering::Relaxed) {
            return;
        }
        let network = network(self.address);
        let mut strangers = lock(&self.strangers);
        if let Some(near) = strangers.get_mut(&network) {
            *near = near.saturating_sub(1);
            if *near == 0 {
                strangers.remove(&network);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.know();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_from_one_address_leave_places_to_others() {
        let places = Places::new(40);
        let (here, there): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mut open: Vec<Place> = (0..10).filter_map(|_| places.take(here)).collect();
        assert_eq!(open.len(), 10);
        assert!(places.take(here).is_none());
        assert!(places.take(there).is_some());
        // A connection that is known counts no longer, and is not counted back twice.
        open.first().unwrap().know();
        open.push(places.take(here).unwrap());
        assert!(places.take(here).is_none());
        drop(open.remove(0));
        assert!(places.take(here).is_none());
        drop(open);
        assert!(lock(&places.strangers).is_empty());
        assert_eq!(places.all.available_permits(), 40);
    }
}
