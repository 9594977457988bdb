//! The queries that the README shows do what they say. The predecessor's are among them, to the letter.

use std::time::Duration;

use key_commune::clock::Timestamp;
use key_commune::health::{Condition, State};
use key_commune::record::{Change, Record, Replica, Rest, RestOf, Spent, Tally};
use key_commune::store::{SqliteStore, Store};
use key_commune::usage::{Cost, Model};
use rusqlite::Connection;

use super::folder::Folder;
use super::record;
use crate::support::secs;

const PREDECESSOR: [&str; 5] = [
    "SELECT id, key_display, blocked_until, consecutive_throttles FROM api_keys",
    "SELECT * FROM daily_stats WHERE date = date('now')",
    "SELECT * FROM api_keys WHERE blocked_until > unixepoch()",
    "SELECT COUNT(*) FROM api_keys",
    "DELETE FROM api_keys WHERE blocked_until > unixepoch() AND last_success_at < unixepoch() - 86400",
];

/// Those of the README, in its order.
fn queries() -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let section = readme.split_once("\n### Look into the database\n").expect("the section").1;
    let block = section.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0;
    let lines: String = block.lines().filter(|line| !line.starts_with("--")).collect();
    lines.split_terminator(';').map(|query| query.trim().to_owned()).collect()
}

/// A key that is blocked for an hour and was of use so long ago. Counts for today, and should that end here, for tomorrow.
fn blocked(number: usize, now: Timestamp, ago: Duration) -> Record {
    let mut blocked = record(number);
    blocked.display = "sk-t..qrst".into();
    (blocked.condition.state, blocked.condition.until) = (State::Resting, now + secs(3_600));
    for (replica, day) in [(1, now.day()), (2, now.day() + 1)] {
        let mut tally = Tally::default();
        (tally.day, tally.today.calls, tally.total.calls) = (day, 1, 4);
        tally.last_success = Timestamp::ZERO + (now - Timestamp::from_unix(ago));
        blocked.tallies.note(Replica(replica), tally);
    }
    blocked
}

#[tokio::test]
async fn the_queries_of_the_readme_work_as_they_stand() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).unwrap();
    let shell = Connection::open(folder.file()).unwrap();
    let now: u64 = shell.query_row("SELECT unixepoch()", [], |row| row.get::<_, i64>(0)).unwrap() as u64;
    let now = Timestamp::from_unix(secs(now));
    let mut stale = blocked(1, now, secs(2 * 86_400));
    let spent = Spent { calls: 1, input: 9, output: 2, cached: 0, cost: Cost::from_micros(500_000) };
    stale.usage.note(now.day(), Replica(1), Model::OTHER, spent);
    stale.usage.note(now.day(), Replica(2), Model::OTHER, spent);
    let mut spare = record(0);
    spare.label = Some("spare".into());
    let mut condition = Condition::default();
    (condition.state, condition.until) = (State::Resting, now + secs(60));
    spare.rests.note(Rest { of: RestOf::Model("gpt-4o".into()), since: now, condition });
    store.write(vec![spare.into(), stale.into(), blocked(2, now, secs(60)).into()]).await.unwrap();
    let mut rows = Vec::new();
    for query in queries() {
        let mut statement = shell.prepare(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
        if statement.readonly() {
            rows.push(statement.query_map([], |_| Ok(())).unwrap().map(Result::unwrap).count());
        } else {
            rows.push(statement.execute([]).unwrap());
        }
    }
    assert_eq!(rows, [3, 2, 1, 2, 2, 1, 1, 1, 2, 1]);
    let changes = store.load().await.unwrap().changes;
    let gone = changes.iter().filter(|change| change.record().is_none()).map(Change::id);
    assert_eq!(gone.collect::<Vec<_>>(), [record(1).id], "the one that was of no use");
    let mut traits = changes.iter().filter_map(Change::record).map(|record| &record.traits);
    assert!(traits.any(|traits| traits.tier == 1 && traits.group.as_deref() == Some("acct-a")), "and it is read");
    let states = changes.iter().filter_map(Change::record).map(|record| record.condition.state);
    assert_eq!(states.filter(|&state| state == State::Retired).count(), 1);
}

#[test]
fn the_predecessors_queries_are_there() {
    let queries = queries();
    let missing: Vec<_> = PREDECESSOR.iter().filter(|query| !queries.iter().any(|there| there == *query)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
