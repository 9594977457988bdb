//! Whoever watches a store hears of what others change in it.

use std::time::Duration;

use key_commune::record::{Change, Record};
use key_commune::store::{ErrorKind, Loaded, MemoryStore, Store, Watch};

use super::record;

/// Generous: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn told(watch: &mut dyn Watch) -> Loaded {
    tokio::time::timeout(PATIENCE, watch.next()).await.expect("something told").unwrap()
}

async fn ending(watch: &mut dyn Watch) -> ErrorKind {
    tokio::time::timeout(PATIENCE, watch.next()).await.expect("an end").unwrap_err().kind()
}

fn labelled(number: usize, label: &str) -> Change {
    let mut named: Record = record(number);
    (named.label, named.version) = (Some(label.into()), label.len() as u64);
    named.into()
}

#[tokio::test]
async fn clones_in_memory_hear_each_other() {
    let (one, two) = (MemoryStore::default(), MemoryStore::default());
    let (other, mut watch) = (one.clone(), one.watch().unwrap());
    two.write(vec![record(9).into()]).await.unwrap();
    other.write(vec![record(1).into(), record(2).into()]).await.unwrap();
    other.write(vec![labelled(1, "a")]).await.unwrap();
    let mut changes = told(&mut *watch).await.changes;
    changes.sort_by_key(|change| change.record().unwrap().label.is_none());
    assert_eq!(changes, [labelled(1, "a"), record(2).into()], "each once, as it is now");
    for round in 0..1_000 {
        other.write((0..4).map(|key| labelled(key + 4 * round, "b")).collect()).await.unwrap();
    }
    assert_eq!(told(&mut *watch).await.changes.len(), 4_000, "too much news for it to hold: all there is");
    drop((one, other));
    assert_eq!(ending(&mut *watch).await, ErrorKind::Unavailable);
    assert_eq!(ending(&mut *watch).await, ErrorKind::Unavailable);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use key_commune::clock::Timestamp;
    use key_commune::demand::Models;
    use key_commune::health::State;
    use key_commune::record::{Replica, Tally, Tombstone, Traits};
    use key_commune::store::SqliteStore;
    use rusqlite::Connection;

    use super::super::folder::Folder;
    use super::*;
    use crate::support::secs;

    fn shell(folder: &Folder, sql: &str) {
        Connection::open(folder.file()).unwrap().execute_batch(sql).unwrap();
    }

    /// A store of so many keys, and its watch.
    async fn watched(folder: &Folder, count: usize) -> (SqliteStore, Box<dyn Watch>) {
        let store = SqliteStore::open(folder.file()).unwrap();
        store.write((0..count).map(|number| record(number).into()).collect()).await.unwrap();
        let watch = store.watch().unwrap();
        (store, watch)
    }

    #[tokio::test]
    async fn it_hears_what_is_written_beside_it() {
        let folder = Folder::new();
        let (store, mut watch) = watched(&folder, 3).await;
        let tool = SqliteStore::open_beside(folder.file()).unwrap();
        assert!(tool.watch().is_none(), "nobody tells the tool");
        store.write(vec![labelled(0, "its own")]).await.unwrap();
        tool.write(vec![record(2).into()]).await.unwrap();
        tool.write(vec![labelled(1, "a")]).await.unwrap();
        assert_eq!(told(&mut *watch).await.changes, [labelled(1, "a")], "and nothing that has not changed");
        let mut known = record(1);
        let mut tally = Tally::default();
        tally.total.calls = 3;
        known.tallies.note(Replica(1), tally);
        tool.write(vec![known.into(), record(7).into()]).await.unwrap();
        let loaded = told(&mut *watch).await;
        let calls = |change: &Change| change.record().map(|record| record.tallies.sum().total.calls);
        let mut heard: Vec<_> = loaded.changes.iter().map(calls).collect();
        heard.sort_unstable();
        assert_eq!(heard, [Some(0), Some(3)], "a new key, and counts");
    }

    #[tokio::test]
    async fn it_hears_what_is_deleted_and_updated_in_the_shell() {
        let folder = Folder::new();
        let (store, mut watch) = watched(&folder, 2).await;
        shell(&folder, &format!("DELETE FROM api_keys WHERE id = '{}'", record(0).id));
        let changes = told(&mut *watch).await.changes;
        let long_ago = Timestamp::from_unix(secs(1_700_000_000));
        assert!(matches!(changes[..], [Change::Gone(Tombstone { id, generation: 0, at })]
            if id == record(0).id && at > long_ago));
        shell(&folder, "UPDATE api_keys SET state = 'retired'");
        let changes = told(&mut *watch).await.changes;
        let edited = changes[0].record().unwrap();
        assert_eq!((edited.condition.state, edited.version, changes.len()), (State::Retired, 1, 1));
        assert!(edited.updated > long_ago);
        store.write(vec![record(1).into()]).await.unwrap();
        assert!(store.load().await.unwrap().changes.contains(&changes[0]), "nor is it written over");
        shell(&folder, "UPDATE api_keys SET tier = 2, weight = 3, quota_group = 'acct-a', models = 'o3,gpt-4o*'");
        let changes = told(&mut *watch).await.changes;
        let Traits { weight, tier, group, models, .. } = &changes[0].record().unwrap().traits;
        assert_eq!((weight.get(), tier, group.as_deref()), (3, &2, Some("acct-a")));
        assert_eq!(models.as_ref().map(Models::as_str), Some("o3,gpt-4o*"));
        shell(&folder, "UPDATE api_keys SET state = 'something'");
        assert_eq!(told(&mut *watch).await.unreadable, [record(1).id]);
    }

    /// All columns that are not made of others.
    const COLUMNS: &str = "id, provider, origin, key_display, label, state, reason, until_ns, consecutive_throttles,
        consecutive_auth_failures, retirements, since_ns, created_ns, updated_ns, strikers, generation, version, edits, seal,
        is_sealed, secret";

    #[tokio::test]
    async fn it_hears_what_is_inserted_in_the_shell_and_not_what_it_writes_itself() {
        let folder = Folder::new();
        let (store, mut watch) = watched(&folder, 2).await;
        store.write(vec![record(2).into()]).await.unwrap();
        let connection = Connection::open(folder.file()).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM news"), 0);
        let copy = format!("CREATE TEMP TABLE copy AS SELECT {COLUMNS} FROM api_keys");
        let insert = format!("INSERT INTO api_keys ({COLUMNS}) SELECT * FROM copy WHERE id = '{}'", record(1).id);
        let delete = format!("DELETE FROM api_keys WHERE id = '{}'", record(1).id);
        connection.execute_batch(&copy).unwrap();
        for generation in 1..=2 {
            connection.execute_batch(&delete).unwrap();
            assert!(told(&mut *watch).await.changes[0].record().is_none());
            connection.execute_batch(&insert).unwrap();
            let mut back = record(1);
            back.generation = generation;
            assert_eq!(told(&mut *watch).await.changes, [back.into()], "it joins anew");
        }
        assert_eq!(count("SELECT count(*) FROM removed_keys"), 0);
        connection.execute_batch(&delete).unwrap();
        connection.execute_batch("DELETE FROM removed_keys").unwrap();
        connection.execute_batch(&insert).unwrap();
        assert_eq!(told(&mut *watch).await.changes, [record(1).into()], "it was never there");
    }

    #[tokio::test]
    async fn it_does_not_keep_the_store_from_closing() {
        let folder = Folder::new();
        let (store, mut watch) = watched(&folder, 1).await;
        drop(store);
        let store = SqliteStore::open(folder.file()).unwrap();
        assert_eq!(ending(&mut *watch).await, ErrorKind::Unavailable);
        let mut watch = store.watch().unwrap();
        let waiting = tokio::spawn(async move { ending(&mut *watch).await });
        tokio::task::yield_now().await;
        drop(store);
        assert_eq!(waiting.await.unwrap(), ErrorKind::Unavailable, "and ends while it waits");
    }

    #[tokio::test]
    async fn nothing_is_lost_with_who_does_not_wait_for_it() {
        let folder = Folder::new();
        let (store, mut watch) = watched(&folder, 1).await;
        // Every now and then it is dropped between its question and the answer.
        for round in 0..3_u32 {
            shell(&folder, "UPDATE api_keys SET state = 'retired'");
            let version = loop {
                let hurry = tokio::time::timeout(Duration::from_micros(300), watch.next());
                if let Ok(loaded) = hurry.await {
                    break loaded.unwrap().changes[0].record().unwrap().version;
                }
            };
            assert_eq!(version, u64::from(round) + 1);
        }
        drop(store);
    }

    #[tokio::test]
    async fn i19_news_are_bounded_and_who_missed_some_is_told_everything() {
        let folder = Folder::new();
        let (store, mut watch) = watched(&folder, 5).await;
        shell(&folder, "DELETE FROM api_keys WHERE id IN (SELECT id FROM api_keys LIMIT 1)");
        assert_eq!(told(&mut *watch).await.changes.len(), 1);
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000)
            INSERT INTO news (id) SELECT printf('%032x', i) FROM n";
        shell(&folder, fill);
        assert_eq!(told(&mut *watch).await.changes.len(), 5);
        let count = || -> i64 {
            let shell = Connection::open(folder.file()).unwrap();
            shell.query_row("SELECT count(*) FROM news", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(), 1 << 16);
        drop(store);
        let store = SqliteStore::open(folder.file()).unwrap();
        assert_eq!(count(), 0);
        let mut watch = store.watch().unwrap();
        shell(&folder, "UPDATE api_keys SET label = 'a' WHERE id IN (SELECT id FROM api_keys LIMIT 1)");
        assert_eq!(told(&mut *watch).await.changes.len(), 1, "and not everything");
    }
}
