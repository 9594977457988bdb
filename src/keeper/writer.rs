use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::calm::calm;
use super::status::Book;
use crate::pool::KeyPool;
use crate::record::Change;
use crate::store::{Store, StoreError};

/// Whoever waits for everything to be written.
pub(super) type Order = oneshot::Sender<Result<(), StoreError>>;

/// How long changes gather. With the time that a store takes to write them, this is what is lost when the process dies.
const GATHERING: Duration = Duration::from_millis(50);

/// The most changes that are written at once.
const BATCH: usize = 1_024;

/// How long a store that fails is left alone, at first and at last.
const RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    pool: KeyPool,
    store: Box<dyn Store>,
    book: Arc<Book>,
    orders: mpsc::Receiver<Order>,
    /// Told by the pool, and not yet written.
    pending: Vec<Change>,
    retry: Duration,
}

impl Writer {
    pub(super) fn new(pool: KeyPool, store: Box<dyn Store>, book: Arc<Book>, orders: mpsc::Receiver<Order>) -> Self {
        Self { pool, store, book, orders, pending: Vec::new(), retry: RETRY }
    }

    /// Writes until there is nobody left to give orders.
    pub(super) async fn run(mut self) {
        let mut pause = GATHERING;
        loop {
            let written = match timeout(pause, self.orders.recv()).await {
                Err(_) => self.go_on().await,
                Ok(order) => {
                    let flushed = self.flush().await;
                    let Some(order) = order else { return };
                    // Who has gone away does not hear the answer.
                    let _ = order.send(flushed.clone());
                    flushed
                }
            };
            pause = self.pause(written);
        }
    }

    /// After a failure the store is asked how it does, whether there is anything to write or not.
    async fn go_on(&mut self) -> Result<(), StoreError> {
        if self.retry > RETRY {
            calm(|| self.store.flush()).await?;
        }
        self.write().await
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        self.pool.mark_all();
        self.write().await?;
        calm(|| self.store.flush()).await
    }

    /// Writes what has changed so far.
    async fn write(&mut self) -> Result<(), StoreError> {
        loop {
            if self.pending.is_empty() {
                self.pending = self.pool.drain(BATCH);
            }
            let taken = self.pending.len();
            if taken > 0 {
                self.book.writing(taken, self.pool.now());
                calm(|| self.store.write(self.pending.clone())).await?;
                self.pending.clear();
            }
            self.book.wrote(taken, taken < BATCH);
            if taken < BATCH {
                return Ok(());
            }
        }
    }

    /// How long until the next attempt.
    fn pause(&mut self, written: Result<(), StoreError>) -> Duration {
        match written {
            Ok(()) => {
                self.retry = RETRY;
                GATHERING
            }
            Err(error) => {
                self.book.failed(error);
                let longer = (self.retry * 2).min(LAST_RETRY);
                std::mem::replace(&mut self.retry, longer)
            }
        }
    }
}
