use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Candidates, Place, Select};
use crate::demand::Demand;

/// The better of the next two candidates in turn, or the caller's own key if that is better than both: the one with the
/// fewest throttles today, then with the fewest uses today; of equals the first, and the caller's own last. Costs the
/// same for 2 keys and for 1,000,000.
///
/// An even number of candidates makes the same pairs in every round. Both keys of a pair serve nevertheless, since uses
/// are counted at once.
#[derive(Debug, Default)]
pub struct NextTwo {
    turn: AtomicUsize,
}

impl Select for NextTwo {
    fn select(&self, candidates: &dyn Candidates, _: &Demand) -> Option<Place> {
        let (first, second) = self.next_two(candidates)?;
        let winner = better(candidates, first, second);
        Some(candidates.own().map_or(winner, |own| better(candidates, winner, own)))
    }
}

impl NextTwo {
    /// The turn goes on behind the second, whatever was stepped over to reach it.
    fn next_two(&self, candidates: &dyn Candidates) -> Option<(Place, Place)> {
        let capacity = candidates.capacity();
        let turn = self.turn.fetch_add(2, Ordering::Relaxed);
        let first = candidates.at_or_after(turn.checked_rem(capacity)?)?;
        let second = candidates.at_or_after((first + 1) % capacity)?;
        let skipped = (second + capacity - (turn + 1) % capacity) % capacity;
        if skipped > 0 {
            self.turn.fetch_add(skipped, Ordering::Relaxed);
        }
        Some((first, second))
    }
}

fn better(candidates: &dyn Candidates, first: Place, second: Place) -> Place {
    let load = |place| {
        let today = candidates.load_today(place);
        (today.throttles, today.uses)
    };
    if load(second) < load(first) { second } else { first }
}
