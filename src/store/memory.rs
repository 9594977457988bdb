use std::collections::{BTreeSet, HashMap};
use std::future::ready;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{Receiver, Sender, channel};

use super::{Doing, ErrorKind, Loaded, Store, StoreError, Watch};
use crate::record::{Change, Graves, Record};
use crate::secret::KeyId;
use crate::sync::{Mutex, MutexGuard, lock};

/// How much news there may be that a watch has not asked for. It reads everything if it comes too late.
const MOST_NEWS: usize = 1_024;

/// A store in memory. Clones share it, so that several pools of one process can be replicas of each other: a
/// [`watch`](Store::watch) tells what any of them writes.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    memory: Mutex<Memory>,
    news: Sender<KeyId>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { memory: Mutex::default(), news: channel(MOST_NEWS).0 }
    }
}

#[derive(Debug, Default)]
struct Memory {
    keys: HashMap<KeyId, Box<Record>>,
    gone: Graves,
    header: Option<Bytes>,
}

impl MemoryStore {
    fn with<'a, T: Send + 'a>(&self, act: impl FnOnce(MutexGuard<'_, Memory>) -> T) -> Doing<'a, T> {
        Box::pin(ready(Ok::<_, StoreError>(act(lock(&self.0.memory)))))
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Doing<'_, Loaded> {
        self.with(|memory| memory.everything())
    }

    fn write(&self, changes: Vec<Change>) -> Doing<'_, ()> {
        let ids: Vec<_> = changes.iter().map(Change::id).collect();
        let written = self.with(|mut memory| changes.into_iter().for_each(|change| memory.merge(change)));
        // Where nobody watches, nobody hears.
        for id in ids {
            let _ = self.0.news.send(id);
        }
        written
    }

    fn flush(&self) -> Doing<'_, ()> {
        self.with(|_| ())
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        self.with(|memory| memory.header.clone())
    }

    fn replace_header(&self, expected: Option<Bytes>, header: Bytes) -> Doing<'_, bool> {
        self.with(|mut memory| {
            let found = memory.header == expected;
            if found {
                memory.header = Some(header);
            }
            found
        })
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        Some(Box::new(News { shared: Arc::downgrade(&self.0), news: self.0.news.subscribe() }))
    }
}

struct News {
    shared: Weak<Shared>,
    news: Receiver<KeyId>,
}

impl Watch for News {
    fn next(&mut self) -> Doing<'_, Loaded> {
        Box::pin(async {
            let first = self.news.recv().await;
            let closed = || StoreError::new(ErrorKind::Unavailable, "the last clone is gone");
            let shared = self.shared.upgrade().ok_or_else(closed)?;
            let ids = match first {
                Ok(first) => rest(first, &mut self.news),
                Err(RecvError::Closed) => return Err(closed()),
                Err(RecvError::Lagged(_)) => None,
            };
            let memory = lock(&shared.memory);
            Ok(ids.map_or_else(|| memory.everything(), |ids| memory.some(&ids)))
        })
    }
}

/// All the news there is; none if some were missed.
fn rest(first: KeyId, news: &mut Receiver<KeyId>) -> Option<BTreeSet<KeyId>> {
    let mut ids = BTreeSet::from([first]);
    loop {
        match news.try_recv() {
            Ok(id) => ids.insert(id),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(ids),
            Err(TryRecvError::Lagged(_)) => return None,
        };
    }
}

impl Memory {
    fn everything(&self) -> Loaded {
        let gone = self.gone.iter().map(Change::Gone);
        Loaded { changes: self.keys.values().cloned().map(Change::Put).chain(gone).collect(), ..Loaded::default() }
    }

    fn some(&self, ids: &BTreeSet<KeyId>) -> Loaded {
        let gone = |id| self.gone.find(id).map(Change::Gone);
        let known = |&id: &KeyId| self.keys.get(&id).cloned().map(Change::Put).or_else(|| gone(id));
        let changes = ids.iter().filter_map(known).collect();
        Loaded { changes, ..Loaded::default() }
    }

    fn merge(&mut self, change: Change) {
        let id = change.id();
        let known = self.keys.remove(&id).map(Change::Put).or_else(|| self.gone.exhume(id).map(Change::Gone));
        match known.into_iter().fold(change, |change, known| known.merge(change)) {
            Change::Put(record) => drop(self.keys.insert(id, record)),
            Change::Gone(grave) => drop(self.gone.bury(grave)),
        }
    }
}
