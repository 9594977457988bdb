//! Killed in the middle of serving, a pool comes back with everything that it flushed (I13).

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use key_commune::health::State;
use key_commune::keeper::Keeper;
use key_commune::outcome::Outcome;
use key_commune::pool::Key;
use key_commune::store::{Encrypted, KeyRing, SqliteStore};
use key_commune::{KeyPool, Provider};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::call;
use crate::store::folder::{Folder, unlocked};
use crate::support::{builder, key, secs};

const PATH: &str = "KEY_COMMUNE_TEST_KEPT";
const ROUNDS: u64 = 25;

async fn kept(path: &Path) -> (KeyPool, Keeper) {
    let ring = KeyRing::new(&"018f".repeat(16).parse().unwrap());
    let store: Encrypted<SqliteStore> = Encrypted::open(unlocked(path).await.unwrap(), ring).await.unwrap();
    let pool = builder(0).pepper(store.pepper()).build().unwrap();
    assert_eq!(pool.provider().name(), Provider::OPENAI.name());
    let keeper = Keeper::open(&pool, store).await.unwrap();
    (pool, keeper)
}

/// How many keys have ever joined, how many of them rest, were removed, and how many calls were made with the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Count {
    members: u64,
    resting: u64,
    calls: u64,
}

impl Count {
    fn of(pool: &KeyPool) -> Self {
        let members = pool.snapshot().members;
        let resting = members.iter().filter(|member| member.state == State::Resting).count() as u64;
        Self { members: members.len() as u64, resting, calls: members.iter().map(|member| member.uses).sum() }
    }
}

/// Serves, and says what it has flushed. Only ever the child of the test below.
#[tokio::test]
#[ignore = "never ends"]
async fn child() {
    let Ok(path) = std::env::var(PATH) else { return };
    let (pool, keeper) = kept(path.as_ref()).await;
    let mut number = std::process::id() as usize * 1_000;
    loop {
        number += 1;
        let id = pool.add(Key::new(key(number)).unwrap()).unwrap();
        for _ in 0..5 {
            call(&pool, Outcome::Accepted);
        }
        if number.is_multiple_of(2) {
            pool.block(id, pool.now() + secs(9_999_999));
        }
        keeper.flush().await.unwrap();
        let Count { members, resting, calls } = Count::of(&pool);
        std::io::stdout().write_all(format!("{members} {resting} {calls}\n").as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn i13_a_pool_that_is_killed_comes_back_with_what_it_flushed() {
    let folder = Folder::new();
    let path = folder.path().join("keys.db");
    let mut last = Count::default();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "keeper::killed::child", "--ignored", "--nocapture"]).env(PATH, &path);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        while let Some(line) = lines.next_line().await.unwrap() {
            let words: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
            let &[members, resting, calls] = &words[..] else { continue };
            last = Count { members, resting, calls };
            heard += 1;
            if heard == 1 + round % 7 {
                child.start_kill().unwrap();
            }
        }
        let (pool, keeper) = kept(&path).await;
        let found = Count::of(&pool);
        assert_eq!(keeper.restored().unreadable, 0);
        assert!(found.members == last.members || found.members == last.members + 1, "{found:?}, {last:?}");
        assert!(found.resting == last.resting || found.resting == last.resting + 1, "{found:?}, {last:?}");
        assert!(found.calls >= last.calls && found.calls <= last.calls + 5, "{found:?}, {last:?}");
        keeper.close().await.unwrap();
    }
    assert!(last.members > ROUNDS);
}
