//! What rests beside a key, for one model or with others, is kept with the key that was refused for it.

use key_commune::demand::Demand;
use key_commune::hint::Hint;
use key_commune::outcome::{Outcome, Scope, Verdict};
use key_commune::pool::{self, Key, KeyPool, Lease, Tried};
use key_commune::record::{Change, Record, Rest, RestOf};
use key_commune::secret::{KeyId, Pepper};
use proptest::prelude::*;

use crate::support::{Hand, builder, key, secs};

const DAY: u64 = 86_400;

fn replica(clock: &Hand) -> KeyPool {
    builder(0).pepper(Pepper::new([7; 32])).clock(clock.clone()).build().unwrap()
}

/// Keys of these accounts; "" is none.
fn pool(clock: &Hand, groups: &[&str]) -> KeyPool {
    let pool = replica(clock);
    for (number, group) in groups.iter().enumerate() {
        let key = Key::new(key(number)).unwrap();
        pool.add(if group.is_empty() { key } else { key.group(group) }).unwrap();
    }
    pool
}

fn id(number: usize) -> KeyId {
    Pepper::new([7; 32]).id("openai", &key(number).parse().unwrap())
}

/// What the same pool is after a restart.
fn restarted(pool: &KeyPool, clock: &Hand) -> KeyPool {
    let next = replica(clock);
    next.merge(pool.drain(99));
    assert_eq!(rests(&next), rests(pool));
    assert!(next.drain(99).is_empty(), "the store knows it already");
    next
}

fn take(pool: &KeyPool, model: &str) -> Option<Lease> {
    pool.checkout(&Demand::default().model(model), &mut Tried::default(), pool.now()).ok()
}

/// A request with this key ends so, if it can be had.
fn ask(pool: &KeyPool, number: usize, verdict: &Verdict) -> bool {
    let mut held = Vec::new();
    while held.len() < 99
        && let Some(mut lease) = take(pool, "m")
    {
        if lease.key_id() == id(number) {
            lease.settle(verdict, pool.now());
            return true;
        }
        held.push(lease);
    }
    false
}

fn refuse(pool: &KeyPool, number: usize, scope: Scope) {
    assert!(ask(pool, number, &Verdict::new(Outcome::Throttled).scope(scope)));
}

fn throttle(scope: Scope, after: u64) -> Verdict {
    Verdict::new(Outcome::Throttled).scope(scope).hint(Some(Hint::after(secs(after))))
}

type Rests = (Option<pool::Rest>, Vec<(KeyId, Vec<pool::Rest>)>);

fn rests(pool: &KeyPool) -> Rests {
    let snapshot = pool.snapshot();
    let mut members: Vec<_> = snapshot.members.into_iter().map(|member| (member.id, member.rests)).collect();
    members.sort_by_key(|&(id, _)| id);
    (snapshot.rest, members)
}

fn only(changes: &[Change]) -> &Record {
    assert_eq!(changes.len(), 1, "{changes:?}");
    changes[0].record().unwrap()
}

#[test]
fn what_rests_beside_keys_outlives_their_pool() {
    let clock = Hand::new();
    let first = pool(&clock, &["a", "a", ""]);
    assert_eq!(first.drain(99).len(), 3);
    let none = rests(&first);
    assert!(ask(&first, 2, &throttle(Scope::KeyModel, 300)));
    assert!(ask(&first, 1, &throttle(Scope::Group, 200)));
    let before = rests(&first);
    assert_ne!(before, none);
    let told = first.drain(99);
    let records = told.iter().filter_map(Change::record);
    let resting: Vec<_> = records.filter(|record| !record.rests.is_empty()).map(|record| record.id).collect();
    assert!(resting.len() == 2 && !resting.contains(&id(0)), "who was refused remembers it");
    let second = pool(&clock, &["a", "a", ""]);
    second.merge(told);
    assert_eq!(rests(&second), before);
    assert_eq!(second.snapshot().active(), 3, "each of the keys is well");
    assert!(take(&second, "m").is_none(), "an account and a model rest");
    assert!(take(&second, "other").is_some());
    clock.pass(secs(200));
    let probe = take(&second, "m").unwrap();
    assert!(probe.is_probe() && take(&second, "m").is_none(), "and are probed when it is time (I16)");
}

