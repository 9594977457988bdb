//! A5: the daily reset.

use key_commune::outcome::{Outcome, Verdict};

use super::{ask, climb, hinted, key_rest, pool, rest, serve, take};
use crate::support::secs;

/// From where the clock begins.
const TO_THREE: u64 = 4 * 3_600 + 46 * 60 + 40;
const DAY: u64 = 86_400;

#[test]
fn a5_1_every_day_at_three_utc_and_in_a_process_that_goes_on() {
    let (pool, clock) = pool(1);
    let mut to_three = TO_THREE;
    for _ in 0..3 {
        // Long enough before, and with a rest that lasts beyond.
        clock.pass(secs(to_three - 300));
        climb(&pool, &clock, "a", 5);
        assert_eq!(rest(&pool, "a"), 7_200);
        clock.pass(secs(79));
        assert!(take(&pool, "a").is_none(), "at 02:59:59");
        clock.pass(secs(1));
        assert_eq!(serve(&pool, "a"), 0, "at 03:00");
        to_three = DAY;
    }
}

#[test]
fn a5_2_it_ends_the_rests_of_models_and_keys_and_forgets_the_failures() {
    let (pool, clock) = pool(1);
    clock.pass(secs(TO_THREE - 330));
    climb(&pool, &clock, "a", 5);
    climb(&pool, &clock, "b", 4);
    ask(&pool, "c", &Verdict::new(Outcome::Rejected));
    assert_eq!((rest(&pool, "b"), key_rest(&pool)), (120, 300));
    clock.pass(secs(10));
    for model in ["a", "b", "c"] {
        serve_at_once(&pool, model);
    }
    assert_eq!((climb(&pool, &clock, "a", 1), climb(&pool, &clock, "b", 1)), (vec![10], vec![10]));
}

fn serve_at_once(pool: &key_commune::KeyPool, model: &str) {
    let lease = take(pool, model).unwrap();
    assert!(!lease.is_probe(), "{model}: nothing is held against it");
}

#[test]
fn a5_2_what_the_provider_has_named_the_end_of_stays() {
    let (pool, clock) = pool(1);
    clock.pass(secs(TO_THREE - 10));
    ask(&pool, "a", &hinted(3_600));
    clock.pass(secs(10));
    serve(&pool, "b");
    assert_eq!(rest(&pool, "a"), 3_590);
    assert!(take(&pool, "a").is_none());
}

#[test]
fn a5_2_the_counts_of_a_day_begin_anew() {
    let (pool, clock) = pool(2);
    assert_eq!((0..3).map(|_| serve(&pool, "a")).collect::<Vec<_>>(), [0, 1, 0]);
    clock.pass(secs(TO_THREE));
    assert_eq!(serve(&pool, "a"), 0);
}

#[test]
fn a5_3_an_operator_recovers_a_key_while_the_pool_serves() {
    let (pool, clock) = pool(1);
    climb(&pool, &clock, "a", 5);
    ask(&pool, "b", &Verdict::new(Outcome::Rejected));
    assert!(pool.unblock(pool.snapshot().members[0].id));
    assert_eq!((rest(&pool, "a"), key_rest(&pool)), (0, 0));
    serve_at_once(&pool, "a");
    assert_eq!(climb(&pool, &clock, "a", 1), [10]);
}
