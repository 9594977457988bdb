//! A key serves the models that it lists, and nobody else's.

use key_commune::outcome::{Outcome, Scope, Verdict};
use key_commune::pool::{Key, Tried};
use key_commune::select::{FillFirst, LeastUsed, PeakEwma, RoundRobin, Sticky};

use super::{accept, asking, builder, number, pool, served_by, settle, settle_with, take, throttle};
use crate::support::secs;

const KEYS: &[(&str, &str)] = &[("gpt-4o", ""), ("gpt-4*", ""), ("o3,others", ""), ("", "")];

#[test]
fn exact_names_patterns_and_others_mean_what_they_say() {
    let (pool, _) = pool(KEYS);
    assert_eq!(served_by(&pool, "gpt-4o"), [0, 1, 3]);
    assert_eq!(served_by(&pool, "gpt-4o-mini"), [1, 3], "a pattern names it, so it is none of the others");
    assert_eq!(served_by(&pool, "o3"), [2, 3]);
    assert_eq!(served_by(&pool, "claude"), [2, 3], "no key names it");
    assert_eq!(served_by(&pool, "GPT-4o"), [2, 3], "upper and lower case differ");
    assert_eq!(served_by(&pool, "others"), [2, 3], "no key names a model of that name");
    assert_eq!(served_by(&pool, ""), [0, 1, 2, 3], "what names no model is content with any key");
}

#[test]
fn a_model_that_nobody_serves_is_told_from_one_that_rests() {
    let (pool, _) = pool(&[("gpt-4o", ""), ("gpt-4*", "")]);
    let nobody = take(&pool, "claude").unwrap_err();
    assert!(nobody.unserved && nobody.soonest.is_none() && !nobody.open, "{nobody:?}");
    for member in pool.snapshot().members {
        pool.block(member.id, pool.now() + secs(60));
    }
    let resting = take(&pool, "gpt-4o").unwrap_err();
    assert!(!resting.unserved && resting.soonest == super::in_secs(&pool, 60), "{resting:?}");
    assert!(take(&pool, "claude").unwrap_err().unserved);
}

#[test]
fn a_repeat_never_leaves_the_keys_that_serve_the_model() {
    let (pool, _) = pool(KEYS);
    let (demand, mut tried) = (asking("gpt-4o"), Tried::default());
    let mut found = Vec::new();
    while let Ok(lease) = pool.checkout(&demand, &mut tried, pool.now()) {
        found.push(number(&pool, &lease));
        settle(&pool, lease, &throttle(Scope::KeyModel, 30));
    }
    found.sort_unstable();
    assert_eq!(found, [0, 1, 3]);
}

#[test]
fn every_strategy_keeps_to_them_in_pools_of_equal_and_of_unequal_keys() {
    for weight in [1, 3] {
        let pools = [
            builder(KEYS).0.select(RoundRobin::default()),
            builder(KEYS).0.select(LeastUsed),
            builder(KEYS).0.select(FillFirst),
            builder(KEYS).0.select(PeakEwma::default()),
            builder(KEYS).0.select(<Sticky>::default()),
            builder(KEYS).0,
        ];
        for builder in pools {
            let heavy =
                Key::new("sk-heavy-0123456789abcdef").unwrap().label("4").weight(weight).models("o1".parse().unwrap());
            let pool = builder.key(heavy).build().unwrap();
            for (model, keys) in [("gpt-4o", &[0, 1, 3][..]), ("o1", &[3, 4]), ("claude", &[2, 3])] {
                for session in 0..50 {
                    let demand = asking(model).session(&session.to_string());
                    let lease = pool.checkout(&demand, &mut Tried::default(), pool.now()).unwrap();
                    assert!(keys.contains(&number(&pool, &lease)), "{model} with {}", number(&pool, &lease));
                    accept(&pool, lease);
                }
            }
        }
    }
}

#[test]
fn a_session_comes_back_to_its_key_among_those_that_serve_its_model() {
    let (builder, clock) = builder(&[("a", ""), ("a", ""), ("b", ""), ("b", ""), ("b", "")]);
    let pool = builder.select(<Sticky>::default()).build().unwrap();
    let demand = asking("b").session("chat-17");
    let lease = |pool: &key_commune::KeyPool| pool.checkout(&demand, &mut Tried::default(), pool.now()).unwrap();
    let first = lease(&pool);
    let home = number(&pool, &first);
    settle(&pool, first, &throttle(Scope::Key, 30));
    let spilled = lease(&pool);
    assert!(number(&pool, &spilled) != home && number(&pool, &spilled) >= 2);
    accept(&pool, spilled);
    clock.pass(secs(31));
    let back = lease(&pool);
    assert_eq!(number(&pool, &back), home, "its own key is tried again by the session that belongs there");
}

#[test]
fn keys_that_come_and_go_change_who_serves_what() {
    let (pool, _) = pool(&[("gpt-4o", ""), ("others", "")]);
    assert_eq!(served_by(&pool, "o3"), [1]);
    let key = Key::new("sk-late-0123456789abcdef").unwrap().label("2").models("o3".parse().unwrap());
    let late = pool.add(key).unwrap();
    assert_eq!(served_by(&pool, "o3"), [2], "now a key names it");
    assert!(pool.remove(late));
    assert_eq!(served_by(&pool, "o3"), [1]);
    pool.remove(pool.snapshot().members[0].id);
    assert_eq!(served_by(&pool, "gpt-4o"), [1], "nobody names it any more");
}

#[test]
fn i19_any_number_of_model_names_is_told_apart_within_bounds() {
    let (pool, _) = pool(&[("m*", ""), ("m*,x", ""), ("others", "")]);
    for number in 0..2_000 {
        let model = format!("m{number}");
        settle_with(&pool, number % 2, &model, &throttle(Scope::KeyModel, 600));
        assert_eq!(served_by_once(&pool, &model), [1 - number % 2]);
    }
    assert_eq!(served_by(&pool, "x"), [1]);
    assert_eq!(served_by(&pool, "y"), [2]);
    accept(&pool, take(&pool, "m1999").unwrap());
    let missing = Verdict::new(Outcome::Accepted);
    settle(&pool, take(&pool, "m7").unwrap(), &missing);
}

fn served_by_once(pool: &key_commune::KeyPool, model: &str) -> Vec<usize> {
    let mut found: Vec<_> = (0..8).map(|_| number(pool, &take(pool, model).unwrap())).collect();
    found.dedup();
    found
}
