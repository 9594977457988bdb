use std::path::PathBuf;
use std::time::Duration;

use super::database::Database;
use super::{SqliteStore, fault, open};
use crate::store::{ErrorKind, StoreError};

const DAY: u64 = 24 * 3_600;

/// How a [`SqliteStore`] is opened.
///
/// ```
/// use key_commune::store::SqliteStore;
/// use std::time::Duration;
///
/// # fn open() -> Result<(), key_commune::store::StoreError> {
/// let month = Duration::from_secs(30 * 24 * 3_600);
/// let store = SqliteStore::builder().retention(month).open("data/keys.db")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder opens nothing by itself"]
pub struct SqliteBuilder {
    retention: Duration,
}

impl Default for SqliteBuilder {
    fn default() -> Self {
        Self { retention: Duration::from_secs(15 * DAY) }
    }
}

impl SqliteBuilder {
    /// How long daily statistics are kept, in whole days before the last one that anything was counted on; 15 days by
    /// default. What has been counted in all stays, however old it is.
    pub fn retention(self, retention: Duration) -> Self {
        Self { retention }
    }

    /// See [`SqliteStore::open`].
    ///
    /// # Errors
    /// See [`SqliteStore::open`].
    pub fn open(self, path: impl Into<PathBuf>) -> Result<SqliteStore, StoreError> {
        let path = path.into();
        let file = open::resolve(&path)?;
        let lock = open::lock(&file)?;
        let is_full = |error: &StoreError| error.kind() == ErrorKind::Full;
        let database = match open::open(&file) {
            Err(error) if is_full(&error) => Database::makeshift(open::read(&file)?, file, self.days(), lock),
            opened => Database::new(opened?, file, self.days(), Some(lock)),
        };
        let swept = database.sweep().map_err(|error| fault(&path, &error));
        swept.or_else(|error| if is_full(&error) { Ok(()) } else { Err(error) })?;
        SqliteStore::start(path, database, true)
    }

    /// See [`SqliteStore::open_beside`].
    ///
    /// # Errors
    /// See [`SqliteStore::open_beside`].
    pub fn open_beside(self, path: impl Into<PathBuf>) -> Result<SqliteStore, StoreError> {
        let path = path.into();
        let file = open::resolve(&path)?;
        let database = Database::new(open::join(&file)?, file, self.days(), None);
        SqliteStore::start(path, database, false)
    }

    fn days(self) -> u64 {
        self.retention.as_secs() / DAY
    }
}
