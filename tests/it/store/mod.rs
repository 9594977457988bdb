//! Stores keep what they are told, and the suite that says so finds those that do not.

#[cfg(feature = "encryption")]
mod encrypted;
#[cfg(all(feature = "encryption", feature = "sqlite", unix))]
mod faults;
#[cfg(any(feature = "encryption", feature = "sqlite"))]
pub(crate) mod folder;
#[cfg(all(feature = "encryption", feature = "sqlite", unix))]
mod killed;
#[cfg(feature = "sqlite")]
mod queries;
#[cfg(feature = "encryption")]
mod rotated;
#[cfg(feature = "sqlite")]
mod sqlite;
mod watch;

use bytes::Bytes;
use key_commune::record::{Change, Record, Rests, Tallies, Tombstone};
use key_commune::secret::{Pepper, Secret};
use key_commune::store::conformance::{self, Failure};
use key_commune::store::{Doing, ErrorKind, Loaded, MemoryStore, Store, StoreError, Watch};

use crate::support::key;

/// The record of the key with this number.
fn record(number: usize) -> Record {
    let secret: Secret = key(number).parse().unwrap();
    Record::new(Pepper::new([7; 32]).id("openai", &secret), "openai", secret)
}

#[tokio::test]
async fn memory_conforms() {
    conformance::check(async || Ok(MemoryStore::default()), async |store: MemoryStore| Ok(store)).await.unwrap();
}

#[tokio::test]
async fn i19_memory_forgets_the_oldest_removals_first() {
    let store = MemoryStore::default();
    let pepper = Pepper::new([1; 32]);
    let removed = |number: usize| {
        let id = pepper.id("openai", &key(number).parse().unwrap());
        let at = key_commune::clock::Timestamp::from_unix(std::time::Duration::from_secs(number as u64));
        Change::from(Tombstone { id, generation: 0, at })
    };
    store.write(vec![record(0).into()]).await.unwrap();
    store.write((0..(1 << 16) + 10).map(removed).collect()).await.unwrap();
    let changes = store.load().await.unwrap().changes;
    assert_eq!(changes.len(), (1 << 16) + 1, "and no key that is there");
    assert!(!changes.contains(&removed(9)) && changes.contains(&removed(10)));
    assert!(changes.contains(&record(0).into()));
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    FirstWins,
    LosesRemovals,
    LosesHeader,
    TakesAnyHeader,
    LosesCounts,
    LosesRests,
    IsForgetful,
    IsSmall,
    Refuses,
    Invents,
}

#[derive(Clone)]
struct Faulty(MemoryStore, Fault);

impl Store for Faulty {
    fn load(&self) -> Doing<'_, Loaded> {
        Box::pin(async {
            let mut loaded = self.0.load().await?;
            if self.1 == Fault::IsSmall {
                loaded.changes.truncate(1_000);
            }
            Ok(loaded)
        })
    }

    fn write(&self, mut changes: Vec<Change>) -> Doing<'_, ()> {
        Box::pin(async move {
            match self.1 {
                Fault::Refuses => return Err(StoreError::new(ErrorKind::ReadOnly, "here")),
                Fault::LosesRemovals => changes.retain(|change| change.record().is_some()),
                Fault::LosesCounts => changes.iter_mut().for_each(|change| {
                    if let Change::Put(record) = change {
                        record.tallies = Tallies::default();
                    }
                }),
                Fault::LosesRests => changes.iter_mut().for_each(|change| {
                    if let Change::Put(record) = change {
                        record.rests = Rests::default();
                    }
                }),
                Fault::FirstWins => {
                    let known = self.0.load().await?.changes;
                    changes.retain(|change| known.iter().all(|known| known.id() != change.id()));
                }
                _ => {}
            }
            self.0.write(changes).await
        })
    }

    fn flush(&self) -> Doing<'_, ()> {
        self.0.flush()
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        self.0.header()
    }

    fn replace_header(&self, expected: Option<Bytes>, header: Bytes) -> Doing<'_, bool> {
        Box::pin(async move {
            match self.1 {
                Fault::LosesHeader => Ok(true),
                Fault::TakesAnyHeader => self.0.replace_header(self.0.header().await?, header).await,
                _ => self.0.replace_header(expected, header).await,
            }
        })
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        (self.1 == Fault::Invents).then(|| Box::new(Inventor) as _)
    }
}

struct Inventor;

impl Watch for Inventor {
    fn next(&mut self) -> Doing<'_, Loaded> {
        Box::pin(async { Ok(Loaded { changes: vec![record(0).into()], ..Loaded::default() }) })
    }
}

#[tokio::test]
async fn the_suite_finds_every_fault() {
    use Fault::{
        FirstWins, IsForgetful, IsSmall, LosesCounts, LosesHeader, LosesRemovals, LosesRests, Refuses, TakesAnyHeader,
    };
    let faults = [FirstWins, LosesRemovals, LosesHeader, TakesAnyHeader, LosesCounts, IsForgetful, IsSmall, Refuses];
    for fault in faults.into_iter().chain([LosesRests, Fault::Invents]) {
        let new = async || Ok(Faulty(MemoryStore::default(), fault));
        let reopen = async |store: Faulty| if fault == IsForgetful { new().await } else { Ok(store) };
        let failure = conformance::check(new, reopen).await.expect_err(&format!("{fault:?}"));
        assert!(!failure.to_string().contains("sk-conformance-"), "{failure}");
        assert_eq!(matches!(failure, Failure::Error(_)), fault == Refuses, "{failure}");
    }
}

#[test]
fn i3_an_error_says_where_and_what() {
    let error = StoreError::new(ErrorKind::Damaged, "data/keys.db");
    assert_eq!(error.to_string(), "the store is damaged: data/keys.db");
}
