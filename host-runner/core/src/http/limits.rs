//! How many requests each client may send. A client is the user whose token it presents,
//! else the address that it comes from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;
use crate::bucket::Bucket;

const MINUTE: Duration = Duration::from_secs(60);
/// Wrong tokens that may come from an address in a minute.
const FAILURES: u32 = 30;
/// So many clients are remembered before the idle ones are forgotten.
const MAX_REMEMBERED: usize = 4096;

/// Counts the requests of all clients.
pub(super) struct Limits {
    per_minute: u32,
    concurrency: u32,
    clients: Mutex<HashMap<Client, Load>>,
    failures: Mutex<HashMap<Client, Bucket>>,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    User(Arc<str>),
    Address(IpAddr),
}

struct Load {
    rate: Bucket,
    open: Arc<Semaphore>,
}

impl Limits {
    pub(super) fn new(per_minute: u32, concurrency: u32) -> Self {
        Self {
            per_minute,
            concurrency,
            clients: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Counts a request of a client, which is open until what is returned is dropped.
    pub(super) fn admit(
        &self,
        user: Option<&Arc<str>>,
        address: IpAddr,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        let client = match user {
            Some(user) => Client::User(Arc::clone(user)),
            None => Client::Address(network(address)),
        };
        let now = Instant::now();
        let concurrency = self.concurrency as usize;
        let mut clients = lock(&self.clients);
        if clients.len() >= MAX_REMEMBERED && !clients.contains_key(&client) {
            clients.retain(|_, load| {
                load.open.available_permits() < concurrency || !load.rate.is_full(now)
            });
        }
        let load = clients.entry(client).or_insert_with(|| Load {
            rate: Bucket::new(self.per_minute, MINUTE),
            open: Arc::new(Semaphore::new(concurrency)),
        });
        load.rate.take(now).map_err(|seconds| {
            let message = format!(
                "a client may send {} requests in a minute: try again in {seconds} s, or ask the \
                 operator to raise --http-requests",
                self.per_minute
            );
            too_many("rate_limited", message).retry_after(seconds)
        })?;
        let open = Arc::clone(&load.open);
        open.try_acquire_owned().map_err(|_| {
            let message = format!(
                "a client may have {concurrency} open requests, streams among them: wait for their \
                 responses, or ask the operator to raise --http-concurrency"
            );
            too_many("too_many_open_requests", message).retry_after(1)
        })
    }

    /// Counts a wrong token. What to answer if too many came from the address.
    pub(super) fn failed(&self, address: IpAddr) -> Option<Refusal> {
        let now = Instant::now();
        let mut failures = lock(&self.failures);
        if failures.len() >= MAX_REMEMBERED {
            failures.retain(|_, bucket| !bucket.is_full(now));
        }
        let bucket = failures
            .entry(Client::Address(network(address)))
            .or_insert_with(|| Bucket::new(FAILURES, MINUTE));
        let seconds = bucket.take(now).err()?;
        let message = format!(
            "too many wrong tokens came from this address: use the right one, or try again in \
             {seconds} s"
        );
        Some(too_many("too_many_failures", message).retry_after(seconds))
    }
}

fn too_many(code: &'static str, message: String) -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, code, message)
}

/// An address; of IPv6, the network that one customer gets.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn users_do_not_take_from_each_other() {
        let limits = Limits::new(3, 2);
        let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let first = limits.admit(Some(&alice), here).unwrap();
        let _second = limits.admit(Some(&alice), there).unwrap();
        let refusal = limits.admit(Some(&alice), here).unwrap_err();
        assert_eq!(refusal.code, "too_many_open_requests");
        drop(first);
        let refusal = limits.admit(Some(&alice), here).unwrap_err();
        assert_eq!(refusal.code, "rate_limited");
        drop(limits.admit(Some(&bob), here).unwrap());
        drop(limits.admit(None, here).unwrap());
    }

    #[test]
    fn wrong_tokens_are_limited_by_address() {
        let limits = Limits::new(1, 1);
        let (here, near) = (address("2001:db8::1"), address("2001:db8::2"));
        for _ in 0..FAILURES {
            assert!(limits.failed(here).is_none());
        }
        assert!(limits.failed(here).is_some());
        assert!(limits.failed(near).is_some());
        assert!(limits.failed(address("2001:db8:0:1::1")).is_none());
        assert!(limits.failed(address("192.0.2.1")).is_none());
    }

    #[test]
    fn idle_clients_are_forgotten() {
        let limits = Limits::new(1_000_000, 1);
        for one in 0..(MAX_REMEMBERED as u32 + 500) {
            let client = IpAddr::V4(one.into());
            drop(limits.admit(None, client));
            limits.failed(client);
        }
        assert!(lock(&limits.clients).len() <= MAX_REMEMBERED);
    }
}
