//! The tasks that are kept. Their number and what their results take are bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::entry::{Entry, KEPT};

/// The most tasks that are kept, running ones included: more than a client has use for,
/// and each of them asks Proxmox VE once a second.
pub(super) const MAX_TASKS: usize = 32;
/// What all results may take.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The tasks by their ids.
#[derive(Default)]
pub(in super::super) struct Tasks(Mutex<HashMap<String, Arc<Entry>>>);

/// Where a task of this id is now.
pub(super) enum Place {
    /// It was there before.
    Known(Arc<Entry>),
    New(Arc<Entry>),
    /// As many as there may be are running.
    Full,
}

impl Tasks {
    pub(super) fn find(&self, id: &str) -> Option<Arc<Entry>> {
        let mut kept = self.kept();
        forget_the_old(&mut kept);
        kept.get(id).cloned()
    }

    /// Keeps a task, unless it is there already. The one that ended first makes room.
    pub(super) fn place(&self, id: &str, new: impl FnOnce() -> Entry) -> Place {
        let mut kept = self.kept();
        forget_the_old(&mut kept);
        if let Some(known) = kept.get(id) {
            return Place::Known(Arc::clone(known));
        }
        if kept.len() >= MAX_TASKS && !forget_the_first(&mut kept) {
            return Place::Full;
        }
        let entry = Arc::new(new());
        kept.insert(id.to_owned(), Arc::clone(&entry));
        Place::New(entry)
    }

    /// Forgets results, the oldest first, while they take too much together. The newest
    /// is always kept.
    pub(super) fn trim(&self) {
        let mut kept = self.kept();
        let bytes = |kept: &Kept| kept.values().map(|one| one.bytes()).sum::<usize>();
        let results = |kept: &Kept| kept.values().filter(|one| one.bytes() > 0).count();
        while bytes(&kept) > MAX_BYTES && results(&kept) > 1 && forget_the_first(&mut kept) {}
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Kept = HashMap<String, Arc<Entry>>;

fn forget_the_old(kept: &mut Kept) {
    let now = Instant::now();
    let is_old = |end: Instant| now.saturating_duration_since(end) >= KEPT;
    kept.retain(|_, one| !one.ended().is_some_and(is_old));
}

/// Forgets the task that ended first. Whether there is one.
fn forget_the_first(kept: &mut Kept) -> bool {
    let ended = kept
        .iter()
        .filter_map(|(id, one)| Some((one.ended()?, id.clone())));
    match ended.min() {
        Some((_, id)) => kept.remove(&id).is_some(),
        None => false,
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
            Place::Known(_) | Place::Full => None,
        }
    }

    fn result(bytes: usize) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::text("x".repeat(bytes))])
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
