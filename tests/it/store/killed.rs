//! Killed in the middle of whatever it does, a store has lost nothing that it acknowledged (I13), and has nothing by half.

mod steps;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use key_commune::store::{Encrypted, ErrorKind, KeyRing, SqliteStore, Store};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use self::steps::{Step, World, master, masters, ring, step};
use super::folder::{Folder, unlocked};

/// Tells the child where the database is, and which step comes first.
const PATH: &str = "KEY_COMMUNE_TEST_KILLED";
const FIRST: &str = "KEY_COMMUNE_TEST_FIRST";
const FILES: u64 = 4;
const ROUNDS: usize = 50;

/// Takes step after step, and says so after each. Only ever the child of the test below.
#[tokio::test]
#[ignore = "never ends"]
async fn child() {
    let Ok(path) = std::env::var(PATH) else { return };
    let first: usize = std::env::var(FIRST).unwrap().parse().unwrap();
    let mut store = open(path.as_ref(), ring(first)).await;
    say("ready");
    for number in first.. {
        store = taken(store, step(number)).await;
        store.flush().await.unwrap();
        say(&format!("step {number}"));
    }
}

fn say(what: &str) {
    std::io::stdout().write_all(format!("{what}\n").as_bytes()).unwrap();
}

async fn open(path: &Path, ring: KeyRing) -> Encrypted<SqliteStore> {
    Encrypted::open(unlocked(path).await.unwrap(), ring).await.unwrap()
}

async fn taken(store: Encrypted<SqliteStore>, step: Step) -> Encrypted<SqliteStore> {
    match step {
        Step::Write(changes) => store.write(changes).await.unwrap(),
        Step::Header(header) => {
            let present = store.header().await.unwrap();
            assert!(present.as_ref() == Some(&header) || store.replace_header(present, header).await.unwrap());
        }
        Step::Master(number) => return sealed_anew(store, number, || say("sealing")).await,
    }
    store
}

async fn sealed_anew(store: Encrypted<SqliteStore>, number: usize, sealing: impl Fn()) -> Encrypted<SqliteStore> {
    let ring = KeyRing::new(&master(number)).older(&master(number - 1));
    let store = Encrypted::open(store.into_inner(), ring).await.unwrap();
    let resealed = store.reseal(|_| sealing()).await.unwrap();
    assert_eq!((resealed.left, resealed.unreadable), (0, 0));
    store
}

/// A database, and the first step that it did not acknowledge.
struct File {
    path: PathBuf,
    next: usize,
    world: World,
    chance: Xoshiro256PlusPlus,
}

impl File {
    /// Kills a child at a moment drawn by lot, every fourth time while it seals anew.
    async fn kill(&mut self, round: usize) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "store::killed::child", "--ignored", "--nocapture"]);
        child.env(PATH, &self.path).env(FIRST, self.next.to_string());
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (word, most) = if round.is_multiple_of(4) { ("sealing", 2) } else { ("ready", 40) };
        self.listen(&mut lines, word).await;
        let time = Duration::from_millis(self.chance.random_range(0..=most));
        let _ = tokio::time::timeout(time, self.listen(&mut lines, "the end")).await;
        child.kill().await.unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(9), "it would never end");
        self.listen(&mut lines, "the end").await;
    }

    /// Takes note of what is acknowledged, until a word is said.
    async fn listen(&mut self, lines: &mut Lines<BufReader<ChildStdout>>, word: &str) {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, number)) = line.rsplit_once("step ") {
                assert_eq!(number.parse(), Ok(self.next));
                self.world.take(step(self.next));
                self.next += 1;
            }
            if line.contains(word) {
                return;
            }
        }
    }

    /// Opens the database again. Answers whether the child was killed while it sealed anew.
    async fn check(&self) -> bool {
        assert_sound(&self.path);
        let store = open(&self.path, ring(self.next)).await;
        let loaded = store.load().await.unwrap();
        assert_eq!((loaded.unreadable.len(), loaded.nameless), (0, 0));
        let found = World::new(loaded.changes, store.header().await.unwrap());
        let mut unheard = self.world.clone();
        unheard.take(step(self.next));
        assert!(found == self.world || found == unheard, "step {}: {} keys", self.next, found.known.len());
        drop(store);
        self.is_between_keys().await
    }

    /// Either master key alone opens everything or nothing; both refuse only in the middle of a change.
    async fn is_between_keys(&self) -> bool {
        let number = masters(self.next);
        let (old, new) = (self.opens_by(number).await, self.opens_by(number + 1).await);
        match step(self.next) {
            Step::Master(_) => assert!(!(old && new)),
            _ => assert!(old && !new),
        }
        !old && !new
    }

    async fn opens_by(&self, number: usize) -> bool {
        let store = unlocked(&self.path).await.unwrap();
        match Encrypted::open(store, KeyRing::new(&master(number))).await {
            Ok(store) => {
                let loaded = store.load().await.unwrap();
                assert_eq!(loaded.unreadable.len(), 0, "this key alone opens all");
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WrongKey, "{error}");
                false
            }
        }
    }
}

fn assert_sound(path: &Path) {
    let shell = Connection::open(path).unwrap();
    let text = |sql: &str| shell.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(text("SELECT count(*) || '' FROM api_keys JOIN removed_keys USING (id)"), "0", "there or removed");
    assert_eq!(text("SELECT count(*) || '' FROM totals WHERE key_id NOT IN (SELECT id FROM api_keys)"), "0");
}

/// Kills and checks again and again. Answers how often that was in the middle of a change of the master key.
async fn rounds(path: PathBuf, seed: u64) -> usize {
    let mut file = File { path, next: 0, world: World::default(), chance: Xoshiro256PlusPlus::seed_from_u64(seed) };
    let mut between = 0;
    for round in 0..ROUNDS {
        file.kill(round).await;
        between += usize::from(file.check().await);
    }
    let number = masters(file.next) + 1;
    drop(sealed_anew(open(&file.path, ring(file.next)).await, number, || {}).await);
    assert!(file.opens_by(number).await && !file.opens_by(number - 1).await);
    between
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i13_a76_what_was_flushed_survives_kill_9() {
    let folder = Folder::new();
    let files = (0..FILES).map(|seed| tokio::spawn(rounds(folder.path().join(format!("{seed}.db")), seed)));
    let mut between = 0;
    for file in files.collect::<Vec<_>>() {
        between += file.await.unwrap();
    }
    assert!(between > 0, "some fell in the middle of a change of the master key");
}
