//! Which key serves: sessions that stay where they are, weights, tiers, latency.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use key_commune::demand::Demand;
use key_commune::hint::Hint;
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::{Key, KeyPool, Lease, Tried};
use key_commune::secret::{KeyId, Pepper};
use key_commune::select::{
    Candidates, FillFirst, LeastUsed, NextTwo, PeakEwma, Place, RoundRobin, Select, Sticky, TwoChoices,
};

use crate::support::{Hand, builder, checkout, key, keys, secs};

/// A pool whose ids are the same in every run.
fn pool(keys: impl IntoIterator<Item = Key>, strategy: impl Select + 'static) -> (KeyPool, Hand) {
    let clock = Hand::new();
    // Requests come at one instant: at no pace.
    let builder = builder(0).keys(keys).pepper(Pepper::new([7; 32])).clock(clock.clone()).learn_pace(false);
    (builder.select(strategy).build().unwrap(), clock)
}

fn sticky(count: usize) -> (KeyPool, Hand) {
    pool(keys(count), Sticky::new(TwoChoices))
}

fn session(number: usize) -> Demand {
    Demand::default().session(&format!("session-{number}"))
}

fn lease(pool: &KeyPool, demand: &Demand) -> Lease {
    pool.checkout(demand, &mut Tried::default(), pool.now()).unwrap()
}

/// The key that serves a request.
fn serve(pool: &KeyPool, demand: &Demand) -> KeyId {
    let mut lease = lease(pool, demand);
    lease.settle(&Verdict::new(Outcome::Accepted), pool.now());
    lease.key_id()
}

fn throttle(pool: &KeyPool, mut lease: Lease, rest: Duration) {
    lease.settle(&Verdict::new(Outcome::Throttled).hint(Some(Hint::after(rest))), pool.now());
}

fn ids(pool: &KeyPool) -> Vec<KeyId> {
    pool.snapshot().members.iter().map(|member| member.id).collect()
}

fn uses(pool: &KeyPool) -> Vec<u64> {
    pool.snapshot().members.iter().map(|member| member.uses).collect()
}

/// How far these counts are from their expectations.
fn chi_square(counts: impl IntoIterator<Item = (u64, f64)>) -> f64 {
    counts.into_iter().map(|(count, expected)| (count as f64 - expected).powi(2) / expected).sum()
}

#[test]
fn a_session_stays_with_its_key_while_that_is_healthy() {
    let (pool, clock) = sticky(20);
    let sick = ids(&pool)[0];
    let homes: Vec<_> = (0..200).map(|number| serve(&pool, &session(number))).collect();
    for round in 0..50 {
        clock.pass(secs(1));
        // Another key rests, comes due and waits for somebody to try it, over and over.
        pool.block(sick, pool.now() + secs(round % 3));
        for (number, &home) in homes.iter().enumerate().filter(|&(_, &home)| home != sick) {
            assert_eq!(serve(&pool, &session(number)), home, "session {number} in round {round}");
        }
    }
}

#[test]
fn sessions_use_all_keys_evenly() {
    let (pool, _) = sticky(300);
    (0..30_000).for_each(|number| _ = serve(&pool, &session(number)));
    // 299 degrees of freedom, at a significance of 1 %, both sides.
    let chi = chi_square(uses(&pool).into_iter().map(|uses| (uses, 100.0)));
    assert!((239.8..365.8).contains(&chi), "{chi}");
}

#[test]
fn a_new_key_takes_its_share_of_the_sessions_and_moves_no_other() {
    let (pool, _) = sticky(199);
    let homes = |pool: &KeyPool| (0..20_000).map(|number| serve(pool, &session(number))).collect::<Vec<_>>();
    let before = homes(&pool);
    let new = pool.add(Key::new(key(199)).unwrap()).unwrap();
    let after = homes(&pool);
    let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!(moved.iter().all(|&(_, &after)| after == new));
    let share = moved.len() as f64 / 20_000.0;
    assert!((0.002..0.008).contains(&share), "{share}");
    pool.remove(new);
    assert_eq!(homes(&pool), before);
}

/// A pool in which every other key, so many of them, serves `m`, and the others serve `x`.
fn half_of(serving: usize) -> KeyPool {
    let models = |(number, key): (usize, Key)| key.models(["m", "x"][number % 2].parse().unwrap());
    pool(keys(2 * serving).into_iter().enumerate().map(models), Sticky::new(TwoChoices)).0
}

