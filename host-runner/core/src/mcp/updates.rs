//! Tells clients that resources have changed.
//!
//! Proxmox VE announces nothing, so one task reads the watched resources again and
//! again, one at a time, for as long as somebody listens. It reads them as their
//! client would: what the policy hides is not seen. The first read of a resource is in
//! the audit log, and the repetitions are not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::SubscriptionFilter;
use rmcp::{ErrorData, Peer, RoleServer};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::inner::Inner;
use super::listeners::{News, Recipient, Wanted};
use super::look::LookError;
use super::running::Caller;
use super::unknown::unknown_resource;
use crate::audit::Occasion;
use crate::digest::Digest;
use crate::remote::Remote;

/// After so many resources that cannot be read, and none that can, the others are left
/// for the next time.
const GIVES_UP_AFTER: usize = 3;
/// How long a client may take for a notification: it goes into a buffer, so this is over
/// only for a client that has not read many.
const TELLING_TIME: Duration = Duration::from_secs(2);

/// Ends listening when it is dropped.
pub(super) struct Listening {
    inner: Arc<Inner>,
    id: u64,
}

/// How it went to list the resources of all templates.
#[derive(Default)]
struct Lists {
    read: usize,
    failed: usize,
    have_changed: bool,
}

/// What is known of the watched resources.
#[derive(Default)]
struct Seen {
    /// None: it is gone.
    resources: BTreeMap<String, Option<Digest>>,
    /// Of the resources of each template that is listed.
    lists: BTreeMap<String, Digest>,
    /// What the audit log has a read of: resources, and lists by their templates.
    logged: BTreeSet<String>,
    logged_lists: BTreeSet<String>,
}

impl Seen {
    fn forget_all_but(&mut self, wanted: &Wanted) {
        self.resources.retain(|uri, _| wanted.uris.contains(uri));
        self.logged.retain(|uri| wanted.uris.contains(uri));
        if !wanted.list {
            self.lists.clear();
            self.logged_lists.clear();
        }
    }

    /// Remembers a list. Whether it is another than before.
    fn notes_list(&mut self, template: &str, now: Digest) -> bool {
        let before = self.lists.insert(template.to_owned(), now);
        before.is_some_and(|before| before != now)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.inner.listeners.remove(self.id);
    }
}

impl Inner {
    /// What of a filter can be listened to: the list of resources, and resources that the
    /// component declares, as many as there is room for. Which of these exist is not looked
    /// at.
    pub(super) fn accepted(&self, requested: &SubscriptionFilter) -> SubscriptionFilter {
        let uris = requested.resource_subscriptions.iter().flatten();
        let known = uris.filter(|uri| self.catalog.may_have(uri));
        let room = self.listeners.room_for(known);
        let mut accepted = SubscriptionFilter::new();
        accepted.resources_list_changed =
            requested.resources_list_changed.filter(|_| room.is_some());
        accepted.resource_subscriptions = Some(room.into_iter().flatten().collect());
        accepted
    }

    /// Listens until what is returned is dropped; None where there is nothing to listen to.
    pub(super) fn listen(
        self: &Arc<Self>,
        accepted: &SubscriptionFilter,
        to: Recipient,
        of: Option<Remote>,
    ) -> Result<Option<Listening>, ErrorData> {
        let uris = accepted.resource_subscriptions.iter().flatten();
        let wanted = Wanted {
            uris: uris.cloned().collect(),
            list: accepted.resources_list_changed == Some(true),
        };
        if wanted == Wanted::default() {
            return Ok(None);
        }
        Ok(Some(Listening {
            id: self.watch(wanted, to, of)?,
            inner: Arc::clone(self),
        }))
    }

