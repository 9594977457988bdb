//! Records in a SQLite database that an operator can query.

mod open;
mod read;
mod rows;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::{Doing, ErrorKind, Loaded, Store, StoreError};
use crate::record::Change;

/// A SQLite database: one thread that writes, a write-ahead log, and `synchronous=FULL`: what is written is durable when
/// [`write`](Store::write) returns, and survives the end of the process and of the machine.
///
/// Its tables can be read with the `sqlite3` shell. A row that is deleted there is a key that was removed. Secrets are in
/// it as they come: put [`Encrypted`](super) around it. Dropping the store closes the database, which may take a moment.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl SqliteStore {
    /// Opens the database at `path`, or makes one, and has it to itself but for those who [join](Self::open_beside). Blocks.
    ///
    /// # Errors
    /// When another store has it, it is damaged, of another program or of a later version, or cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let lock = open::lock(&path)?;
        let connection = open::open(&path)?;
        Self::start(path, connection, Some(lock))
    }

    /// Opens a database that another store may have at the same time, as the key tool does while the proxy runs. What
    /// either writes is merged with what the other has written. Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the other store; and when there is no such database, or it is of an earlier version.
    pub fn open_beside(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let connection = open::join(&path)?;
        Self::start(path, connection, None)
    }

    fn start(path: PathBuf, mut connection: Connection, lock: Option<File>) -> Result<Self, StoreError> {
        let (sender, jobs) = channel::<Job>();
        let run = move || {
            for job in jobs {
                job(&mut connection);
            }
            // First the database, then the right to open it.
            drop(connection);
            drop(lock);
        };
        let thread = std::thread::Builder::new().name("key-commune-sqlite".into()).spawn(run);
        let thread = thread.map_err(|error| StoreError::new(ErrorKind::Unavailable, error))?;
        Ok(Self { path, jobs: Some(sender), thread: Some(thread) })
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Doing<'_, T> {
        let (reply, answer) = oneshot::channel();
        // Who has gone away does not hear the answer.
        let job: Job = Box::new(move |connection| drop(reply.send(act(connection))));
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        Box::pin(async move {
            let closed = || StoreError::new(ErrorKind::Unavailable, format_args!("{}: closed", self.path.display()));
            let answer = if sent { answer.await.ok() } else { None };
            answer.ok_or_else(closed)?.map_err(|error| fault(&self.path, &error))
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Store for SqliteStore {
    fn load(&self) -> Doing<'_, Loaded> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            read::load(&transaction)
        })
    }

    fn write(&self, changes: Vec<Change>) -> Doing<'_, ()> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut rows = rows::Rows::prepare(&transaction)?;
            changes.iter().try_for_each(|change| rows.merge(change))?;
            drop(rows);
            transaction.commit()
        })
    }

    /// Every write is durable already; this one only waits for its turn.
    fn flush(&self) -> Doing<'_, ()> {
        self.run(|_| Ok(()))
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        self.run(|connection| header(connection))
    }

    fn replace_header(&self, expected: Option<Bytes>, value: Bytes) -> Doing<'_, bool> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let found = header(&transaction)? == expected;
            if found {
                transaction
                    .execute("INSERT OR REPLACE INTO header (one, value) VALUES (1, ?1)", params![&value[..]])?;
            }
            transaction.commit().map(|()| found)
        })
    }
}

fn header(connection: &Connection) -> rusqlite::Result<Option<Bytes>> {
    let value = connection.query_row("SELECT value FROM header", [], |row| row.get::<_, Vec<u8>>(0));
    Ok(value.optional()?.map(Bytes::from))
}

/// What SQLite says, without what it was told.
fn fault(path: &Path, error: &rusqlite::Error) -> StoreError {
    let code = error.sqlite_error_code();
    let kind = match code {
        Some(ErrorCode::DiskFull) => ErrorKind::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Locked,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => ErrorKind::ReadOnly,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SchemaChanged) => ErrorKind::Damaged,
        _ => ErrorKind::Unavailable,
    };
    let what = code.map_or_else(|| "its tables are not as expected".to_owned(), |code| format!("{code:?}"));
    StoreError::new(kind, format_args!("{}: {what}", path.display()))
}
