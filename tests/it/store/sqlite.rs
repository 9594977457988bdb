//! A database on a disk: whose it is, who may read it, and what is left of it when something happens to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use key_commune::clock::Timestamp;
use key_commune::health::{Condition, State};
use key_commune::record::{Change, Record, Replica, Rest, RestOf, Spent, Tally, Tombstone};
use key_commune::store::conformance;
use key_commune::store::{ErrorKind, SqliteStore, Store};
use key_commune::usage::Model;
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

#[cfg(unix)]
#[tokio::test]
async fn i13_nothing_is_acknowledged_that_goes_to_a_file_which_is_gone() {
    let folder = filled(1).await;
    let store = SqliteStore::open(folder.file()).unwrap();
    let kept = folder.path().join("kept.db");
    std::fs::rename(folder.file(), &kept).unwrap();
    let error = store.write(vec![record(2).into()]).await.unwrap_err();
    assert!(error.to_string().contains("keys.db: it was removed or replaced"), "{error}");
    std::fs::copy(&kept, folder.file()).unwrap();
    assert_eq!(store.write(vec![record(2).into()]).await.unwrap_err().kind(), ErrorKind::Unavailable);
    std::fs::rename(&kept, folder.file()).unwrap();
    store.write(vec![record(2).into()]).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_leads_to_the_file_and_to_its_lock() {
    let folder = filled(1).await;
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(folder.file(), &link).unwrap();
    let store = SqliteStore::open(folder.file()).unwrap();
    assert_eq!(SqliteStore::open(&link).unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(SqliteStore::open_beside(&link).unwrap().load().await.unwrap().changes.len(), 1);
    drop(store);
    std::fs::remove_file(folder.file()).unwrap();
    assert_eq!(SqliteStore::open(&link).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(link.is_symlink() && !folder.file().exists(), "nothing is made in the place of the link");
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
async fn i19_a_database_forgets_the_oldest_removals_while_it_is_written() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    let gone = |number: usize| {
        let id = format!("{number:032x}").parse().unwrap();
        Change::from(Tombstone { id, generation: 0, at: Timestamp::from_unix(secs(number as u64)) })
    };
    let most = 1 << 16;
    for from in (0..most + 8_000).step_by(4_000) {
        store.write((from..from + 4_000).map(gone).collect()).await.unwrap();
    }
    let changes = store.load().await.unwrap().changes;
    assert!((most..=most + 8_000).contains(&changes.len()), "{}", changes.len());
    assert!(!changes.contains(&gone(0)) && changes.contains(&gone(most + 7_999)));
}

/// A key that was called so often on this day, in all and on the day.
fn called(number: usize, day: u32, calls: u64) -> Change {
    let mut called = record(number);
    let mut tally = Tally::default();
    (tally.day, tally.today.calls, tally.total.calls) = (day, calls, calls);
    called.tallies.note(Replica(1), tally);
    called.into()
}

#[tokio::test]
async fn statistics_are_kept_for_days_and_totals_for_ever() {
    let folder = Folder::new();
    let days = || -> String {
        let days = "SELECT group_concat(CAST(julianday(date) - 2440587.5 AS INTEGER)) FROM days";
        shell(&folder).query_row(days, [], |row| row.get(0)).unwrap()
    };
    let store = SqliteStore::open(folder.file()).unwrap();
    store.write(vec![called(1, 100, 1)]).await.unwrap();
    store.write(vec![called(1, 110, 2), called(2, 105, 9)]).await.unwrap();
    store.write(vec![called(1, 115, 3)]).await.unwrap();
    assert_eq!(days(), "100,105,110,115", "fifteen days and today");
    store.write(vec![called(1, 116, 4)]).await.unwrap();
    assert_eq!(days(), "105,110,115,116");
    store.write(vec![called(3, 90, 1)]).await.unwrap();
    assert_eq!(days(), "105,110,115,116", "late news of a day that is gone");
    drop(store);
    let short = SqliteStore::builder().retention(secs(6 * 86_400));
    drop(short.open_beside(folder.file()).unwrap().write(vec![record(7).into()]).await);
    assert_eq!(days(), "105,110,115,116", "not for a tool to say");
    let store = short.open(folder.file()).unwrap();
    assert_eq!(days(), "110,115,116", "at once when it is opened");
    store.write(vec![called(4, u32::MAX, 1)]).await.unwrap();
    assert_eq!(days(), "2932896", "the last day that there is");
    let loaded = store.load().await.unwrap();
    let mut calls: Vec<_> = loaded.changes.iter().filter_map(Change::record).map(|known| known.tallies.sum()).collect();
    calls.sort_by_key(|tally| tally.total.calls);
    assert_eq!(calls.iter().map(|tally| tally.total.calls).collect::<Vec<_>>(), [0, 1, 1, 4, 9]);
}

#[tokio::test]
async fn a_clock_that_was_in_the_future_ends_no_statistics() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    let today: u32 = shell(&folder).query_row("SELECT unixepoch() / 86400", [], |row| row.get(0)).unwrap();
    let some = |day: u32, calls: u64| {
        let Change::Put(mut known) = called(1, day, calls) else { unreachable!() };
        known.usage.note(day, Replica(0), Model::OTHER, Spent { calls, ..Spent::default() });
        Change::Put(known)
    };
    for (day, calls) in [(today + 5_000, 1), (today - 1, 2), (today, 3)] {
        store.write(vec![some(day, calls)]).await.unwrap();
    }
    for (table, sql) in [("daily_stats", "unixepoch(date) / 86400"), ("usage", "day")] {
        let counts = format!("SELECT group_concat(c) FROM (SELECT call_count c FROM {table} ORDER BY {sql})");
        let counts: String = shell(&folder).query_row(&counts, [], |row| row.get(0)).unwrap();
        assert_eq!(counts, "2,3,1", "{table}");
    }
}

#[tokio::test]
async fn tokens_are_kept_for_days_and_in_the_totals_for_ever() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    let spent = |calls| Spent { calls, input: 9, ..Spent::default() };
    for (day, calls) in [(100, 1), (110, 2), (115, 3), (116, 4), (110, 9)] {
        let mut known = record(1);
        known.usage.note(day, Replica(0), Model::OTHER, spent(calls));
        let mut tally = Tally::default();
        tally.spent = spent(calls);
        known.tallies.note(Replica(0), tally);
        store.write(vec![known.into()]).await.unwrap();
    }
    let days = "SELECT group_concat(day || ':' || call_count) FROM (SELECT * FROM usage ORDER BY day)";
    let days: String = shell(&folder).query_row(days, [], |row| row.get(0)).unwrap();
    assert_eq!(days, "110:9,115:3,116:4", "fifteen days and today");
    let loaded = store.load().await.unwrap();
    let known = loaded.changes[0].record().unwrap();
    assert_eq!((known.usage.day(), known.tallies.sum().spent), (116, spent(9)));
    assert_eq!(known.usage.iter().collect::<Vec<_>>(), [(Replica(0), Model::OTHER, spent(4))], "the last day");
    shell(&folder).execute("UPDATE usage SET model = 'two words' WHERE day = 116", []).unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.miscounted.len(), loaded.changes.len()), (1, 1), "damaged, and the key is there");
    shell(&folder).execute("DELETE FROM api_keys", []).unwrap();
    let left: i64 = shell(&folder).query_row("SELECT count(*) FROM usage", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "it goes with the key");
}

