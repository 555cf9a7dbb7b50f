//! Which guest is where, in which pool and with which tags: asked of Proxmox by
//! the host itself, since a component could lie about it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use host_runner_policy::{Directory, Meaning, lookup, read_directory};

use super::failure::FailureKind;
use super::limits::REQUEST_TIMEOUT;
use super::upstream::Upstream;
use crate::budget::Budget;

/// How long an answer is valid. A guest that changes its pool within that time
/// is judged by its former pool.
const VALID: Duration = Duration::from_secs(3);

/// What is known of the guests.
pub(super) struct Guests {
    budget: Arc<Budget>,
    /// Held while asking, so that many calls ask once.
    known: tokio::sync::Mutex<Option<Known>>,
    /// Guests that were created here, which Proxmox may not list yet.
    made: Mutex<Directory>,
    /// When something was last changed that the answer showed.
    changed: Mutex<Option<Instant>>,
}

struct Known {
    directory: Arc<Directory>,
    asked: Instant,
}

impl Guests {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            known: tokio::sync::Mutex::default(),
            made: Mutex::default(),
            changed: Mutex::default(),
        }
    }

    /// The guests, or why they are not known.
    pub(super) async fn directory(&self, upstream: &Upstream) -> Result<Arc<Directory>, Unknown> {
        let mut known = self.known.lock().await;
        if let Some(known) = &*known
            && known.asked.elapsed() < VALID
            && self
                .last_change()
                .is_none_or(|changed| changed < known.asked)
        {
            return Ok(Arc::clone(&known.directory));
        }
        let asked = Instant::now();
        let mut directory = ask(upstream, &self.budget).await?;
        for (vmid, resident) in &*self.made.lock().unwrap_or_else(PoisonError::into_inner) {
            directory.entry(*vmid).or_insert_with(|| resident.clone());
        }
        let directory = Arc::new(directory);
        *known = Some(Known {
            directory: Arc::clone(&directory),
            asked,
        });
        Ok(directory)
    }

    /// Something was sent that may change what is known.
    pub(super) fn note_change(&self, meaning: &Meaning, done: bool) {
        if !meaning.changes_directory() {
            return;
        }
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if !done {
            return;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.extend(meaning.new_residents());
    }

    fn last_change(&self) -> Option<Instant> {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why it is not known which guests there are.
pub(super) struct Unknown {
    pub(super) reason: String,
    /// Proxmox was just not there, as for the seconds in which its services are
    /// restarted.
    pub(super) outage: bool,
}

async fn ask(upstream: &Upstream, budget: &Arc<Budget>) -> Result<Directory, Unknown> {
    let failed = |reason: &str, outage| Unknown {
        reason: format!("it is not known whether this is in this server's scope: {reason}"),
        outage,
    };
    let answer = upstream
        .ask(lookup::GUESTS, REQUEST_TIMEOUT, &budget.account())
        .await
        .map_err(|error| {
            let outage = matches!(
                error.kind,
                FailureKind::ConnectionRefused
                    | FailureKind::ConnectionClosed
                    | FailureKind::ResponseIncomplete
            );
            failed(&error.detail, outage)
        })?;
    if !answer.status().is_success() {
        let status = answer.status();
        return Err(failed(
            &format!("Proxmox answered {status} to GET {}", lookup::GUESTS),
            lookup::is_outage(status.as_u16()),
        ));
    }
    read_directory(answer.body())
        .ok_or_else(|| failed("the answer of Proxmox is not a list of guests", false))
}
