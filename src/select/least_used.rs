use super::{Candidates, Place, Select, each};
use crate::demand::Demand;

/// The candidate with the fewest throttles of late, then the least busy, then the least used, of all. Looks at each
/// candidate: its cost grows with the pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastUsed;

impl Select for LeastUsed {
    fn select(&self, candidates: &dyn Candidates, _: &Demand) -> Option<Place> {
        each(candidates).min_by_key(|&place| candidates.load(place))
    }
}