/// Which keys the sessions that ask for `m` go to.
fn homes_for_m(pool: &KeyPool, sessions: usize) -> Vec<KeyId> {
    (0..sessions).map(|number| serve(pool, &session(number).model("m"))).collect()
}

#[test]
fn sessions_keep_to_their_keys_and_use_them_evenly_among_those_that_serve_their_model() {
    let pool = half_of(150);
    let homes = homes_for_m(&pool, 15_000);
    let shares = uses(&pool);
    assert!(shares.iter().skip(1).step_by(2).all(|&uses| uses == 0), "those do not serve it");
    // 149 degrees of freedom, at a significance of 1 %, both sides.
    let chi = chi_square(shares.into_iter().step_by(2).map(|uses| (uses, 100.0)));
    assert!((108.3..197.2).contains(&chi), "{chi}");
    assert!(homes == homes_for_m(&pool, 15_000), "the same key for all requests of a session");
}

#[test]
fn a_new_key_takes_its_share_of_the_sessions_of_the_model_that_it_serves() {
    let pool = half_of(199);
    let before = homes_for_m(&pool, 20_000);
    let key = |number, models: &str| Key::new(key(number)).unwrap().models(models.parse().unwrap());
    pool.add(key(1_000, "x")).unwrap();
    assert!(before == homes_for_m(&pool, 20_000), "it serves another");
    let new = pool.add(key(1_001, "m")).unwrap();
    let after = homes_for_m(&pool, 20_000);
    let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!(moved.iter().all(|&(_, &after)| after == new));
    let share = moved.len() as f64 / 20_000.0;
    assert!((0.002..0.008).contains(&share), "{share}");
}

#[test]
fn sessions_of_a_key_that_rests_may_be_left_to_the_other_strategy() {
    let (pool, clock) = pool(keys(10), Sticky::new(FillFirst).spread(false));
    let homes: Vec<_> = (0..200).map(|number| serve(&pool, &session(number))).collect();
    let number = homes.iter().position(|&home| home == ids(&pool)[5]).unwrap();
    throttle(&pool, lease(&pool, &session(number)), secs(60));
    for (number, &home) in homes.iter().enumerate() {
        let expected = if home == ids(&pool)[5] { ids(&pool)[0] } else { home };
        assert_eq!(serve(&pool, &session(number)), expected);
    }
    clock.pass(secs(60));
    assert!(homes.iter().enumerate().all(|(number, &home)| serve(&pool, &session(number)) == home));
}

#[test]
fn sessions_know_their_keys_by_the_pepper_in_whatever_order_the_keys_come() {
    let (here, _) = sticky(20);
    let (there, _) = pool(keys(20).into_iter().rev(), Sticky::new(RoundRobin::default()));
    assert!((0..200).all(|number| serve(&here, &session(number)) == serve(&there, &session(number))));
    let keys_of = |pepper: u8| {
        let pool = builder(20).pepper(Pepper::new([pepper; 32])).select(Sticky::new(TwoChoices)).build().unwrap();
        let place = |id| ids(&pool).iter().position(|&other| other == id);
        (0..200).map(|number| place(serve(&pool, &session(number)))).collect::<Vec<_>>()
    };
    let same = keys_of(1).iter().zip(keys_of(2)).filter(|&(one, two)| *one == two).count();
    assert!(same < 30, "nobody can tell a session's key without the pepper, but {same} are the same");
}

#[test]
fn the_sessions_of_a_key_that_rests_are_spread_over_all_others_and_come_back() {
    let (pool, clock) = sticky(10);
    let homes: Vec<_> = (0..1_000).map(|number| serve(&pool, &session(number))).collect();
    throttle(&pool, lease(&pool, &session(0)), secs(60));
    let mut spilled = HashMap::new();
    for (number, &home) in homes.iter().enumerate() {
        let id = serve(&pool, &session(number));
        assert_eq!(id == home, home != homes[0]);
        if home == homes[0] {
            assert_eq!(serve(&pool, &session(number)), id, "always the same one");
            *spilled.entry(id).or_insert(0) += 1;
        }
    }
    assert!(spilled.len() == 9 && spilled.values().all(|&count| count < 30), "{spilled:?}");
    clock.pass(secs(61));
    assert!(lease(&pool, &session(0)).is_probe(), "its own sessions try it out");
    assert!(homes.iter().enumerate().all(|(number, &home)| serve(&pool, &session(number)) == home));
}