#[test]
fn a_rest_of_all_keys_outlives_their_pool_and_the_longest_stands() {
    let clock = Hand::new();
    let (one, two) = (pool(&clock, &["", ""]), pool(&clock, &["", ""]));
    assert!(ask(&one, 0, &throttle(Scope::Pool, 100)));
    assert!(ask(&two, 1, &throttle(Scope::Pool, 200)));
    let (of_one, of_two) = (one.drain(99), two.drain(99));
    let orders = [[of_one.clone(), of_two.clone()].concat(), [of_two, of_one].concat()];
    let nexts = orders.map(|told| {
        let next = replica(&clock);
        next.merge(told);
        assert_eq!(next.snapshot().rest.unwrap().until, next.now() + secs(200));
        assert!(take(&next, "").is_none());
        next
    });
    clock.pass(secs(200));
    for next in nexts {
        let mut probe = take(&next, "m").unwrap();
        assert!(probe.is_probe());
        probe.settle(&Verdict::new(Outcome::Accepted), next.now());
        let heard = replica(&clock);
        heard.merge(next.drain(99));
        assert!(heard.snapshot().rest.is_none() && take(&heard, "").is_some(), "nobody bears it any more");
    }
}

#[test]
fn a_ladder_for_a_model_goes_on_where_it_was() {
    let clock = Hand::new();
    let mut pool = pool(&clock, &[""]);
    for rest in [60, 120, 240, 480] {
        refuse(&pool, 0, Scope::KeyModel);
        pool = restarted(&pool, &clock);
        let until = rests(&pool).1[0].1[0].until;
        assert_eq!(until - pool.now(), secs(rest));
        clock.pass(secs(rest));
    }
    assert!(ask(&pool, 0, &Verdict::new(Outcome::Accepted)));
    pool = restarted(&pool, &clock);
    assert!(!take(&pool, "m").unwrap().is_probe(), "nothing is held against it");
    refuse(&pool, 0, Scope::KeyModel);
    assert_eq!(rests(&pool).1[0].1[0].until - pool.now(), secs(60));
}

#[test]
fn what_was_over_for_a_day_is_left_out() {
    let clock = Hand::new();
    let first = pool(&clock, &["a"]);
    refuse(&first, 0, Scope::KeyModel);
    let told = first.drain(99);
    clock.pass(secs(60 + DAY - 1));
    let second = replica(&clock);
    second.merge(told.clone());
    assert!(take(&second, "m").unwrap().is_probe());
    clock.pass(secs(1));
    let third = replica(&clock);
    third.merge(told);
    assert!(!take(&third, "m").unwrap().is_probe());
    refuse(&third, 0, Scope::Group);
    assert_eq!(only(&third.drain(99)).rests.iter().count(), 1);
}

#[test]
fn what_was_ended_early_is_known_until_nobody_can_tell_of_it_any_more() {
    let clock = Hand::new();
    let pool = pool(&clock, &[""]);
    assert!(ask(&pool, 0, &throttle(Scope::KeyModel, DAY)));
    let told = pool.drain(9);
    pool.unblock(id(0));
    clock.pass(secs(DAY + 2));
    refuse_other(&pool, Scope::KeyModel);
    pool.merge(told);
    assert!(!take(&pool, "m").unwrap().is_probe());
}

#[test]
fn what_has_no_rest_grows_by_nothing() {
    let clock = Hand::new();
    let pool = pool(&clock, &["a"]);
    for outcome in [Outcome::Accepted, Outcome::CallerFault, Outcome::Throttled] {
        ask(&pool, 0, &Verdict::new(outcome));
    }
    pool.unblock(id(0));
    assert!(only(&pool.drain(99)).rests.is_empty());
}

#[test]
fn the_end_of_a_rest_is_told_to_others() {
    let clock = Hand::new();
    let one = pool(&clock, &["a", "a"]);
    let two = replica(&clock);
    for scope in [Scope::KeyModel, Scope::Group, Scope::Pool] {
        refuse(&one, 0, scope);
        let told = one.drain(99);
        two.merge(told.clone());
        assert_eq!(rests(&one), rests(&two));
        clock.pass(secs(5));
        assert!(one.unblock(id(0)), "long before its time");
        let end = one.drain(99);
        assert!(only(&end).rests.is_clear());
        two.merge(end.clone());
        two.merge(told);
        let ended = rests(&two);
        assert!(ended.0.is_none() && ended.1.iter().all(|(_, rests)| rests.is_empty()), "{scope:?}: {ended:?}");
        assert!(ask(&two, 0, &Verdict::new(Outcome::Accepted)));
        let late = replica(&clock);
        late.merge(end);
        assert!(!take(&late, "m").unwrap().is_probe(), "who comes late hears of the end alone");
        clock.pass(secs(DAY));
    }
}

#[test]
fn an_operator_clears_them_in_the_store() {
    let clock = Hand::new();
    let pool = pool(&clock, &["a"]);
    refuse(&pool, 0, Scope::KeyModel);
    refuse_other(&pool, Scope::Group);
    let mut record = only(&pool.drain(99)).clone();
    assert_eq!(record.rests.iter().filter(|rest| !rest.is_clear()).count(), 2);
    clock.pass(secs(1));
    assert!(record.rests.clear(pool.now()) && !record.rests.clear(pool.now()));
    pool.merge([record.into()]);
    assert_eq!(rests(&pool).1, [(id(0), vec![])]);
    assert!(pool.drain(9).is_empty(), "there is nothing to add");
    assert!(!take(&pool, "m").unwrap().is_probe());
}

