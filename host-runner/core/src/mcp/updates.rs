//! Tells clients that resources have changed.
//!
//! Proxmox VE announces nothing, so one task reads the watched resources again and
//! again, one at a time, for as long as somebody listens. It reads them as their
//! client would: what the policy hides is not seen. The first read of a resource is in
//! the audit log, and the repetitions are not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rmcp::model::SubscriptionFilter;
use rmcp::{ErrorData, Peer, RoleServer};
use serde_json::Value;
use tokio::time::Instant;

use super::inner::Inner;
use super::listeners::{MAX_WATCHED, Recipient, Wanted};
use super::running::Caller;
use super::unknown::unknown_resource;
use crate::audit::Occasion;
use crate::digest::Digest;

/// After so many resources that cannot be read, and none that can, the others are left
/// for the next time.
const GIVES_UP_AFTER: usize = 3;

/// Ends listening when it is dropped.
pub(super) struct Listening {
    inner: Arc<Inner>,
    id: u64,
}

/// What is known of the watched resources.
#[derive(Default)]
struct Seen {
    /// None: it cannot be read, as it is gone or refused.
    resources: BTreeMap<String, Option<Digest>>,
    list: Option<Digest>,
}

impl Seen {
    fn forget_all_but(&mut self, wanted: &Wanted) {
        self.resources.retain(|uri, _| wanted.uris.contains(uri));
        self.list = self.list.filter(|_| wanted.list);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.inner.listeners.remove(self.id);
    }
}

impl Inner {
    /// What of a filter can be listened to: the list of resources, and resources that
    /// there are. Which of these exist is not looked at.
    pub(super) fn accepted(&self, requested: &SubscriptionFilter) -> SubscriptionFilter {
        let guide = self.catalog.guide_if_read();
        let uris = requested.resource_subscriptions.iter().flatten();
        let known = uris.filter(|uri| guide.is_none_or(|guide| guide.resource(uri).is_some()));
        let mut accepted = SubscriptionFilter::new();
        accepted.resources_list_changed = requested.resources_list_changed;
        accepted.resource_subscriptions = Some(known.take(MAX_WATCHED).cloned().collect());
        accepted
    }

    /// Listens until what is returned is dropped.
    pub(super) fn listen(
        self: &Arc<Self>,
        accepted: &SubscriptionFilter,
        to: Recipient,
    ) -> Result<Listening, ErrorData> {
        let uris = accepted.resource_subscriptions.iter().flatten();
        let wanted = Wanted {
            uris: uris.cloned().collect(),
            list: accepted.resources_list_changed == Some(true),
        };
        Ok(Listening {
            id: self.watch(wanted, to)?,
            inner: Arc::clone(self),
        })
    }

    /// Watches a resource for the client of a session, which then also hears of changes
    /// of the list.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        uri: String,
        peer: Peer<RoleServer>,
    ) -> Result<(), ErrorData> {
        let guide = self.guide().await?;
        if guide.resource(&uri).is_none() {
            return Err(unknown_resource(guide, &uri));
        }
        let wanted = Wanted {
            uris: BTreeSet::from([uri]),
            list: true,
        };
        self.watch(wanted, Recipient::Session(peer)).map(drop)
    }

    /// Ends that. It is no error if the resource was not watched.
    pub(super) fn unsubscribe(&self, uri: &str) {
        self.listeners.remove_from_session(uri);
    }

    /// Adds a listener, and starts the task that reads unless it is there.
    fn watch(self: &Arc<Self>, wanted: Wanted, to: Recipient) -> Result<u64, ErrorData> {
        let (id, is_first) = self.listeners.add(wanted, to)?;
        if !is_first {
            return Ok(id);
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = inner.read_again_and_again() => {}
                () = inner.closed() => {}
            }
        });
        Ok(id)
    }

    async fn read_again_and_again(&self) {
        let mut seen = Seen::default();
        let (mut failures, mut round) = (0, 0);
        let mut due = Instant::now();
        while let Some(wanted) = self.listeners.wanted() {
            self.backlog.room().await;
            seen.forget_all_but(&wanted);
            let is_due = due <= Instant::now();
            // A read that has begun gets a moment to end, as calls do.
            let running = self.calls.token();
            let works = self.read_watched(&wanted, &mut seen, is_due, round).await;
            drop(running);
            if is_due {
                failures = if works { 0 } else { failures + 1 };
                round += 1;
                due = Instant::now() + self.listeners.pause(failures);
            }
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.listeners.changed.notified() => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    /// Reads what is watched, and tells who listens. Reads only what was not read yet,
    /// unless it `is_due`. Whether Proxmox works: false if nothing could be read. Then it
    /// gives up soon, and begins with another resource in the next round, since the first
    /// ones may be on a node that is gone.
    async fn read_watched(
        &self,
        wanted: &Wanted,
        seen: &mut Seen,
        is_due: bool,
        round: usize,
    ) -> bool {
        let (mut read, mut failed) = (0, 0);
        let first = round % wanted.uris.len().max(1);
        let in_turn = wanted.uris.iter().cycle().skip(first);
        for uri in in_turn.take(wanted.uris.len()) {
            if read == 0 && failed >= GIVES_UP_AFTER || self.closing.is_cancelled() {
                return false;
            }
            let before = seen.resources.get(uri).copied();
            if before.is_some() && !is_due {
                continue;
            }
            let Ok(now) = self.digest(uri, before.is_none()).await else {
                failed += 1;
                continue;
            };
            read += 1;
            seen.resources.insert(uri.clone(), now);
            if before.is_some_and(|before| before != now) {
                let listens = |wanted: &Wanted| wanted.uris.contains(uri);
                for listener in self.listeners.recipients(listens) {
                    listener.updated(uri).await;
                }
            }
        }
        if wanted.list && (is_due || seen.list.is_none()) {
            let Ok(now) = self.list_digest(seen.list.is_none()).await else {
                return read > 0;
            };
            read += 1;
            if seen.list.replace(now).is_some_and(|before| before != now) {
                for listener in self.listeners.recipients(|wanted| wanted.list) {
                    listener.list_changed().await;
                }
            }
        }
        read > 0 || failed == 0
    }

    /// Of the content of a resource. None if it cannot be read.
    async fn digest(&self, uri: &str, is_first: bool) -> Result<Option<Digest>, ()> {
        let guide = self.guide().await.map_err(drop)?;
        let Some((resource, values)) = guide.resource(uri) else {
            return Ok(None);
        };
        match self.content(resource, &values, &watching(is_first)).await {
            Ok(content) => Ok(Some(resource.digest(content))),
            Err(error) if error.passes() => {
                tracing::debug!("a watched resource cannot be read: {}", error.text());
                Err(())
            }
            Err(_) => Ok(None),
        }
    }

    async fn list_digest(&self, is_first: bool) -> Result<Digest, ()> {
        let listed = self.resources(&watching(is_first)).await.map_err(drop)?;
        // What cannot be listed at the moment has not gone.
        if !listed.missing.is_empty() {
            return Err(());
        }
        let list = serde_json::to_value(listed.all).unwrap_or(Value::Null);
        Ok(Digest::of_json(&list))
    }
}

/// The first read of what is watched is logged.
fn watching(is_first: bool) -> Caller {
    Caller {
        occasion: is_first.then_some(Occasion::Subscription),
        client: None,
    }
}
