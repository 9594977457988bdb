use std::time::Duration;

use super::{Candidates, Place, Select, TwoChoices};
use crate::demand::Demand;

/// All requests of a [session](Demand::session) go with one key, so that what the provider has cached of it is found again.
/// Requests without a session are left to another strategy.
///
/// Each session ranks the keys in an order of its own (rendezvous hashing, Thaler and Ravishankar, 1998), the same in every
/// process that knows the pool's [pepper](crate::secret::Pepper) and its keys: nothing is remembered. The first of them that
/// is a candidate serves, so that the sessions of a key that rests are [spread](Self::spread) over all others, and come back
/// after. A key that joins takes its share of the sessions and moves no other.
///
/// Its cost grows with the pool: a third of a microsecond for the hash of the session, and two
/// nanoseconds for each key.
///
/// ```
/// use key_commune::pool::KeyPool;
/// use key_commune::provider::Provider;
/// use key_commune::select::{LeastUsed, Sticky};
///
/// let pool = KeyPool::builder(Provider::OPENAI).select(Sticky::new(LeastUsed)).build()?;
/// # Ok::<(), key_commune::pool::PoolError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a strategy does nothing until a pool is built with it"]
pub struct Sticky<S = TwoChoices> {
    otherwise: S,
    spread: bool,
}

impl<S: Select> Sticky<S> {
    /// Requests without a session are served as the other strategy says.
    pub const fn new(otherwise: S) -> Self {
        Self { otherwise, spread: true }
    }

    /// Whether the sessions of a key that rests are spread over all others, each always onto the same. If not, they are
    /// served as the other strategy says until it is back. Default: yes.
    pub const fn spread(mut self, on: bool) -> Self {
        self.spread = on;
        self
    }
}

impl Default for Sticky {
    fn default() -> Self {
        Self::new(TwoChoices)
    }
}

impl<S: Select> Select for Sticky<S> {
    fn select(&self, candidates: &dyn Candidates, demand: &Demand) -> Option<Place> {
        let Some(session) = candidates.session() else { return self.otherwise.select(candidates, demand) };
        let is_candidate = |place| candidates.at_or_after(place) == Some(place);
        if self.spread {
            return first(candidates.fingerprints(), session, is_candidate);
        }
        let home = self.home(candidates, demand).filter(|&home| is_candidate(home));
        home.or_else(|| self.otherwise.select(candidates, demand))
    }

    fn home(&self, candidates: &dyn Candidates, demand: &Demand) -> Option<Place> {
        match candidates.session() {
            Some(session) => first(candidates.fingerprints(), session, |place| candidates.serves(place)),
            None => self.otherwise.home(candidates, demand),
        }
    }

    fn latency_decay(&self) -> Option<Duration> {
        self.otherwise.latency_decay()
    }

    fn counts_models(&self) -> bool {
        self.otherwise.counts_models()
    }
}

/// The key that a session ranks first among those that may be. Asks that only of keys that would be it.
fn first(fingerprints: &[u64], session: u64, may_be: impl Fn(Place) -> bool) -> Option<Place> {
    let mut best = None;
    for (place, &key) in fingerprints.iter().enumerate() {
        let rank = rank(key, session);
        if key != 0 && best.is_none_or(|(first, _)| rank > first) && may_be(place) {
            best = Some((rank, place));
        }
    }
    best.map(|(_, place)| place)
}

/// The finishing steps of splitmix64, so that each bit of either number changes half of the result's.
#[inline]
fn rank(key: u64, session: u64) -> u64 {
    let state = key ^ session;
    let a = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    b ^ (b >> 31)
}
