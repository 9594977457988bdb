use std::fmt;

use tokio::task::yield_now;

use crate::pool::{KeyPool, Merged};
use crate::record::Change;
use crate::store::Loaded;

/// What a keeper found in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Restored {
    /// Keys that are in the pool now.
    pub keys: usize,
    /// Keys that the pool had already and that are in another state now.
    pub changed: usize,
    /// Keys that the pool had and that were removed.
    pub removed: usize,
    /// Keys that found no seat, since the pool is full. They stay in the store.
    pub left_out: usize,
    /// Keys of other providers. They stay in the store.
    pub foreign: usize,
    /// Records that cannot be read. They stay in the store.
    pub unreadable: usize,
    /// Keys some of whose counts cannot be read.
    pub miscounted: usize,
}

impl Restored {
    pub(super) async fn from(pool: &KeyPool, mut loaded: Loaded) -> Self {
        // Should there be more than the pool takes, those that have been there for longest stay.
        loaded.changes.sort_by_key(|change| (change.record().map(|record| record.created), change.id()));
        let (unreadable, miscounted) = (loaded.hidden(), loaded.miscounted.len());
        pool.make_room(&loaded.changes);
        let merged = take_over(pool, loaded.changes, 1 << 16).await;
        let Merged { joined, changed, removed, left_out, foreign, .. } = merged;
        Self { keys: joined, changed, removed, left_out, foreign, unreadable, miscounted }
    }
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys restored", self.keys)?;
        let rest = [
            (self.left_out, "beyond what the pool takes"),
            (self.foreign, "of other providers"),
            (self.unreadable, "unreadable"),
            (self.miscounted, "with damaged counts"),
        ];
        rest.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// Lets a pool take over changes, so many at a time: whoever wants the pool meanwhile has it in between.
pub(super) async fn take_over(pool: &KeyPool, changes: Vec<Change>, at_once: usize) -> Merged {
    let mut all = Merged::default();
    let mut changes = changes.into_iter();
    while changes.len() > 0 {
        all += pool.merge(changes.by_ref().take(at_once));
        yield_now().await;
    }
    all
}
