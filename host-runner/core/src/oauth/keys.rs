//! The keys of one issuer: fetched when they are needed first, kept while the issuer does
//! not answer, and fetched again in time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::DecodingKey;
use tokio::sync::watch;

use super::discovery::Source;
use super::key_set::{KeySet, SignedWith};

/// After so long, the keys are fetched again in the background.
const FRESH: Duration = Duration::from_secs(15 * 60);
/// From then on, they count only after the issuer was asked, and did not answer.
const OLD: Duration = Duration::from_secs(30 * 60);
/// So long they are used at most where that fails: a key that the issuer has withdrawn must
/// not be accepted for ever by keeping this server from reaching the issuer.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How often tokens with unknown keys make the server ask the issuer, at most.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);
/// How often it asks while it has no keys at all.
const EMPTY_PAUSE: Duration = Duration::from_secs(5);

/// The keys of an issuer.
pub(super) struct Keys {
    source: Source,
    state: Mutex<State>,
}

/// A key that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// The issuer does not say.
    Unavailable,
}

#[derive(Default)]
struct State {
    set: Option<(Arc<KeySet>, Instant)>,
    /// When the last fetch began.
    began: Option<Instant>,
    /// When a fetch was begun last because of an unknown key.
    asked: Option<Instant>,
    /// Why the last fetch failed.
    problem: Option<String>,
    /// Ends with the fetch that is under way, if there is one.
    fetch: Option<watch::Receiver<()>>,
}

enum Look {
    Found(DecodingKey),
    Missing(KeyError),
    /// Once a fetch has ended, it may be there.
    Wait(watch::Receiver<()>),
}

impl Keys {
    /// Fetches nothing yet.
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            state: Mutex::default(),
        }
    }

    /// The key that a token says it was signed with. All who wait for keys wait for the same
    /// fetch, which goes on if they are gone.
    pub(super) async fn find(
        self: &Arc<Self>,
        wanted: &SignedWith,
    ) -> Result<DecodingKey, KeyError> {
        let mut fetch = match self.look(wanted, true) {
            Look::Found(key) => return Ok(key),
            Look::Missing(error) => return Err(error),
            Look::Wait(fetch) => fetch,
        };
        // It never changes, but ends.
        let _ = fetch.changed().await;
        match self.look(wanted, false) {
            Look::Found(key) => Ok(key),
            Look::Missing(error) => Err(error),
            Look::Wait(_) => Err(KeyError::Unavailable),
        }
    }

    fn look(self: &Arc<Self>, wanted: &SignedWith, may_fetch: bool) -> Look {
        let now = Instant::now();
        let mut state = self.state();
        let since = |then: Instant| now.saturating_duration_since(then);
        state.set.take_if(|(_, read)| since(*read) > KEPT);
        let paused = |last: Option<Instant>, pause| last.is_some_and(|last| since(last) < pause);
        if let Some((set, read)) = &state.set {
            let (key, is_fresh) = (set.find(wanted), since(*read) < FRESH);
            let is_old = since(*read) >= OLD;
            if let Some(key) = key {
                let mut fetch = state.running().filter(|_| may_fetch);
                let is_late = may_fetch && !is_fresh && !paused(state.began, UNKNOWN_PAUSE);
                if is_late && fetch.is_none() {
                    fetch = Some(self.begin(&mut state, now));
                }
                // The issuer may have withdrawn it meanwhile.
                return match fetch {
                    Some(fetch) if is_old => Look::Wait(fetch),
                    _ => Look::Found(key),
                };
            }
        }
        if may_fetch {
            if let Some(fetch) = state.running() {
                return Look::Wait(fetch);
            }
            let is_empty = state.set.is_none();
            let paused = match is_empty {
                true => paused(state.began, EMPTY_PAUSE),
                false => paused(state.asked, UNKNOWN_PAUSE),
            };
            if !paused {
                if !is_empty {
                    state.asked = Some(now);
                }
                return Look::Wait(self.begin(&mut state, now));
            }
        }
        Look::Missing(match state.set.is_none() || state.problem.is_some() {
            true => KeyError::Unavailable,
            false => KeyError::Unknown,
        })
    }

    fn begin(self: &Arc<Self>, state: &mut State, now: Instant) -> watch::Receiver<()> {
        let (ended, fetch) = watch::channel(());
        state.began = Some(now);
        state.fetch = Some(fetch.clone());
        let keys = Arc::clone(self);
        tokio::spawn(async move {
            let fetched = keys.source.fetch().await;
            keys.keep(fetched);
            drop(ended);
        });
        fetch
    }

    fn keep(&self, fetched: Result<KeySet, String>) {
        let mut state = self.state();
        let issuer = self.source.issuer();
        match fetched {
            Ok(set) => {
                if state.problem.take().is_some() {
                    tracing::info!("the keys of {issuer} can be read again");
                }
                state.set = Some((Arc::new(set), Instant::now()));
            }
            Err(problem) => {
                let rest = match state.set {
                    Some(_) => "those that were read before remain in force",
                    None => "no token of it is accepted until they can",
                };
                if state.problem.as_ref() != Some(&problem) {
                    tracing::warn!("the keys of {issuer} cannot be read ({problem}): {rest}");
                }
                state.problem = Some(problem);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The fetch that is under way.
    fn running(&self) -> Option<watch::Receiver<()>> {
        let fetch = self.fetch.as_ref();
        fetch.filter(|fetch| fetch.has_changed().is_ok()).cloned()
    }
}