#[test]
fn a_request_of_a_session_that_fails_goes_on_with_its_next_key() {
    let (pool, _) = sticky(5);
    let order = |number: usize| {
        let mut tried = Tried::default();
        let mut next = || pool.checkout(&session(number), &mut tried, pool.now()).ok().map(|lease| lease.key_id());
        std::iter::from_fn(&mut next).collect::<Vec<_>>()
    };
    assert!((0..50).all(|number| order(number) == order(number) && order(number).len() == 5));
    assert!(
        (0..50).map(order).collect::<HashSet<_>>().len() > 30,
        "sessions rank the keys each in an order of its own"
    );
}

#[test]
fn requests_without_a_session_are_left_to_the_other_strategy() {
    let (pool, _) = pool(keys(3), Sticky::new(RoundRobin::default()));
    (0..30).for_each(|_| _ = serve(&pool, &Demand::default()));
    assert_eq!(uses(&pool), [10, 10, 10]);
}

fn weighing(weights: &[u8]) -> Vec<Key> {
    keys(weights.len()).into_iter().zip(weights).map(|(key, &weight)| key.weight(weight)).collect()
}

#[test]
fn a_key_of_twice_the_weight_gets_twice_the_requests() {
    let weights = [1, 2, 3, 4];
    let check = |name: &str, (pool, _): (KeyPool, Hand), slack: u64| {
        (0..10_000).for_each(|_| _ = serve(&pool, &Demand::default()));
        for (weight, uses) in (1..).zip(uses(&pool)) {
            assert!(uses.abs_diff(1_000 * weight) <= slack, "{name}: {uses} uses of weight {weight}");
        }
    };
    let plain = builder(0).keys(weighing(&weights)).build().unwrap();
    check("the default", (plain, Hand::new()), 20);
    check("two choices", pool(weighing(&weights), TwoChoices), 20);
    check("round robin", pool(weighing(&weights), RoundRobin::default()), 0);
    check("next two", pool(weighing(&weights), NextTwo::default()), 20);
    check("least used", pool(weighing(&weights), LeastUsed), 1);
    // All are equally fast, so that chance decides: the deviation is 49 and less.
    check("peak ewma", pool(weighing(&weights), PeakEwma::default()), 2_000);
}

#[test]
fn a_key_of_much_weight_takes_turns_with_the_others() {
    let (pool, _) = pool(weighing(&[3, 1, 3]), RoundRobin::default());
    let all = ids(&pool);
    let served: Vec<_> = (0..14)
        .map(|_| serve(&pool, &Demand::default()))
        .map(|served| all.iter().position(|&id| id == served))
        .collect();
    assert_eq!(served[..7], served[7..]);
    assert!(served.windows(2).filter(|pair| pair[0] == pair[1]).count() <= 2, "{served:?}");
}

#[test]
fn weights_count_for_requests_in_flight() {
    let (pool, _) = pool(weighing(&[1, 3]), TwoChoices);
    let held: Vec<_> = (0..400).map(|_| checkout(&pool).unwrap()).collect();
    let heavy = held.iter().filter(|lease| lease.key_id() == ids(&pool)[1]).count();
    assert!((297..=303).contains(&heavy), "{heavy}");
}

#[test]
fn sessions_are_spread_by_weight_too_and_a_new_weight_moves_no_more_than_it_must() {
    let weights = [1, 2, 3, 4];
    let (pool, _) = pool(weighing(&weights), Sticky::new(TwoChoices));
    let homes: Vec<_> = (0..10_000).map(|number| serve(&pool, &session(number))).collect();
    // Three degrees of freedom: 16.3 is passed once in a thousand.
    let chi = chi_square(uses(&pool).into_iter().zip(1..).map(|(uses, weight)| (uses, 1_000.0 * f64::from(weight))));
    assert!(chi < 16.3, "{chi}");
    let light = ids(&pool)[0];
    pool.remove(light);
    pool.add(Key::new(key(0)).unwrap().weight(2)).unwrap();
    for (number, &home) in homes.iter().enumerate() {
        let id = serve(&pool, &session(number));
        assert!(id == home || id == light, "session {number}");
    }
}

