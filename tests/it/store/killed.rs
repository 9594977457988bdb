//! Killed in the middle of its writes, a store has lost nothing that it acknowledged (I13), and has nothing by half.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use key_commune::clock::Timestamp;
use key_commune::record::{Change, Tombstone};
use key_commune::secret::KeyId;
use key_commune::store::{SqliteStore, Store};

use super::folder::Folder;
use super::record;

/// Tells the child where the database is, and which batch comes first.
const PATH: &str = "KEY_COMMUNE_TEST_KILLED";
const FIRST: &str = "KEY_COMMUNE_TEST_FIRST";
/// Keys of a batch.
const SIZE: usize = 10;
const ROUNDS: usize = 12;

/// New keys, and the end of those of two batches ago.
fn batch(number: usize) -> Vec<Change> {
    let new = (number * SIZE..(number + 1) * SIZE).map(|key| record(key).into());
    let gone = |key| Change::from(Tombstone { id: record(key).id, generation: 0, at: Timestamp::ZERO });
    let old = (number.saturating_sub(2) * SIZE..number.saturating_sub(1) * SIZE).map(gone);
    new.chain(old).collect()
}

/// Writes batch after batch, and says so after each. Only ever the child of the test below.
#[tokio::test]
#[ignore = "never ends"]
async fn child() {
    let Ok(path) = std::env::var(PATH) else { return };
    let first: usize = std::env::var(FIRST).unwrap().parse().unwrap();
    let store = SqliteStore::open(path).unwrap();
    for number in first.. {
        store.write(batch(number)).await.unwrap();
        store.flush().await.unwrap();
        writeln!(std::io::stdout(), "batch {number}").unwrap();
    }
}

fn start(path: &Path, first: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "store::killed::child", "--ignored", "--nocapture"]);
    child.env(PATH, path).env(FIRST, first.to_string());
    child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills a child after it has acknowledged so many batches, somewhere in the next. Answers the last that it told of.
fn killed_after(count: usize, path: &Path, first: usize) -> usize {
    let mut child = start(path, first);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut batches = lines.filter_map(|line| line.rsplit_once("batch ")?.1.parse::<usize>().ok());
    let enough = batches.by_ref().take(count).last();
    child.kill().unwrap();
    child.wait().unwrap();
    batches.last().or(enough).expect("a child that writes")
}

async fn found(path: &Path) -> HashMap<KeyId, Change> {
    let loaded = SqliteStore::open(path).unwrap().load().await.unwrap();
    assert_eq!((loaded.unreadable.len(), loaded.nameless), (0, 0));
    loaded.changes.into_iter().map(|change| (change.id(), change)).collect()
}

#[tokio::test]
async fn i13_a76_what_was_flushed_survives_kill_9() {
    let folder = Folder::new();
    let mut next = 0;
    for round in 0..ROUNDS {
        let last = killed_after(1 + round % 5, &folder.file(), next);
        let found = found(&folder.file()).await;
        let mut expected = HashMap::new();
        let mut through = |number| expected.extend(batch(number).into_iter().map(|change| (change.id(), change)));
        (0..=last).for_each(&mut through);
        let unheard = found.contains_key(&record((last + 1) * SIZE).id);
        if unheard {
            through(last + 1);
        }
        assert!(found == expected, "round {round}: {} keys, not {}", found.len(), expected.len());
        next = last + 1;
    }
}