#[tokio::test]
async fn what_is_deleted_takes_its_statistics_along() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    for day in 100..110 {
        store.write(vec![called(1, day, 1), called(2, day, 1)]).await.unwrap();
    }
    shell(&folder).execute("DELETE FROM api_keys WHERE id = ?1", [record(1).id.to_string()]).unwrap();
    let count = |table: &str| -> i64 {
        shell(&folder).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("daily_stats"), count("totals")), (10, 1));
    let Change::Put(mut again) = called(2, 120, 1) else { unreachable!() };
    again.generation = 1;
    store.write(vec![Change::Put(again.clone())]).await.unwrap();
    assert_eq!((count("daily_stats"), count("totals"), count("removed_keys")), (1, 1, 1), "and so does a generation");
    assert!(store.load().await.unwrap().changes.contains(&Change::Put(again)));
}

#[tokio::test]
async fn damaged_counts_are_told_and_the_rest_of_them_is_kept() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    store.write(vec![called(1, 100, 5), called(2, 100, 6)]).await.unwrap();
    let damage =
        "UPDATE totals SET last_client_ns = 1, last_client_subnet = 'x', last_day_call_count = -1 WHERE key_id = ?1";
    shell(&folder).execute(damage, [record(1).id.to_string()]).unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.miscounted, loaded.unreadable, loaded.nameless), (vec![record(1).id], vec![], 0));
    let find = |changes: &[Change]| {
        changes.iter().filter_map(Change::record).find(|known| known.id == record(1).id).unwrap().tallies.sum()
    };
    let found = find(&loaded.changes);
    assert_eq!((found.total.calls, found.today.calls, found.day), (5, 0, 100));
    store.write(vec![called(1, 100, 2)]).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!(find(&loaded.changes).total.calls, 5, "what was read is not lost");
    assert_eq!((loaded.miscounted.len(), find(&loaded.changes).today.calls), (0, 2));
    shell(&folder).execute("UPDATE daily_stats SET call_count = 50", []).unwrap();
    store.write(vec![called(1, 100, 7)]).await.unwrap();
    let most: i64 = shell(&folder).query_row("SELECT max(call_count) FROM daily_stats", [], |row| row.get(0)).unwrap();
    assert_eq!(most, 50);
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

