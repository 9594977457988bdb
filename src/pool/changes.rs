//! What has changed since somebody last asked, for a store to write behind the requests; and which keys were removed, so
//! that none of them comes back unasked.

use std::collections::BTreeSet;

use crate::record::{Graves, Tombstone};
use crate::secret::KeyId;

/// The members that have changed, each once, however often they did, and the keys that were removed: bounded by the
/// members and by [`Graves::MOST`].
#[derive(Debug, Default)]
pub(super) struct Changes {
    changed: BTreeSet<u32>,
    untold: BTreeSet<KeyId>,
    gone: Graves,
}

impl Changes {
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
        if let Some(forgotten) = self.gone.bury(tombstone) {
            self.untold.remove(&forgotten);
        }
    }

    /// What is left of a key that was removed.
    pub(super) fn grave(&self, id: KeyId) -> Option<Tombstone> {
        self.gone.find(id)
    }

    /// The key joins again: what is left of it is told by its new generation.
    pub(super) fn exhume(&mut self, id: KeyId) -> Option<Tombstone> {
        self.gone.exhume(id)
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
