//! Who listens to changes of which resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::SubscriptionSink;
use rmcp::{ErrorData, Peer, RoleServer};
use tokio::sync::Notify;

use crate::remote::Remote;

/// How many resources a user may watch at the same time, and by how many listeners.
const MAX_WATCHED: usize = 50;
const MAX_LISTENERS: usize = 16;
/// The longest pause after failures in a row, each of which doubles it.
const MAX_PAUSE: Duration = Duration::from_secs(300);
const MAX_DOUBLINGS: u32 = 5;
/// How long places are kept for a listener that was accepted and is not there yet.
const RESERVED: Duration = Duration::from_secs(5);

/// Who listens to what.
pub(super) struct Listeners {
    every: Duration,
    /// All users together may have as much as so many of them.
    users: usize,
    state: Mutex<State>,
    /// Somebody has begun to listen.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    last: u64,
    listeners: BTreeMap<u64, Listener>,
    /// Resources that were accepted for listeners that are not there yet, and when.
    accepted: Vec<(Instant, BTreeSet<String>)>,
    /// The task that reads is there.
    reads: bool,
}

struct Listener {
    wanted: Wanted,
    to: Recipient,
    /// Whose it is, over HTTP.
    of: Option<Remote>,
}

/// What is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) uris: BTreeSet<String>,
    pub(super) list: bool,
}

/// Where notifications go.
#[derive(Clone)]
pub(super) enum Recipient {
    /// One `subscriptions/listen`.
    Sink(SubscriptionSink),
    /// The client of a session that began with `initialize`.
    Session(Peer<RoleServer>),
}

/// What listeners are told.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// This resource has changed.
    Updated(String),
    /// The list of resources has.
    List,
}

impl Listeners {
    pub(super) fn new(every: Duration, users: usize) -> Self {
        Self {
            every,
            users,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// What is watched now. None, and the task that asks ends, if nothing is.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let mut state = self.state();
        state.forget_the_gone();
        let wanted = state.wanted();
        state.reads = wanted != Wanted::default();
        state.reads.then_some(wanted)
    }

    /// Of these resources, those that another listener may watch: what is watched already
    /// takes no place. The places are kept for it until [`Self::add`], or for a moment. None if there may be no other listener.
    pub(super) fn room_for<'a>(
        &self,
        uris: impl IntoIterator<Item = &'a String>,
    ) -> Option<BTreeSet<String>> {
        let mut state = self.state();
        state.forget_the_gone();
        let now = Instant::now();
        state.accepted.retain(|(at, _)| now - *at < RESERVED);
        if state.listeners.len() + state.accepted.len() >= self.users * MAX_LISTENERS {
            return None;
        }
        let mut taken = state.wanted().uris;
        taken.extend(state.accepted.iter().flat_map(|(_, uris)| uris).cloned());
        let fitting = fitting(taken, uris, self.users * MAX_WATCHED);
        if !fitting.is_empty() {
            state.accepted.push((now, fitting.clone()));
        }
        Some(fitting)
    }

    /// Who listens to what fits, by number.
    pub(super) fn recipients(&self, of: impl Fn(&Wanted) -> bool) -> Vec<(u64, Recipient)> {
        let state = self.state();
        let listeners = state.listeners.iter();
        let listeners = listeners.filter(|(_, listener)| of(&listener.wanted));
        listeners.map(|(id, one)| (*id, one.to.clone())).collect()
    }

    /// Who was the first of those that listen to what fits.
    pub(super) fn first(&self, of: impl Fn(&Wanted) -> bool) -> Option<Remote> {
        let state = self.state();
        let mut listeners = state.listeners.values();
        listeners.find(|one| of(&one.wanted))?.of.clone()
    }

