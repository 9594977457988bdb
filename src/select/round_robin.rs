use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Candidates, Place, Select};
use crate::demand::Demand;

/// Each candidate in turn. Costs the same for 2 keys and for 1,000,000.
#[derive(Debug, Default)]
pub struct RoundRobin {
    turn: AtomicUsize,
}

impl Select for RoundRobin {
    fn select(&self, candidates: &dyn Candidates, _: &Demand) -> Option<Place> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let place = candidates.at_or_after(turn.checked_rem(candidates.capacity())?)?;
        self.skip_to(turn, place, candidates.capacity());
        Some(place)
    }
}

impl RoundRobin {
    /// Keys that rest are stepped over, not served by their neighbour again and again: the turn goes on behind `place`.
    fn skip_to(&self, turn: usize, place: Place, capacity: usize) {
        let skipped = (place + capacity - turn % capacity) % capacity;
        if skipped > 0 {
            self.turn.fetch_add(skipped, Ordering::Relaxed);
        }
    }
}
