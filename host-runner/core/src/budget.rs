//! The memory that this process takes for components and servers: one budget
//! for all calls.
//!
//! A call may take a certain amount at most, and all calls together little more
//! than one. A call that finds too little left waits. The banker's algorithm
//! prevents a deadlock: of the calls that hold memory, the oldest can always get
//! all that a call may have, so it ends and releases it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What an instance's memories may take without asking: enough for most calls.
pub(crate) const SMALL_INSTANCE: usize = 3 << 20;
/// What is left for all other calls while one has all that a call may have.
const SHARED_BYTES: usize = 32 << 20;
/// Amounts below this are not counted.
const SMALL: usize = 64 << 10;

/// The budget of this process.
pub(crate) struct Budget {
    ledger: Mutex<Ledger>,
    /// Something was given back.
    freed: Notify,
    last_account: AtomicU64,
}

/// What one call has taken. All of it goes back when this is dropped.
pub(crate) struct Account {
    budget: Arc<Budget>,
    id: u64,
}

/// Memory that the host keeps for a call. It goes back when this is dropped.
pub(crate) struct Hold {
    account: Arc<Account>,
    bytes: usize,
}

/// More than any call may have.
#[derive(Debug, thiserror::Error)]
#[error("more memory than a call may have")]
pub(crate) struct TooMuch;

struct Ledger {
    free: usize,
    /// What one call can come to hold.
    claim: usize,
    /// What the host can come to hold for it.
    host: usize,
    /// The accounts that hold memory, oldest first.
    holders: Vec<Holder>,
}

struct Holder {
    account: u64,
    instance: usize,
    host: usize,
}

/// What memory is for.
#[derive(Clone, Copy)]
enum Purpose {
    Instance,
    Host,
}

impl Budget {
    /// For calls whose instances may each have memories of `instance_bytes`, and
    /// for each of which the host may keep `host_bytes`.
    pub(crate) fn new(instance_bytes: usize, host_bytes: usize) -> Arc<Self> {
        Self::with(instance_bytes, host_bytes, SHARED_BYTES)
    }

    /// For the host's own answers, of which it reads one at a time.
    pub(crate) fn for_host(bytes: usize) -> Arc<Self> {
        Self::with(0, bytes, 0)
    }

    fn with(instance: usize, host: usize, shared: usize) -> Arc<Self> {
        let claim = instance.saturating_add(host);
        Arc::new(Self {
            ledger: Mutex::new(Ledger {
                free: claim.saturating_add(shared),
                claim,
                host,
                holders: Vec::new(),
            }),
            freed: Notify::new(),
            last_account: AtomicU64::new(0),
        })
    }

