//! The tasks that are kept. Their number and what their results take are bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::entry::{Entry, KEPT};

/// The most tasks that are kept, running ones included: more than a client has use for,
/// and each of them asks Proxmox VE once a second.
pub(super) const MAX_TASKS: usize = 32;
/// With so many users, those of whom nothing is kept are forgotten.
const MANY_USERS: usize = 256;
/// What all results may take.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// How many ids are remembered of which nothing else is kept.
const MAX_GONE: usize = 512;

/// The tasks of each user: nobody sees those of another one, or takes their room. Over
/// stdio there is one user.
#[derive(Default)]
pub(in super::super) struct ByUser(Mutex<HashMap<Option<Arc<str>>, Arc<Tasks>>>);

impl ByUser {
    pub(super) fn of(&self, user: Option<Arc<str>>) -> Arc<Tasks> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANY_USERS && !all.contains_key(&user) {
            all.retain(|_, tasks| Arc::strong_count(tasks) > 1 || !tasks.is_empty());
        }
        Arc::clone(all.entry(user).or_default())
    }
}

/// A user's tasks by their ids.
#[derive(Default)]
pub(super) struct Tasks(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: HashMap<String, Arc<Entry>>,
    /// The ids of those that were forgotten, the oldest first: one that has ended must not
    /// be followed again.
    gone: VecDeque<String>,
}

/// Where a task of this id is now.
pub(super) enum Place {
    /// It was there before.
    Known(Arc<Entry>),
    New(Arc<Entry>),
    /// It has ended, and was forgotten.
    Gone,
    /// As many as there may be are running.
    Full,
}

impl Tasks {
    /// Whether nothing is kept, now that what is old was forgotten.
    fn is_empty(&self) -> bool {
        let mut kept = self.kept();
        kept.forget_the_old();
        kept.entries.is_empty()
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Entry>> {
        let mut kept = self.kept();
        kept.forget_the_old();
        kept.entries.get(id).cloned()
    }

    /// Whether a task of this id has ended and was forgotten, as far as that is known.
    pub(super) fn is_gone(&self, id: &str) -> bool {
        self.kept().is_gone(id)
    }

    /// Keeps a task, unless it is there already. The one that ended first makes room.
    pub(super) fn place(&self, id: &str, new: impl FnOnce() -> Entry) -> Place {
        let mut kept = self.kept();
        kept.forget_the_old();
        if let Some(known) = kept.entries.get(id) {
            return Place::Known(Arc::clone(known));
        }
        if kept.is_gone(id) {
            return Place::Gone;
        }
        if kept.entries.len() >= MAX_TASKS && !kept.forget_the_first() {
            return Place::Full;
        }
        let entry = Arc::new(new());
        kept.entries.insert(id.to_owned(), Arc::clone(&entry));
        Place::New(entry)
    }

    /// Forgets results, the oldest first, while they take too much together. The newest
    /// is always kept.
    pub(super) fn trim(&self) {
        let mut kept = self.kept();
        while kept.bytes() > MAX_BYTES && kept.results() > 1 && kept.forget_the_first() {}
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.entries.values().map(|one| one.bytes()).sum()
    }

    fn results(&self) -> usize {
        let entries = self.entries.values();
        entries.filter(|one| one.bytes() > 0).count()
    }

    fn is_gone(&self, id: &str) -> bool {
        self.gone.iter().any(|gone| gone == id)
    }

    fn forget_the_old(&mut self) {
        let now = Instant::now();
        let is_old = |end: Instant| now.saturating_duration_since(end) >= KEPT;
        let old = self.entries.iter();
        let old = old.filter(|(_, one)| one.ended().is_some_and(is_old));
        let old: Vec<_> = old.map(|(id, _)| id.clone()).collect();
        for id in old {
            self.forget(id);
        }
    }

    /// Forgets the task that ended first. Whether there is one.
    fn forget_the_first(&mut self) -> bool {
        let entries = self.entries.iter();
        let ended = entries.filter_map(|(id, one)| Some((one.ended()?, id.clone())));
        match ended.min() {
            Some((_, id)) => self.forget(id),
            None => false,
        }
    }

    /// Whether it was there.
    fn forget(&mut self, id: String) -> bool {
        let was_there = self.entries.remove(&id).is_some();
        if self.gone.len() >= MAX_GONE {
            self.gone.pop_front();
        }
        self.gone.push_back(id);
        was_there
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CallToolResult, ContentBlock};

    use super::*;

    fn add(tasks: &Tasks, id: usize) -> Option<Arc<Entry>> {
        let id = id.to_string();
        match tasks.place(&id, || Entry::new(id.clone(), None)) {
            Place::New(entry) => Some(entry),
            Place::Known(_) | Place::Gone | Place::Full => None,
        }
    }

    fn result(bytes: usize) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::text("x".repeat(bytes))])
    }

    #[test]
    fn a_user_has_nothing_of_another_one() {
        let all = ByUser::default();
        let (one, other) = (all.of(Some("one".into())), all.of(Some("other".into())));
        for id in 0..MAX_TASKS {
            assert!(add(&one, id).is_some());
        }
        assert!(other.find("0").is_none() && !other.is_gone("0"));
        assert!(add(&other, 0).is_some());
        assert!(all.of(Some("one".into())).find("0").is_some());
        assert!(all.of(None).find("0").is_none());
    }

    #[test]
    fn tasks_that_run_are_never_forgotten() {
        let tasks = Tasks::default();
        let entries: Vec<_> = (0..MAX_TASKS).filter_map(|id| add(&tasks, id)).collect();
        assert_eq!(entries.len(), MAX_TASKS);
        assert!(add(&tasks, MAX_TASKS).is_none());
        // One that is there needs no room.
        let known = tasks.place("0", || unreachable!());
        assert!(matches!(known, Place::Known(_)));
        entries[3].complete(&result(1), String::new());
        entries[1].complete(&result(1), String::new());
        assert!(add(&tasks, MAX_TASKS).is_some());
        assert!(tasks.find("3").is_none() && tasks.find("1").is_some());
    }

    /// Else it could be followed again, and work after it has ended.
    #[test]
    fn a_task_that_was_forgotten_has_ended() {
        let tasks = Tasks::default();
        let first = add(&tasks, 0).unwrap();
        first.complete(&result(1), String::new());
        for id in 1..=MAX_TASKS {
            assert!(!tasks.is_gone("0"));
            add(&tasks, id).unwrap();
        }
        assert!(tasks.is_gone("0") && tasks.find("0").is_none());
        assert!(matches!(tasks.place("0", || unreachable!()), Place::Gone));
    }

    #[test]
    fn results_take_a_bounded_amount_of_memory() {
        let tasks = Tasks::default();
        let entries: Vec<_> = (0..5).filter_map(|id| add(&tasks, id)).collect();
        for entry in &entries[..4] {
            entry.complete(&result(MAX_BYTES / 2), String::new());
            tasks.trim();
        }
        let is_kept = |id: usize| tasks.find(&id.to_string()).is_some();
        assert_eq!(
            [0, 1, 2, 3, 4].map(is_kept),
            [false, false, false, true, true]
        );
        // One that is larger on its own is kept until the next one ends.
        entries[4].complete(&result(2 * MAX_BYTES), String::new());
        tasks.trim();
        assert_eq!([3, 4].map(is_kept), [false, true]);
    }
}
