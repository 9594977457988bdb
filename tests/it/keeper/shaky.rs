//! A store that fails, hangs and tells of others' changes when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use key_commune::record::Change;
use key_commune::store::{Doing, ErrorKind, Loaded, MemoryStore, Store, StoreError, Watch};
use tokio::sync::{Mutex, mpsc, watch};

#[derive(Clone)]
pub(super) struct Shaky {
    pub(super) inner: MemoryStore,
    pub(super) fails: Arc<AtomicBool>,
    pub(super) panics: Arc<AtomicBool>,
    pub(super) attempts: Arc<AtomicUsize>,
    pub(super) hangs: watch::Sender<bool>,
    news: mpsc::Sender<Loaded>,
    ears: Arc<Mutex<mpsc::Receiver<Loaded>>>,
}

impl Shaky {
    pub(super) fn new() -> Self {
        let (news, ears) = mpsc::channel(9);
        Self {
            inner: MemoryStore::default(),
            fails: Arc::default(),
            panics: Arc::default(),
            attempts: Arc::default(),
            hangs: watch::channel(false).0,
            news,
            ears: Arc::new(Mutex::new(ears)),
        }
    }

    /// Somebody else has changed something, and whoever hears of it panics.
    pub(super) async fn startle(&self) {
        self.news.send(Loaded { nameless: 99, ..Loaded::default() }).await.unwrap();
    }

    /// Somebody else has changed this.
    pub(super) async fn tell(&self, changes: Vec<Change>) {
        self.news.send(Loaded { changes, ..Loaded::default() }).await.unwrap();
    }
}

impl Store for Shaky {
    fn load(&self) -> Doing<'_, Loaded> {
        self.inner.load()
    }

    fn write(&self, changes: Vec<Change>) -> Doing<'_, ()> {
        Box::pin(async {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            assert!(!self.panics.load(Ordering::SeqCst), "the test said so");
            self.hangs.subscribe().wait_for(|hangs| !hangs).await.unwrap();
            if self.fails.load(Ordering::SeqCst) {
                return Err(StoreError::new(ErrorKind::Full, "the test said so"));
            }
            self.inner.write(changes).await
        })
    }

    fn flush(&self) -> Doing<'_, ()> {
        self.inner.flush()
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        self.inner.header()
    }

    fn replace_header(&self, expected: Option<Bytes>, header: Bytes) -> Doing<'_, bool> {
        self.inner.replace_header(expected, header)
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        Some(Box::new(Ears(Arc::clone(&self.ears))))
    }
}

struct Ears(Arc<Mutex<mpsc::Receiver<Loaded>>>);

impl Watch for Ears {
    fn next(&mut self) -> Doing<'_, Loaded> {
        Box::pin(async {
            let heard = self.0.lock().await.recv().await;
            assert!(heard.as_ref().is_none_or(|heard| heard.nameless < 99), "the test said so");
            heard.ok_or_else(|| StoreError::new(ErrorKind::Unavailable, "closed"))
        })
    }
}
