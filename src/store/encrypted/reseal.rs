//! A new master key for a store that is in use.

use super::Encrypted;
use super::records::{opened, sealer};
use crate::record::Change;
use crate::store::{Store, StoreError};

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
    pub(super) const BATCH: usize = 1_000;
    /// How often it is looked for what others have sealed by an older key meanwhile.
    const PASSES: usize = 4;

    /// Seals the header by the newest master key, then everything else that an older one has sealed: once nothing is
    /// [left](Resealed::left), the older ones are not needed. Until then the store does not open without them. Writes go
    /// on meanwhile, and whoever [finds](super::KeyRing::source) the new key seals by it from now on. Begins where it
    /// left off when it was interrupted. `progress` is told after every thousand.
    ///
    /// # Errors
    /// As the store inside.
    pub async fn reseal(&self, mut progress: impl FnMut(Resealed)) -> Result<Resealed, StoreError> {
        let ring = self.ring().await?;
        self.change_header(|header| header.announcing(&ring)).await?;
        let mut resealed = Resealed::default();
        for _ in 0..Self::PASSES {
            let old = self.sealed_by_older_keys(&mut resealed).await?;
            if old.is_empty() {
                self.change_header(|header| header.concluding(ring.newest().id)).await?;
                return Ok(resealed);
            }
            self.pass(&old, &mut resealed, &mut progress).await?;
        }
        self.sealed_by_older_keys(&mut resealed).await.map(|_| resealed)
    }

    async fn pass(
        &self,
        old: &[Change],
        resealed: &mut Resealed,
        progress: &mut impl FnMut(Resealed),
    ) -> Result<(), StoreError> {
        for batch in old.chunks(Self::BATCH) {
            self.write(batch.iter().cloned().map(anew).collect()).await?;
            resealed.done += batch.len();
            resealed.left -= batch.len();
            progress(*resealed);
        }
        self.inner.flush().await
    }

    async fn sealed_by_older_keys(&self, resealed: &mut Resealed) -> Result<Vec<Change>, StoreError> {
        let newest = self.ring.get().newest().id;
        let mut loaded = self.inner.load().await?;
        loaded.changes.retain(|change| change.record().is_some() && sealer(change) != Some(newest));
        let old = opened(&self.ring, loaded).await;
        (resealed.left, resealed.unreadable) = (old.changes.len(), old.hidden());
        Ok(old.changes)
    }
}

/// So that this seal wins over the one before it.
pub(super) fn anew(mut change: Change) -> Change {
    if let Change::Put(record) = &mut change {
        record.seal = record.seal.saturating_add(1);
    }
    change
}