    /// Adds a listener, unless that would be too much. Says whether a task has to be
    /// started that reads.
    pub(super) fn add(
        &self,
        wanted: Wanted,
        to: Recipient,
        of: Option<Remote>,
    ) -> Result<(u64, bool), ErrorData> {
        let mut state = self.state();
        state.forget_the_gone();
        let mut accepted = state.accepted.iter();
        if let Some(at) = accepted.position(|(_, uris)| *uris == wanted.uris) {
            state.accepted.remove(at);
        }
        let known = match &to {
            Recipient::Sink(_) => None,
            // A session has one listener.
            Recipient::Session(_) => state.session(of.as_ref()),
        };
        let id = state.add(known, Listener { wanted, to, of }, self.users)?;
        let reads = std::mem::replace(&mut state.reads, true);
        self.changed.notify_one();
        Ok((id, !reads))
    }

    /// Ends what a listener listens to.
    pub(super) fn remove(&self, id: u64) {
        self.state().listeners.remove(&id);
    }

    /// The session listens to this resource no longer.
    pub(super) fn remove_from_session(&self, uri: &str, of: Option<&Remote>) {
        let mut state = self.state();
        let Some(id) = state.session(of) else {
            return;
        };
        let is_left = state.listeners.get_mut(&id).is_some_and(|session| {
            session.wanted.uris.remove(uri);
            !session.wanted.uris.is_empty()
        });
        if !is_left {
            state.listeners.remove(&id);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait after so many failures in a row.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let longer = self.every.saturating_mul(1 << failures.min(MAX_DOUBLINGS));
        longer.min(MAX_PAUSE.max(self.every))
    }
}

/// Those of these resources that can be watched besides all that are.
fn fitting<'a>(
    mut watched: BTreeSet<String>,
    uris: impl IntoIterator<Item = &'a String>,
    most: usize,
) -> BTreeSet<String> {
    let mut fitting = BTreeSet::new();
    for uri in uris {
        if watched.len() < most || watched.contains(uri) {
            watched.insert(uri.clone());
            fitting.insert(uri.clone());
        }
    }
    fitting
}

impl State {
    /// Forgets sessions that have ended.
    fn forget_the_gone(&mut self) {
        self.listeners.retain(|_, one| !one.to.is_gone());
    }

    fn wanted(&self) -> Wanted {
        self.wanted_by(|_| true)
    }

    fn wanted_by(&self, by: impl Fn(&Listener) -> bool) -> Wanted {
        let mut all = Wanted::default();
        for Listener { wanted, .. } in self.listeners.values().filter(|one| by(one)) {
            all.uris.extend(wanted.uris.iter().cloned());
            all.list |= wanted.list;
        }
        all
    }

    /// Fails if that would be too much, for its user or for all of them.
    fn add(&mut self, id: Option<u64>, new: Listener, users: usize) -> Result<u64, ErrorData> {
        let is_users = |one: &Listener| Remote::is_user_of(one.of.as_ref(), new.of.as_ref());
        let mut uris = self.wanted_by(is_users).uris;
        uris.extend(new.wanted.uris.iter().cloned());
        if uris.len() > MAX_WATCHED {
            return Err(full(format!(
                "no more than {MAX_WATCHED} resources can be watched: stop watching others first"
            )));
        }
        let crowded = || full("the clients of this server watch too much: try again later".into());
        let fitting = fitting(self.wanted().uris, &new.wanted.uris, users * MAX_WATCHED);
        if fitting.len() < new.wanted.uris.len() {
            return Err(crowded());
        }
        let count = self.listeners.values().filter(|one| is_users(one)).count();
        if let Some((id, known)) = id.and_then(|id| Some((id, self.listeners.get_mut(&id)?))) {
            known.wanted.uris.extend(new.wanted.uris);
            known.wanted.list |= new.wanted.list;
            return Ok(id);
        }
        if count >= MAX_LISTENERS {
            return Err(full(format!(
                "no more than {MAX_LISTENERS} subscriptions can be open: close another one first"
            )));
        }
        if self.listeners.len() >= users * MAX_LISTENERS {
            return Err(crowded());
        }
        self.last += 1;
        self.listeners.insert(self.last, new);
        Ok(self.last)
    }

