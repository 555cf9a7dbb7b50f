//! Suggested values, kept for a moment: a client asks for them with each key that its
//! user presses, and lists resources page by page.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::guide::SuggestedValues;

/// How long values are kept.
const FRESH: Duration = Duration::from_secs(5);
/// How many lists of values are kept. Their keys have values that clients make up.
const MAX_KEPT: usize = 16;

/// Where the values of one key come to be.
pub(super) type Cell = Arc<OnceCell<Arc<SuggestedValues>>>;

/// The values that were read last.
#[derive(Default)]
pub(super) struct Suggestions(Mutex<HashMap<String, (Instant, Cell)>>);

impl Suggestions {
    /// Where the values of a key are or come to be. All that ask at the same time wait
    /// for one call.
    pub(super) fn cell(&self, key: String) -> Cell {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (since, _)| since.elapsed() < FRESH);
        if kept.len() >= MAX_KEPT && !kept.contains_key(&key) {
            let oldest = kept.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                kept.remove(&oldest);
            }
        }
        let (_, cell) = kept
            .entry(key)
            .or_insert_with(|| (Instant::now(), Cell::default()));
        Arc::clone(cell)
    }

    /// Forgets all values: something has changed.
    pub(super) fn forget(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_share_a_cell_and_do_not_pile_up() {
        let kept = Suggestions::default();
        let first = kept.cell("a".to_owned());
        assert!(Arc::ptr_eq(&first, &kept.cell("a".to_owned())));
        assert!(!Arc::ptr_eq(&first, &kept.cell("b".to_owned())));
        for key in 0..500 {
            kept.cell(key.to_string());
        }
        assert!(kept.0.lock().unwrap().len() <= MAX_KEPT);
    }

    #[test]
    fn a_new_key_takes_the_place_of_the_oldest_only() {
        let kept = Suggestions::default();
        let cells: Vec<_> = (0..MAX_KEPT)
            .map(|key| {
                std::thread::sleep(Duration::from_millis(1));
                kept.cell(key.to_string())
            })
            .collect();
        let is_kept = |key: usize| Arc::ptr_eq(&cells[key], &kept.cell(key.to_string()));
        // One that is there takes no place.
        assert!(is_kept(MAX_KEPT - 1) && is_kept(0));
        kept.cell("new".to_owned());
        assert!(is_kept(1) && is_kept(MAX_KEPT - 1));
        assert!(!is_kept(0));
    }
}
