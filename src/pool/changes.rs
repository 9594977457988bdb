//! What has changed since somebody last asked, for a store to write behind the requests; and which keys were removed, so
//! that none of them comes back unasked.

use std::collections::{BTreeSet, HashMap};

use crate::clock::Timestamp;
use crate::record::Tombstone;
use crate::secret::KeyId;

/// The members that have changed, each once, however often they did, and the keys that were removed: bounded by the
/// members and by [`Changes::MOST_GONE`].
#[derive(Debug, Default)]
pub(super) struct Changes {
    changed: BTreeSet<u32>,
    untold: BTreeSet<KeyId>,
    gone: HashMap<KeyId, Tombstone>,
    ages: BTreeSet<(Timestamp, KeyId)>,
}

impl Changes {
    /// The most removals that are remembered, as many as stores do.
    const MOST_GONE: usize = 1 << 16;

    /// The member at `place` has changed.
    pub(super) fn note(&mut self, place: u32) {
        self.changed.insert(place);
    }

    /// Its key was removed from `place`.
    pub(super) fn removed(&mut self, place: u32, tombstone: Tombstone) {
        self.changed.remove(&place);
        self.untold.insert(tombstone.id);
        self.bury(tombstone);
    }

    /// Takes note of a removal that others know of.
    pub(super) fn bury(&mut self, tombstone: Tombstone) {
        self.exhume(tombstone.id);
        self.ages.insert((tombstone.at, tombstone.id));
        self.gone.insert(tombstone.id, tombstone);
        while self.gone.len() > Self::MOST_GONE {
            let oldest = self.ages.first().map(|&(_, id)| id);
            oldest.map(|id| (self.exhume(id), self.untold.remove(&id)));
        }
    }

    /// What is left of a key that was removed.
    pub(super) fn grave(&self, id: KeyId) -> Option<Tombstone> {
        self.gone.get(&id).copied()
    }

    /// The key joins again: what is left of it is told by its new generation.
    pub(super) fn exhume(&mut self, id: KeyId) -> Option<Tombstone> {
        let grave = self.gone.remove(&id)?;
        self.ages.remove(&(grave.at, id));
        Some(grave)
    }

    /// How many keys there are to tell of.
    pub(super) fn len(&self) -> usize {
        self.changed.len() + self.untold.len()
    }

    /// The next member that has changed.
    pub(super) fn next(&mut self) -> Option<u32> {
        self.changed.pop_first()
    }

    /// The next removal that has not been told.
    pub(super) fn next_gone(&mut self) -> Option<Tombstone> {
        loop {
            let id = self.untold.pop_first()?;
            if let Some(grave) = self.grave(id) {
                return Some(grave);
            }
        }
    }
}
