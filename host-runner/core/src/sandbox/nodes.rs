//! Which nodes the cluster has: asked of Proxmox by the host itself.
//!
//! Proxmox looks up any other name in DNS and connects to what it finds, so a
//! component could send data away in the name of a node. `GET /nodes` lists all
//! members, those that are offline too, to every token, and on a single node.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host_runner_policy::{Scope, lookup, read_nodes};
use http::{Response, header};

use super::failure::{FailureKind, SendError};
use super::limits::REQUEST_TIMEOUT;
use super::upstream::Upstream;
use crate::budget::Budget;

/// How soon a name that is not listed may have the list read again: a node that
/// joins is found, and a component that makes up names asks for nothing.
const PAUSE: Duration = Duration::from_secs(10);
/// How often in a row the question may fail before a pause. Up to that, each
/// attempt asks Proxmox again.
const FAILURES: u32 = 3;
/// How long, after so many failures, the last one answers for all.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// The most that is kept of an error of Proxmox.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// What is known of the nodes.
pub(super) struct Nodes {
    budget: Arc<Budget>,
    known: Mutex<Known>,
    /// Held while asking, so that many calls ask once.
    asking: tokio::sync::Mutex<Option<Failed>>,
}

#[derive(Default)]
struct Known {
    names: Arc<BTreeSet<String>>,
    asked: Option<Instant>,
}

/// How the last question failed: the answer for all calls that waited for it,
/// and for those that ask again too soon.
struct Failed {
    at: Instant,
    why: Unanswered,
    in_a_row: u32,
}

impl Failed {
    /// Whether it is the answer to a question that came up at this time.
    fn answers(&self, since: Instant) -> bool {
        let pause = match self.in_a_row >= FAILURES {
            true => FAILURE_PAUSE,
            false => Duration::ZERO,
        };
        self.at + pause >= since
    }
}

/// Why the list could not be read.
#[derive(Debug, Clone)]
pub(super) enum Unanswered {
    /// By this answer of Proxmox, which is an error.
    By(Response<Bytes>),
    /// Without an answer that could be read.
    Without(SendError),
}

/// Why a request may not go to a node.
pub(super) enum Unlisted {
    /// The cluster does not have it. These it has.
    Unknown(String, Arc<BTreeSet<String>>),
    /// It is not known.
    Unanswered(Unanswered),
}

impl Nodes {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Fails unless the cluster has all of these nodes. A name that was listed
    /// stays listed while this process lives, or until another one is looked
    /// for.
    pub(super) async fn check(
        &self,
        upstream: &Upstream,
        wanted: &[String],
    ) -> Result<(), Unlisted> {
        if self.missing(wanted).is_none() {
            return Ok(());
        }
        let since = Instant::now();
        let mut failed = self.asking.lock().await;
        let Some(missing) = self.missing(wanted) else {
            return Ok(());
        };
        if let Some(failed) = &*failed
            && failed.answers(since)
        {
            return Err(Unlisted::Unanswered(failed.why.clone()));
        }
        if self.asked().is_some_and(|asked| asked.elapsed() < PAUSE) {
            return Err(Unlisted::Unknown(missing, self.names()));
        }
        match ask(upstream, &self.budget).await {
            Ok(names) => {
                *failed = None;
                self.learn(names);
            }
            Err(why) => {
                let before = failed.as_ref().map_or(0, |failed| failed.in_a_row);
                let why_too = why.clone();
                *failed = Some(Failed {
                    at: Instant::now(),
                    why,
                    in_a_row: before.saturating_add(1),
                });
                return Err(Unlisted::Unanswered(why_too));
            }
        }
        match self.missing(wanted) {
            Some(missing) => Err(Unlisted::Unknown(missing, self.names())),
            None => Ok(()),
        }
    }

    /// Takes note of a list that a component has asked for.
    pub(super) fn learn(&self, names: BTreeSet<String>) {
        *self.lock() = Known {
            names: Arc::new(names),
            asked: Some(Instant::now()),
        };
    }

