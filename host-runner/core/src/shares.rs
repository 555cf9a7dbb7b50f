//! Something of which no user may take more than a share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// With so many users, those who hold nothing are forgotten.
const MANY_USERS: usize = 256;

/// Units that users take, each user at most half of them. Where there are no users, all of
/// them may be taken.
pub(crate) struct Shares {
    all: Arc<Semaphore>,
    half: usize,
    users: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// What was taken. It goes back when this is dropped.
pub(crate) struct Share {
    _all: OwnedSemaphorePermit,
    _of_user: Option<OwnedSemaphorePermit>,
}

impl Shares {
    pub(crate) fn new(units: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(units)),
            half: units / 2,
            users: Mutex::default(),
        }
    }

    /// Takes so many units, unless that is more than is left.
    pub(crate) fn take(&self, user: Option<&Arc<str>>, units: u32) -> Option<Share> {
        let of_user = match user {
            Some(user) => {
                let share = self.of(user).try_acquire_many_owned(units);
                Some(share.ok()?)
            }
            None => None,
        };
        let all = Arc::clone(&self.all).try_acquire_many_owned(units).ok()?;
        Some(Share {
            _all: all,
            _of_user: of_user,
        })
    }

    fn of(&self, user: &Arc<str>) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MANY_USERS && !users.contains_key(user) {
            users.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let share = users.entry(Arc::clone(user));
        Arc::clone(share.or_insert_with(|| Arc::new(Semaphore::new(self.half))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_takes_no_more_than_half() {
        let shares = Shares::new(8);
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        assert!(shares.take(Some(&alice), 5).is_none());
        let taken = shares.take(Some(&alice), 3).unwrap();
        assert!(shares.take(Some(&alice), 2).is_none());
        let others = shares.take(Some(&bob), 4).unwrap();
        assert!(shares.take(Some(&alice), 1).is_some());
        drop(taken);
        drop(others);
        // Nothing is lost.
        let _alices = shares.take(Some(&alice), 4).unwrap();
        let _bobs = shares.take(Some(&bob), 4).unwrap();
        assert!(shares.take(None, 1).is_none());
    }

    #[test]
    fn without_users_all_can_be_taken() {
        let shares = Shares::new(8);
        let all = shares.take(None, 8);
        assert!(all.is_some() && shares.take(None, 1).is_none());
    }
}
