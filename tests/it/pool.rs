//! The pool alone: leases, rests, probes, waiting, outages. Each invariant by its name.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use key_commune::demand::Demand;
use key_commune::health::{Ladder, Reason, State};
use key_commune::hint::Hint;
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::{Key, KeyPool, Lease, MemberSnapshot, PoolError, Tried};
use key_commune::provider::Provider;
use key_commune::record::Change;
use key_commune::select::{Candidates, FillFirst, LeastUsed, NextTwo, Place, RoundRobin, Select};

use crate::support::{Hand, builder, checkout, complete, key, keys, plain, secs, tokio_clock};

fn pool(count: usize) -> (KeyPool, Hand) {
    let clock = Hand::new();
    (builder(count).clock(clock.clone()).build().unwrap(), clock)
}

fn settle(pool: &KeyPool, mut lease: Lease, outcome: Outcome) {
    lease.settle(&Verdict::new(outcome), pool.now());
}

fn in_flight(pool: &KeyPool) -> u32 {
    pool.snapshot().members.iter().map(|member| member.in_flight).sum()
}

#[test]
fn a_pool_refuses_bad_keys_in_one_clear_sentence() {
    let refusal = |keys: Vec<&str>| KeyPool::new(Provider::OPENAI, keys).unwrap_err().to_string();
    assert_eq!(refusal(vec![]), "a pool needs at least one key");
    assert_eq!(refusal(vec!["sk-good-0123456789", ""]), "key 2 cannot be used: the key is empty");
    let blank = refusal(vec!["sk-a b"]);
    assert_eq!(
        blank,
        "key 1 cannot be used: the key has a blank, a control character or a non-ASCII character at byte 4"
    );
    let twice = refusal(vec!["sk-good-0123456789", "sk-good-0123456789"]);
    assert_eq!(twice, "the key sk-g..6789 is in the pool already");
    let full = KeyPool::builder(Provider::OPENAI).max_keys(1).keys(keys(2)).build().unwrap_err();
    assert_eq!(full, PoolError::Full(1));
    let azure = KeyPool::new(Provider::AZURE_OPENAI, ["sk-good-0123456789"]).unwrap_err();
    assert_eq!(azure.to_string(), "the provider azure-openai needs a base URL");
}

#[test]
fn two_choices_spreads_evenly() {
    let (pool, _) = pool(10);
    for _ in 0..1_000 {
        settle(&pool, checkout(&pool).unwrap(), Outcome::Accepted);
    }
    for member in pool.snapshot().members {
        assert!((95..=105).contains(&member.uses), "{} uses", member.uses);
    }
}

#[test]
fn round_robin_steps_over_resting_keys_without_loading_their_neighbour() {
    let clock = Hand::new();
    let pool = builder(4).clock(clock).select(RoundRobin::default()).build().unwrap();
    let first = checkout(&pool).unwrap();
    settle(&pool, first, Outcome::Rejected);
    let mut uses = HashMap::new();
    for _ in 0..300 {
        let lease = checkout(&pool).unwrap();
        *uses.entry(lease.key_id()).or_insert(0) += 1;
        settle(&pool, lease, Outcome::Accepted);
    }
    assert_eq!(uses.into_values().collect::<Vec<_>>(), [100, 100, 100]);
}

#[test]
fn next_two_steps_over_resting_keys_without_loading_their_neighbours() {
    let pool = builder(6).clock(Hand::new()).select(NextTwo::default()).build().unwrap();
    for member in &pool.snapshot().members[2..4] {
        pool.disable(member.id);
    }
    for _ in 0..400 {
        settle(&pool, checkout(&pool).unwrap(), Outcome::Accepted);
    }
    let uses: Vec<_> = pool.snapshot().members.iter().map(|member| member.uses).collect();
    assert_eq!(uses, [100, 100, 0, 0, 100, 100]);
}

#[test]
fn least_used_and_fill_first_do_as_they_say() {
    let least = builder(3).select(LeastUsed).build().unwrap();
    let held: Vec<_> = (0..3).map(|_| checkout(&least).unwrap()).collect();
    assert_eq!(held.iter().map(Lease::key_id).collect::<std::collections::HashSet<_>>().len(), 3);
    let fill = builder(3).select(FillFirst).build().unwrap();
    let first = fill.snapshot().members[0].id;
    assert!((0..10).all(|_| checkout(&fill).unwrap().key_id() == first));
}

