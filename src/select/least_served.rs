use super::{Candidates, Place, Select, each};
use crate::demand::Demand;

/// An idle candidate before a busy one, and of these the one that has served the model asked for the least often since
/// midnight UTC: for providers that limit each model for itself. Of equals the least busy, then the first.
///
/// Counts what was accepted, in the memory of the process: at most 64 models of a key, and all others as one. Looks at each
/// candidate, and takes a lock of its own: its cost grows with the pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastServed;

impl Select for LeastServed {
    fn select(&self, candidates: &dyn Candidates, _: &Demand) -> Option<Place> {
        each(candidates).min_by_key(|&place| {
            let load = candidates.load_for_model(place);
            (load.in_flight > 0, load.uses, load.in_flight)
        })
    }

    fn counts_models(&self) -> bool {
        true
    }
}
