//! Which members were used since somebody last asked, without a lock: one bit for each, shared by those whose places are
//! [`Marks::SPAN`] apart.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Marks(Box<[AtomicU64]>);

/// Models cannot afford more.
const WORDS: usize = if cfg!(key_commune_loom) { 1 } else { 1_024 };

impl Marks {
    /// How many places have a bit of their own.
    pub(super) const SPAN: usize = WORDS * 64;

    pub(super) fn new() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn set(&self, place: u32) {
        let bit = place as usize % Self::SPAN;
        if let Some(word) = self.0.get(bit / 64) {
            word.fetch_or(1 << (bit % 64), Ordering::SeqCst);
        }
    }

    pub(super) fn set_all(&self) {
        self.0.iter().for_each(|word| word.store(u64::MAX, Ordering::SeqCst));
    }

    /// The lowest of the places that share each set bit. Clears them.
    pub(super) fn take(&self) -> impl Iterator<Item = usize> + '_ {
        let set = self.0.iter().enumerate().filter(|(_, word)| word.load(Ordering::SeqCst) != 0);
        set.flat_map(|(index, word)| {
            let bits = word.swap(0, Ordering::SeqCst);
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        })
    }
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_taken_once() {
        let marks = Marks::new();
        let span = Marks::SPAN as u32;
        for place in [0, 63, 64, 700, span - 1, span, span + 5] {
            marks.set(place);
        }
        assert_eq!(marks.take().collect::<Vec<_>>(), [0, 5, 63, 64, 700, Marks::SPAN - 1]);
        assert_eq!(marks.take().count(), 0);
        marks.set_all();
        assert_eq!(marks.take().count(), Marks::SPAN);
    }
}