    /// The listed node that one of these hosts is called by, with a domain or
    /// without.
    pub(super) fn named_by(&self, hosts: &[String]) -> Option<String> {
        let known = self.lock();
        let named = |node: &&String| {
            let firsts = hosts.iter().filter_map(|host| host.split('.').next());
            firsts
                .into_iter()
                .any(|first| node.eq_ignore_ascii_case(first))
        };
        known.names.iter().find(named).cloned()
    }

    fn missing(&self, wanted: &[String]) -> Option<String> {
        let known = self.lock();
        wanted
            .iter()
            .find(|name| !known.names.contains(*name))
            .cloned()
    }

    fn names(&self) -> Arc<BTreeSet<String>> {
        Arc::clone(&self.lock().names)
    }

    fn asked(&self) -> Option<Instant> {
        self.lock().asked
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(upstream: &Upstream, budget: &Arc<Budget>) -> Result<BTreeSet<String>, Unanswered> {
    let answer = upstream
        .ask(lookup::NODES, REQUEST_TIMEOUT, &budget.account())
        .await
        .map_err(Unanswered::Without)?;
    if !answer.status().is_success() {
        let (mut parts, body) = answer.into_parts();
        // A component must not keep memory of the host's own answers.
        let body = match body.len() <= MAX_ERROR_BYTES {
            true => Bytes::copy_from_slice(&body),
            false => Bytes::new(),
        };
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts
            .headers
            .insert(header::CONTENT_LENGTH, body.len().into());
        return Err(Unanswered::By(Response::from_parts(parts, body)));
    }
    read_nodes(answer.body()).ok_or_else(|| {
        Unanswered::Without(SendError::new(
            FailureKind::Protocol,
            "the answer to GET /nodes is not a list of nodes",
        ))
    })
}

impl Unanswered {
    /// What a component gets instead of an answer to its own request. A read
    /// gets the answer that the host got; a change gets an error that shows that
    /// nothing was sent.
    pub(super) fn for_request(self, is_read: bool) -> Result<Response<Bytes>, SendError> {
        match self {
            Self::By(answer) if is_read || matches!(answer.status().as_u16(), 401 | 403) => {
                Ok(answer)
            }
            Self::By(answer) => Err(SendError::new(
                FailureKind::ConnectionRefused,
                format!(
                    "Proxmox answered {} to GET /nodes, so it is not known whether the cluster \
                     has this node",
                    answer.status().as_u16()
                ),
            )),
            Self::Without(error) if is_read || error.kind.is_before_sending() => Err(error),
            Self::Without(error) => Err(SendError::new(
                FailureKind::ConnectionRefused,
                format!(
                    "it is not known whether the cluster has this node: {}",
                    error.detail
                ),
            )),
        }
    }
}

/// What to say of a node that the cluster does not have. Of those that it has,
/// only those in scope are named.
pub(super) fn refusal(missing: &str, known: &BTreeSet<String>, scope: &Scope) -> String {
    let names: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|name| scope.has_node(name))
        .take(50)
        .collect();
    let nodes = match names.as_slice() {
        [] => "Proxmox lists none".to_owned(),
        names => format!("its nodes are {}", names.join(", ")),
    };
    let case = names.iter().find(|name| name.eq_ignore_ascii_case(missing));
    let case = case.map_or_else(String::new, |name| format!(" (case matters: {name})"));
    format!("the cluster has no node {missing:?}{case}; {nodes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_fails_again_and_again_is_asked_once_a_second() {
        let at = Instant::now();
        let failed = |in_a_row| Failed {
            at,
            why: Unanswered::Without(SendError::new(FailureKind::Protocol, "no list")),
            in_a_row,
        };
        let soon = at + Duration::from_millis(900);
        let later = at + Duration::from_millis(1100);
        assert!(failed(1).answers(at));
        for in_a_row in 1..FAILURES {
            assert!(!failed(in_a_row).answers(soon), "{in_a_row}");
        }
        for in_a_row in [FAILURES, FAILURES + 1, u32::MAX] {
            assert!(failed(in_a_row).answers(soon), "{in_a_row}");
            assert!(!failed(in_a_row).answers(later), "{in_a_row}");
        }
    }
}
