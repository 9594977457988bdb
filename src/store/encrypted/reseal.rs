//! A new master key for a store that is in use.

use super::seal::sealed_by;
use super::{Encrypted, opened};
use crate::record::Change;
use crate::store::{Loaded, Store, StoreError};

/// How far the sealing of a store by the newest master key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Resealed {
    /// Records that were sealed anew.
    pub done: usize,
    /// Records that still are to be. If there are any in the end, somebody else has sealed them by an older key meanwhile.
    pub left: usize,
    /// Records that cannot be opened, and are left alone.
    pub unreadable: usize,
}

impl<S: Store> Encrypted<S> {
    /// How many records are sealed anew at a time.
    const BATCH: usize = 1_000;

    /// Seals everything by the newest master key that an older one has sealed, then the header: once nothing is
    /// [left](Resealed::left), the older ones are not needed. Writes go on meanwhile. Begins where it left off when it
    /// was interrupted. `progress` is told after every thousand.
    ///
    /// # Errors
    /// As the store inside.
    pub async fn reseal(&self, mut progress: impl FnMut(Resealed)) -> Result<Resealed, StoreError> {
        let old = opened(&self.ring, self.sealed_by_older_keys().await?);
        let unreadable = old.unreadable.len() + old.nameless;
        let mut resealed = Resealed { done: 0, left: old.changes.len(), unreadable };
        for batch in old.changes.chunks(Self::BATCH) {
            self.write(batch.iter().cloned().map(anew).collect()).await?;
            resealed.done += batch.len();
            resealed.left -= batch.len();
            progress(resealed);
        }
        self.inner.flush().await?;
        resealed.left = opened(&self.ring, self.sealed_by_older_keys().await?).changes.len();
        if resealed.left == 0 {
            self.change_header(|header| Some(header.clone())).await?;
        }
        Ok(resealed)
    }

    async fn sealed_by_older_keys(&self) -> Result<Loaded, StoreError> {
        let newest = self.ring.newest().id;
        let mut loaded = self.inner.load().await?;
        let old = |change: &Change| {
            let sealed = change.record().and_then(|record| record.secret.sealed());
            sealed.is_some_and(|sealed| sealed_by(sealed) != Some(newest))
        };
        loaded.changes.retain(old);
        Ok(loaded)
    }
}

/// So that this seal wins over the one before it.
fn anew(mut change: Change) -> Change {
    if let Change::Put(record) = &mut change {
        record.seal = record.seal.saturating_add(1);
    }
    change
}
