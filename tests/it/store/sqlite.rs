//! A database on a disk: whose it is, who may read it, and what is left of it when something happens to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use key_commune::clock::Timestamp;
use key_commune::health::State;
use key_commune::record::{Change, Replica, Tally, Tombstone};
use key_commune::store::conformance;
use key_commune::store::{ErrorKind, SqliteStore, Store};
use rusqlite::Connection;

use super::record;
use crate::support::{key, secs};

/// A folder that is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sqlite-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("keys.db")
    }

    /// A store with so many records, closed.
    async fn filled(count: usize) -> Self {
        let folder = Self::new();
        let store = SqliteStore::open(folder.file()).unwrap();
        store.write((0..count).map(|number| record(number).into()).collect()).await.unwrap();
        folder
    }

    fn shell(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    fn refusal(&self) -> ErrorKind {
        let error = SqliteStore::open(self.file()).unwrap_err();
        assert!(error.to_string().contains("keys.db"), "it names the file: {error}");
        error.kind()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn sqlite_conforms() {
    let folder = Folder::new();
    let count = AtomicU32::new(0);
    let new = async || {
        let name = format!("{}.db", count.fetch_add(1, Ordering::Relaxed));
        SqliteStore::open(folder.0.join(name)).unwrap()
    };
    let reopen = async |store: SqliteStore| {
        let path = store.path().to_owned();
        drop(store);
        SqliteStore::open(path).unwrap()
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
    let open = async |path: PathBuf| Encrypted::open(SqliteStore::open(path).unwrap(), ring.clone()).await.unwrap();
    let new = async || open(folder.0.join(format!("{}.db", count.fetch_add(1, Ordering::Relaxed)))).await;
    let reopen = async |store: Encrypted<SqliteStore>| {
        let inner = store.into_inner();
        let path = inner.path().to_owned();
        drop(inner);
        open(path).await
    };
    conformance::check(new, reopen).await.unwrap();
    for file in std::fs::read_dir(&folder.0).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(14).any(|window| window == b"sk-conformance"));
    }
}

#[tokio::test]
async fn one_store_at_a_time_has_a_file() {
    let folder = Folder::filled(1).await;
    let store = SqliteStore::open(folder.file()).unwrap();
    assert_eq!(folder.refusal(), ErrorKind::Locked);
    drop(store);
    assert!(SqliteStore::open(folder.file()).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn a48_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::filled(1).await;
    let store = SqliteStore::open(folder.file()).unwrap();
    store.write(vec![record(1).into()]).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 3, "the log is there: {files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.path().display());
    }
}

#[tokio::test]
async fn a48_nothing_is_left_of_a_removed_key() {
    let folder = Folder::filled(3).await;
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
    folder.shell().execute("DELETE FROM api_keys", []).unwrap();
    known.version = 7;
    store.write(vec![known.clone().into()]).await.unwrap();
    let changes = store.load().await.unwrap().changes;
    assert!(matches!(changes[..], [Change::Gone(Tombstone { id, generation: 0, at })]
        if id == known.id && at > Timestamp::from_unix(secs(1_700_000_000))));
    let left: i64 = folder.shell().query_row("SELECT count(*) FROM totals", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    known.generation = 1;
    store.write(vec![known.clone().into()]).await.unwrap();
    assert_eq!(store.load().await.unwrap().changes, [known.into()], "joined again");
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
    let shell = folder.shell();
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
        assert_eq!(folder.refusal(), ErrorKind::Damaged);
        assert!(std::fs::read(folder.file()).unwrap() == bytes);
    }
    std::fs::remove_file(folder.file()).unwrap();
    folder.shell().execute_batch("CREATE TABLE api_keys (id)").unwrap();
    let bytes = std::fs::read(folder.file()).unwrap();
    assert_eq!(folder.refusal(), ErrorKind::Damaged, "another program's");
    assert!(std::fs::read(folder.file()).unwrap() == bytes);
    let later = Folder::filled(1).await;
    later.shell().execute_batch("PRAGMA user_version = 1000").unwrap();
    assert_eq!(later.refusal(), ErrorKind::Damaged, "a later version's");
}

#[tokio::test]
async fn a77_a_damaged_file_is_never_an_empty_pool() {
    let folder = Folder::filled(50).await;
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
