//! Which places are open, as a tree of bits: a bit of an upper level says that a word below it is not empty, so finding
//! the next open place costs one word per level however many members rest.
//!
//! A hint, no more: it is written under the pool's lock and read without, and whoever finds a place here still has to
//! be let in by the member's own word.

use crate::sync::{AtomicU64, Ordering};

const BITS: usize = 64;

#[derive(Debug)]
pub(crate) struct Bitmap {
    bits: Box<[AtomicU64]>,
    /// Ever smaller summaries, the last of one word.
    summaries: Vec<Box<[AtomicU64]>>,
    capacity: usize,
}

impl Bitmap {
    /// `capacity` places, none of them set.
    pub(crate) fn new(capacity: usize) -> Self {
        let level = |words: usize| -> Box<[AtomicU64]> { (0..words).map(|_| AtomicU64::new(0)).collect() };
        let bits = level(capacity.div_ceil(BITS).max(1));
        let mut summaries = Vec::new();
        let mut words = bits.len();
        while words > 1 {
            words = words.div_ceil(BITS);
            summaries.push(level(words));
        }
        Self { bits, summaries, capacity }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether a place is set.
    pub(crate) fn get(&self, place: usize) -> bool {
        self.word(place / BITS) & (1 << (place % BITS)) != 0
    }

    pub(crate) fn put(&self, place: usize, on: bool) {
        if on { self.set(place) } else { self.clear(place) }
    }

    pub(crate) fn set(&self, place: usize) {
        let mut index = place;
        for level in self.levels() {
            let Some(word) = level.get(index / BITS) else { return };
            word.fetch_or(1 << (index % BITS), Ordering::Relaxed);
            index /= BITS;
        }
    }

    pub(crate) fn clear(&self, place: usize) {
        let mut index = place;
        for level in self.levels() {
            let Some(word) = level.get(index / BITS) else { return };
            let bit = 1 << (index % BITS);
            if word.fetch_and(!bit, Ordering::Relaxed) & !bit != 0 {
                return;
            }
            index /= BITS;
        }
    }

    /// The first set place from `place` on for which `allowed` leaves a bit; it gets the index of a word of 64 places and
    /// returns a mask. Does not go on from the start.
    #[inline]
    pub(crate) fn at_or_after(&self, place: usize, allowed: impl Fn(usize) -> u64) -> Option<usize> {
        let mut index = place / BITS;
        let mut from = u64::MAX << (place % BITS);
        loop {
            let word = self.word(index) & from & allowed(index);
            if word != 0 {
                return Some(index * BITS + word.trailing_zeros() as usize);
            }
            index = self.next_word(index + 1)?;
            from = u64::MAX;
        }
    }

    /// All set places.
    pub(crate) fn each(&self) -> impl Iterator<Item = usize> {
        let next = |place: usize| self.at_or_after(place, |_| u64::MAX);
        std::iter::successors(next(0), move |&place| next(place + 1))
    }

    /// A set place in the word of `place`: `place` itself, or the next behind it, turning round within the word.
    #[inline]
    pub(crate) fn near(&self, place: usize, allowed: impl Fn(usize) -> u64) -> Option<usize> {
        let index = place / BITS;
        let turn = (place % BITS) as u32;
        let word = (self.word(index) & allowed(index)).rotate_right(turn);
        (word != 0).then(|| index * BITS + (word.trailing_zeros() + turn) as usize % BITS)
    }

    /// The first word of bits that is not empty, from `index` on.
    fn next_word(&self, index: usize) -> Option<usize> {
        let mut level = 0;
        let mut index = index;
        loop {
            let word = self.summaries.get(level)?.get(index / BITS)?.load(Ordering::Relaxed);
            let ahead = word & (u64::MAX << (index % BITS));
            if ahead == 0 {
                (index, level) = (index / BITS + 1, level + 1);
                continue;
            }
            index = index / BITS * BITS + ahead.trailing_zeros() as usize;
            if level == 0 {
                return Some(index);
            }
            (index, level) = (index * BITS, level - 1);
        }
    }

    fn levels(&self) -> impl Iterator<Item = &[AtomicU64]> {
        std::iter::once(&*self.bits).chain(self.summaries.iter().map(|level| &**level))
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        self.bits.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(_: usize) -> u64 {
        u64::MAX
    }

    #[test]
    fn finds_a_lone_place_among_a_million() {
        let bits = Bitmap::new(1_000_000);
        bits.set(777_777);
        assert_eq!(bits.at_or_after(0, all), Some(777_777));
        assert_eq!(bits.at_or_after(777_777, all), Some(777_777));
        assert_eq!(bits.at_or_after(777_778, all), None);
        bits.clear(777_777);
        assert_eq!(bits.at_or_after(0, all), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(
            capacity in 1_usize..9_000,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..200),
            from in any::<prop::sample::Index>(),
        ) {
            let bits = Bitmap::new(capacity);
            let mut set = std::collections::BTreeSet::new();
            for (place, on) in changes {
                let place = place.index(capacity);
                if on { bits.set(place); set.insert(place); } else { bits.clear(place); set.remove(&place); }
            }
            let from = from.index(capacity);
            prop_assert_eq!(bits.at_or_after(from, all), set.range(from..).next().copied());
            let near = bits.near(from, all);
            let word = from / BITS * BITS;
            prop_assert_eq!(near.is_some(), set.range(word..word + BITS).next().is_some());
            prop_assert!(near.is_none_or(|place| set.contains(&place)));
        }
    }
}