#[test]
fn i6_a_burst_of_failures_is_one_strike() {
    for order in [false, true] {
        let (pool, clock) = pool(1);
        let mut leases: Vec<_> = (0..1_000).map(|_| checkout(&pool).unwrap()).collect();
        if order {
            leases.reverse();
        }
        for lease in leases {
            settle(&pool, lease, Outcome::Throttled);
        }
        let member = pool.snapshot().members[0].clone();
        assert_eq!((member.state, member.throttles, member.throttles_today), (State::Resting, 1, 1_000));
        clock.pass(secs(60));
        settle(&pool, checkout(&pool).unwrap(), Outcome::Throttled);
        assert_eq!(pool.snapshot().members[0].throttles, 2, "the next episode counts");
    }
}

#[test]
fn i5_i6_attack_33_a_late_success_ends_no_rest() {
    let (pool, _) = pool(1);
    let early = checkout(&pool).unwrap();
    let late = checkout(&pool).unwrap();
    settle(&pool, late, Outcome::Rejected);
    settle(&pool, early, Outcome::Accepted);
    assert_eq!(pool.snapshot().members[0].state, State::Resting);
}

#[test]
fn i8_a_caller_that_hangs_up_says_nothing() {
    let (pool, _) = pool(1);
    drop(checkout(&pool).unwrap());
    let member = &pool.snapshot().members[0];
    assert_eq!((member.state, member.throttles, member.rejections, member.in_flight), (State::Active, 0, 0, 0));
}

#[test]
fn i8_an_error_after_an_acceptance_is_still_heard() {
    let (pool, _) = pool(1);
    let mut lease = checkout(&pool).unwrap();
    lease.settle(&Verdict::new(Outcome::Accepted), pool.now());
    lease.settle(&Verdict::new(Outcome::Throttled), pool.now());
    assert_eq!(pool.snapshot().members[0].state, State::Resting);
}

#[test]
fn i16_one_real_request_probes_and_the_others_wait_for_its_result() {
    let (pool, clock) = pool(1);
    settle(&pool, checkout(&pool).unwrap(), Outcome::Throttled);
    assert_eq!(checkout(&pool).unwrap_err().soonest, Some(pool.now() + secs(60)));
    clock.pass(secs(60));
    let probe = checkout(&pool).unwrap();
    assert!(probe.is_probe());
    assert_eq!(checkout(&pool).unwrap_err().soonest, Some(pool.now() + secs(1)), "any moment now");
    settle(&pool, probe, Outcome::Accepted);
    let member = pool.snapshot().members[0].clone();
    assert_eq!((member.state, member.throttles), (State::Active, 0));
    assert!(!checkout(&pool).unwrap().is_probe());
}

#[test]
fn i16_attack_38_a_probe_that_is_dropped_or_silent_gives_its_permit_back() {
    let (pool, clock) = pool(1);
    settle(&pool, checkout(&pool).unwrap(), Outcome::Throttled);
    clock.pass(secs(60));
    drop(checkout(&pool).unwrap());
    let silent = checkout(&pool).unwrap();
    assert!(silent.is_probe(), "the next request probes at once");
    clock.pass(secs(29));
    assert!(checkout(&pool).is_err());
    clock.pass(secs(1));
    let second = checkout(&pool).unwrap();
    assert!(second.is_probe());
    settle(&pool, silent, Outcome::Throttled);
    assert_eq!(pool.snapshot().members[0].throttles, 1, "the silent probe's failure is a straggler");
    settle(&pool, second, Outcome::Accepted);
    assert_eq!(pool.snapshot().members[0].state, State::Active);
}

#[test]
fn a_request_probes_once_and_then_uses_keys_that_work() {
    let (pool, clock) = pool(4);
    for _ in 0..2 {
        settle(&pool, checkout(&pool).unwrap(), Outcome::Throttled);
    }
    clock.pass(secs(60));
    let tried = &mut Tried::default();
    let first = pool.checkout(&Demand::default(), tried, pool.now()).unwrap();
    assert!(first.is_probe());
    settle(&pool, first, Outcome::Throttled);
    assert!(!pool.checkout(&Demand::default(), tried, pool.now()).unwrap().is_probe());
}

#[test]
fn i23_a_request_tries_each_member_once_and_at_most_sixteen() {
    let (pool, _) = pool(20);
    let tried = &mut Tried::default();
    let mut seen = std::collections::HashSet::new();
    while let Ok(lease) = pool.checkout(&Demand::default(), tried, pool.now()) {
        assert!(seen.insert(lease.key_id()), "no key twice");
        settle(&pool, lease, Outcome::Rejected);
    }
    assert_eq!((seen.len(), tried.count()), (16, 16));
    assert!(!pool.may_fail_over(tried));
}

