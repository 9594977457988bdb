//! What every store must do, to be run on a store of one's own.
//!
//! ```
//! use key_commune::store::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), conformance::Failure> {
//! // A store that lasts is closed and opened again here; this one lasts as long as its last clone.
//! conformance::check(async || Ok(MemoryStore::default()), async |store: MemoryStore| Ok(store)).await?;
//! # Ok(())
//! # }
//! ```

mod histories;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{Loaded, Store, StoreError, Watch};
use crate::record::Change;
use histories::{History, merged};

/// How long a watch has to tell something, if it does.
const PATIENCE: Duration = Duration::from_millis(300);

/// A rule that a store breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It does not do what it must.
    #[error("{rule}: {found}")]
    Broken {
        /// The rule.
        rule: &'static str,
        /// What was found instead, without secrets.
        found: String,
    },
    /// It did not do what it was asked to.
    #[error(transparent)]
    Error(#[from] StoreError),
}

/// Runs all checks, each on a store that `new` makes, empty; `reopen` closes one and opens it again, as a restart would.
///
/// # Errors
/// [`Failure`] with the first rule that is broken.
pub async fn check<S: Store>(
    new: impl AsyncFn() -> Result<S, StoreError>,
    reopen: impl AsyncFn(S) -> Result<S, StoreError>,
) -> Result<(), Failure> {
    empty(&new().await?).await?;
    writing(&new().await?).await?;
    headers(&new().await?).await?;
    watching(&new().await?).await?;
    lasting(new().await?, &reopen).await?;
    for seed in 0..8 {
        merging(&new().await?, &new().await?, seed).await?;
    }
    many(new().await?, &reopen).await
}

async fn empty(store: &impl Store) -> Result<(), Failure> {
    same("a new store holds nothing", &store.load().await?, Vec::new())?;
    store.write(Vec::new()).await?;
    store.flush().await?;
    same("no changes change nothing", &store.load().await?, Vec::new())
}

/// Every field comes back as it was written.
async fn writing(store: &impl Store) -> Result<(), Failure> {
    let mut history = History::new(1);
    let written: Vec<_> = (0..32).map(|key| history.change(key)).collect();
    store.write(written.clone()).await?;
    same("what was written is read back", &store.load().await?, written.clone())?;
    store.write(written.clone()).await?;
    same("what is written twice is kept once", &store.load().await?, written)
}

async fn headers(store: &impl Store) -> Result<(), Failure> {
    hold("a new store has no header", store.header().await?.is_none(), "one")?;
    let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"\0two\xFF"));
    let steps = [(Some(&one), &two, false), (None, &one, true), (None, &two, false), (Some(&one), &two, true)];
    for (expected, header, replaced) in steps {
        let answer = store.replace_header(expected.cloned(), header.clone()).await?;
        hold("a header replaces the expected one only", answer == replaced, answer)?;
    }
    let header = store.header().await?;
    hold("the last header stands", header.as_ref() == Some(&two), "another")?;
    same("a header is no record", &store.load().await?, Vec::new())
}

/// What a watch tells is what there is, however often that has changed meanwhile. It need not tell what its own store
/// writes.
async fn watching(store: &impl Store) -> Result<(), Failure> {
    let Some(mut watch) = store.watch() else { return Ok(()) };
    let mut history = History::new(4);
    for _ in 0..2 {
        for _ in 0..32 {
            store.write(vec![history.any(4)]).await?;
        }
        let present = store.load().await?.changes;
        timeout(PATIENCE, telling(&mut *watch, &present)).await.unwrap_or(Ok(()))?;
    }
    Ok(())
}

async fn telling(watch: &mut dyn Watch, present: &[Change]) -> Result<(), Failure> {
    for _ in 0..32 {
        let told = watch.next().await?;
        let rule = "a watch tells what there is";
        hold(rule, told.hidden() == 0, "unreadable records")?;
        let other = told.changes.iter().find(|told| !present.contains(told));
        hold(rule, other.is_none(), format_args!("{other:?}"))?;
    }
    Ok(())
}

async fn lasting<S: Store>(store: S, reopen: &impl AsyncFn(S) -> Result<S, StoreError>) -> Result<(), Failure> {
    let mut history = History::new(2);
    let written: Vec<_> = (0..64).map(|_| history.any(16)).collect();
    for change in &written {
        store.write(vec![change.clone()]).await?;
    }
    let header = Bytes::from_static(b"header");
    hold("a header is set", store.replace_header(None, header.clone()).await?, "refused")?;
    store.flush().await?;
    // It must not keep the store from closing.
    let watch = store.watch();
    let store = reopen(store).await?;
    drop(watch);
    same("what was flushed lasts (I13)", &store.load().await?, merged(written.clone()))?;
    hold("a header lasts (I13)", store.header().await? == Some(header), "another")?;
    store.write(written.clone()).await?;
    same("what lasts is merged with what comes late", &store.load().await?, merged(written))
}

/// Any order, any batches, any repetition: the same result (I20).
async fn merging(one: &impl Store, two: &impl Store, seed: u64) -> Result<(), Failure> {
    let mut history = History::new(100 + seed);
    let mut changes: Vec<_> = (0..200).map(|_| history.any(8)).collect();
    for change in &changes {
        one.write(vec![change.clone()]).await?;
    }
    let expected = merged(changes.clone());
    same("changes are merged by the rules of records (I20)", &one.load().await?, expected.clone())?;
    changes.extend_from_within(50..150);
    history.shuffle(&mut changes);
    for batch in changes.chunks(33) {
        two.write(batch.to_vec()).await?;
    }
    same("any order and repetition come to the same (I20)", &two.load().await?, expected)
}

async fn many<S: Store>(store: S, reopen: &impl AsyncFn(S) -> Result<S, StoreError>) -> Result<(), Failure> {
    let mut history = History::new(3);
    let written: Vec<_> = (0..2_000).map(|key| history.change(key)).collect();
    store.write(written.clone()).await?;
    store.flush().await?;
    same("a large batch is kept whole", &reopen(store).await?.load().await?, written)
}

fn same(rule: &'static str, found: &Loaded, mut expected: Vec<Change>) -> Result<(), Failure> {
    let unreadable = found.hidden() + found.miscounted.len();
    hold(rule, unreadable == 0, format_args!("{unreadable} unreadable records"))?;
    let mut changes = found.changes.clone();
    changes.sort_by_key(Change::id);
    expected.sort_by_key(Change::id);
    let different = changes.iter().zip(&expected).find(|(found, expected)| found != expected);
    let counts = format_args!("{} records, not {}", changes.len(), expected.len()).to_string();
    let found = different.map_or(counts, |(found, expected)| format!("{found:?}, not {expected:?}"));
    hold(rule, changes == expected, found)
}

fn hold(rule: &'static str, holds: bool, found: impl std::fmt::Display) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Broken { rule, found: found.to_string() }) }
}
