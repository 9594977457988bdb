use std::time::Duration;

use crate::clock::Timestamp;
use crate::pool::KeyPool;
use crate::store::StoreError;
use crate::sync::{Mutex, MutexGuard, lock};

/// How far a store is behind its pool.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// For how long the oldest change has waited to be written; zero if the keeper is up to date.
    pub lag: Duration,
    /// Keys with changes that are not written yet. A key that was only used counts once its uses have been gathered.
    pub pending: usize,
    /// Changes written since the keeper was opened.
    pub written: u64,
    /// Why the last attempt to write has failed, until one succeeds.
    pub error: Option<StoreError>,
    /// Why the last attempt to hear of others' changes has failed, until one succeeds.
    pub watch_error: Option<StoreError>,
    /// Records that others changed and that cannot be read here.
    pub unreadable: u64,
}

/// What a keeper has to say of itself.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Page>);

#[derive(Debug, Default)]
struct Page {
    /// Since when changes wait that were taken from the pool.
    behind: Option<Timestamp>,
    /// But for the lag, and what the pool has not told yet.
    status: Status,
}

impl Book {
    fn page(&self) -> MutexGuard<'_, Page> {
        lock(&self.0)
    }

    pub(super) fn status(&self, pool: &KeyPool) -> Status {
        let (now, waiting) = (pool.now(), pool.undrained());
        let page = self.page();
        let lag = page.behind.map_or(Duration::ZERO, |behind| now - behind);
        Status { lag, pending: page.status.pending + waiting, ..page.status.clone() }
    }

    /// So many changes are on their way.
    pub(super) fn writing(&self, taken: usize, now: Timestamp) {
        let mut page = self.page();
        page.status.pending = taken;
        page.behind.get_or_insert(now);
    }

    /// They have arrived, `all` that there were.
    pub(super) fn wrote(&self, taken: usize, all: bool) {
        let mut page = self.page();
        page.status.pending = 0;
        page.status.written += taken as u64;
        page.status.error = None;
        page.behind = page.behind.filter(|_| !all);
    }

    pub(super) fn failed(&self, error: StoreError) {
        self.page().status.error = Some(error);
    }

    /// Others have been heard of, or not.
    pub(super) fn heard(&self, unreadable: usize) {
        let mut page = self.page();
        page.status.unreadable += unreadable as u64;
        page.status.watch_error = None;
    }

    pub(super) fn deaf(&self, error: StoreError) {
        self.page().status.watch_error = Some(error);
    }
}