fn refuse_other(pool: &KeyPool, scope: Scope) {
    let mut lease = take(pool, "other").unwrap();
    lease.settle(&Verdict::new(Outcome::Throttled).scope(scope), pool.now());
}

#[test]
fn a_store_that_has_lost_a_rest_is_told_again() {
    let clock = Hand::new();
    let pool = pool(&clock, &[""]);
    let old = pool.drain(9);
    refuse(&pool, 0, Scope::KeyModel);
    let told = pool.drain(9);
    pool.merge(old);
    assert_eq!(pool.drain(9), told);
    pool.merge(told);
    assert!(pool.drain(9).is_empty());
}

#[test]
fn a_key_that_has_moved_to_another_account_leaves_its_rest_behind() {
    let clock = Hand::new();
    let pool = pool(&clock, &["a", "a"]);
    refuse(&pool, 0, Scope::Group);
    let mut changes = pool.drain(99);
    for change in &mut changes {
        let Change::Put(record) = change else { continue };
        if record.id == id(0) {
            (record.traits.group, record.version) = (Some("b".into()), record.version + 1);
        }
    }
    let next = replica(&clock);
    next.merge(changes);
    assert_eq!(next.snapshot().member(id(0)).unwrap().traits.group.as_deref(), Some("b"));
    assert!(take(&next, "m").is_some() && rests(&next).1.iter().all(|(_, rests)| rests.is_empty()));
}

#[test]
fn i19_no_flood_of_models_is_remembered_or_told_apart() {
    let clock = Hand::new();
    let pool = pool(&clock, &[""]);
    for number in 0..40 {
        let mut lease = take(&pool, &format!("model {number:02}")).unwrap();
        lease.settle(&throttle(Scope::KeyModel, 600), pool.now());
        clock.pass(secs(1));
    }
    let told = pool.drain(9);
    let names: Vec<_> = only(&told).rests.iter().map(|rest| rest.of.clone()).collect();
    let last: Vec<_> = (8..40).map(|number| RestOf::Model(format!("model {number:02}").into())).collect();
    assert_eq!(names, last, "those that were refused last");
    let next = self::pool(&clock, &[""]);
    refuse(&next, 0, Scope::KeyModel);
    let many = (1..20).map(|number| {
        let mut record = Record::new(id(number), "openai", key(number).parse().unwrap());
        for rest in only(&told).rests.iter().cloned() {
            record.rests.note(Rest { of: RestOf::Model(format!("{:?} of {number}", rest.of).into()), ..rest });
        }
        Change::from(record)
    });
    next.merge(many);
    let resting: usize = rests(&next).1.iter().map(|(_, rests)| rests.len()).sum();
    assert_eq!(resting, 256);
    assert_eq!(next.snapshot().member(id(0)).unwrap().rests.len(), 1, "what was known before is not forgotten for it");
}

/// Replicas that hear of each other late, twice and in any order come to the same (I20).
#[test]
fn i20_pools_that_have_heard_the_same_rests_are_the_same() {
    let actions = prop::collection::vec((0..3_usize, 0..3_usize, 0..6_u8), 1..40);
    proptest!(|(actions in actions, order in any::<u64>())| {
        let clock = Hand::new();
        let pools: Vec<_> = (0..3).map(|_| pool(&clock, &["a", "a", "b"])).collect();
        let mut told: Vec<Change> = Vec::new();
        for (at, number, action) in actions {
            act(&pools[at], number, action);
            clock.pass(secs(7));
            told.extend(pools[at].drain(99));
        }
        for (turn, pool) in pools.iter().enumerate() {
            let mut heard = [told.clone(), told.clone()].concat();
            super::replicas::shuffle(&mut heard, order.wrapping_add(turn as u64));
            pool.merge(heard);
        }
        let found: Vec<_> = pools.iter().map(rests).collect();
        prop_assert_eq!(&found[0], &found[1]);
        prop_assert_eq!(&found[0], &found[2]);
    });
}

fn act(pool: &KeyPool, number: usize, action: u8) {
    let throttled = |scope| Verdict::new(Outcome::Throttled).scope(scope);
    match action {
        0 => drop(pool.unblock(id(number))),
        1 => drop(ask(pool, number, &Verdict::new(Outcome::Accepted))),
        2 => drop(ask(pool, number, &throttled(Scope::Group))),
        3 => drop(ask(pool, number, &throttle(Scope::Pool, 20))),
        4 => drop(ask(pool, number, &throttle(Scope::KeyModel, 50))),
        _ => drop(ask(pool, number, &throttled(Scope::KeyModel))),
    }
}