    /// The listener of the session that a request belongs to.
    fn session(&self, of: Option<&Remote>) -> Option<u64> {
        let is_session = |one: &Listener| {
            matches!(one.to, Recipient::Session(_)) && Remote::is_session_of(one.of.as_ref(), of)
        };
        let mut listeners = self.listeners.iter();
        listeners.find_map(|(id, one)| is_session(one).then_some(*id))
    }
}

fn full(what: String) -> ErrorData {
    ErrorData::invalid_params(what, None)
}

impl Recipient {
    /// Whether nothing can be sent to it any more. A subscription ends by itself.
    fn is_gone(&self) -> bool {
        match self {
            Self::Sink(_) => false,
            Self::Session(peer) => peer.is_transport_closed(),
        }
    }

    /// A client that is gone hears nothing.
    pub(super) async fn hear(&self, news: &News) {
        match (self, news) {
            (Self::Sink(sink), News::Updated(uri)) => {
                drop(sink.notify_resource_updated(uri).await);
            }
            (Self::Sink(sink), News::List) => drop(sink.notify_resource_list_changed().await),
            (Self::Session(peer), News::Updated(uri)) => {
                let about = ResourceUpdatedNotificationParam::new(uri);
                drop(peer.notify_resource_updated(about).await);
            }
            (Self::Session(peer), News::List) => {
                drop(peer.notify_resource_list_changed().await);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_the_pause_longer_up_to_a_limit() {
        let seconds = |every, failures| {
            let listeners = Listeners::new(Duration::from_secs(every), 1);
            listeners.pause(failures).as_secs()
        };
        assert_eq!(
            [0, 1, 2, 3].map(|count| seconds(10, count)),
            [10, 20, 40, 80]
        );
        assert_eq!(seconds(10, 100), 300);
        assert_eq!(seconds(1, 100), 32);
        assert_eq!((seconds(3600, 0), seconds(3600, 9)), (3600, 3600));
    }

    /// What is accepted can be watched.
    #[test]
    fn there_is_room_for_what_is_watched_already() {
        let uris = |numbers: std::ops::Range<usize>| -> BTreeSet<String> {
            numbers.map(|one| one.to_string()).collect()
        };
        let both = |one: BTreeSet<String>, other| one.into_iter().chain(other).collect();
        let fitting = |watched: BTreeSet<String>, uris: &BTreeSet<String>| {
            fitting(watched, uris, MAX_WATCHED)
        };
        assert_eq!(fitting(BTreeSet::new(), &uris(0..60)).len(), MAX_WATCHED);
        let nearly_all = uris(0..MAX_WATCHED - 1);
        let wanted: BTreeSet<_> = both(uris(0..2), uris(70..72));
        let expected: BTreeSet<_> = both(uris(0..2), uris(70..71));
        assert_eq!(fitting(nearly_all, &wanted), expected);
    }

    #[test]
    fn places_are_kept_for_what_was_accepted() {
        let listeners = Listeners::new(Duration::from_secs(1), 1);
        let uris: Vec<_> = (0..MAX_WATCHED + 1).map(|one| one.to_string()).collect();
        let (last, all) = uris.split_last().unwrap();
        assert_eq!(listeners.room_for(all).unwrap().len(), MAX_WATCHED);
        // The first listener is not there yet.
        assert!(listeners.room_for([last]).unwrap().is_empty());
        assert_eq!(listeners.room_for(all.first()).unwrap().len(), 1);
        // One that never comes loses its places.
        let mut state = listeners.state();
        for (at, _) in &mut state.accepted {
            *at -= RESERVED;
        }
        drop(state);
        assert_eq!(listeners.room_for([last]).unwrap().len(), 1);
    }

    #[test]
    fn the_task_ends_when_nobody_listens() {
        let listeners = Listeners::new(Duration::from_secs(1), 1);
        listeners.state().reads = true;
        assert_eq!(listeners.wanted(), None);
        assert!(!listeners.state().reads);
    }
}
