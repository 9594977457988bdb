//! What happens to a database on a machine: no room, no right to write, somebody else who holds it, clocks that go back.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use key_commune::clock::Timestamp;
use key_commune::record::{Change, Tombstone};
use key_commune::secret::KeyId;
use key_commune::store::{Encrypted, ErrorKind, KeyRing, SqliteStore, Store, StoreError};
use rusqlite::Connection;

use super::folder::{Folder, unlocked};
use super::record;

/// Tells a child where the database is.
const PATH: &str = "KEY_COMMUNE_TEST_FAULTS";
/// Keys of a batch.
const SIZE: usize = 5;

fn batch(number: usize) -> Vec<Change> {
    (number * SIZE..(number + 1) * SIZE).map(|key| record(key).into()).collect()
}

/// Exactly the keys of so many batches are there.
async fn assert_holds(store: &SqliteStore, batches: usize) {
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.unreadable.len(), loaded.nameless), (0, 0));
    let found: BTreeSet<KeyId> = loaded.changes.iter().map(Change::id).collect();
    assert!(found == (0..batches * SIZE).map(|key| record(key).id).collect(), "{} of {batches} batches", found.len());
}

/// Writes batch after batch until that fails. Answers their number, and why no more were written.
async fn fill(store: &SqliteStore, first: usize) -> (usize, StoreError) {
    for number in first..10_000 {
        let written = store.write(batch(number)).await;
        if let Err(error) = written.and(store.flush().await) {
            return (number, error);
        }
    }
    panic!("there is room for everything");
}

fn say(what: &str) {
    std::io::stdout().write_all(format!("{what}\n").as_bytes()).unwrap();
}

/// A program that runs one of the tests below on a database; `before` is shell that ends with `exec "$@"`.
fn child(before: &str, test: &str, path: &Path) -> Command {
    let mut child = Command::new("sh");
    child.args(["-c", before, "sh"]).arg(std::env::current_exe().unwrap());
    child.args(["--exact", &format!("store::faults::{test}"), "--ignored", "--nocapture"]);
    child.env(PATH, path).stdin(Stdio::null());
    child
}

