//! The master key changes while others read and write; and what was in clear comes under one.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use key_commune::record::{Change, Kept, Record};
use key_commune::store::{Doing, Encrypted, ErrorKind, KeyRing, Loaded, MasterKey, MemoryStore, RingId, Store, Watch};

use super::encrypted::{altered, filled, master, open, pepper_id, ring, sealed, stored};
use super::record;

/// A place where the second master key is found, and how often it was looked there.
fn sourced(number: u8) -> (KeyRing, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let source = move |_: RingId| -> Option<MasterKey> {
        count.fetch_add(1, SeqCst);
        Some(master(2))
    };
    (ring(number).source(source), asked)
}

/// What the key tool has while it changes the key.
fn both() -> KeyRing {
    ring(2).older(&master(1))
}

/// The names of the keys that seal these records.
async fn sealers(memory: &MemoryStore) -> Vec<Bytes> {
    let mut names: Vec<_> = stored(memory).await.iter().map(|record| sealed(record).slice(1..5)).collect();
    names.sort();
    names.dedup();
    names
}

async fn only(memory: &MemoryStore, number: u8) -> Vec<Record> {
    let store = open(memory, ring(number)).await;
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.unreadable.len(), sealers(memory).await.len()), (0, 1));
    let mut records: Vec<_> = loaded.changes.iter().filter_map(Change::record).cloned().collect();
    records.sort_by_key(|record| record.id);
    records
}

/// Waits for what is ready at once, from where nothing can be awaited.
fn now<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    std::thread::scope(|scope| scope.spawn(|| runtime().block_on(future)).join().unwrap())
}

/// A store that tells everything again and again, and may do something before the next write.
#[derive(Clone, Default)]
struct Told(MemoryStore, Arc<Mutex<Option<Before>>>);

type Before = Box<dyn FnOnce() + Send>;

impl Store for Told {
    fn load(&self) -> Doing<'_, Loaded> {
        self.0.load()
    }
    fn write(&self, changes: Vec<Change>) -> Doing<'_, ()> {
        let before = self.1.lock().unwrap().take();
        if let Some(before) = before {
            before();
        }
        self.0.write(changes)
    }
    fn flush(&self) -> Doing<'_, ()> {
        self.0.flush()
    }
    fn header(&self) -> Doing<'_, Option<Bytes>> {
        self.0.header()
    }
    fn replace_header(&self, expected: Option<Bytes>, header: Bytes) -> Doing<'_, bool> {
        self.0.replace_header(expected, header)
    }
    fn watch(&self) -> Option<Box<dyn Watch>> {
        Some(Box::new(self.clone()))
    }
}

impl Watch for Told {
    fn next(&mut self) -> Doing<'_, Loaded> {
        self.0.load()
    }
}

#[tokio::test]
async fn a44_a_running_process_goes_on_while_another_changes_the_master_key() {
    let memory = filled(2_500).await;
    let before = pepper_id(&memory, ring(1)).await;
    let (ring, asked) = sourced(1);
    let running = Encrypted::open(Told(memory.clone(), Arc::default()), ring).await.unwrap();
    let mut watch = running.watch().unwrap();
    let mut joined = 2_500;
    let meanwhile = |_| {
        now(async {
            running.write(vec![record(joined).into()]).await.unwrap();
            joined += 1;
            for loaded in [running.load().await.unwrap(), watch.next().await.unwrap()] {
                assert_eq!((loaded.changes.len(), loaded.unreadable.len()), (joined, 0));
            }
        });
    };
    let resealed = open(&memory, both()).await.reseal(meanwhile).await.unwrap();
    assert_eq!(
        (resealed.done, resealed.left, joined),
        (2_500, 0, 2_503),
        "what joins is sealed by the new key at once"
    );
    running.write(vec![record(joined).into()]).await.unwrap();
    assert_eq!(only(&memory, 2).await.len(), joined + 1);
    assert_eq!(pepper_id(&memory, super::encrypted::ring(2)).await, before);
    assert_eq!(asked.load(SeqCst), 1);
    assert_eq!(running.pepper().id("openai", &crate::support::key(0).parse().unwrap()), before);
}

#[tokio::test]
async fn a44_what_is_written_in_the_very_moment_is_sealed_anew() {
    let memory = filled(5).await;
    let told = Told(memory.clone(), Arc::default());
    let running = Encrypted::open(told.clone(), sourced(1).0).await.unwrap();
    let rotate = move || {
        let resealed = now(async { open(&memory, both()).await.reseal(|_| {}).await.unwrap() });
        assert_eq!((resealed.done, resealed.left), (5, 0));
    };
    *told.1.lock().unwrap() = Some(Box::new(rotate));
    running.write(vec![record(5).into(), record(0).into()]).await.unwrap();
    assert!(told.1.lock().unwrap().is_none());
    assert_eq!(only(&told.0, 2).await.len(), 6);
}

