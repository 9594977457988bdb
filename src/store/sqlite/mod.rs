//! Records in a SQLite database that an operator can query.

mod builder;
mod counters;
mod database;
mod load;
mod open;
mod read;
mod rows;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_READONLY_DBMOVED};
use tokio::sync::oneshot::{self, Receiver};

use self::database::Database;
use self::watch::News;
use super::{Doing, ErrorKind, Loaded, Store, StoreError, Watch};
use crate::record::Change;

pub use builder::SqliteBuilder;

/// A SQLite database: one thread that writes, a write-ahead log, and `synchronous=FULL`: what is written is durable when
/// [`write`](Store::write) returns, and survives the end of the process and of the machine.
///
/// Its tables can be read with the `sqlite3` shell. A row that is deleted there is a key that was removed, one that is
/// updated is a key that was changed, and one that is inserted a key that joins: all are told by [`watch`](Store::watch). Secrets are in it as they come: put
/// [`Encrypted`](super) around it. Dropping the store closes the database, which may take a moment.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// Whether others tell it what they change.
    hears: bool,
    jobs: Option<Arc<Sender<Job>>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce(&mut Database) + Send>;

impl SqliteStore {
    /// Opens the database at `path`, or makes one, and has it to itself but for those who [join](Self::open_beside). Blocks.
    ///
    /// # Errors
    /// When another store has it, it is damaged, of another program or of a later version, or cannot be opened. On a full disk
    /// one that is there can be read, and is written as soon as there is room.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder().open(path)
    }

    /// Opens a database that another store may have at the same time, as the key tool does while the proxy runs. What
    /// either writes is merged with what the other has written; the other store is told, this one is not. Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the other store; and when there is no such database, or it is of an earlier version.
    pub fn open_beside(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder().open_beside(path)
    }

    /// How to open a database in another way than by default.
    pub fn builder() -> SqliteBuilder {
        SqliteBuilder::default()
    }

    fn start(path: PathBuf, mut database: Database, hears: bool) -> Result<Self, StoreError> {
        let (sender, jobs) = channel::<Job>();
        let run = move || jobs.into_iter().for_each(|job| job(&mut database));
        let thread = std::thread::Builder::new().name("key-commune-sqlite".into()).spawn(run);
        let thread = thread.map_err(|error| StoreError::new(ErrorKind::Unavailable, error))?;
        Ok(Self { path, hears, jobs: Some(Arc::new(sender)), thread: Some(thread) })
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Database) -> rusqlite::Result<T> + Send + 'static,
    ) -> Doing<'_, T> {
        let answer = self.jobs.as_ref().map(|jobs| ask(jobs, act));
        Box::pin(async move {
            let closed = || closed(&self.path);
            let answer = answer.ok_or_else(closed)?.await.map_err(|_| closed())?;
            answer.map_err(|error| fault(&self.path, &error))
        })
    }
}

/// Has the thread of a store do something. There is no answer if it has ended.
fn ask<T: Send + 'static>(
    jobs: &Sender<Job>,
    act: impl FnOnce(&mut Database) -> rusqlite::Result<T> + Send + 'static,
) -> Receiver<rusqlite::Result<T>> {
    let (reply, answer) = oneshot::channel();
    // Who has gone away does not hear the answer.
    let _ = jobs.send(Box::new(move |database| drop(reply.send(act(database)))));
    answer
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Store for SqliteStore {
    fn load(&self) -> Doing<'_, Loaded> {
        self.run(Database::load)
    }

    fn write(&self, changes: Vec<Change>) -> Doing<'_, ()> {
        self.run(|database| database.write(changes))
    }

    /// Every write is durable already; this one only waits for its turn.
    fn flush(&self) -> Doing<'_, ()> {
        self.run(Database::ready)
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        self.run(|database| database.header())
    }

    fn replace_header(&self, expected: Option<Bytes>, value: Bytes) -> Doing<'_, bool> {
        self.run(move |database| database.replace_header(expected.as_ref(), &value))
    }

    /// What the stores [beside](SqliteStore::open_beside) this one write, and what is inserted, updated or deleted in the shell, a
    /// fifth of a second later at most. A store beside another one cannot tell.
    fn watch(&self) -> Option<Box<dyn Watch>> {
        let jobs = self.jobs.as_ref().filter(|_| self.hears)?;
        Some(Box::new(News::new(self.path.clone(), Arc::downgrade(jobs))))
    }
}

fn closed(path: &Path) -> StoreError {
    StoreError::new(ErrorKind::Unavailable, format_args!("{}: closed", path.display()))
}

/// What SQLite says, without what it was told.
fn fault(path: &Path, error: &rusqlite::Error) -> StoreError {
    if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_READONLY_DBMOVED) {
        let what = format_args!("{}: it was removed or replaced while it was in use", path.display());
        return StoreError::new(ErrorKind::Unavailable, what);
    }
    let code = error.sqlite_error_code();
    let has_no_room = error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE);
    let kind = match code {
        _ if has_no_room => ErrorKind::Full,
        Some(ErrorCode::DiskFull) => ErrorKind::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Locked,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => ErrorKind::ReadOnly,
        // The last one: tables or columns that are missing. Without a code, they hold something else.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SchemaChanged | ErrorCode::Unknown)
        | None => ErrorKind::Damaged,
        _ => ErrorKind::Unavailable,
    };
    let what = code.map_or_else(|| "its tables are not as expected".to_owned(), |code| format!("{code:?}"));
    StoreError::new(kind, format_args!("{}: {what}", path.display()))
}