fn said(child: &mut Command) -> String {
    let output = child.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Only ever a child of the test below: no file of its may grow beyond a limit.
#[tokio::test]
#[ignore = "a child"]
async fn limited() {
    let Ok(path) = std::env::var(PATH) else { return };
    let store = SqliteStore::open(path).unwrap();
    let (batches, error) = fill(&store, 0).await;
    assert_holds(&store, batches).await;
    let again = store.write(batch(batches)).await.unwrap_err();
    assert_eq!(again.kind(), error.kind());
    say(&format!("{:?} after {batches} batches", error.kind()));
}

/// SQLite knows full disks by another number than that of full files, so that the kind is told of the former only.
#[tokio::test]
async fn i13_a77_a_file_that_may_not_grow_loses_nothing_and_goes_on_later() {
    let folder = Folder::new();
    let text = said(&mut child("trap '' XFSZ; ulimit -f 400; exec \"$@\"", "limited", &folder.file()));
    let (kind, rest) = text.split_once(" after ").unwrap();
    assert!(kind.ends_with("Unavailable") || kind.ends_with("Full"), "{text}");
    let batches: usize = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(batches > 0);
    let store = unlocked(&folder.file()).await.unwrap();
    assert_holds(&store, batches).await;
    store.write((batches..batches + 100).flat_map(batch).collect()).await.unwrap();
    assert_holds(&store, batches + 100).await;
}

/// Only ever a child of the test below: its disk has a megabyte, of which a third is taken.
#[tokio::test]
#[ignore = "a child"]
async fn on_a_small_disk() {
    let Ok(path) = std::env::var(PATH) else { return };
    let disk = Path::new(&path).parent().unwrap();
    std::fs::write(disk.join("taken"), vec![1; 350_000]).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let (batches, error) = fill(&store, 0).await;
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(error.to_string().contains("keys.db") && batches > 0);
    assert_holds(&store, batches).await;
    std::fs::remove_file(disk.join("taken")).unwrap();
    let (more, error) = fill(&store, batches).await;
    assert!(more > batches, "writes go on when there is room again");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    drop(store);
    assert_holds(&unlocked(path.as_ref()).await.unwrap(), more).await;
    say("as it should");
}

/// Only ever a child of the test below: its disk is full when the store is opened, with a log of the last process and
/// without.
#[tokio::test]
#[ignore = "a child"]
async fn on_a_full_disk() {
    let Ok(path) = std::env::var(PATH) else { return };
    let (path, disk) = (Path::new(&path), Path::new(&path).parent().unwrap());
    let mut batches = 1;
    for is_killed in [false, true] {
        let store = SqliteStore::open(path).unwrap();
        store.write((0..batches).flat_map(batch).collect()).await.unwrap();
        let left = ["keys.db", "keys.db-wal"].map(|name| (disk.join(name), std::fs::read(disk.join(name)).unwrap()));
        drop(store);
        let _ = std::fs::remove_file(disk.join("keys.db-shm"));
        if is_killed {
            for (path, bytes) in &left {
                std::fs::write(path, bytes).unwrap();
            }
        }
        let mut taken = std::fs::File::create(disk.join("taken")).unwrap();
        while taken.write(&[1; 512]).is_ok_and(|written| written > 0) {}
        drop(taken);
        let store = unlocked(path).await.unwrap();
        assert_holds(&store, batches).await;
        for _ in 0..2 {
            let error = store.write(batch(batches)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Full, "{error}");
            assert_eq!(store.flush().await.unwrap_err().kind(), ErrorKind::Full);
            assert_holds(&store, batches).await;
        }
        std::fs::remove_file(disk.join("taken")).unwrap();
        store.write(batch(batches)).await.unwrap();
        batches += 1;
        store.flush().await.unwrap();
        assert_holds(&SqliteStore::open_beside(path).unwrap(), batches).await;
    }
    say("as it should");
}

const SMALL: &str = "unshare -Urm sh -c 'mount -t tmpfs -o size=1m none \"$0\" && exec \"$@\"' \"$(dirname \"$KEY_COMMUNE_TEST_FAULTS\")\" ";

#[tokio::test]
async fn i13_a77_a_full_disk_loses_nothing_and_goes_on_when_there_is_room() {
    let folder = Folder::new();
    let possible = Command::new("sh").args(["-c", &format!("{SMALL} true")]).env(PATH, folder.file()).output().unwrap();
    if !possible.status.success() {
        return say("NOT TESTED: nobody may mount a small disk here");
    }
    for test in ["on_a_small_disk", "on_a_full_disk"] {
        let text = said(&mut child(&format!("exec {SMALL} \"$@\""), test, &folder.file()));
        assert!(text.contains("as it should"), "{text}");
    }
}

/// Only ever a child of the test below: somebody who may not write.
#[tokio::test]
#[ignore = "a child"]
async fn reading() {
    let Ok(path) = std::env::var(PATH) else { return };
    for (name, opened) in [("alone", SqliteStore::open(&path)), ("beside", SqliteStore::open_beside(&path))] {
        let error = match opened {
            Ok(store) => store.write(batch(1)).await.unwrap_err(),
            Err(error) => error,
        };
        say(&format!("{name}: {:?}: {error};", error.kind()));
    }
}

/// Root may write whatever the modes say, and becomes nobody.
fn unprivileged(command: &mut Command) -> &mut Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if root { command.uid(65_534).gid(65_534) } else { command }
}