#[test]
fn a_heavy_key_that_was_away_is_neither_flooded_nor_starved() {
    for strategy in [true, false] {
        let clock = Hand::new();
        let builder = builder(0).keys(weighing(&[1, 3])).clock(clock.clone());
        let pool = if strategy { builder.select(LeastUsed) } else { builder }.build().unwrap();
        let serve = |count: usize| (0..count).for_each(|_| _ = serve(&pool, &Demand::default()));
        for member in [0, 1] {
            serve(1_000);
            let id = ids(&pool)[member];
            pool.block(id, pool.now() + secs(10));
            serve(1_000);
            clock.pass(secs(11));
            let before = uses(&pool);
            serve(400);
            let gained: Vec<_> = uses(&pool).iter().zip(before).map(|(after, before)| after - before).collect();
            assert!((290..=310).contains(&gained[1]), "{gained:?} after {member} was away");
        }
    }
}

/// Three keys of tier 0, two of tier 1, one of tier 7.
fn tiered() -> Vec<Key> {
    keys(6).into_iter().zip([1, 0, 0, 7, 1, 0]).map(|(key, tier)| key.tier(tier)).collect()
}

fn tier_of(pool: &KeyPool, id: KeyId) -> u8 {
    let place = ids(pool).iter().position(|&other| other == id).unwrap();
    [1, 0, 0, 7, 1, 0][place]
}

/// Pools of [`tiered`] keys under each strategy.
fn tiered_pools() -> Vec<(KeyPool, Hand)> {
    vec![
        pool(tiered(), TwoChoices),
        pool(tiered(), RoundRobin::default()),
        pool(tiered(), NextTwo::default()),
        pool(tiered(), LeastUsed),
        pool(tiered(), FillFirst),
        pool(tiered(), PeakEwma::default()),
        pool(tiered(), Sticky::new(TwoChoices)),
        pool(tiered().into_iter().zip(1..).map(|(key, weight)| key.weight(weight)), TwoChoices),
    ]
}

#[test]
fn a_tier_serves_only_while_no_key_before_it_can() {
    for (pool, clock) in tiered_pools() {
        let tiers = || (0..60).map(|number| tier_of(&pool, serve(&pool, &session(number)))).collect::<HashSet<_>>();
        let rest = |tier: u8, until: u64| {
            let until = pool.now() + secs(until);
            let all = ids(&pool).into_iter().filter(|&id| tier_of(&pool, id) == tier);
            all.for_each(|id| assert!(pool.block(id, until)));
        };
        assert_eq!(tiers(), [0].into());
        // All keys of tier 1 come due, and none is tried out: nobody needs them.
        rest(1, 10);
        clock.pass(secs(11));
        assert_eq!(tiers(), [0].into());
        rest(0, 60);
        assert_eq!(tiers(), [1].into());
        rest(1, 60);
        assert_eq!(tiers(), [7].into());
        clock.pass(secs(61));
        assert!(!tiers().contains(&7));
        for _ in 0..10 {
            tiers();
        }
        assert_eq!(tiers(), [0].into());
    }
}

#[test]
fn a_request_tries_tier_after_tier_and_each_key_once() {
    for (pool, _) in tiered_pools() {
        let mut tried = Tried::default();
        let mut next = || pool.checkout(&session(1), &mut tried, pool.now()).ok();
        let leases: Vec<_> = std::iter::from_fn(&mut next).collect();
        let tiers: Vec<_> = leases.iter().map(|lease| tier_of(&pool, lease.key_id())).collect();
        assert_eq!(tiers, [0, 0, 0, 1, 1, 7]);
        assert_eq!(leases.iter().map(Lease::key_id).collect::<HashSet<_>>().len(), 6);
        drop(leases);
        assert!(pool.snapshot().members.iter().all(|member| member.in_flight == 0), "I24");
    }
}

#[test]
fn all_keys_of_a_tier_serve() {
    let (pool, _) = pool(tiered(), RoundRobin::default());
    ids(&pool).into_iter().filter(|&id| tier_of(&pool, id) == 0).for_each(|id| assert!(pool.disable(id)));
    (0..100).for_each(|_| _ = serve(&pool, &Demand::default()));
    assert_eq!(uses(&pool), [50, 0, 0, 0, 50, 0]);
}

