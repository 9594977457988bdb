//! Which of the keys that may serve a request does.
//!
//! A strategy sees [`Candidates`], never keys: places that may be taken right now, with the load of each. It names one,
//! and the pool takes it; if the key behind it has just failed, the pool asks again.

mod fill_first;
mod least_used;
mod next_two;
mod round_robin;
mod two_choices;

use std::cmp::Ordering;

use crate::demand::Demand;
pub use fill_first::FillFirst;
pub use least_used::LeastUsed;
pub use next_two::NextTwo;
pub use round_robin::RoundRobin;
pub use two_choices::TwoChoices;
pub(crate) use two_choices::better_of_two;

/// Where a key stands in the pool. It stays there as long as it is a member.
pub type Place = usize;

/// Chooses a key for a request.
///
/// ```
/// use key_commune::demand::Demand;
/// use key_commune::select::{Candidates, Place, Select};
///
/// /// Always the first key that works.
/// struct First;
///
/// impl Select for First {
///     fn select(&self, candidates: &dyn Candidates, _: &Demand) -> Option<Place> {
///         candidates.at_or_after(0)
///     }
/// }
/// ```
pub trait Select: Send + Sync {
    /// The place to take, or `None` if no candidate will do.
    fn select(&self, candidates: &dyn Candidates, demand: &Demand) -> Option<Place>;
}

/// The members that may serve a request and that it has not tried yet, as the pool sees them at this moment.
pub trait Candidates {
    /// One more than the highest place; not all places below it are candidates.
    fn capacity(&self) -> usize;

    /// The next candidate at `place` or behind it, going on from the start after the end. Its cost does not depend on
    /// how many members rest.
    fn at_or_after(&self, place: Place) -> Option<Place>;

    /// A candidate drawn at random, other than `except`. The same cost as [`at_or_after`](Self::at_or_after).
    fn draw(&self, except: Option<Place>) -> Option<Place>;

    /// How busy a candidate is.
    fn load(&self, place: Place) -> Load;

    /// The same, but for throttles and uses since midnight UTC. Unlike those of [`load`](Self::load), they do not fade, and
    /// do not even out what a key that was away has missed.
    fn load_today(&self, place: Place) -> Load {
        self.load(place)
    }

    /// In a commune, the place of the caller's own key, if that is a candidate.
    fn own(&self) -> Option<Place> {
        None
    }
}

/// How busy a key is. Compares as the strategies do: throttles of late first, then requests in flight, then uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Load {
    /// How often it was throttled of late: the count halves about every nine minutes.
    pub throttles: u32,
    /// Requests that are being served with it now.
    pub in_flight: u32,
    /// Requests that have been served with it, or are.
    pub uses: u64,
}

impl Load {
    /// A load of these numbers.
    pub const fn new(throttles: u32, in_flight: u32, uses: u64) -> Self {
        Self { throttles, in_flight, uses }
    }
}

impl Ord for Load {
    /// As one number: nobody can foretell which of two keys is the busier, and a guess that fails costs more than the
    /// comparison.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let number =
            |load: &Self| u128::from(load.throttles) << 96 | u128::from(load.in_flight) << 64 | u128::from(load.uses);
        number(self).cmp(&number(other))
    }
}

impl PartialOrd for Load {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    #[inline]
    fn lt(&self, other: &Self) -> bool {
        self.cmp(other).is_lt()
    }
}
