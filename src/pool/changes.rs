//! What has changed since somebody last asked: for a store to write behind the requests.

use std::collections::HashSet;

use crate::secret::KeyId;

/// The keys whose state has changed, each once, however often it did: bounded by the members and by
/// [`Changes::MOST_GONE`].
#[derive(Debug, Default)]
pub(super) struct Changes {
    changed: HashSet<KeyId>,
    gone: HashSet<KeyId>,
}

impl Changes {
    /// The most removals that are remembered for a store that does not ask.
    const MOST_GONE: usize = 1 << 16;

    pub(super) fn note(&mut self, id: KeyId) {
        self.changed.insert(id);
    }

    pub(super) fn added(&mut self, id: KeyId) {
        self.gone.remove(&id);
        self.changed.insert(id);
    }

    pub(super) fn removed(&mut self, id: KeyId) {
        self.changed.remove(&id);
        if self.gone.len() < Self::MOST_GONE {
            self.gone.insert(id);
        }
    }

    pub(super) fn take(&mut self) -> (HashSet<KeyId>, HashSet<KeyId>) {
        (std::mem::take(&mut self.changed), std::mem::take(&mut self.gone))
    }
}
