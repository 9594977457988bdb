//! A database on a disk: whose it is, who may read it, and what is left of it when something happens to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use key_commune::clock::Timestamp;
use key_commune::health::State;
use key_commune::record::{Change, Replica, Tally, Tombstone};
use key_commune::store::conformance;
use key_commune::store::{ErrorKind, SqliteStore, Store};
use rusqlite::Connection;

use super::folder::Folder;
use super::record;
use crate::support::{key, secs};

/// A folder with a store of so many records in it, closed.
async fn filled(count: usize) -> Folder {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    store.write((0..count).map(|number| record(number).into()).collect()).await.unwrap();
    folder
}

fn shell(folder: &Folder) -> Connection {
    Connection::open(folder.file()).unwrap()
}

fn refusal(folder: &Folder) -> ErrorKind {
    let error = SqliteStore::open(folder.file()).unwrap_err();
    assert!(error.to_string().contains("keys.db"), "it names the file: {error}");
    error.kind()
}

#[tokio::test]
async fn sqlite_conforms() {
    let folder = Folder::new();
    let count = AtomicU32::new(0);
    let new = async || {
        let name = format!("{}.db", count.fetch_add(1, Ordering::Relaxed));
        SqliteStore::open(folder.path().join(name))
    };
    let reopen = async |store: SqliteStore| {
        let path = store.path().to_owned();
        drop(store);
        SqliteStore::open(path)
    };
    conformance::check(new, reopen).await.unwrap();
}

#[cfg(feature = "encryption")]
#[tokio::test]
async fn sealed_sqlite_conforms_and_holds_no_secret() {
    use key_commune::store::{Encrypted, KeyRing};
    let folder = Folder::new();
    let count = AtomicU32::new(0);
    let ring = KeyRing::new(&"018f".repeat(16).parse().unwrap());
    let open = async |path: PathBuf| Encrypted::open(SqliteStore::open(path)?, ring.clone()).await;
    let new = async || open(folder.path().join(format!("{}.db", count.fetch_add(1, Ordering::Relaxed)))).await;
    let reopen = async |store: Encrypted<SqliteStore>| {
        let inner = store.into_inner();
        let path = inner.path().to_owned();
        drop(inner);
        open(path).await
    };
    conformance::check(new, reopen).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(14).any(|window| window == b"sk-conformance"));
    }
}

#[tokio::test]
async fn one_store_at_a_time_has_a_file() {
    let folder = filled(1).await;
    let store = SqliteStore::open(folder.file()).unwrap();
    assert_eq!(refusal(&folder), ErrorKind::Locked);
    drop(store);
    assert!(SqliteStore::open(folder.file()).is_ok());
}

#[tokio::test]
async fn two_stores_that_share_a_file_merge_what_they_write() {
    let folder = Folder::new();
    assert_eq!(SqliteStore::open_beside(folder.file()).unwrap_err().kind(), ErrorKind::Unavailable, "not there");
    let proxy = SqliteStore::open(folder.file()).unwrap();
    let tool = SqliteStore::open_beside(folder.file()).unwrap();
    let write = async |store: &SqliteStore, replica: u64| {
        for round in 1..=100 {
            let mut known = record(round % 3);
            let mut tally = Tally::default();
            tally.total.calls = round as u64;
            known.tallies.note(Replica(replica), tally);
            store.write(vec![known.into()]).await.unwrap();
        }
    };
    tokio::join!(write(&proxy, 1), write(&tool, 2));
    tool.write(vec![Tombstone { generation: 0, at: Timestamp::ZERO, id: record(2).id }.into()]).await.unwrap();
    let loaded = proxy.load().await.unwrap();
    assert_eq!(loaded, tool.load().await.unwrap());
    let mut calls: Vec<_> = loaded.changes.iter().filter_map(Change::record).collect();
    calls.sort_by_key(|known| known.tallies.sum().total.calls);
    let calls: Vec<_> = calls.into_iter().map(|known| known.tallies.sum().total.calls).collect();
    assert_eq!(calls, [2 * 99, 2 * 100], "of each replica the most");
}

#[cfg(unix)]
#[tokio::test]
async fn a48_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = filled(1).await;
    let store = SqliteStore::open(folder.file()).unwrap();
    store.write(vec![record(1).into()]).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 3, "the log is there: {files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.path().display());
    }
}

#[tokio::test]
async fn a48_nothing_is_left_of_a_removed_key() {
    let folder = filled(3).await;
    let store = SqliteStore::open(folder.file()).unwrap();
    store.write(vec![Tombstone { generation: 0, at: Timestamp::ZERO, id: record(1).id }.into()]).await.unwrap();
    drop(store);
    let bytes = std::fs::read(folder.file()).unwrap();
    let holds = |number: usize| bytes.windows(key(0).len()).any(|window| window == key(number).as_bytes());
    assert!(holds(0) && !holds(1));
}

