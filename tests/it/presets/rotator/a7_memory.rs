//! A7: what `key_usage.json` kept of rests, here with the records of keys.

use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::KeyPool;
use key_commune::preset;
use key_commune::provider::Provider;
use key_commune::secret::Pepper;

use super::{Hand, ask, climb, key_rest, keys, rest, serve, take};
use crate::support::secs;

/// From where the clock begins to the next reset.
const TO_THREE: u64 = 4 * 3_600 + 46 * 60 + 40;

fn process(clock: &Hand) -> KeyPool {
    preset::rotator(Provider::OPENAI).pepper(Pepper::new([7; 32])).clock(clock.clone()).build().unwrap()
}

fn begin(clock: &Hand) -> KeyPool {
    let pool = process(clock);
    pool.extend(keys(1)).unwrap();
    pool
}

fn restarted(pool: &KeyPool, clock: &Hand) -> KeyPool {
    let next = process(clock);
    next.merge(pool.drain(9));
    next
}

#[test]
fn a7_1_cooldowns_and_failures_of_models_outlive_the_process() {
    let clock = Hand::new();
    let first = begin(&clock);
    assert_eq!(climb(&first, &clock, "a", 5), [10, 30, 60, 120, 7_200]);
    climb(&first, &clock, "b", 2);
    clock.pass(secs(100));
    let second = restarted(&first, &clock);
    assert_eq!((rest(&second, "a"), key_rest(&second)), (rest(&first, "a"), 0));
    assert!(take(&second, "a").is_none(), "it rests");
    assert_eq!(climb(&second, &clock, "b", 1), [60], "the third step");
    clock.pass(secs(rest(&second, "a")));
    assert_eq!(climb(&second, &clock, "a", 1), [7_200], "the last step");
    assert_eq!(climb(&second, &clock, "c", 1), [10]);
}

#[test]
fn a7_1_a5_1_the_daily_reset_ends_a_rest_of_a_former_process() {
    let clock = Hand::new();
    clock.pass(secs(TO_THREE - 600));
    let first = begin(&clock);
    climb(&first, &clock, "a", 5);
    let second = restarted(&first, &clock);
    clock.pass(secs(600 - 220 - 1));
    assert!(take(&second, "a").is_none(), "at 02:59:59");
    clock.pass(secs(1));
    assert!(!take(&second, "a").unwrap().is_probe(), "at 03:00");
    let third = restarted(&second, &clock);
    assert_eq!(climb(&third, &clock, "a", 1), [10], "and that is remembered");
}

#[test]
fn a7_1_a5_1_a_reset_that_no_process_was_there_for_is_made_up_for() {
    let clock = Hand::new();
    clock.pass(secs(TO_THREE - 600));
    let first = begin(&clock);
    climb(&first, &clock, "a", 5);
    ask(&first, "b", &Verdict::new(Outcome::Rejected));
    let told = first.drain(9);
    clock.pass(secs(600 - 220));
    let second = process(&clock);
    second.merge(told.clone());
    assert_eq!((rest(&second, "a"), key_rest(&second)), (0, 0), "at 03:00");
    assert_eq!(serve(&second, "a"), 0);
    let third = process(&clock);
    third.merge(second.drain(9));
    third.merge(told);
    assert_eq!(climb(&third, &clock, "a", 1), [10], "and that is remembered");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a7_1_a_database_keeps_them() {
    use key_commune::keeper::Keeper;
    use key_commune::store::SqliteStore;
    let (folder, clock) = (crate::store::folder::Folder::new(), Hand::new());
    let first = process(&clock);
    let keeper = Keeper::open(&first, SqliteStore::open(folder.file()).unwrap()).await.unwrap();
    first.extend(keys(1)).unwrap();
    assert_eq!(climb(&first, &clock, "a", 5), [10, 30, 60, 120, 7_200]);
    keeper.close().await.unwrap();
    clock.pass(secs(7_000));
    let second = process(&clock);
    let _keeper = Keeper::open(&second, SqliteStore::open(folder.file()).unwrap()).await.unwrap();
    assert_eq!(rest(&second, "a"), 200);
    assert!(take(&second, "a").is_none() && take(&second, "b").is_some());
    assert_eq!(climb(&second, &clock, "a", 1), [7_200]);
}
