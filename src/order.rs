//! Stable sorts that share their code, and collections that need no sort.
//!
//! The sorts of the standard library are compiled for every type that is sorted,
//! which adds some 5 KB to the component each time. These sort the positions of
//! the entries, which all have one type.

use std::cmp::Ordering;

/// Sorts a list, as [`slice::sort_by`] does.
pub(crate) fn by<T>(list: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let swaps = swaps(list.len(), &|a, b| match (list.get(a), list.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    });
    for (a, b) in swaps {
        list.swap(a, b);
    }
}

/// Sorts a list, as [`slice::sort_by_key`] does.
pub(crate) fn by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    by(list, |a, b| key(a).cmp(&key(b)));
}

/// Collects a map or a set of the standard library, entry by entry. `collect`
/// sorts all entries first, with a sort of its own for every iterator.
pub(crate) trait Ordered: Iterator + Sized {
    /// Collects the entries.
    fn ordered<C: Default + Extend<Self::Item>>(self) -> C {
        let mut all = C::default();
        all.extend(self);
        all
    }
}

impl<I: Iterator> Ordered for I {}

/// The swaps that bring so many entries into order, one after the other.
#[inline(never)]
fn swaps(length: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..length).collect();
    order.sort_by(|a, b| compare(*a, *b));
    let mut swaps = Vec::new();
    // Each entry is at its place once its circle has been walked.
    for start in 0..length {
        let mut at = start;
        while let Some(place) = order.get_mut(at) {
            let from = std::mem::replace(place, at);
            if from == start || from == at {
                break;
            }
            swaps.push((at, from));
            at = from;
        }
    }
    swaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_as_the_standard_library_does(list in prop::collection::vec(0..9_u8, 0..60)) {
            let numbered = || list.iter().copied().enumerate().collect::<Vec<_>>();
            let (mut ours, mut theirs) = (numbered(), numbered());
            by_key(&mut ours, |(_, value)| *value);
            theirs.sort_by_key(|(_, value)| *value);
            prop_assert_eq!(&ours, &theirs);
            by(&mut ours, |(_, a), (_, b)| b.cmp(a));
            theirs.sort_by(|(_, a), (_, b)| b.cmp(a));
            prop_assert_eq!(ours, theirs);
        }
    }
}
