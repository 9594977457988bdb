//! Seals that were made before: most changes of a key say nothing about its secret.

use std::collections::HashMap;

use super::ring::RingId;
use crate::origin::Origin;
use crate::record::{Kept, Record};
use crate::secret::KeyId;
use crate::sync::{Mutex, lock};

/// The seals of keys that have changed of late. What is sealed anew has another nonce, so that a store would take it for
/// a change of the key.
#[derive(Debug, Default)]
pub(super) struct Seals(Mutex<HashMap<KeyId, Seal>>);

/// What was sealed, by whom, and what came of it.
#[derive(Debug)]
struct Seal {
    by: RingId,
    provider: Box<str>,
    origin: Option<Origin>,
    secret: Kept,
    sealed: Kept,
}

impl Seals {
    /// The most that are kept (I19), in 5 MiB. Beyond it all are forgotten: more keys than these seldom change in turn.
    pub(super) const MOST: usize = 1 << 14;

    /// The seal of a record, if nothing that it holds together has changed.
    pub(super) fn find(&self, by: RingId, record: &Record) -> Option<Kept> {
        lock(&self.0).get(&record.id).filter(|seal| seal.is_of(by, record)).map(|seal| seal.sealed.clone())
    }

    pub(super) fn keep(&self, by: RingId, record: &Record, sealed: Kept) -> Kept {
        let (provider, origin, secret) =
            (record.provider.as_str().into(), record.origin.clone(), record.secret.clone());
        let mut seals = lock(&self.0);
        if seals.len() >= Self::MOST {
            seals.clear();
        }
        seals.insert(record.id, Seal { by, provider, origin, secret, sealed: sealed.clone() });
        sealed
    }

    /// The key is gone, and nobody is to hold its secret any longer.
    pub(super) fn forget(&self, id: KeyId) {
        lock(&self.0).remove(&id);
    }
}

impl Seal {
    fn is_of(&self, by: RingId, record: &Record) -> bool {
        let is_same = self.by == by && *self.provider == *record.provider && self.origin == record.origin;
        is_same && self.secret == record.secret
    }
}