#[test]
fn tiers_and_weights_come_and_go_with_the_keys() {
    let (pool, _) = pool(keys(2), TwoChoices);
    let spare = pool.add(Key::new(key(2)).unwrap().tier(1)).unwrap();
    (0..100).for_each(|_| assert_ne!(serve(&pool, &Demand::default()), spare));
    for id in ids(&pool).into_iter().filter(|&id| id != spare) {
        assert!(pool.remove(id));
    }
    assert_eq!(serve(&pool, &Demand::default()), spare);
}

/// Serves requests one by one, each for as long as its key takes, and answers how often each key served.
fn race(pool: &KeyPool, clock: &Hand, requests: usize, millis: impl Fn(usize) -> u64) -> Vec<u64> {
    let (all, before) = (ids(pool), uses(pool));
    for _ in 0..requests {
        let mut lease = checkout(pool).unwrap();
        let place = all.iter().position(|&id| id == lease.key_id()).unwrap();
        clock.pass(Duration::from_millis(millis(place)));
        lease.settle(&Verdict::new(Outcome::Accepted), pool.now());
    }
    uses(pool).iter().zip(before).map(|(after, before)| after - before).collect()
}

#[test]
fn the_key_that_answers_sooner_is_preferred_and_a_slow_one_is_tried_again() {
    let (pool, clock) = pool(keys(2), PeakEwma::default());
    let served = race(&pool, &clock, 1_000, |place| [100, 1_000][place]);
    assert!(served[0] > 980, "{served:?}");
    assert!(served[1] > 1, "{served:?}: after a while it may have become faster");
    let recovered = race(&pool, &clock, 1_000, |place| [100, 20][place]);
    assert!(recovered[1] > 700, "{recovered:?}");
}

#[test]
fn a_slow_key_is_spared_while_it_is_busy() {
    let (pool, clock) = pool(keys(2), PeakEwma::default());
    race(&pool, &clock, 20, |place| [100, 300][place]);
    let held: Vec<_> = (0..40).map(|_| checkout(&pool).unwrap()).collect();
    let fast = held.iter().filter(|lease| lease.key_id() == ids(&pool)[0]).count();
    assert!((24..=34).contains(&fast), "three of four, for it is three times as fast: {fast}");
}

#[test]
fn a_call_that_is_given_up_or_fails_makes_a_key_look_slow_and_never_fast() {
    for outcome in [None, Some(Outcome::Failed)] {
        let (pool, clock) = pool(keys(2), PeakEwma::default());
        race(&pool, &clock, 20, |_| 100);
        let mut held = checkout(&pool).unwrap();
        let slow = held.key_id();
        clock.pass(secs(5));
        if let Some(outcome) = outcome {
            held.settle(&Verdict::new(outcome), pool.now());
        }
        drop(held);
        assert!((0..20).all(|_| serve(&pool, &Demand::default()) != slow));
    }
    let (pool, clock) = pool(keys(2), PeakEwma::default());
    race(&pool, &clock, 20, |place| [100, 1_000][place]);
    let slow = ids(&pool)[1];
    let mut held: Vec<_> = (0..40).map(|_| checkout(&pool).unwrap()).collect();
    held.retain(|lease| lease.key_id() == slow);
    for lease in &mut held {
        lease.settle(&Verdict::new(Outcome::CallerFault), pool.now());
    }
    drop(held);
    assert!((0..20).all(|_| serve(&pool, &Demand::default()) != slow), "refusals come fast");
}

#[test]
fn attack_85_a_strategy_that_panics_within_another_costs_nobody_a_request() {
    struct Broken;
    impl Select for Broken {
        fn select(&self, _: &dyn Candidates, _: &Demand) -> Option<Place> {
            panic!("not my day")
        }

        fn home(&self, _: &dyn Candidates, _: &Demand) -> Option<Place> {
            panic!("nor mine")
        }

        fn latency_decay(&self) -> Option<Duration> {
            panic!("least of all mine")
        }
    }
    for keys in [keys(6), tiered()] {
        let (pool, clock) = pool(keys, Sticky::new(Broken));
        pool.block(ids(&pool)[1], pool.now() + secs(1));
        for number in 0..20 {
            clock.pass(secs(1));
            serve(&pool, &Demand::default());
            serve(&pool, &session(number));
        }
        assert!(pool.snapshot().members.iter().all(|member| member.in_flight == 0));
    }
}
