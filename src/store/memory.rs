use std::collections::{BTreeSet, HashMap};
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;

use super::{Doing, Loaded, MOST_GONE, Store, StoreError};
use crate::clock::Timestamp;
use crate::record::{Change, Tombstone};
use crate::secret::KeyId;
use crate::sync::{Mutex, MutexGuard, lock};

/// A store in memory. Clones share it, so that several pools of one process can be replicas of each other.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    keys: HashMap<KeyId, Change>,
    /// The removed ones, oldest first.
    gone: BTreeSet<(Timestamp, KeyId)>,
    header: Option<Bytes>,
}

impl MemoryStore {
    fn with<'a, T: Send + 'a>(&self, act: impl FnOnce(MutexGuard<'_, Memory>) -> T) -> Doing<'a, T> {
        Box::pin(ready(Ok::<_, StoreError>(act(lock(&self.0)))))
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Doing<'_, Loaded> {
        self.with(|memory| Loaded { changes: memory.keys.values().cloned().collect(), ..Loaded::default() })
    }

    fn write(&self, changes: Vec<Change>) -> Doing<'_, ()> {
        self.with(|mut memory| changes.into_iter().for_each(|change| memory.merge(change)))
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
}

impl Memory {
    fn merge(&mut self, change: Change) {
        let id = change.id();
        let merged = match self.keys.remove(&id) {
            Some(Change::Gone(known)) => {
                self.gone.remove(&(known.at, id));
                Change::from(known).merge(change)
            }
            Some(known) => known.merge(change),
            None => change,
        };
        if let Change::Gone(Tombstone { at, .. }) = merged {
            self.gone.insert((at, id));
        }
        self.keys.insert(id, merged);
        self.forget();
    }

    fn forget(&mut self) {
        while self.gone.len() > MOST_GONE {
            let oldest = self.gone.pop_first();
            oldest.and_then(|(_, id)| self.keys.remove(&id));
        }
    }
}
