use super::{Candidates, Place, Select};
use crate::demand::Demand;

/// The first candidate in the order the keys were added: one key takes all until it rests. Costs the same for 2 keys
/// and for 1,000,000.
#[derive(Clone, Copy, Debug, Default)]
pub struct FillFirst;

impl Select for FillFirst {
    fn select(&self, candidates: &dyn Candidates, _: &Demand) -> Option<Place> {
        candidates.at_or_after(0)
    }
}
