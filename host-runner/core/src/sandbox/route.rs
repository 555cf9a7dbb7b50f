//! Which of a cluster's addresses a request goes to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A failure that takes longer than this costs time that a call has to wait for.
const SLOW: Duration = Duration::from_millis(500);
/// How long an address is left alone after its first slow failure; twice as long after
/// each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is known of a cluster's addresses.
pub(super) struct Route(Mutex<Known>);

struct Known {
    /// The one that answered last.
    preferred: usize,
    addresses: Vec<Health>,
}

#[derive(Default, Clone)]
struct Health {
    /// How many slow failures there were in a row.
    slow_failures: u32,
    paused_until: Option<Instant>,
    /// The last failure, if it has not answered since.
    reason: Option<String>,
}

/// Which addresses to try, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// In this order.
    pub(super) tried: Vec<usize>,
    /// Not tried, since they have let calls wait; with the reasons.
    pub(super) left_out: Vec<(usize, String)>,
}

impl Route {
    /// Nothing is known of so many addresses yet.
    pub(super) fn new(count: usize) -> Self {
        Self(Mutex::new(Known {
            preferred: 0,
            addresses: vec![Health::default(); count],
        }))
    }

    /// The address that answered last comes first, then the others in the order of the
    /// settings. Of those that have let a call wait and are left alone for a while, one is
    /// tried at the end, so that a call waits for one of them at most.
    pub(super) fn order(&self, now: Instant) -> Order {
        let known = self.known();
        let all = known.addresses.iter().enumerate();
        let paused = |health: &Health| health.paused_until.filter(|until| *until > now);
        let mut tried: Vec<_> = all
            .clone()
            .filter(|(_, health)| paused(health).is_none())
            .map(|(at, _)| at)
            .collect();
        tried.sort_by_key(|at| *at != known.preferred);
        let mut later: Vec<_> = all
            .filter_map(|(at, health)| Some((paused(health)?, at)))
            .collect();
        later.sort_unstable();
        let mut later = later.into_iter().map(|(_, at)| at);
        tried.extend(later.next());
        let reason = |at: usize| known.addresses.get(at)?.reason.clone();
        let left_out = later.map(|at| (at, reason(at).unwrap_or_default()));
        Order {
            left_out: left_out.collect(),
            tried,
        }
    }

    /// An address has answered. Whether another one was preferred before.
    pub(super) fn answered(&self, at: usize) -> bool {
        let mut known = self.known();
        if let Some(health) = known.addresses.get_mut(at) {
            *health = Health::default();
        }
        std::mem::replace(&mut known.preferred, at) != at
    }

    /// An address has not answered, and it took this time to see that.
    pub(super) fn failed(&self, at: usize, reason: &str, took: Duration, now: Instant) {
        let mut known = self.known();
        let Some(health) = known.addresses.get_mut(at) else {
            return;
        };
        health.reason = Some(reason.to_owned());
        if took < SLOW {
            return;
        }
        let doubled = 1 << health.slow_failures.min(10);
        health.slow_failures = health.slow_failures.saturating_add(1);
        health.paused_until = Some(now + (FIRST_PAUSE * doubled).min(LONGEST_PAUSE));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(route: &Route, now: Instant) -> Vec<usize> {
        route.order(now).tried
    }

    #[test]
    fn the_address_that_answered_last_comes_first() {
        let (route, now) = (Route::new(3), Instant::now());
        assert_eq!(tried(&route, now), [0, 1, 2]);
        route.failed(0, "refused", Duration::ZERO, now);
        assert!(route.answered(2) && !route.answered(2));
        assert_eq!(tried(&route, now), [2, 0, 1]);
    }

    #[test]
    fn a_call_waits_for_one_address_that_hangs_at_most() {
        let (route, now) = (Route::new(3), Instant::now());
        for at in [1, 0] {
            route.failed(at, &format!("{at} hangs"), Duration::from_secs(2), now);
            route.failed(at, &format!("{at} hangs"), Duration::from_secs(2), now);
        }
        route.failed(1, "1 hangs", Duration::from_secs(2), now);
        let order = route.order(now);
        assert_eq!(order.tried, [2, 0]);
        assert_eq!(order.left_out, [(1, "1 hangs".to_owned())]);
        // The pauses grow.
        let later = now + Duration::from_secs(2);
        assert_eq!(tried(&route, later), [0, 2, 1]);
        assert_eq!(tried(&route, later + Duration::from_secs(2)), [0, 1, 2]);
        for _ in 0..40 {
            route.failed(1, "1 hangs", Duration::from_secs(2), now);
        }
        assert_eq!(tried(&route, now + Duration::from_secs(59)), [0, 2, 1]);
        assert_eq!(tried(&route, now + LONGEST_PAUSE), [0, 1, 2]);
        route.answered(1);
        assert_eq!(tried(&route, now), [1, 2, 0]);
    }
}
