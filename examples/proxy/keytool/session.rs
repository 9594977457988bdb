//! The open store.

use key_commune::clock::{Clock, SystemClock, Timestamp};
use key_commune::record::{Change, Record};
use key_commune::store::{Loaded, SqliteStore, Store, StoreError};

use crate::vault::{Opened, Safe, Vault};
use crate::{Problem, say};

pub(super) struct Session {
    pub(super) vault: Vault,
    safe: Safe,
    clock: SystemClock,
}

impl Session {
    /// Makes the database if there is none.
    pub(super) async fn found(safe: Safe) -> Result<Self, Problem> {
        let opened = safe.found().await?;
        Ok(Self::new(safe, opened))
    }

    pub(super) async fn join(safe: Safe) -> Result<Self, Problem> {
        let opened = safe.join().await?;
        Ok(Self::new(safe, opened))
    }

    fn new(safe: Safe, opened: Opened) -> Self {
        if let Some(made) = opened.made {
            say(made);
        }
        Self { vault: opened.vault, safe, clock: SystemClock::new() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn load(&self) -> Result<Loaded, Problem> {
        self.vault.load().await.map_err(told)
    }

    /// Secrets sealed as they are: what is said of a key changes without them.
    pub(super) fn raw(&self) -> Result<SqliteStore, Problem> {
        self.safe.raw()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn told(error: StoreError) -> Problem {
    error.to_string()
}

/// Those that are there, the oldest first.
pub(super) fn records(loaded: Loaded) -> Vec<Record> {
    let present = |change| match change {
        Change::Put(record) => Some(*record),
        Change::Gone(_) => None,
    };
    let mut records: Vec<_> = loaded.changes.into_iter().filter_map(present).collect();
    records.sort_by(|one, other| (&one.provider, one.created, one.id).cmp(&(&other.provider, other.created, other.id)));
    records
}