    /// An account for one call.
    pub(crate) fn account(self: &Arc<Self>) -> Arc<Account> {
        Arc::new(Account {
            budget: Arc::clone(self),
            id: self.last_account.fetch_add(1, Ordering::Relaxed),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Takes memory for the call's instance. Waits until there is some. The
    /// caller knows how much an instance may have, and gives it back.
    pub(crate) async fn take(&self, bytes: usize) {
        self.wait_for(Purpose::Instance, bytes).await;
    }

    /// Gives back what the call's instance had.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.release(Purpose::Instance, bytes);
    }

    /// Whether the call holds nothing but what each may have without asking.
    pub(crate) fn is_empty(&self) -> bool {
        let ledger = self.budget.lock();
        ledger.holders.iter().all(|one| one.account != self.id)
    }

    /// Takes memory for what the host keeps. Waits until there is some.
    pub(crate) async fn hold(self: &Arc<Self>, bytes: usize) -> Result<Hold, TooMuch> {
        let mut hold = Hold {
            account: Arc::clone(self),
            bytes: 0,
        };
        hold.resize(bytes).await?;
        Ok(hold)
    }

    async fn wait_for(&self, purpose: Purpose, bytes: usize) {
        loop {
            // Hears of all that is given back from here on.
            let freed = self.budget.freed.notified();
            if bytes == 0 || self.budget.lock().take(self.id, purpose, bytes) {
                return;
            }
            freed.await;
        }
    }

    fn release(&self, purpose: Purpose, bytes: usize) {
        if bytes > 0 {
            self.budget.lock().give_back(self.id, purpose, bytes);
            self.budget.freed.notify_waiters();
        }
    }
}

impl Hold {
    /// Takes more, or gives some back. Waits until there is some.
    pub(crate) async fn resize(&mut self, bytes: usize) -> Result<(), TooMuch> {
        let bytes = if bytes <= SMALL { 0 } else { bytes };
        if bytes > self.account.budget.lock().host {
            return Err(TooMuch);
        }
        let more = bytes.saturating_sub(self.bytes);
        self.account.wait_for(Purpose::Host, more).await;
        let less = self.bytes.saturating_sub(bytes);
        self.account.release(Purpose::Host, less);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.account.release(Purpose::Host, self.bytes);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.lock().close(self.id);
        self.budget.freed.notify_waiters();
    }
}

impl Ledger {
    /// Whether the account gets it.
    fn take(&mut self, account: u64, purpose: Purpose, bytes: usize) -> bool {
        let index = self.holders.iter().position(|one| one.account == account);
        let holder = index.and_then(|index| self.holders.get(index));
        let host = holder.map_or(0, |holder| holder.host);
        if matches!(purpose, Purpose::Host) && host.saturating_add(bytes) > self.host {
            return false;
        }
        // What the first of the holders may still ask for stays where it is.
        let reserved = match (index, self.holders.first()) {
            (Some(0), _) | (_, None) => 0,
            (_, Some(first)) => self.claim.saturating_sub(first.total()),
        };
        let Some(left) = self
            .free
            .checked_sub(bytes)
            .filter(|left| *left >= reserved)
        else {
            return false;
        };
        self.free = left;
        let index = index.unwrap_or_else(|| {
            self.holders.push(Holder {
                account,
                instance: 0,
                host: 0,
            });
            self.holders.len() - 1
        });
        if let Some(holder) = self.holders.get_mut(index) {
            match purpose {
                Purpose::Instance => holder.instance += bytes,
                Purpose::Host => holder.host += bytes,
            };
        }
        true
    }

    fn give_back(&mut self, account: u64, purpose: Purpose, bytes: usize) {
        if let Some(holder) = self.holders.iter_mut().find(|one| one.account == account) {
            let had = match purpose {
                Purpose::Instance => &mut holder.instance,
                Purpose::Host => &mut holder.host,
            };
            let bytes = bytes.min(*had);
            *had -= bytes;
            self.free += bytes;
            self.holders.retain(|holder| holder.total() > 0);
        }
    }

    fn close(&mut self, account: u64) {
        let mine = self.holders.extract_if(.., |one| one.account == account);
        self.free += mine.map(|holder| holder.total()).sum::<usize>();
    }
}

impl Holder {
    fn total(&self) -> usize {
        self.instance + self.host
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MIB: usize = 1 << 20;
    const HOST_BYTES: usize = 48 * MIB;

    /// Whether it is there at once.
    async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(Duration::ZERO, future).await.ok()
    }

    #[tokio::test]
    async fn the_first_gets_all_that_a_call_may_have() {
        let budget = Budget::new(64 * MIB, HOST_BYTES);
        let (first, second) = (budget.account(), budget.account());
        first.take(MIB).await;
        second.take(SHARED_BYTES).await;
        assert!(at_once(second.take(1)).await.is_none());
        let held = at_once(first.hold(HOST_BYTES)).await;
        assert!(held.is_some());
        assert!(at_once(first.take(63 * MIB)).await.is_some());
        assert!(at_once(budget.account().take(1)).await.is_none());
    }

    #[tokio::test]
    async fn released_memory_goes_to_a_call_that_waits() {
        let budget = Budget::new(64 * MIB, HOST_BYTES);
        let (first, second) = (budget.account(), budget.account());
        first.take(MIB).await;
        second.take(SHARED_BYTES).await;
        let waiting = tokio::spawn(async move {
            second.take(32 * MIB).await;
            second
        });
        tokio::task::yield_now().await;
        drop(first);
        let second = waiting.await.unwrap();
        // It is the first now.
        assert!(at_once(second.take(32 * MIB)).await.is_some());
        drop(second);
        assert_eq!(budget.lock().holders.len(), 0);
        assert_eq!(budget.lock().free, budget.all_free());
    }

    #[tokio::test]
    async fn a_call_waits_for_itself_too() {
        let budget = Budget::new(64 * MIB, HOST_BYTES);
        let account = budget.account();
        let held = account.hold(HOST_BYTES).await.unwrap();
        assert!(at_once(account.hold(MIB)).await.is_none());
        assert!(at_once(account.hold(SMALL)).await.is_some());
        drop(held);
        assert!(at_once(account.hold(MIB)).await.is_some());
        assert!(account.hold(HOST_BYTES + 1).await.is_err());
    }

    /// All calls get their memory in the end, however much they ask for.
    #[tokio::test]
    async fn no_call_waits_for_ever() {
        let budget = Budget::new(64 * MIB, HOST_BYTES);
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..50 {
            let account = budget.account();
            calls.spawn(async move {
                let mut taken = 0;
                while taken < 64 {
                    account.take(MIB).await;
                    taken += 1;
                    tokio::task::yield_now().await;
                    if taken % 8 == number % 8 {
                        let held = account.hold(HOST_BYTES).await;
                        tokio::task::yield_now().await;
                        drop(held);
                    }
                }
            });
        }
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
        assert_eq!(budget.lock().free, budget.all_free());
    }

    impl Budget {
        fn all_free(&self) -> usize {
            64 * MIB + HOST_BYTES + SHARED_BYTES
        }
    }
}