#[test]
fn i15_an_outage_is_not_the_keys_fault() {
    let (pool, _) = pool(5);
    let tried = &mut Tried::default();
    while let Ok(lease) = pool.checkout(&Demand::default(), tried, pool.now()) {
        settle(&pool, lease, Outcome::Rejected);
    }
    assert_eq!(pool.snapshot().active(), 0, "a request finishes its rotation first");
    pool.give_up(pool.now());
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.active(), snapshot.outage), (5, true), "rolled back");
    let tried = &mut Tried::default();
    settle(&pool, pool.checkout(&Demand::default(), tried, pool.now()).unwrap(), Outcome::Rejected);
    assert_eq!(pool.snapshot().active(), 5, "striking has stopped");
    assert!(!pool.may_fail_over(tried), "new requests make one attempt");
    settle(&pool, checkout(&pool).unwrap(), Outcome::Accepted);
    assert!(!pool.snapshot().outage, "until a key succeeds");
    settle(&pool, checkout(&pool).unwrap(), Outcome::Rejected);
    assert_eq!(pool.snapshot().active(), 4);
}

#[test]
fn i15_failures_before_a_success_stand() {
    let (pool, _) = pool(10);
    let tried = &mut Tried::default();
    for _ in 0..9 {
        settle(&pool, pool.checkout(&Demand::default(), tried, pool.now()).unwrap(), Outcome::Rejected);
    }
    settle(&pool, pool.checkout(&Demand::default(), tried, pool.now()).unwrap(), Outcome::Accepted);
    pool.give_up(pool.now());
    assert_eq!((pool.snapshot().active(), pool.snapshot().outage), (1, false));
}

#[test]
fn i15_a_minority_is_no_outage_and_hints_are_always_obeyed() {
    let (pool, _) = pool(8);
    let held: Vec<_> = (0..8).map(|_| checkout(&pool).unwrap()).collect();
    drop(held);
    let tried = &mut Tried::default();
    for _ in 0..4 {
        settle(&pool, pool.checkout(&Demand::default(), tried, pool.now()).unwrap(), Outcome::Throttled);
    }
    pool.give_up(pool.now());
    assert_eq!((pool.snapshot().active(), pool.snapshot().outage), (4, false), "4 of 8 is not over half");
    let hinted = Verdict::new(Outcome::Throttled).hint(Some(Hint::after(secs(20))));
    while let Ok(mut lease) = pool.checkout(&Demand::default(), tried, pool.now()) {
        lease.settle(&hinted, pool.now());
    }
    pool.give_up(pool.now());
    assert_eq!((pool.snapshot().active(), pool.snapshot().outage), (0, false));
}

#[test]
fn i15_attack_35_ten_minutes_of_401_retire_nobody() {
    let clock = Hand::new();
    let pool = builder(200).clock(clock.clone()).build().unwrap();
    for _ in 0..6_000 {
        clock.pass(Duration::from_millis(100));
        let tried = &mut Tried::default();
        while let Ok(lease) = pool.checkout(&Demand::default(), tried, pool.now()) {
            settle(&pool, lease, Outcome::Rejected);
            if !pool.may_fail_over(tried) {
                break;
            }
        }
        pool.give_up(pool.now());
    }
    let snapshot = pool.snapshot();
    assert!(snapshot.members.iter().all(|member| member.state != State::Retired));
    settle(&pool, checkout(&pool).unwrap(), Outcome::Accepted);
    assert!(pool.snapshot().active() >= 150, "full service at once: {} active", pool.snapshot().active());
}

#[test]
fn keys_come_and_go_at_run_time() {
    let (pool, clock) = pool(2);
    let id = pool.add(Key::new(key(9)).unwrap().label("late")).unwrap();
    assert_eq!(pool.snapshot().member(id).unwrap().label.as_deref(), Some("late"));
    assert!(pool.disable(id));
    assert_eq!(pool.snapshot().member(id).unwrap().reason, Some(Reason::Disabled));
    assert!((0..50).all(|_| checkout(&pool).unwrap().key_id() != id));
    clock.pass(secs(1_000_000));
    assert!((0..50).all(|_| checkout(&pool).unwrap().key_id() != id), "only an operator brings it back");
    assert!(pool.unblock(id));
    assert!((0..50).any(|_| checkout(&pool).unwrap().key_id() == id));
    assert!(pool.block(id, pool.now() + secs(5)));
    assert_eq!(pool.snapshot().member(id).unwrap().state, State::Resting);
    assert!(pool.remove(id) && !pool.remove(id) && !pool.unblock(id));
    assert_eq!(pool.snapshot().members.len(), 2);
}

