//! A4: how long what rests.

use key_commune::health::State;
use key_commune::outcome::{Outcome, Scope, Verdict};
use key_commune::pool::Tried;

use super::{ask, climb, hinted, key_rest, pool, rest, serve, take, throttled};
use crate::support::secs;

#[test]
fn a4_a_hint_rests_the_key_for_the_model_for_exactly_so_long_and_is_no_strike() {
    let (pool, clock) = pool(1);
    for after in [7, 1, 600, 7_200] {
        ask(&pool, "a", &hinted(after));
        assert_eq!((rest(&pool, "a"), rest(&pool, "b"), key_rest(&pool)), (after, 0, 0));
        serve(&pool, "b");
        clock.pass(secs(after - 1));
        assert!(take(&pool, "a").is_none());
        clock.pass(secs(1));
    }
    assert_eq!(climb(&pool, &clock, "a", 2), [10, 30], "the first and the second failure");
    clock.pass(secs(30));
    ask(&pool, "a", &hinted(5));
    clock.pass(secs(5));
    assert_eq!(climb(&pool, &clock, "a", 1), [60], "the third: a hint takes no strike back either");
    clock.pass(secs(60));
    ask(&pool, "a", &hinted(5));
    clock.pass(secs(5));
    serve(&pool, "a");
    assert_eq!(climb(&pool, &clock, "a", 1), [10], "a success does");
}

#[test]
fn a4_i7_a_hint_is_obeyed_for_a_day_at_most() {
    let (pool, _) = pool(1);
    ask(&pool, "a", &hinted(99_999_999));
    ask(&pool, "b", &Verdict::new(Outcome::QuotaSpent).hint(hinted(99_999_999).hint));
    assert_eq!((rest(&pool, "a"), rest(&pool, "b")), (86_400, 86_400));
}

#[test]
fn a4_failures_without_a_hint_rest_10_30_60_120_and_7200_s_for_each_key_and_model() {
    let (pool, clock) = pool(1);
    assert_eq!(climb(&pool, &clock, "a", 6), [10, 30, 60, 120, 7_200, 7_200]);
    assert_eq!(climb(&pool, &clock, "b", 2), [10, 30], "each model for itself");
    assert_eq!(key_rest(&pool), 0);
    clock.pass(secs(7_200));
    serve(&pool, "a");
    assert_eq!(rest(&pool, "a"), 0, "a success deletes the cooldown");
    assert_eq!(climb(&pool, &clock, "a", 1), [10], "and the counter");
    assert_eq!(climb(&pool, &clock, "b", 1), [60], "of that model");
}

#[test]
fn a4_a_spent_quota_and_a_model_that_is_forbidden_rest_as_throttles_do() {
    let (pool, clock) = pool(1);
    let outcomes = [Outcome::QuotaSpent, Outcome::Forbidden, Outcome::Throttled, Outcome::QuotaSpent];
    for (outcome, expected) in outcomes.into_iter().zip([10, 30, 60, 120]) {
        ask(&pool, "a", &Verdict::new(outcome).scope(Scope::KeyModel));
        assert_eq!(rest(&pool, "a"), expected);
        clock.pass(secs(expected));
    }
}

#[test]
fn a4_i4_i15_what_is_not_the_keys_fault_is_no_failure() {
    let (pool, clock) = pool(1);
    assert_eq!(climb(&pool, &clock, "a", 1), [10]);
    clock.pass(secs(10));
    for outcome in
        [Outcome::Failed, Outcome::Overloaded, Outcome::Unreachable, Outcome::CallerFault, Outcome::Forbidden]
    {
        ask(&pool, "a", &Verdict::new(outcome));
        assert_eq!((rest(&pool, "a"), key_rest(&pool)), (0, 0), "{outcome}");
    }
    assert_eq!(climb(&pool, &clock, "a", 1), [30]);
}

#[test]
fn a4_i5_a_newer_shorter_rest_replaces_no_longer_one() {
    let (pool, _) = pool(1);
    let mut slow = take(&pool, "a").unwrap();
    slow.settle(&hinted(600), pool.now());
    slow.settle(&hinted(5), pool.now());
    assert_eq!(rest(&pool, "a"), 600);
}

#[test]
fn a4_i16_who_comes_first_after_a_rest_tries_and_the_others_wait_for_its_result() {
    let (pool, clock) = pool(1);
    ask(&pool, "a", &throttled());
    clock.pass(secs(10));
    let probe = take(&pool, "a").unwrap();
    assert!(probe.is_probe() && take(&pool, "a").is_none());
    drop(probe);
    assert!(take(&pool, "a").unwrap().is_probe());
}

#[test]
fn a4_401_rests_the_whole_key_for_five_minutes_each_time() {
    let (pool, clock) = pool(1);
    for _ in 0..5 {
        ask(&pool, "a", &Verdict::new(Outcome::Rejected));
        assert_eq!((key_rest(&pool), rest(&pool, "a")), (300, 0));
        assert!(take(&pool, "b").is_none());
        clock.pass(secs(300));
    }
    serve(&pool, "b");
    serve(&pool, "a");
}

#[test]
fn a4_i15_a_401_of_all_keys_is_not_theirs() {
    let (pool, _) = pool(4);
    let mut tried = Tried::default();
    let demand = key_commune::demand::Demand::default().model("m");
    while let Ok(mut lease) = pool.checkout(&demand, &mut tried, pool.now()) {
        lease.settle(&Verdict::new(Outcome::Rejected), pool.now());
    }
    assert_eq!(pool.snapshot().active(), 0);
    pool.give_up(pool.now());
    assert_eq!((pool.snapshot().active(), pool.snapshot().outage), (4, true));
}

#[test]
fn a4_three_models_at_the_last_step_rest_the_whole_key_for_five_minutes() {
    let (pool, clock) = pool(2);
    // One after the other, so that all are at their last step within two hours.
    for model in ["a", "b", "c"] {
        for step in [10, 30, 60, 120] {
            assert_eq!(ask(&pool, model, &throttled()), 0);
            clock.pass(secs(step));
        }
    }
    for (model, key_rests) in [("a", 0), ("b", 0), ("c", 300)] {
        assert_eq!(ask(&pool, model, &throttled()), 0);
        assert_eq!(key_rest(&pool), key_rests, "{model}");
    }
    assert_eq!((serve(&pool, "d"), serve(&pool, "d")), (1, 1));
    clock.pass(secs(300));
    assert_eq!(serve(&pool, "d"), 0, "tried, and back for models that do not rest");
    assert_eq!((rest(&pool, "c"), pool.snapshot().members[0].state), (6_900, State::Active));
}

#[test]
fn a4_a_success_is_no_reason_to_rest_the_key_again() {
    let (pool, clock) = pool(1);
    for model in ["a", "b", "c"] {
        climb(&pool, &clock, model, 4);
        clock.pass(secs(120));
    }
    ask(&pool, "d", &throttled());
    for model in ["a", "b", "c"] {
        ask(&pool, model, &throttled());
    }
    clock.pass(secs(300));
    serve(&pool, "e");
    let probe = serve(&pool, "d");
    assert_eq!((probe, key_rest(&pool), pool.snapshot().active()), (0, 0, 1));
    ask(&pool, "d", &throttled());
    assert_eq!(key_rest(&pool), 300, "another failure is");
}
