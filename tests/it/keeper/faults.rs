use std::sync::atomic::Ordering;

use key_commune::keeper::Keeper;
use key_commune::outcome::Outcome;
use key_commune::store::Store;

use super::{SOON, Shaky, add, call, empty, only, pool};
use crate::support::secs;

#[tokio::test(start_paused = true)]
async fn i12_a_store_that_hangs_for_thirty_seconds_holds_nobody_up() {
    let store = Shaky::new();
    let pool = pool(3);
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    keeper.flush().await.unwrap();
    assert_eq!(keeper.status().lag, secs(0));
    store.hangs.send_replace(true);
    let begin = pool.now();
    for count in 0..1_000 {
        let id = call(&pool, if count % 100 == 0 { Outcome::Throttled } else { Outcome::Accepted });
        pool.unblock(id);
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    assert!(pool.now() - begin < secs(31), "no call has waited");
    let status = keeper.status();
    assert!(status.lag > secs(29) && status.lag < secs(31) && status.pending >= 3, "{status:?}");
    assert_eq!(store.attempts.load(Ordering::SeqCst), 2, "one hangs, and no more are made");
    let mut flush = std::pin::pin!(keeper.flush());
    assert!(tokio::time::timeout(secs(9), &mut flush).await.is_err(), "a flush says so only when it is done");
    store.hangs.send_replace(false);
    flush.await.unwrap();
    let calls = store.load().await.unwrap().changes;
    let calls: u64 = calls.iter().map(|change| change.record().unwrap().tallies.sum().total.calls).sum();
    assert_eq!((calls, keeper.status().lag, keeper.status().pending), (1_000, secs(0), 0));
}

#[tokio::test(start_paused = true)]
async fn i12_a_store_that_fails_is_reported_and_tried_again_until_it_works() {
    let store = Shaky::new();
    let pool = empty();
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    store.fails.store(true, Ordering::SeqCst);
    let id = add(&pool, 1);
    tokio::time::sleep(secs(60)).await;
    let status = keeper.status();
    assert_eq!(status.error.unwrap().to_string(), "the store is full: the test said so");
    assert!(status.lag > secs(59), "{:?}", status.lag);
    let attempts = store.attempts.load(Ordering::SeqCst);
    assert!((10..30).contains(&attempts), "ever more seldom: {attempts} in a minute");
    assert!(keeper.flush().await.is_err());
    call(&pool, Outcome::Throttled);
    pool.unblock(id);
    store.fails.store(false, Ordering::SeqCst);
    tokio::time::sleep(secs(6)).await;
    let status = keeper.status();
    assert_eq!((status.error, status.lag, status.pending), (None, secs(0), 0));
    assert_eq!(only(&store).await.id, id);
    assert_eq!(only(&store).await.version, 2);
    call(&pool, Outcome::CallerFault);
    tokio::time::sleep(SOON).await;
    assert_eq!(only(&store).await.tallies.sum().total.calls, 2, "as quick as before");
}

#[tokio::test(start_paused = true)]
async fn i12_what_a_failing_store_is_told_later_stays_bounded_and_is_the_last_word() {
    let store = Shaky::new();
    let pool = pool(2);
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    store.fails.store(true, Ordering::SeqCst);
    for _ in 0..500 {
        let id = call(&pool, Outcome::Throttled);
        pool.unblock(id);
        tokio::time::sleep(secs(1)).await;
    }
    assert!(keeper.status().pending <= 4, "two that were told, and two that have changed since");
    store.fails.store(false, Ordering::SeqCst);
    keeper.close().await.unwrap();
    let changes = store.load().await.unwrap().changes;
    let versions: u64 = changes.iter().map(|change| change.record().unwrap().version).sum();
    assert_eq!((changes.len(), versions), (2, 1_000));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_with_unwritten_changes_writes_them_or_says_that_it_did_not() {
    let store = Shaky::new();
    let pool = empty();
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    add(&pool, 1);
    keeper.close().await.unwrap();
    only(&store).await;
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    store.fails.store(true, Ordering::SeqCst);
    add(&pool, 2);
    let error = keeper.close().await.unwrap_err();
    assert_eq!(error.to_string(), "the store is full: the test said so");
}

#[tokio::test(start_paused = true)]
async fn a87_a_keeper_outlives_the_panics_of_its_store_and_leaves_no_task_behind() {
    let store = Shaky::new();
    let pool = empty();
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    for round in 0..100 {
        store.panics.store(true, Ordering::SeqCst);
        add(&pool, round);
        store.startle().await;
        assert_eq!(keeper.flush().await.unwrap_err().to_string(), "the store cannot be reached: it panicked");
        tokio::time::sleep(secs(2)).await;
        assert!(keeper.status().error.is_some());
        store.panics.store(false, Ordering::SeqCst);
        tokio::time::sleep(secs(6)).await;
        assert_eq!(store.load().await.unwrap().changes.len(), round + 1);
    }
    let others = store.load().await.unwrap().changes[0].record().unwrap().removed(pool.now());
    store.tell(vec![others.into()]).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(pool.snapshot().members.len(), 99, "it still listens");
    keeper.close().await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}