#[test]
fn a_snapshot_shows_what_was_said_about_a_key() {
    let (pool, _) = pool(1);
    let id = pool.add(complete(9)).unwrap();
    let json = |member: &MemberSnapshot| {
        let json = serde_json::to_value(member).unwrap();
        ["label", "origin", "weight", "tier", "group", "models"].map(|name| json[name].clone())
    };
    let snapshot = pool.snapshot();
    let all = serde_json::json!(["blue", "https://other.example/v1", 2, 1, "acct-a", "gpt-4,gpt-4o*,others"]);
    assert_eq!(serde_json::to_value(json(snapshot.member(id).unwrap())).unwrap(), all);
    let none = serde_json::json!([null, null, 1, 0, null, null]);
    assert_eq!(serde_json::to_value(json(&snapshot.members[0])).unwrap(), none);
}

#[test]
fn the_name_of_a_group_is_bounded_as_a_label_is_and_empty_is_none() {
    let (pool, _) = pool(0);
    let group = |group: &str| {
        let key = Key::new(key(1)).unwrap().group(group);
        let id = pool.add(key).unwrap();
        let group = pool.snapshot().member(id).unwrap().traits.group.clone();
        pool.remove(id);
        group
    };
    assert_eq!(group("acct-a").as_deref(), Some("acct-a"));
    assert_eq!(group(&format!("a\x1b\n{}", "ü".repeat(60))), Some(format!("a{}", "ü".repeat(31)).into()));
    assert_eq!((group(""), group("\n")), (None, None));
}

#[test]
fn a_label_is_cut_to_its_bound_between_letters_and_holds_no_control_characters() {
    let (pool, _) = pool(0);
    let id = pool.add(Key::new(key(1)).unwrap().label(&format!("a\x1b[2J\n{}", "ü".repeat(60)))).unwrap();
    assert_eq!(pool.snapshot().member(id).unwrap().label, Some(format!("a[2J{}", "ü".repeat(30))));
}

#[test]
fn attack_34_an_answer_for_a_removed_key_changes_nothing() {
    let (pool, _) = pool(1);
    let lease = checkout(&pool).unwrap();
    pool.remove(lease.key_id());
    let other = pool.add(Key::new(key(5)).unwrap()).unwrap();
    settle(&pool, lease, Outcome::Rejected);
    assert_eq!(pool.snapshot().member(other).unwrap().state, State::Active, "even at the same place");
    assert_eq!(in_flight(&pool), 0);
}