    /// Watches a resource for the client of a session, which then also hears of changes
    /// of the list.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        uri: String,
        peer: Peer<RoleServer>,
        of: Option<Remote>,
    ) -> Result<(), ErrorData> {
        let guide = self.guide().await?;
        if guide.resource(&uri).is_none() {
            return Err(unknown_resource(guide, &uri));
        }
        let wanted = Wanted {
            uris: BTreeSet::from([uri]),
            list: true,
        };
        self.watch(wanted, Recipient::Session(peer), of).map(drop)
    }

    /// Stops watching a resource. Does nothing if it was not watched.
    pub(super) fn unsubscribe(&self, uri: &str, of: Option<&Remote>) {
        self.listeners.remove_from_session(uri, of);
    }

    /// Adds a listener, and starts the task that reads unless it is there.
    fn watch(
        self: &Arc<Self>,
        wanted: Wanted,
        to: Recipient,
        of: Option<Remote>,
    ) -> Result<u64, ErrorData> {
        let (id, is_first) = self.listeners.add(wanted, to, of)?;
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
                () = self.retired.cancelled() => return,
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
        let (mut read, mut failed, mut refused) = (0, 0, 0);
        let first = round % wanted.uris.len().max(1);
        let in_turn = wanted.uris.iter().cycle().skip(first);
        for uri in in_turn.take(wanted.uris.len()) {
            if read == 0 && failed >= GIVES_UP_AFTER || self.retired.is_cancelled() {
                return false;
            }
            let before = seen.resources.get(uri).copied();
            if before.is_some() && !is_due {
                continue;
            }
            let now = match self.digest(uri, &mut seen.logged).await {
                Ok(now) => now,
                // That says nothing of the others.
                Err(error) if error.is_refusal() => {
                    refused += 1;
                    continue;
                }
                Err(_) => {
                    failed += 1;
                    continue;
                }
            };
            read += 1;
            seen.resources.insert(uri.clone(), now);
            if before.is_some_and(|before| before != now) {
                let listens = |wanted: &Wanted| wanted.uris.contains(uri);
                self.tell(&News::Updated(uri.clone()), listens).await;
            }
        }
        if wanted.list {
            let lists = self.read_lists(seen, is_due).await;
            read += lists.read;
            failed += lists.failed;
            if lists.have_changed {
                // Who is told lists the resources again.
                self.suggestions.forget();
                self.tell(&News::List, |wanted| wanted.list).await;
            }
        }
        read > 0 || failed + refused == 0
    }

    /// Tells those who listen, all at the same time. Whoever does not take it hears nothing
    /// from then on, so that the others do.
    async fn tell(&self, news: &News, listens: impl Fn(&Wanted) -> bool) {
        let mut telling = JoinSet::new();
        for (id, to) in self.listeners.recipients(listens) {
            let news = news.clone();
            telling.spawn(async move {
                let told = tokio::time::timeout(TELLING_TIME, to.hear(&news)).await;
                told.is_err().then_some(id)
            });
        }
        while let Some(told) = telling.join_next().await {
            if let Ok(Some(id)) = told {
                tracing::warn!("a client does not read its notifications: it gets none any more");
                self.listeners.remove(id);
            }
        }
    }

    /// Of the content of a resource. None if it is gone.
    async fn digest(
        &self,
        uri: &str,
        logged: &mut BTreeSet<String>,
    ) -> Result<Option<Digest>, LookError> {
        let guide = self.guide().await;
        let guide = guide.map_err(|error| LookError::Fault(error.message.into_owned()))?;
        let Some((resource, values)) = guide.resource(uri) else {
            return Ok(None);
        };
        let of = self.listeners.first(|wanted| wanted.uris.contains(uri));
        let caller = watching(logged, uri, of);
        let content = self.content(resource, &values, &caller).await;
        note(logged, uri, &content);
        match content {
            Ok(content) => Ok(Some(resource.digest(content))),
            Err(error) if error.passes() => {
                tracing::debug!("a watched resource cannot be read: {}", error.text());
                Err(error)
            }
            Err(_) => Ok(None),
        }
    }

    /// Lists what is listed of each template; those that were listed already only if that
    /// `is_due`. What cannot be listed at the moment has not gone.
    async fn read_lists(&self, seen: &mut Seen, is_due: bool) -> Lists {
        let mut lists = Lists::default();
        let Ok(guide) = self.guide().await else {
            lists.failed += 1;
            return lists;
        };
        for resource in guide.resources() {
            let template = resource.template().as_str();
            let is_listed = resource.listed_variable().is_some();
            if !is_listed || (!is_due && seen.lists.contains_key(template)) {
                continue;
            }
            let of = self.listeners.first(|wanted| wanted.list);
            let caller = watching(&seen.logged_lists, template, of);
            let listed = self.resources_of(guide, resource, &caller).await;
            note(&mut seen.logged_lists, template, &listed);
            let Ok(listed) = listed else {
                lists.failed += 1;
                continue;
            };
            lists.read += 1;
            let list = serde_json::to_value(listed).unwrap_or(Value::Null);
            lists.have_changed |= seen.notes_list(template, Digest::of_json(&list));
        }
        lists
    }
}

/// The first call for what is watched is logged, with who has begun to watch it.
fn watching(logged: &BTreeSet<String>, what: &str, of: Option<Remote>) -> Caller {
    Caller {
        occasion: (!logged.contains(what)).then_some(Occasion::Subscription),
        client: None,
        parent: None,
        remote: of,
    }
}

/// Remembers that a call was logged, if one was made.
fn note<T>(logged: &mut BTreeSet<String>, what: &str, result: &Result<T, LookError>) {
    let was_called = result.as_ref().err().is_none_or(LookError::was_called);
    if was_called {
        logged.insert(what.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ToolError;

    /// A read that fails again and again is in the audit log once.
    #[test]
    fn a_read_is_logged_once_even_if_it_fails() {
        let mut logged = BTreeSet::new();
        let is_logged =
            |logged: &BTreeSet<String>| watching(logged, "pve://a", None).occasion.is_some();
        // Nothing was called.
        let fault: Result<(), _> = Err(LookError::Fault("why".to_owned()));
        note(&mut logged, "pve://a", &fault);
        assert!(is_logged(&logged));
        let failed: Result<(), _> = Err(LookError::Tool(ToolError::Unreachable("why".to_owned())));
        note(&mut logged, "pve://a", &failed);
        assert!(!is_logged(&logged));
        assert!(watching(&logged, "pve://b", None).occasion.is_some());
    }

    #[test]
    fn who_stops_watching_and_begins_again_is_logged_again() {
        let mut seen = Seen::default();
        let watched = |uris: &[&str], list| Wanted {
            uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            list,
        };
        seen.logged.extend(["a".to_owned(), "b".to_owned()]);
        seen.logged_lists.insert("a".to_owned());
        seen.forget_all_but(&watched(&["a"], true));
        assert_eq!(seen.logged.len() + seen.logged_lists.len(), 2);
        seen.forget_all_but(&watched(&[], false));
        assert_eq!(seen.logged.len() + seen.logged_lists.len(), 0);
    }

    /// One that can never be listed hides no change of the others.
    #[test]
    fn each_list_is_compared_with_itself() {
        let mut seen = Seen::default();
        let digest = |text: &str| Digest::of(text.as_bytes());
        assert!(!seen.notes_list("nodes", digest("1")));
        assert!(!seen.notes_list("guests", digest("2")));
        assert!(!seen.notes_list("nodes", digest("1")));
        assert!(seen.notes_list("guests", digest("3")));
    }
}
