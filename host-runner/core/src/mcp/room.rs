//! Room for what the client sends: messages that wait or are being handled.
//!
//! A client may send more calls than run at once, and each holds its arguments
//! until it is answered. A message that finds no room is refused and does not wait:
//! the answer to a question that an earlier call has asked may be behind it.

use std::sync::Arc;

use crate::shares::{Share, Shares};

/// What all messages together may take. A user's may take half of it, in which the largest
/// message fits.
pub(super) const ROOM_BYTES: usize = 16 * 1024 * 1024;
/// What a message takes of each of its bytes: it is held as it was read, and as
/// what a component gets of it, with copies of both for a moment.
const COPIES: usize = 4;
/// What a JSON value takes beside its text.
const VALUE_BYTES: usize = 256;
/// Messages that take less are not counted here: how many of them there may be
/// is for [`Backlog`](super::backlog::Backlog) to say.
const SMALL_BYTES: usize = 16 * 1024;
/// A semaphore counts no further than 32 bits in one step.
const UNIT_BYTES: usize = 1024;

/// The room that is left.
pub(super) struct Room(Shares);

/// What a message takes. It goes back when the last copy of this is dropped.
#[derive(Clone)]
pub(super) struct Reservation(#[expect(dead_code, reason = "dropped")] Option<Arc<Share>>);

impl Room {
    pub(super) fn new() -> Self {
        Self(Shares::new(ROOM_BYTES / UNIT_BYTES))
    }

    /// A place for a message with so many bytes and JSON values, of this user where there
    /// are users. None if there is no room for it at the moment.
    pub(super) fn take(
        &self,
        user: Option<&Arc<str>>,
        bytes: usize,
        values: usize,
    ) -> Option<Reservation> {
        let cost = bytes
            .saturating_mul(COPIES)
            .saturating_add(values.saturating_mul(VALUE_BYTES));
        if cost <= SMALL_BYTES {
            return Some(Reservation(None));
        }
        let units = u32::try_from(cost.div_ceil(UNIT_BYTES)).ok()?;
        let share = self.0.take(user, units)?;
        Some(Reservation(Some(Arc::new(share))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{MAX_LINE_BYTES, MAX_VALUES};
    use super::*;

    #[test]
    fn messages_take_room_until_they_are_dropped() {
        let room = Room::new();
        // The largest message always fits into an empty room.
        let largest = room.take(None, MAX_LINE_BYTES, MAX_VALUES);
        assert!(largest.is_some());
        let mut places = Vec::new();
        while let Some(place) = room.take(None, MAX_LINE_BYTES, 1) {
            places.push(place);
            assert!(places.len() < 16, "no end");
        }
        // A small one always does, since it may be the answer to a question.
        assert!(room.take(None, 1000, 10).is_some());
        let again = places.first().cloned();
        places.clear();
        drop(largest);
        drop(again);
        // Twenty files of 100 KB at once are not an attack.
        let many = (0..20).filter_map(|_| room.take(None, 100_000, 10));
        assert_eq!(many.collect::<Vec<_>>().len(), 20);
    }

    #[test]
    fn a_user_leaves_room_for_others() {
        let room = Room::new();
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let take = |user| room.take(Some(user), MAX_LINE_BYTES, MAX_VALUES);
        let mut places = Vec::new();
        while let Some(place) = take(&alice) {
            places.push(place);
            assert!(places.len() < 16, "no end");
        }
        assert!(!places.is_empty());
        assert!(take(&bob).is_some());
    }
}