#[test]
fn drain_tells_each_change_once_in_its_last_state() {
    let (pool, _) = pool(2);
    let (first, second) = (pool.drain(1), pool.drain(9));
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
    assert!(pool.drain(9).is_empty());
    let lease = checkout(&pool).unwrap();
    let id = lease.key_id();
    settle(&pool, lease, Outcome::Rejected);
    pool.unblock(id);
    let changes = pool.drain(9);
    let [Change::Put(record)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((record.id, record.condition.state, record.version), (id, State::Active, 2));
    pool.remove(id);
    let changes = pool.drain(9);
    assert!(matches!(&changes[..], [Change::Gone(gone)] if gone.id == id && gone.generation == 0), "{changes:?}");
    assert!(pool.drain(9).is_empty());
}

#[test]
fn a_snapshot_prints_as_a_table_without_secrets() {
    let (pool, clock) = pool(2);
    settle(&pool, checkout(&pool).unwrap(), Outcome::Throttled);
    clock.pass(secs(18));
    let text = pool.snapshot().to_string();
    assert!(text.starts_with("openai: 1 of 2 keys active, 0 waiting\n"), "{text}");
    assert!(text.contains("throttled, 42 s to go") && text.contains("sk-t..wxyz"), "{text}");
    let json = serde_json::to_string(&pool.snapshot()).unwrap();
    assert!(json.contains(r#""state":"resting","reason":{"outcome":"throttled"}"#), "{json}");
    for output in [text, json, format!("{pool:?}")] {
        assert!(!output.contains("abcdefgh"), "no part of a key: {output}");
    }
}

#[test]
fn attack_85_a_strategy_that_panics_costs_nobody_a_request() {
    struct Broken;
    impl Select for Broken {
        fn select(&self, _: &dyn Candidates, _: &Demand) -> Option<Place> {
            panic!("not my day")
        }
    }
    let pool = builder(3).select(Broken).build().unwrap();
    for _ in 0..10 {
        settle(&pool, checkout(&pool).unwrap(), Outcome::Accepted);
    }
    assert_eq!(in_flight(&pool), 0);
}

#[test]
fn a_strategy_that_names_nonsense_is_overruled() {
    struct Nonsense;
    impl Select for Nonsense {
        fn select(&self, _: &dyn Candidates, _: &Demand) -> Option<Place> {
            Some(77)
        }
    }
    let pool = builder(3).select(Nonsense).build().unwrap();
    assert!(checkout(&pool).is_ok());
}

#[tokio::test(start_paused = true)]
async fn i14_waiters_are_served_first_come_first_served() {
    let pool = builder(1).clock(tokio_clock()).build().unwrap();
    settle(&pool, checkout(&pool).unwrap(), Outcome::Throttled);
    let (send, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..20 {
        let (pool, send) = (pool.clone(), send.clone());
        tokio::spawn(async move {
            let deadline = pool.now() + secs(600);
            let lease = pool.wait(&Demand::default(), &Tried::default(), deadline).await.unwrap();
            send.send((number, lease.is_probe())).unwrap();
            tokio::time::sleep(secs(1)).await;
            settle(&pool, lease, Outcome::Accepted);
        });
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.snapshot().waiting, 20);
    let started = tokio::time::Instant::now();
    assert_eq!(order.recv().await, Some((0, true)));
    assert_eq!(started.elapsed().as_secs(), 60, "woken when the rest ends");
    for number in 1..20 {
        assert_eq!(order.recv().await, Some((number, false)));
    }
    assert_eq!(started.elapsed().as_secs(), 61, "by the probe's success, all at once");
    tokio::time::sleep(secs(2)).await;
    assert_eq!((pool.snapshot().waiting, in_flight(&pool)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn i14_a_cancelled_waiter_passes_its_lease_on() {
    let pool = builder(1).clock(tokio_clock()).build().unwrap();
    settle(&pool, checkout(&pool).unwrap(), Outcome::Throttled);
    let deadline = pool.now() + secs(600);
    let mut first = Box::pin(pool.wait(&Demand::default(), &Tried::default(), deadline));
    let mut second = pin!(pool.wait(&Demand::default(), &Tried::default(), deadline));
    let waker = std::task::Waker::noop();
    let context = &mut std::task::Context::from_waker(waker);
    assert!(first.as_mut().poll(context).is_pending() && second.as_mut().poll(context).is_pending());
    tokio::time::advance(secs(61)).await;
    assert!(second.as_mut().poll(context).is_pending(), "the permit is the first one's, though it has not looked");
    drop(first);
    assert!(second.await.unwrap().is_probe());
    assert_eq!((pool.snapshot().waiting, in_flight(&pool)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn i14_a_waiter_gives_up_at_its_deadline_and_the_queue_is_bounded() {
    let pool = builder(1).clock(tokio_clock()).max_waiting(1).build().unwrap();
    settle(&pool, checkout(&pool).unwrap(), Outcome::Rejected);
    let started = tokio::time::Instant::now();
    let wait = |seconds| pool.wait(&Demand::default(), &Tried::default(), pool.now() + secs(seconds));
    let (first, second) = tokio::join!(wait(5), wait(5));
    assert_eq!(first.unwrap_err().soonest, Some(pool.now() + secs(55)));
    assert!(second.is_err(), "the queue holds one");
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_joins_is_handed_to_whoever_waits() {
    let pool =
        builder(1).clock(tokio_clock()).penalties(plain().rejected(Ladder::steps([]).retires_at(1))).build().unwrap();
    settle(&pool, checkout(&pool).unwrap(), Outcome::Rejected);
    assert_eq!(checkout(&pool).unwrap_err().soonest, None, "the only key is retired");
    let waiting = {
        let pool = pool.clone();
        tokio::spawn(async move {
            let deadline = pool.now() + secs(60);
            pool.wait(&Demand::default(), &Tried::default(), deadline).await.map(|lease| lease.key_id())
        })
    };
    tokio::time::sleep(secs(1)).await;
    let id = pool.add(Key::new(key(4)).unwrap()).unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(id));
}

#[test]
fn i24_everything_returns_to_zero() {
    let (pool, clock) = pool(7);
    let outcomes = [Outcome::Accepted, Outcome::Throttled, Outcome::Aborted, Outcome::CallerFault, Outcome::Failed];
    let mut held = Vec::new();
    for round in 0..5_000_usize {
        clock.pass(Duration::from_millis(500));
        held.extend(checkout(&pool).ok());
        if held.len() > round % 9 {
            settle(&pool, held.swap_remove(round % held.len()), outcomes[round % outcomes.len()]);
        }
    }
    drop(held);
    assert_eq!(in_flight(&pool), 0);
    clock.pass(secs(100_000));
    (0..7).for_each(|_| settle(&pool, checkout(&pool).unwrap(), Outcome::Accepted));
    assert_eq!(pool.snapshot().active(), 7, "no permit was lost");
}
