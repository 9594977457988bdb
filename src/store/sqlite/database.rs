//! What the one thread of a store does to its database, a transaction each.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::ffi::{Error, SQLITE_READONLY_DBMOVED};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::rows::Merge;
use super::{load, open, watch};
use crate::record::{Change, Graves};
use crate::store::Loaded;

/// How many removals there may be beyond the most before it is worth a look.
const SLACK: usize = 4_096;

pub(super) struct Database {
    connection: Connection,
    file: PathBuf,
    /// Which one that was when it was opened.
    identity: Option<(u64, u64)>,
    /// How many days of statistics are kept.
    days: u64,
    /// How many keys were removed since the oldest were forgotten.
    buried: usize,
    /// Whether the connection was made on a full disk, for reading only.
    is_makeshift: bool,
    /// The right to have it to itself. Falls after the connection.
    lock: Option<File>,
}

impl Database {
    pub(super) fn new(connection: Connection, file: PathBuf, days: u64, lock: Option<File>) -> Self {
        Self { connection, identity: identity(&file), file, days, buried: 0, is_makeshift: false, lock }
    }

    /// One that can only be read until there is room.
    pub(super) fn makeshift(connection: Connection, file: PathBuf, days: u64, lock: File) -> Self {
        Self { is_makeshift: true, ..Self::new(connection, file, days, Some(lock)) }
    }

    /// Sees to it that the database can be written, as soon as there is room for that.
    pub(super) fn ready(&mut self) -> rusqlite::Result<()> {
        self.check_file()?;
        if self.is_makeshift {
            // As long as it is open it lets nobody else in.
            self.connection = Connection::open_in_memory()?;
            match open::connect(&self.file) {
                Ok(connection) => (self.connection, self.is_makeshift) = (connection, false),
                Err(error) => {
                    self.connection = open::connect_alone(&self.file)?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// What is written to a file that was removed or replaced is lost, and SQLite does not notice.
    fn check_file(&self) -> rusqlite::Result<()> {
        let moved = || rusqlite::Error::SqliteFailure(Error::new(SQLITE_READONLY_DBMOVED), None);
        if identity(&self.file) == self.identity { Ok(()) } else { Err(moved()) }
    }

    /// Sweeps what has piled up since it was last opened. Nobody waits for news from before.
    pub(super) fn sweep(&self) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute("DELETE FROM news", [])?;
        forget_removals(&transaction)?;
        forget_days(&transaction, self.days)?;
        transaction.commit()
    }

    pub(super) fn load(&mut self) -> rusqlite::Result<Loaded> {
        load::everything(&*self.connection.transaction()?)
    }

    pub(super) fn write(&mut self, mut changes: Vec<Change>) -> rusqlite::Result<()> {
        self.ready()?;
        // Neighbours share pages.
        changes.sort_unstable_by_key(Change::id);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let is_beside = self.lock.is_none();
        let mut merge = Merge::prepare(&transaction, is_beside)?;
        changes.into_iter().try_for_each(|change| merge.change(change))?;
        let mut buried = self.buried + merge.buried;
        drop(merge);
        // How long days are kept is up to the one who has the database to itself.
        if !is_beside {
            forget_days(&transaction, self.days)?;
        }
        if buried > SLACK {
            forget_removals(&transaction)?;
            buried = 0;
        }
        transaction.commit()?;
        self.buried = buried;
        Ok(())
    }

    pub(super) fn news(&mut self, since: Option<i64>) -> rusqlite::Result<(i64, Loaded)> {
        let (latest, loaded) = watch::news(&*self.connection.transaction()?, since)?;
        self.buried += loaded.changes.iter().filter(|change| change.record().is_none()).count();
        Ok((latest, loaded))
    }

    pub(super) fn header(&self) -> rusqlite::Result<Option<Bytes>> {
        header(&self.connection)
    }

    pub(super) fn replace_header(&mut self, expected: Option<&Bytes>, value: &Bytes) -> rusqlite::Result<bool> {
        self.ready()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = header(&transaction)?.as_ref() == expected;
        if found {
            transaction.execute("INSERT OR REPLACE INTO header (one, value) VALUES (1, ?1)", params![&value[..]])?;
        }
        transaction.commit().map(|()| found)
    }
}

/// What stays the same when a file is renamed, and nothing else.
#[cfg(unix)]
fn identity(file: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(file).ok().map(|data| (data.dev(), data.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

fn header(connection: &Connection) -> rusqlite::Result<Option<Bytes>> {
    let mut header = connection.prepare_cached("SELECT value FROM header")?;
    let value = header.query_row([], |row| row.get::<_, Vec<u8>>(0));
    Ok(value.optional()?.map(Bytes::from))
}

/// The oldest removals, beyond the most that are remembered.
fn forget_removals(connection: &Connection) -> rusqlite::Result<()> {
    let oldest = "DELETE FROM removed_keys WHERE id IN
        (SELECT id FROM removed_keys ORDER BY removed_ns DESC, id DESC LIMIT -1 OFFSET ?1)";
    connection.execute(oldest, [Graves::MOST as u32]).map(drop)
}

/// Days too long before the last one that anything was counted on, or before tomorrow if that is yet to come.
fn forget_days(connection: &Connection, days: u64) -> rusqlite::Result<()> {
    let oldest = "DELETE FROM daily_stats
        WHERE date < (SELECT date(min(max(date), date('now', '+1 day')), ?1) FROM daily_stats)";
    connection.prepare_cached(oldest)?.execute([format!("-{days} days")])?;
    let oldest = "DELETE FROM usage
        WHERE day < (SELECT min(max(day), CAST(julianday('now') - 2440586.5 AS INTEGER)) FROM usage) - ?1";
    connection.prepare_cached(oldest)?.execute([i64::try_from(days).unwrap_or(i64::MAX)]).map(drop)
}
