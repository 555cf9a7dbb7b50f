//! How much a call that reads about every guest may ask for.

use std::time::{Duration, Instant};

/// How long such a call reads. MCP clients give a call up after 60 seconds.
pub(crate) const SECONDS: u64 = 40;
const TIME: Duration = Duration::from_secs(SECONDS);

/// The requests and the time that are left to a call. A cluster may have any number of
/// guests, and host-runner lets a call make 1,000 requests.
#[derive(Debug)]
pub(crate) struct Budget {
    requests: usize,
    started: Instant,
}

impl Budget {
    pub(crate) fn new(requests: usize) -> Self {
        Self {
            requests,
            started: Instant::now(),
        }
    }

    /// Takes a request. False if none is left, or the time is over.
    pub(crate) fn take(&mut self) -> bool {
        if self.requests == 0 || self.started.elapsed() > TIME {
            return false;
        }
        self.requests -= 1;
        true
    }

    /// The requests that are left.
    pub(crate) fn left(&self) -> usize {
        self.requests
    }

    /// A part of the requests that are left, for one purpose; they leave this budget.
    pub(crate) fn part(&mut self, requests: usize) -> Self {
        let requests = requests.min(self.requests);
        self.requests -= requests;
        Self {
            requests,
            started: self.started,
        }
    }

    /// Gives back what a part did not use.
    pub(crate) fn give_back(&mut self, part: &Self) {
        self.requests += part.requests;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up_once() {
        let mut budget = Budget::new(3);
        let mut part = budget.part(2);
        assert!(part.take() && budget.take() && !budget.take());
        budget.give_back(&part);
        assert!(budget.take() && !budget.take());
        assert_eq!(budget.left(), 0);
    }
}
