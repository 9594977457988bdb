use std::time::Duration;

use super::{Candidates, Place, Select};
use crate::demand::Demand;

/// The cheaper of two candidates drawn at random: the time it takes to the head of an answer, times the requests that it
/// serves and the new one. For keys that are served unequally fast: regions, accounts of other tiers, other providers
/// behind one API. Costs the same for 2 keys and for 1,000,000.
///
/// The time is an average that follows a slower answer at once and a faster one over the [`decay`](Self::decay). A call that
/// fails, or that its caller gives up, counts as well, and makes no key look faster than silence does. A key that nothing was heard of for long is taken
/// for a fast one, and asked once.
///
/// ```
/// use key_commune::provider::Provider;
/// use key_commune::pool::KeyPool;
/// use key_commune::select::PeakEwma;
/// use std::time::Duration;
///
/// let strategy = PeakEwma::default().decay(Duration::from_secs(30));
/// let pool = KeyPool::builder(Provider::OPENAI).select(strategy).build()?;
/// # Ok::<(), key_commune::pool::PoolError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a strategy does nothing until a pool is built with it"]
pub struct PeakEwma {
    decay: Duration,
}

impl PeakEwma {
    /// How soon the past is forgotten: after this time, e^-1 of it is left. Default: 10 s.
    pub fn decay(mut self, decay: Duration) -> Self {
        self.decay = decay;
        self
    }
}

impl Default for PeakEwma {
    fn default() -> Self {
        Self { decay: Duration::from_secs(10) }
    }
}

impl Select for PeakEwma {
    fn select(&self, candidates: &dyn Candidates, _: &Demand) -> Option<Place> {
        let first = candidates.draw(None)?;
        let second = candidates.draw(Some(first)).unwrap_or(first);
        Some(if cost(candidates, second) < cost(candidates, first) { second } else { first })
    }

    fn latency_decay(&self) -> Option<Duration> {
        Some(self.decay)
    }
}

/// Nanoseconds. A key that nobody knows yet is free for one request; what more it gets waits until it is known.
fn cost(candidates: &dyn Candidates, place: Place) -> u128 {
    let in_flight = u128::from(candidates.load(place).in_flight);
    match candidates.latency(place) {
        Some(latency) => latency.as_nanos() * (in_flight + 1),
        None if in_flight == 0 => 0,
        None => UNKNOWN + in_flight,
    }
}

/// More than any known key costs.
const UNKNOWN: u128 = 1 << 100;
