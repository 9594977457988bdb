//! Joins a pool to a store, so that what the pool has learned outlives the process.
//!
//! The pool in memory decides; the keeper restores it, then writes behind it: twenty times a second whatever has changed,
//! each key once, however often it did. No request ever waits for it. A store that fails or hangs costs nothing but what
//! would be lost if the process ended now ([`Status`] tells how much that is), and is tried again until it works (I12); one
//! that panics has failed.
//! What others change in the store is taken over, if the store can tell ([`Store::watch`]).

mod calm;
mod follower;
mod restored;
mod status;
mod writer;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};

use crate::pool::KeyPool;
use crate::store::{ErrorKind, Store, StoreError};
use calm::calm;
use status::Book;
use writer::{Order, Writer};

pub use restored::Restored;
pub use status::Status;

/// Keeps a pool in a store for as long as it lives.
///
/// ```
/// use key_commune::keeper::Keeper;
/// use key_commune::secret::Pepper;
/// use key_commune::store::MemoryStore;
/// use key_commune::{Key, KeyPool, Provider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::default();
/// // Ids must be the same after every start: `Encrypted::pepper` has the bytes for it.
/// let pool = || KeyPool::builder(Provider::OPENAI).pepper(Pepper::new([7; 32])).build();
///
/// let first = pool()?;
/// let keeper = Keeper::open(&first, store.clone()).await?;
/// let id = first.add(Key::new("sk-test-0123456789abcdef")?)?;
/// first.disable(id);
/// keeper.close().await?;
///
/// let second = pool()?;
/// let keeper = Keeper::open(&second, store).await?;
/// assert_eq!(keeper.restored().keys, 1);
/// assert_eq!(second.snapshot().active(), 0, "it still is out of use");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a pool is kept for as long as its keeper lives"]
pub struct Keeper {
    pool: KeyPool,
    book: Arc<Book>,
    restored: Restored,
    orders: mpsc::Sender<Order>,
    writer: JoinHandle<()>,
    follower: Option<Follower>,
}

/// Ends the task that follows others.
#[derive(Debug)]
struct Follower(AbortHandle);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Keeper {
    /// Puts everything into the pool that the store holds of its provider's keys, and keeps it from now on. Needs a tokio
    /// runtime with time enabled.
    ///
    /// Keys that the pool has already are merged with what is remembered of them. One that was removed goes: it joins
    /// anew when it is added after this.
    ///
    /// # Errors
    /// When the store cannot be read. The pool is as it was then.
    pub async fn open(pool: &KeyPool, store: impl Store + 'static) -> Result<Self, StoreError> {
        // In this order, so that nothing is missed in between.
        let watch = store.watch();
        let restored = Restored::from(pool, calm(|| store.load()).await?).await;
        let book = Arc::new(Book::default());
        let (orders, received) = mpsc::channel(1);
        let writer = Writer::new(pool.clone(), Box::new(store), Arc::clone(&book), received);
        let follow = |watch| tokio::spawn(follower::follow(pool.clone(), watch, Arc::clone(&book))).abort_handle();
        Ok(Self {
            pool: pool.clone(),
            follower: watch.map(|watch| Follower(follow(watch))),
            book,
            restored,
            orders,
            writer: tokio::spawn(writer.run()),
        })
    }

    /// What was found in the store at the start.
    pub fn restored(&self) -> &Restored {
        &self.restored
    }

    /// How far the store is behind the pool.
    #[must_use]
    pub fn status(&self) -> Status {
        self.book.status(&self.pool)
    }

    /// Returns once everything that has happened to the pool before is written and survives the end of the process (I13).
    ///
    /// # Errors
    /// When the store does not write it. It is tried again nevertheless.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let (reply, done) = oneshot::channel();
        let ended = || StoreError::new(ErrorKind::Unavailable, "its keeper has ended");
        self.orders.send(reply).await.map_err(|_| ended())?;
        done.await.map_err(|_| ended())?
    }

    /// Writes what there still is, and closes the store. Dropping the keeper does so too, in the background, for as long
    /// as the runtime lives.
    ///
    /// # Errors
    /// When the store does not write it: then it is lost.
    pub async fn close(self) -> Result<(), StoreError> {
        let done = self.flush().await;
        let Self { orders, writer, follower, .. } = self;
        drop((orders, follower));
        // It has ended, or panicked: the store is gone either way.
        let _ = writer.await;
        done
    }
}
