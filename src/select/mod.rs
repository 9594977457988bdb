//! Which of the keys that may serve a request does.
//!
//! A strategy sees [`Candidates`], never keys: places that may be taken right now, with the load of each. It names one,
//! and the pool takes it; if the key behind it has just failed, the pool asks again.
//!
//! Where keys are unequal, every strategy is shown so. A key of weight 3 stands at three places, and what burdens it seems a
//! third of what burdens a key of weight 1. Of several tiers one is shown, the first that can serve the request.

mod fill_first;
mod least_served;
mod least_used;
mod next_two;
mod peak_ewma;
mod round_robin;
mod sticky;
mod two_choices;

use std::cmp::Ordering;
use std::time::Duration;

use crate::demand::Demand;
pub use fill_first::FillFirst;
pub use least_served::LeastServed;
pub use least_used::LeastUsed;
pub use next_two::NextTwo;
pub use peak_ewma::PeakEwma;
pub use round_robin::RoundRobin;
pub use sticky::Sticky;
pub use two_choices::TwoChoices;
pub(crate) use two_choices::better_of_two;

/// Where a key stands in the pool. It stays there as long as it is a member, where all keys are equal; else places are
/// given anew when keys come or go.
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

    /// The place that a request belongs to, a candidate or not: it is not spent on finding out whether a key at another one
    /// works after a rest. Default: none, and it may be spent on any.
    fn home(&self, _candidates: &dyn Candidates, _demand: &Demand) -> Option<Place> {
        None
    }

    /// Over which time [latencies](Candidates::latency) are averaged, if the strategy looks at them; asked once. Default:
    /// they are not measured.
    fn latency_decay(&self) -> Option<Duration> {
        None
    }

    /// Whether what keys serve is counted by model, for [`Candidates::load_for_model`]; asked once. Default: no.
    fn counts_models(&self) -> bool {
        false
    }
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

    /// The same as [`load`](Self::load), but for uses: how often the key has served the model that is asked for since midnight
    /// UTC. Only where that is [counted](Select::counts_models).
    fn load_for_model(&self, place: Place) -> Load {
        self.load(place)
    }

    /// How long a key takes to the head of an answer: see [`PeakEwma`]. `None` if that is not known, or not
    /// [asked for](Select::latency_decay).
    fn latency(&self, _place: Place) -> Option<Duration> {
        None
    }

    /// A number that stands for the request's session, if it has one: the same wherever the pool's pepper is, and not to be
    /// foretold without it.
    fn session(&self) -> Option<u64> {
        None
    }

    /// Numbers that stand for the keys of all members, candidates or not, by their places: the same wherever the pool's
    /// pepper is. 0 where nobody stands.
    fn fingerprints(&self) -> &[u64] {
        &[]
    }

    /// Whether the key at a place, a candidate or not, serves what the request asks for.
    fn serves(&self, place: Place) -> bool {
        self.at_or_after(place) == Some(place)
    }

    /// In a commune, the place of the caller's own key, if that is a candidate.
    fn own(&self) -> Option<Place> {
        None
    }
}

/// All candidates, in the order of their places.
fn each(candidates: &dyn Candidates) -> impl Iterator<Item = Place> {
    let next = |&place: &Place| candidates.at_or_after(place + 1).filter(|&next| next > place);
    std::iter::successors(candidates.at_or_after(0), next)
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
