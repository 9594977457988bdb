//! Memory that lasts: where records live while no process does.
//!
//! A [`Store`] keeps the latest [`Change`] of every key: what it is told is merged with what it has, by the rules of
//! [`record`](crate::record), never written over it. It knows neither pools nor requests, and no request ever waits for
//! one (I12). There are [`MemoryStore`], for tests and for pools that need not outlive their process, `SqliteStore`
//! (feature `sqlite`), and `Encrypted` (feature `encryption`), which seals the secrets of any other. Whoever writes a
//! store of their own runs [`conformance`] on it.
//!
//! A [`Keeper`](../keeper/struct.Keeper.html) joins a pool to a store.

pub mod conformance;
#[cfg(feature = "encryption")]
mod encrypted;
mod error;
#[cfg(any(feature = "encryption", feature = "sqlite"))]
mod folder;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

#[cfg(feature = "encryption")]
pub use encrypted::{Encrypted, KeyRing, MasterKey, MasterKeyError, Resealed, RingId};
pub use error::{ErrorKind, StoreError};
pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteBuilder, SqliteStore};

use crate::record::Change;
use crate::secret::KeyId;

/// What a store does, to be awaited.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A place where records live. May be shared by many threads, and by many processes if it says so.
///
/// ```
/// use key_commune::record::Record;
/// use key_commune::secret::{Pepper, Secret};
/// use key_commune::store::{MemoryStore, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret: Secret = "sk-test-0123456789abcdef".parse()?;
/// let record = Record::new(Pepper::random().id("openai", &secret), "openai", secret);
///
/// let store: Box<dyn Store> = Box::new(MemoryStore::default());
/// store.write(vec![record.clone().into()]).await?;
/// store.flush().await?;
/// assert_eq!(store.load().await?.changes, [record.into()]);
/// # Ok(())
/// # }
/// ```
pub trait Store: Send + Sync {
    /// Everything there is, each key once, removed ones included.
    fn load(&self) -> Doing<'_, Loaded>;

    /// Merges changes with what there is, all of them or none. It need not be durable before [`flush`](Self::flush)
    /// returns, but is seen by [`load`](Self::load) at once.
    fn write(&self, changes: Vec<Change>) -> Doing<'_, ()>;

    /// Returns once everything written before survives the end of the process (I13).
    fn flush(&self) -> Doing<'_, ()>;

    /// A few bytes about the store as a whole, if there are any: what those who seal its records recognise it by.
    fn header(&self) -> Doing<'_, Option<Bytes>>;

    /// Puts a header in place of the one that is expected, durably. Answers whether it was the one expected.
    fn replace_header(&self, expected: Option<Bytes>, header: Bytes) -> Doing<'_, bool>;

    /// What others change, from now on, if this store can tell.
    fn watch(&self) -> Option<Box<dyn Watch>> {
        None
    }
}

/// Tells what others have changed in a store.
pub trait Watch: Send {
    /// The next changes, as soon as there are any. What this process has written may be among them.
    fn next(&mut self) -> Doing<'_, Loaded>;
}

/// What was read from a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what cannot be read should be reported"]
pub struct Loaded {
    /// The latest change of each key, in no order.
    pub changes: Vec<Change>,
    /// Keys whose records are there but cannot be read: damaged, altered, or sealed by an unknown key. They are left alone.
    pub unreadable: Vec<KeyId>,
    /// Keys whose counts cannot be read in full. Their changes are there, with what of the counts can be read.
    pub miscounted: Vec<KeyId>,
    /// How many more cannot be read, and do not even tell whose they are.
    pub nameless: usize,
}

impl Loaded {
    /// How many records cannot be read.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.unreadable.len() + self.nameless
    }

    /// How many keys there are, whether they can be read or not.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.changes.iter().filter(|change| change.record().is_some()).count() + self.hidden()
    }
}