#[tokio::test]
async fn i3_who_does_not_find_the_new_key_writes_nothing() {
    let memory = filled(2).await;
    let running = open(&memory, ring(1)).await;
    open(&memory, both()).await.reseal(|_| {}).await.unwrap();
    let error = running.write(vec![record(2).into()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey);
    assert!(error.to_string().contains(&master(2).id().to_string()), "{error}");
    assert_eq!(only(&memory, 2).await.len(), 2);
}

#[tokio::test]
async fn a44_both_keys_are_needed_until_all_is_sealed_anew() {
    let memory = filled(1_500).await;
    let store = open(&memory, both()).await;
    let killed = tokio::spawn(async move { store.reseal(|_| panic!("killed")).await });
    assert!(killed.await.unwrap_err().is_panic());
    for (alone, missing) in [(1, 2), (2, 1)] {
        let error = Encrypted::open(memory.clone(), ring(alone)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongKey);
        assert!(error.to_string().contains(&master(missing).id().to_string()), "{error}");
    }
    let restarted = open(&memory, sourced(1).0).await;
    restarted.write(vec![record(1_500).into()]).await.unwrap();
    assert_eq!(restarted.load().await.unwrap().changes.len(), 1_501);
    let resealed = open(&memory, both()).await.reseal(|_| {}).await.unwrap();
    assert_eq!((resealed.done, resealed.left), (500, 0));
    assert_eq!(only(&memory, 2).await.len(), 1_501);
}

#[tokio::test]
async fn a44_a_header_that_is_put_back_brings_no_key_back() {
    let memory = filled(3).await;
    let first = memory.header().await.unwrap();
    let running = open(&memory, sourced(1).0).await;
    open(&memory, both()).await.reseal(|_| {}).await.unwrap();
    running.write(vec![record(3).into()]).await.unwrap();
    let second = memory.header().await.unwrap();
    assert!(memory.replace_header(second.clone(), first.unwrap()).await.unwrap());
    running.write(vec![record(4).into()]).await.unwrap();
    assert!(memory.replace_header(memory.header().await.unwrap(), second.unwrap()).await.unwrap());
    assert_eq!(only(&memory, 2).await.len(), 5);
}

#[tokio::test]
async fn i19_forged_names_of_keys_are_asked_for_a_few_at_a_time() {
    let memory = filled(1).await;
    let forged = (1..2_001_usize).map(|number| {
        let mut forged = record(number);
        let name = (number as u32).to_be_bytes();
        forged.secret = Kept::Sealed([&[1], &name[..], &[0; 60]].concat().into());
        forged.into()
    });
    memory.write(forged.collect()).await.unwrap();
    let (ring, asked) = sourced(1);
    let running = open(&memory, ring).await;
    for round in 1..=3 {
        let loaded = running.load().await.unwrap();
        assert_eq!((loaded.changes.len(), loaded.unreadable.len()), (1, 2_000));
        assert_eq!(asked.load(SeqCst), 8 * round);
    }
    assert!(!format!("{running:?}").contains(&master(2).id().to_string()), "nobody asked for this key");
    running.write(vec![record(5_000).into()]).await.unwrap();
    let first =
        memory.load().await.unwrap().changes.into_iter().find(|change| change.id() == record(5_000).id).unwrap();
    assert_eq!(
        sealed(first.record().unwrap())[1..5],
        sealed(&stored(&filled(1).await).await[0])[1..5],
        "by the first key"
    );
}

#[tokio::test]
async fn a_row_alone_does_not_make_a_key_the_newest() {
    let (memory, other) = (filled(1).await, MemoryStore::default());
    open(&other, ring(2)).await.write(vec![record(1).into()]).await.unwrap();
    memory.write(other.load().await.unwrap().changes).await.unwrap();
    let running = open(&memory, sourced(1).0).await;
    assert_eq!(running.load().await.unwrap().changes.len(), 2);
    running.write(vec![record(2).into()]).await.unwrap();
    let written = stored(&memory).await.into_iter().find(|known| known.id == record(2).id).unwrap();
    assert_eq!(sealed(&written)[1..5], u32::from_str_radix(&master(1).id().to_string(), 16).unwrap().to_be_bytes());
}

#[tokio::test]
async fn a45_what_was_in_clear_is_sealed_when_it_is_asked_for() {
    let clear = MemoryStore::default();
    clear.write((0..1_200).map(|number| record(number).into()).collect()).await.unwrap();
    let error = Encrypted::adopt(clear.clone(), ring(1), [8; 32]).await.unwrap_err();
    assert!(error.to_string().contains("pepper"), "{error}");
    assert_eq!((clear.header().await.unwrap(), stored(&clear).await[0].secret.plain().is_some()), (None, true));
    let sealed = Encrypted::adopt(clear.clone(), ring(1), [7; 32]).await.unwrap();
    let secret = crate::support::key(0).parse().unwrap();
    assert_eq!(sealed.pepper().id("openai", &secret), record(0).id, "ids stay");
    assert_eq!(only(&clear, 1).await.len(), 1_200);
    assert!(stored(&clear).await.iter().all(|record| record.secret.plain().is_none()));
}

#[tokio::test]
async fn a45_sealing_goes_on_where_it_was_interrupted_and_takes_no_strangers_in() {
    let memory = MemoryStore::default();
    drop(Encrypted::adopt(memory.clone(), ring(1), [7; 32]).await.unwrap());
    memory.write(vec![record(1).into(), record(2).into()]).await.unwrap();
    assert_eq!(open(&memory, ring(1)).await.load().await.unwrap().unreadable.len(), 2);
    let mut stranger = record(3);
    stranger.id = record(4).id;
    let forged = altered(&memory, [stranger]).await;
    assert!(Encrypted::adopt(forged.clone(), ring(1), [7; 32]).await.is_err());
    assert!(Encrypted::adopt(memory.clone(), ring(1), [8; 32]).await.is_err(), "another pepper");
    assert!(Encrypted::adopt(memory.clone(), ring(2), [7; 32]).await.is_err(), "another master key");
    drop(Encrypted::adopt(memory.clone(), ring(1), [7; 32]).await.unwrap());
    assert_eq!(only(&memory, 1).await.len(), 2);
    let headless = MemoryStore::default();
    headless.write(memory.load().await.unwrap().changes).await.unwrap();
    assert!(Encrypted::adopt(headless.clone(), ring(1), [7; 32]).await.is_err(), "sealed by whom?");
    assert_eq!(headless.header().await.unwrap(), None);
}