/// A database as the first version made it, with a key in it.
fn of_version_1(folder: &Folder) {
    let shell = shell(folder);
    shell.execute_batch(include_str!("../../../src/store/sqlite/schema.sql")).unwrap();
    shell.execute_batch("PRAGMA application_id = 0x6B657963; PRAGMA user_version = 1").unwrap();
    let key = "INSERT INTO api_keys (id, provider, origin, key_display, label, state, until_ns, consecutive_throttles,
            consecutive_auth_failures, retirements, since_ns, created_ns, updated_ns, strikers, generation, version,
            seal, is_sealed, secret)
        VALUES (?1, 'openai', 'https://other.example', ?2, 'blue', 'active', 0, 0, 0, 0, 0, 0, 0, '[]', 0, 4, 0, 0, ?3)";
    let Record { id, display, secret, .. } = record(1);
    shell.execute(key, (id.to_string(), display, secret.plain().unwrap().expose().as_bytes())).unwrap();
}

#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up_to_date() {
    let folder = Folder::new();
    of_version_1(&folder);
    let beside = SqliteStore::open_beside(folder.file()).unwrap_err().to_string();
    assert!(beside.contains("earlier version"), "not by who does not have it to himself: {beside}");
    let store = SqliteStore::open(folder.file()).unwrap();
    let mut known = record(1);
    (known.label, known.version) = (Some("blue".into()), 4);
    known.origin = key_commune::Origin::parse("https://other.example").ok();
    assert_eq!(store.load().await.unwrap().changes, [known.clone().into()], "nothing was said about it");
    (known.traits.tier, known.version) = (2, 5);
    known.traits.models = Some("gpt-4,gpt-4o*".parse().unwrap());
    store.write(vec![known.clone().into()]).await.unwrap();
    drop(store);
    let store = SqliteStore::open(folder.file()).unwrap();
    assert_eq!(store.load().await.unwrap().changes, [known.into()]);
    let models: String = shell(&folder).query_row("SELECT models FROM api_keys", [], |row| row.get(0)).unwrap();
    assert_eq!(models, "gpt-4,gpt-4o*");
}

/// The key of a database rests for a model and with its account.
fn resting(record: &mut Record) {
    let mut condition = record.condition;
    (condition.state, condition.until) = (State::Resting, Timestamp::from_unix(secs(1_700_000_060)));
    let of = [RestOf::Model("o'3\"; --".into()), RestOf::Group("acct-a".into()), RestOf::Pool];
    let rests = of.map(|of| Rest { of, since: Timestamp::from_unix(secs(1_700_000_000)), condition });
    record.rests = rests.into_iter().collect();
}

#[tokio::test]
async fn a_database_of_the_second_version_learns_of_rests() {
    let folder = Folder::new();
    of_version_1(&folder);
    shell(&folder).execute_batch(include_str!("../../../src/store/sqlite/traits.sql")).unwrap();
    shell(&folder).execute_batch("PRAGMA user_version = 2; UPDATE api_keys SET tier = 2").unwrap();
    let store = SqliteStore::open(folder.file()).unwrap();
    let mut known = store.load().await.unwrap().changes[0].record().unwrap().clone();
    assert_eq!((known.traits.tier, known.rests.is_empty()), (2, true));
    resting(&mut known);
    store.write(vec![known.clone().into()]).await.unwrap();
    drop(store);
    let store = SqliteStore::open(folder.file()).unwrap();
    assert_eq!(store.load().await.unwrap().changes, [known.into()], "though its version is the same");
}

#[tokio::test]
async fn an_operator_can_read_what_rests_beside_keys() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    let mut known = record(1);
    resting(&mut known);
    let cleared = Rest { of: RestOf::Model("served".into()), since: Timestamp::ZERO, condition: Condition::default() };
    known.rests.note(cleared);
    store.write(vec![known.clone().into(), record(2).into()]).await.unwrap();
    let shell = shell(&folder);
    let rows = "SELECT group_concat(concat_ws('|', model, quota_group, state, blocked_until), ' ') FROM rests
        WHERE key_display = ?1";
    let found: String = shell.query_row(rows, [&known.display], |row| row.get(0)).unwrap();
    assert_eq!(found, "o'3\"; --|resting|1700000060 acct-a|resting|1700000060 resting|1700000060");
    let nothing = "SELECT count(*) FROM api_keys WHERE rests IS NULL";
    assert_eq!(shell.query_row(nothing, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[tokio::test]
async fn slips_in_the_shell_are_refused_or_told_and_change_no_key() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    store.write(vec![record(1).into()]).await.unwrap();
    let set = |what: &str| shell(&folder).execute(&format!("UPDATE api_keys SET {what}"), []);
    let slips = ["weight = 0", "weight = 256", "weight = NULL", "tier = -1", "tier = 256", "models = ''"];
    for slip in
        slips.iter().chain(&["rests = 'x'", "models = 'a, b'", "models = 'a,,b'", "models = ',a'", "models = 'a,'"])
    {
        assert!(set(slip).is_err(), "{slip}");
    }
    assert_eq!(store.load().await.unwrap().changes, [record(1).into()]);
    set(&format!("models = '{}'", "x".repeat(257))).unwrap();
    assert_eq!(store.load().await.unwrap().unreadable, [record(1).id]);
    set("models = NULL, quota_group = ''").unwrap();
    assert!(store.load().await.unwrap().changes[0].record().unwrap().traits.models.is_none());
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