#[tokio::test]
async fn a77_what_may_not_be_written_is_refused_by_name_and_left_as_it_is() {
    let folder = Folder::new();
    SqliteStore::open(folder.file()).unwrap().write(batch(0)).await.unwrap();
    let before = std::fs::read(folder.file()).unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&folder.file(), 0o444);
    for of_folder in [0o777, 0o555] {
        let _ = std::fs::remove_file(folder.path().join("keys.db.lock"));
        mode(folder.path(), of_folder);
        let mut child = child("exec \"$@\"", "reading", &folder.file());
        let output = unprivileged(&mut child).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        mode(folder.path(), 0o755);
        if output.status.code() == Some(126) {
            return say("NOT TESTED: nobody but root may run this program");
        }
        let refusals = text.matches("ReadOnly: the store is read-only: ").count();
        assert_eq!((refusals, text.matches("keys.db").count()), (2, 2), "{of_folder:o}: {text}");
        assert!(std::fs::read(folder.file()).unwrap() == before);
    }
}

/// The file of a later SQLite, that this one may read: whoever runs the tests.
#[tokio::test]
async fn a77_what_cannot_be_written_is_read_only() {
    let folder = Folder::new();
    SqliteStore::open(folder.file()).unwrap().write(batch(0)).await.unwrap();
    let mut bytes = std::fs::read(folder.file()).unwrap();
    bytes[18] = 3;
    std::fs::write(folder.file(), &bytes).unwrap();
    let error = unlocked(&folder.file()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    assert!(error.to_string().contains("keys.db"), "{error}");
    assert!(std::fs::read(folder.file()).unwrap() == bytes);
}

#[tokio::test]
async fn a77_who_holds_a_database_too_long_is_waited_for_in_vain_and_nothing_is_lost() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    store.write(batch(0)).await.unwrap();
    let holder = Connection::open(folder.file()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.write(batch(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("keys.db"), "{error}");
    assert_holds(&store, 1).await;
    holder.execute_batch("ROLLBACK").unwrap();
    store.write(batch(1)).await.unwrap();
    assert_holds(&store, 2).await;
}

#[tokio::test]
async fn i20_merging_goes_on_when_the_clock_was_set_back() {
    let folder = Folder::new();
    let at = |year: u64| Timestamp::from_unix(Duration::from_secs((year - 1970) * 31_557_600));
    let store = SqliteStore::open(folder.file()).unwrap();
    let known = |version: u64, year: u64| {
        let mut known = record(0);
        (known.version, known.created, known.since, known.updated) = (version, at(2026), at(year), at(year));
        known
    };
    store.write(vec![known(1, 2026).into()]).await.unwrap();
    for (version, year) in [(2, 2020), (3, 1970), (4, 2026)] {
        store.write(vec![known(version, year).into()]).await.unwrap();
        assert_eq!(store.load().await.unwrap().changes, [known(version, year).into()]);
    }
    let gone = Tombstone { id: record(0).id, generation: 0, at: at(1980) };
    store.write(vec![gone.into()]).await.unwrap();
    assert_eq!(store.load().await.unwrap().changes, [gone.into()], "removed before it was there");
    let again = known(0, 1975).joined(Some(gone), at(1975));
    store.write(vec![again.clone().into()]).await.unwrap();
    assert_eq!(store.load().await.unwrap().changes, [again.into()]);
}

#[tokio::test]
async fn a77_a_damaged_sealed_file_is_never_an_empty_pool() {
    let folder = Folder::new();
    let ring = KeyRing::new(&"018f".repeat(16).parse().unwrap());
    let store = Encrypted::open(SqliteStore::open(folder.file()).unwrap(), ring.clone()).await.unwrap();
    store.write((0..10).flat_map(batch).collect()).await.unwrap();
    drop(store);
    let whole = std::fs::read(folder.file()).unwrap();
    for step in 0..100_usize {
        let mut bytes = whole.clone();
        let bit = step * 7_919_993 % (whole.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(folder.file(), bytes).unwrap();
        let opened = async { Encrypted::open(unlocked(&folder.file()).await?, ring.clone()).await?.load().await };
        match opened.await {
            Ok(loaded) => assert_eq!(loaded.changes.len() + loaded.unreadable.len() + loaded.nameless, 50),
            Err(error) => assert!(error.kind() == ErrorKind::Damaged, "{error}"),
        }
    }
}
