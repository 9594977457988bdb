use std::time::Duration;

use crate::clock::Timestamp;
use crate::pool::KeyPool;
use crate::store::StoreError;
use crate::sync::{Mutex, MutexGuard, lock};

/// How far a store is behind its pool.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    behind: Option<Timestamp>,
    taken: usize,
    written: u64,
    error: Option<StoreError>,
    watch_error: Option<StoreError>,
    unreadable: u64,
}

impl Book {
    fn page(&self) -> MutexGuard<'_, Page> {
        lock(&self.0)
    }

    pub(super) fn status(&self, pool: &KeyPool) -> Status {
        let (now, waiting) = (pool.now(), pool.undrained());
        let page = self.page();
        Status {
            lag: page.behind.map_or(Duration::ZERO, |behind| now - behind),
            pending: page.taken + waiting,
            written: page.written,
            error: page.error.clone(),
            watch_error: page.watch_error.clone(),
            unreadable: page.unreadable,
        }
    }

    /// So many changes are on their way.
    pub(super) fn writing(&self, taken: usize, now: Timestamp) {
        let mut page = self.page();
        page.taken = taken;
        page.behind.get_or_insert(now);
    }

    /// They have arrived, `all` that there were.
    pub(super) fn wrote(&self, taken: usize, all: bool) {
        let mut page = self.page();
        page.taken = 0;
        page.written += taken as u64;
        page.error = None;
        page.behind = page.behind.filter(|_| !all);
    }

    pub(super) fn failed(&self, error: StoreError) {
        self.page().error = Some(error);
    }

    /// Others have been heard of, or not.
    pub(super) fn heard(&self, unreadable: usize) {
        let mut page = self.page();
        page.unreadable += unreadable as u64;
        page.watch_error = None;
    }

    pub(super) fn deaf(&self, error: StoreError) {
        self.page().watch_error = Some(error);
    }
}
