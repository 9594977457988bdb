//! From a path to a connection: files, modes, the schema and its versions.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault;
use crate::store::folder::keep;
use crate::store::{ErrorKind, StoreError};

/// What each version of the schema adds to the one before it.
const MIGRATIONS: [&str; 4] =
    [include_str!("schema.sql"), include_str!("traits.sql"), include_str!("rests.sql"), include_str!("inserts.sql")];
/// "keyc", in the place where SQLite has a file say whose it is.
const APPLICATION: i32 = 0x6B65_7963;
/// Before it, SQLite may damage a file that several connections write to.
const OLDEST: i32 = 3_051_003;

/// The file itself, by a name that means nothing else to SQLite (`:memory:` does). Whoever comes by a link meets the same
/// lock, and a link that leads nowhere is not written over.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let file = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => std::path::absolute(path),
        found => found,
    };
    file.map_err(|error| unreachable(path, &error))
}

/// Keeps every other store off the file, until it is dropped.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = beside(path, ".lock");
    let file = private(OpenOptions::new().create(true)).open(&lock).map_err(|error| unreachable(&lock, &error))?;
    match try_lock(&file) {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::new(ErrorKind::Locked, path.display())),
        Err(fs::TryLockError::Error(error)) => Err(unreachable(&lock, &error)),
    }
}

/// Half a second's patience: who had the file may be about to leave, and a process that is being started holds for a
/// moment what the one that starts it has.
#[expect(clippy::disallowed_methods, reason = "opening a file blocks anyway")]
fn try_lock(file: &File) -> Result<(), fs::TryLockError> {
    for _ in 0..50 {
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            settled => return settled,
        }
    }
    file.try_lock()
}

/// Opens a database, or makes one.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < OLDEST {
        let what = format!("SQLite {} is too old, 3.51.3 is needed", rusqlite::version());
        return Err(StoreError::new(ErrorKind::Unavailable, what));
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => found(path)?,
        _ => recognize(path)?,
    }
    let connection = connect(path).map_err(|error| fault(path, &error))?;
    version(path, &connection)?;
    check(path, &connection)?;
    migrate(&connection).map(|()| connection).map_err(|error| fault(path, &error))
}

/// Opens a database that is there and in use.
pub(super) fn join(path: &Path) -> Result<Connection, StoreError> {
    recognize(path)?;
    present(path, connect(path))
}

/// Opens a database on a full disk, where there is no room for what connections share: it can be read, by this one alone.
pub(super) fn read(path: &Path) -> Result<Connection, StoreError> {
    recognize(path)?;
    let connection = present(path, connect_alone(path))?;
    check(path, &connection).map(|()| connection)
}

/// A connection to a database of the present version.
fn present(path: &Path, connection: rusqlite::Result<Connection>) -> Result<Connection, StoreError> {
    let connection = connection.map_err(|error| fault(path, &error))?;
    if version(path, &connection)? < MIGRATIONS.len() {
        return Err(damaged(path, "it was written by an earlier version of this program"));
    }
    Ok(connection)
}

/// Looks at the first bytes before SQLite does, which takes a short file for a new database, and changes one that is
/// not ours.
fn recognize(path: &Path) -> Result<(), StoreError> {
    let mut head = [0; 100];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damaged(path, "it is cut off")),
        Err(error) => Err(unreachable(path, &error)),
        Ok(()) if !head.starts_with(b"SQLite format 3\0") => Err(damaged(path, "it is no SQLite database")),
        Ok(()) if head.get(68..72) != Some(&APPLICATION.to_be_bytes()) => {
            Err(damaged(path, "it is a database of another program"))
        }
        Ok(()) => Ok(()),
    }
}

/// Makes a database beside its place and moves it there when it is whole, so that there never is half a one. SQLite would
/// write the log of a lost one into it.
fn found(path: &Path) -> Result<(), StoreError> {
    if beside(path, "-wal").exists() {
        return Err(damaged(path, "it is gone, but its log is there"));
    }
    let new = beside(path, ".new");
    for end in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(beside(&new, end));
    }
    private(OpenOptions::new().create_new(true)).open(&new).map_err(|error| unreachable(&new, &error))?;
    let made = connect(&new).and_then(|connection| {
        connection.pragma_update(None, "application_id", APPLICATION)?;
        migrate(&connection)?;
        connection.close().map_err(|(_, error)| error)
    });
    made.map_err(|error| fault(&new, &error))?;
    let moved = fs::rename(&new, path).and_then(|()| keep(path));
    moved.map_err(|error| unreachable(path, &error))
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    configure(plain(path)?)
}

/// Its index of the log is in memory.
pub(super) fn connect_alone(path: &Path) -> rusqlite::Result<Connection> {
    let connection = plain(path)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    configure(connection)
}

fn plain(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

fn configure(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    // All that are asked again and again: to prepare them costs more than to run them.
    connection.set_prepared_statement_cache_capacity(32);
    // Pages. A page that many batches touch goes from the log into the database once.
    connection.pragma_update(None, "wal_autocheckpoint", 8_192)?;
    // Bytes. What a log needed once, while others were reading, it does not keep.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // KiB. Ids come in no order, so that every batch touches pages all over the file.
    connection.pragma_update(None, "cache_size", -65_536)?;
    Ok(connection)
}

fn version(path: &Path, connection: &Connection) -> Result<usize, StoreError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    match version.map_err(|error| fault(path, &error))? as usize {
        version if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(damaged(path, "it was written by a later version of this program")),
    }
}

fn check(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let found = connection.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0));
    match found.map_err(|error| fault(path, &error))?.as_str() {
        "ok" => Ok(()),
        what => Err(damaged(path, &what.replace('\n', " "))),
    }
}

fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(version as usize) {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number as u32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// For the owner's eyes only. SQLite gives the files that it makes beside a database the mode of the database.
fn private(options: &mut OpenOptions) -> &OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.write(true)
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::new(ErrorKind::Damaged, format_args!("{}: {what}", path.display()))
}

fn unreachable(path: &Path, error: &io::Error) -> StoreError {
    let kind = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => ErrorKind::ReadOnly,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Unavailable,
    };
    StoreError::new(kind, format_args!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_something_else_to_sqlite_is_a_file() {
        let file = resolve(Path::new(":memory:")).unwrap();
        assert!(file.is_absolute() && file.ends_with(":memory:"), "{}", file.display());
    }
}
