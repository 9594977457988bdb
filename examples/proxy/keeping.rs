//! The pool in its store: restored before the first request, kept while requests run, written out in the end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use key_commune::keeper::Keeper;
use key_commune::pool::KeyPool;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::Problem;
use crate::vault::Vault;

/// How often it is looked whether the store keeps up, and how often at most it is said that it does not.
const LOOK: Duration = Duration::from_secs(1);
const SAID: Duration = Duration::from_secs(60);
/// How long what was learned last may wait to be written.
const LATE: Duration = Duration::from_secs(5);
/// How long the last words may take.
const CLOSING: Duration = Duration::from_secs(5);

pub(crate) struct Keeping {
    pool: KeyPool,
    keeper: Keeper,
    behind: Arc<AtomicBool>,
}

impl Keeping {
    pub(crate) async fn open(pool: &KeyPool, vault: Vault) -> Result<Self, Problem> {
        let keeper = Keeper::open(pool, vault).await.map_err(|error| error.to_string())?;
        Ok(Self { pool: pool.clone(), keeper, behind: Arc::default() })
    }

    /// What was found in the store.
    pub(crate) fn tell(&self) {
        let restored = self.keeper.restored();
        if restored.foreign + restored.left_out + restored.unreadable + restored.miscounted > 0 {
            warn!("{restored}; what is not in use stays in the store");
        } else {
            info!("{restored}");
        }
    }

    /// How many keys of the store found no seat.
    pub(crate) fn left_out(&self) -> usize {
        self.keeper.restored().left_out
    }

    /// What was found in the store and is of no use, if there is anything.
    pub(crate) fn left_over(&self) -> Option<String> {
        let restored = self.keeper.restored();
        (restored.foreign + restored.left_out + restored.unreadable > 0).then(|| restored.to_string())
    }

    /// Whether the store does not keep up with the pool.
    pub(crate) fn behind(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.behind)
    }

    /// Warns while the store does not keep up. Never ends.
    pub(crate) async fn watch(&self) {
        if let Ok(Err(error)) = timeout(LATE, self.keeper.flush()).await {
            warn!(%error, "the store cannot be written, and is tried again: what keys do is forgotten with this process until it can");
            self.behind.store(true, Relaxed);
        }
        let (mut said, mut unreadable) = (None::<Instant>, 0);
        loop {
            sleep(LOOK).await;
            let status = self.keeper.status();
            let is_behind = status.error.is_some() || status.lag > LATE;
            if self.behind.swap(is_behind, Relaxed) && !is_behind {
                info!("the store keeps up with the pool again");
                said = None;
            }
            if said.is_some_and(|said| said.elapsed() < SAID) {
                continue;
            }
            let error = status.error.or(status.watch_error);
            if error.is_some() || is_behind || status.unreadable > unreadable {
                let error = error.map(|error| error.to_string());
                let (lag, pending, unreadable) = (status.lag, status.pending, status.unreadable);
                warn!(error, ?lag, pending, unreadable, "the store does not keep up with the pool");
                said = Some(Instant::now());
            }
            unreadable = status.unreadable;
        }
    }

    /// Writes what there still is.
    pub(crate) async fn close(self) {
        let keys = self.pool.snapshot().members.len();
        match timeout(CLOSING, self.keeper.close()).await {
            Ok(Ok(())) => info!(keys, "stored"),
            Ok(Err(error)) => warn!(%error, "what the pool learned last is not stored"),
            Err(_) => warn!("what the pool learned last is not stored: the store did not answer in time"),
        }
    }
}
