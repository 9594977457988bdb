use std::sync::Arc;

use arc_swap::ArcSwap;

use super::ring::{KeyRing, RingId};

/// The ring of a store in use, which others may seal by keys that it was not given.
#[derive(Debug)]
pub(super) struct LiveRing(ArcSwap<KeyRing>);

impl LiveRing {
    /// The most keys that are asked for at a time (I19): who can write to a store can name them without end.
    const MOST: usize = 8;

    pub(super) fn new(ring: KeyRing) -> Self {
        Self(ArcSwap::from_pointee(ring))
    }

    pub(super) fn get(&self) -> Arc<KeyRing> {
        self.0.load_full()
    }

    /// The ring, with what its source can find of these keys.
    pub(super) fn knowing(&self, ids: impl Iterator<Item = RingId>) -> Arc<KeyRing> {
        let ring = self.get();
        let mut unknown = Vec::new();
        for id in ids.filter(|&id| ring.find(id).is_none()) {
            if unknown.len() < Self::MOST && !unknown.contains(&id) {
                unknown.push(id);
            }
        }
        for key in unknown.into_iter().filter_map(|id| ring.ask(id)) {
            self.0.rcu(|ring| ring.expecting(&key));
        }
        self.get()
    }

    /// The ring, after the header was found to be sealed by this key.
    pub(super) fn following(&self, id: RingId) -> Arc<KeyRing> {
        if self.get().newest().id != id {
            self.0.rcu(|ring| ring.following(id));
        }
        self.get()
    }
}