#[tokio::test]
async fn a_row_that_is_deleted_in_the_shell_is_a_key_that_is_removed() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    let mut known = record(1);
    known.tallies.note(Replica(1), Tally::default());
    store.write(vec![known.clone().into()]).await.unwrap();
    shell(&folder).execute("DELETE FROM api_keys", []).unwrap();
    known.version = 7;
    store.write(vec![known.clone().into()]).await.unwrap();
    let changes = store.load().await.unwrap().changes;
    assert!(matches!(changes[..], [Change::Gone(Tombstone { id, generation: 0, at })]
        if id == known.id && at > Timestamp::from_unix(secs(1_700_000_000))));
    let left: i64 = shell(&folder).query_row("SELECT count(*) FROM totals", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    known.generation = 1;
    store.write(vec![known.clone().into()]).await.unwrap();
    assert_eq!(store.load().await.unwrap().changes, [known.into()], "joined again");
}

#[tokio::test]
async fn i19_a_database_forgets_the_oldest_removals_when_it_is_opened() {
    let folder = filled(1).await;
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 65546)
        INSERT INTO removed_keys (id, generation, removed_ns) SELECT printf('%032x', i), 0, i FROM n";
    shell(&folder).execute(fill, []).unwrap();
    let changes = SqliteStore::open(folder.file()).unwrap().load().await.unwrap().changes;
    let mut times: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Gone(gone) => Some(gone.at.since_unix().as_nanos()),
            Change::Put(_) => None,
        })
        .collect();
    times.sort_unstable();
    assert_eq!((times.len(), times[0], changes.len()), (1 << 16, 12, (1 << 16) + 1));
}

#[tokio::test]
async fn an_operator_can_read_the_tables() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    let mut known = record(1);
    known.condition.state = State::Resting;
    known.condition.until = Timestamp::from_unix(secs(1_700_000_060));
    let mut tally = Tally::default();
    (tally.day, tally.total.calls, tally.today.calls) = (Timestamp::from_unix(secs(1_700_000_000)).day(), 9, 4);
    known.tallies.note(Replica(u64::MAX), tally);
    store.write(vec![known.clone().into()]).await.unwrap();
    let shell = shell(&folder);
    let text = |sql: &str| shell.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let keys = "SELECT concat_ws('|', key_display, state, blocked_until, consecutive_throttles) FROM api_keys";
    assert_eq!(text(keys), format!("{}|resting|1700000060|0", known.display));
    assert_eq!(text("SELECT concat_ws('|', date, call_count) FROM daily_stats"), "2023-11-14|4");
    assert_eq!(text("SELECT concat_ws('|', replica, call_count) FROM totals"), "-1|9");
    assert_eq!(text("PRAGMA journal_mode"), "wal");
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let foreign = b"SQLite format 3, or so it says".repeat(200);
    for bytes in [&b""[..], b"x", &foreign] {
        std::fs::write(folder.file(), bytes).unwrap();
        assert_eq!(refusal(&folder), ErrorKind::Damaged);
        assert!(std::fs::read(folder.file()).unwrap() == bytes);
    }
    std::fs::remove_file(folder.file()).unwrap();
    shell(&folder).execute_batch("CREATE TABLE api_keys (id)").unwrap();
    let bytes = std::fs::read(folder.file()).unwrap();
    assert_eq!(refusal(&folder), ErrorKind::Damaged, "another program's");
    assert!(std::fs::read(folder.file()).unwrap() == bytes);
    std::fs::remove_file(folder.file()).unwrap();
    std::fs::write(folder.file().with_extension("db-wal"), b"log").unwrap();
    assert_eq!(refusal(&folder), ErrorKind::Damaged, "a log without its database");
    assert!(!folder.file().exists());
    let later = filled(1).await;
    shell(&later).execute_batch("PRAGMA user_version = 1000").unwrap();
    assert_eq!(refusal(&later), ErrorKind::Damaged, "a later version's");
}

#[tokio::test]
async fn a77_a_damaged_file_is_never_an_empty_pool() {
    let folder = filled(50).await;
    let whole = std::fs::read(folder.file()).unwrap();
    let flips = (0..150_usize).map(|step| {
        let mut bytes = whole.clone();
        let bit = step * 7_919_993 % (whole.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    let cuts = (0..20).map(|step| whole[..whole.len() * step / 20].to_vec());
    for bytes in flips.chain(cuts) {
        std::fs::write(folder.file(), bytes).unwrap();
        let loaded = match SqliteStore::open(folder.file()) {
            Ok(store) => store.load().await,
            Err(error) => Err(error),
        };
        match loaded {
            Ok(loaded) => assert_eq!(loaded.changes.len() + loaded.unreadable.len() + loaded.nameless, 50),
            Err(error) => assert!(error.to_string().contains("keys.db"), "{error}"),
        }
    }
}

#[tokio::test]
async fn a47_no_text_is_taken_for_sql() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    let mut hostile = record(1);
    hostile.label = Some("'); DROP TABLE api_keys; --".into());
    (hostile.display, hostile.provider) = ("\" OR 1=1".into(), "x' UNION SELECT 1; --".into());
    store.write(vec![hostile.clone().into()]).await.unwrap();
    assert_eq!(store.load().await.unwrap().changes, [hostile.into()]);
}
