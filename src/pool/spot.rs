//! What a limit hangs on, and so what rests: a key, a key for one model, the keys of one account, or all.

use super::lane::LaneId;

/// A thing in the books that has a health of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// Every key.
    Pool,
    /// The keys of one account, by the number of their group.
    Group(u32),
    /// The key at a place.
    Key(u32),
    /// The key at a place, for one model.
    Pair(u32, LaneId),
}
