//! A pool that is kept in a store: what it has learned outlives it, and no store holds it up.

mod faults;
#[cfg(all(feature = "encryption", feature = "sqlite", unix))]
mod killed;
mod replicas;
mod restarts;
mod rests;
mod shaky;

use std::time::Duration;

use key_commune::keeper::Keeper;
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::{Key, KeyPool};
use key_commune::record::Record;
use key_commune::secret::{KeyId, Pepper};
use key_commune::store::{MemoryStore, Store};

use crate::support::{builder, checkout, key, tokio_clock};
use shaky::Shaky;

/// What a change may wait for at most, while a store works: some gathering, and the writing.
const SOON: Duration = Duration::from_millis(100);

/// A pool as [`builder`] makes it, whose ids are the same after a restart.
fn empty() -> KeyPool {
    pool(0)
}

fn pool(keys: usize) -> KeyPool {
    // All calls come at one instant: at no pace.
    builder(keys).pepper(Pepper::new([7; 32])).clock(tokio_clock()).learn_pace(false).build().unwrap()
}

async fn kept(pool: &KeyPool, store: &MemoryStore) -> Keeper {
    Keeper::open(pool, store.clone()).await.unwrap()
}

fn add(pool: &KeyPool, number: usize) -> KeyId {
    pool.add(Key::new(key(number)).unwrap()).unwrap()
}

/// One call that ends like this.
fn call(pool: &KeyPool, outcome: Outcome) -> KeyId {
    let mut lease = checkout(pool).unwrap();
    lease.settle(&Verdict::new(outcome), pool.now());
    lease.key_id()
}

/// What a store holds of the only key.
async fn only(store: &impl Store) -> Record {
    let changes = store.load().await.unwrap().changes;
    assert_eq!(changes.len(), 1, "{changes:?}");
    changes[0].record().unwrap().clone()
}
