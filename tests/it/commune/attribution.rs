//! Whose fault a refusal was: the key's, or the caller's (I22).

use std::sync::Arc;

use key_commune::health::State;
use key_commune::pool::{Commune, KeyPool};
use key_commune::provider::Provider;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{World, chat, is_one_of};
use crate::support::{
    Hand, Seen, Stepped, Upstream, answer, assert_idle, client, fetch, key, keys, ok, revoked, secs, throttled,
};

/// A request of caller 1 that meets key 0 while it is refused; answers whether it did.
async fn accuse(world: &World) {
    world.refuses(&[0]);
    while world.state(0) == State::Active {
        assert_eq!(world.chat(1).await.status, 200, "another key serves it");
    }
}

/// Key 0 has its strike, or nothing is held against it.
fn assert_judged(world: &World, refused: bool) {
    let member = world.member(0).unwrap();
    let expected = if refused { (State::Resting, 1) } else { (State::Active, 0) };
    assert_eq!((member.state, member.rejections), expected);
}

#[tokio::test]
async fn a_refusal_that_another_caller_meets_is_a_suspicion() {
    // Of two, the one that serves the request then is the caller's own: it speaks for the request, not against the key.
    for members in [2, 4] {
        let world = World::new(members);
        accuse(&world).await;
        let member = world.member(0).unwrap();
        assert_eq!((member.state, member.rejections), (State::Suspect, 0), "{members}");
        let from = world.upstream.count();
        for _ in 0..20 {
            world.chat(1).await;
        }
        assert!(!world.used(from).contains(&0), "its accuser is no witness");
    }
}

#[tokio::test]
async fn a_witness_decides() {
    for refused in [true, false] {
        let world = World::new(4);
        accuse(&world).await;
        if !refused {
            world.answers(|_| ok());
        }
        let from = world.upstream.count();
        assert_eq!(world.chat(2).await.status, 200, "the witness is served, by another key if need be");
        assert_eq!(world.used(from)[0], 0, "and it is the next caller that comes");
        assert_judged(&world, refused);
    }
}

#[tokio::test]
async fn the_owner_of_a_suspect_uses_only_that_and_decides_too() {
    for refused in [true, false] {
        let world = World::new(4);
        accuse(&world).await;
        if !refused {
            world.answers(|_| ok());
        }
        let from = world.upstream.count();
        assert_eq!(world.chat(0).await.status.as_u16(), if refused { 401 } else { 200 });
        assert_eq!(world.used(from), [0]);
        assert_judged(&world, refused);
    }
}

#[tokio::test]
async fn without_a_witness_it_is_active_again_after_a_minute() {
    let world = World::new(4);
    accuse(&world).await;
    world.answers(|_| ok());
    world.pass(59);
    world.chat(1).await;
    assert_eq!(world.state(0), State::Suspect);
    world.pass(2);
    world.chat(1).await;
    assert_eq!(world.state(0), State::Active);
    accuse(&world).await;
    world.pass(61);
    world.answers(|_| ok());
    let from = world.upstream.count();
    for _ in 0..20 {
        world.chat(0).await;
    }
    assert!(world.used(from).iter().any(|&number| number != 0), "and its owner is a member like all others");
}

/// A caller that makes every key fail: the marker is in its requests, not in its key.
fn poisoned(status: u16, body: &'static str) -> impl Fn(&Seen) -> http::Response<crate::support::Stepped> + Clone {
    move |seen| {
        let poison = seen.headers.get("accept-language").is_some_and(|value| value == "poison");
        if poison { answer(status, &[("content-type", "application/json")], body) } else { ok() }
    }
}

async fn poison(world: &World, caller: usize) -> crate::support::Got {
    let mut request = super::chat(caller);
    request.headers_mut().insert("accept-language", http::HeaderValue::from_static("poison"));
    world.send(request).await
}

#[tokio::test]
async fn a_request_that_two_keys_and_its_own_refuse_is_the_callers_fault() {
    let codes = [
        (401, r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#),
        (401, r#"{"error":{"message":"No such organization","code":"mismatched_organization"}}"#),
        (403, r#"{"error":{"message":"You may not use this model"}}"#),
    ];
    for (status, body) in codes {
        let world = World::new(5);
        world.answers(poisoned(status, body));
        let mut failures = 0;
        while world.state(4) == State::Active {
            let from = world.upstream.count();
            let got = poison(&world, 4).await;
            assert_eq!((got.status.as_u16(), got.text().as_str()), (status, body), "its own key's answer");
            failures += world.upstream.count() - from;
            assert!(failures <= 6, "{status}: it is on its own by then");
        }
        for victim in 0..4 {
            let member = world.member(victim).unwrap();
            assert_eq!((member.state, member.rejections), (State::Active, 0), "{status}");
        }
        let from = world.upstream.count();
        for _ in 0..5 {
            poison(&world, 4).await;
        }
        assert_eq!(world.used(from), [4; 5]);
        assert_idle(&world.pool);
    }
}

/// How many keys of others refuse an attacker in a commune of fifty before it is on its own. Others come by in between,
/// so that no key is suspect for long.
async fn failures_until_isolated(attack: impl AsyncFn(&World) -> Vec<Seen>) -> usize {
    let world = World::new(50);
    let mut failures = 0;
    for _ in 0..100 {
        failures += attack(&world).await.iter().filter(|seen| !is_one_of(seen, &[4])).count();
        if world.state(4) != State::Active {
            break;
        }
        world.chat(5).await;
    }
    assert_idle(&world.pool);
    failures
}

#[tokio::test]
async fn an_accuser_whose_requests_cannot_be_sent_again_is_isolated_too() {
    let failures = failures_until_isolated(async |world| {
        let upstream = Upstream::answering(|_| revoked());
        let mut request = chat(4);
        *request.body_mut() = Stepped::chunks([vec![b'x'; 2 << 20]]);
        fetch(&client(&world.pool, &upstream), request).await;
        upstream.seen()
    });
    let failures = failures.await;
    assert!(failures <= 3, "{failures}");
}

#[tokio::test(start_paused = true)]
async fn an_accuser_that_goes_away_is_isolated_too() {
    let failures = failures_until_isolated(async |world| {
        let upstream = Upstream::new(|call| async move {
            if call.number > 0 {
                std::future::pending::<()>().await;
            }
            Ok(revoked())
        });
        let client = client(&world.pool, &upstream);
        let _ = timeout(secs(1), fetch(&client, chat(4))).await;
        upstream.seen().into_iter().take(1).collect()
    });
    let failures = failures.await;
    assert!(failures <= 3, "{failures}");
}

#[tokio::test]
async fn a_request_that_only_its_own_key_may_make_is_true_of_the_others() {
    let world = World::new(5);
    world.answers(|seen| if is_one_of(seen, &[4]) { ok() } else { revoked() });
    for _ in 0..3 {
        assert_eq!(world.chat(4).await.status, 200);
    }
    let struck: Vec<_> = (0..4).filter(|&victim| world.state(victim) == State::Resting).collect();
    assert_eq!(struck.len() % 2, 0, "two at a time");
    assert!(!struck.is_empty());
    for victim in 0..4 {
        assert!(world.member(victim).unwrap().rejections <= 1);
    }
    // One caller adds one strike to a key, however often it comes back (I22).
    for _ in 0..100 {
        world.pass(61);
        assert_eq!(world.chat(4).await.status, 200);
    }
    for victim in 0..4 {
        let member = world.member(victim).unwrap();
        assert!(member.rejections <= 1 && member.state != State::Retired, "{}", world.pool.snapshot());
        assert!(member.until.is_none_or(|until| until - world.pool.now() <= std::time::Duration::from_secs(60)));
    }
}

#[tokio::test]
async fn rests_that_nobody_asked_for_are_spread() {
    let pool = KeyPool::builder(Provider::OPENAI).commune(Commune::default()).seed(7).clock(Hand::new());
    let pool = pool.keys(keys(20)).build().unwrap();
    let upstream = Upstream::answering(|seen| if is_one_of(seen, &[4]) { ok() } else { revoked() });
    for _ in 0..20 {
        fetch(&client(&pool, &upstream), chat(4)).await;
    }
    let members = pool.snapshot().members;
    let rests: Vec<_> = members.iter().filter_map(|member| member.until).map(|until| until - pool.now()).collect();
    assert!(rests.iter().max().unwrap() > &secs(30) && rests.iter().min().unwrap() < &secs(30), "{rests:?}");
}

#[tokio::test]
async fn a_foreign_throttle_rests_for_its_hint_and_strikes_once_per_caller() {
    let world = World::new(3);
    world.answers(|seen| if is_one_of(seen, &[2]) { ok() } else { answer(429, &[("retry-after", "20")], "") });
    for round in 0..20 {
        assert_eq!(world.chat(2).await.status, 200, "{round}");
        for victim in 0..2 {
            let member = world.member(victim).unwrap();
            assert!(member.throttles <= 1, "{round}: {}", world.pool.snapshot());
            assert!(member.until.is_none_or(|until| until - world.pool.now() <= std::time::Duration::from_secs(20)));
        }
        world.pass(21);
    }
    let other = World::new(3);
    other.answers(|seen| if is_one_of(seen, &[0]) { throttled() } else { ok() });
    while other.state(0) == State::Active {
        other.chat(1).await;
    }
    other.pass(61);
    other.chat(2).await;
    assert_eq!(other.member(0).unwrap().throttles, 2, "another caller's strike counts");
}

#[tokio::test]
async fn k_concurrent_failures_are_one_strike() {
    for k in [1, 2, 10, 100, 1_000] {
        for own in [true, false] {
            let world = World::new(if own { 1 } else { 2 });
            let all_are_here = Arc::new(Barrier::new(k));
            let upstream = Upstream::new(move |mut call| {
                let all_are_here = Arc::clone(&all_are_here);
                async move {
                    let seen = call.read().await;
                    if call.number < k {
                        all_are_here.wait().await;
                    }
                    Ok(if is_one_of(&seen, &[0]) { throttled() } else { ok() })
                }
            });
            let client = client(&world.pool, &upstream);
            let mut calls = JoinSet::new();
            for _ in 0..k {
                let client = client.clone();
                calls.spawn(async move { fetch(&client, chat(usize::from(!own))).await });
            }
            let answers = calls.join_all().await;
            assert!(own || answers.iter().all(|got| got.status == 200));
            assert_eq!(world.member(0).unwrap().throttles, u32::from(own || upstream.uses(&key(0)) > 0), "{k}");
            assert_idle(&world.pool);
        }
    }
}

/// A prompt that is too long for any key's minute, and small ones that prove its caller's own key in between.
#[tokio::test]
async fn a_caller_throttled_with_its_own_key_too_rests_nobody_for_long() {
    let world = World::new(12);
    world.answers(|seen| {
        let long = seen.headers.get("accept-language").is_some_and(|value| value == "poison");
        if long { answer(429, &[("retry-after", "3000")], "") } else { ok() }
    });
    for _ in 0..5 {
        assert_eq!(poison(&world, 11).await.status, 429);
        assert_eq!(poison(&world, 11).await.status, 429, "on its own by now, which lets nobody forget the first");
        let resting = (0..11).filter(|&victim| world.state(victim) == State::Resting).count();
        assert!(resting >= 1, "for its hint, for now");
        assert_eq!(world.chat(11).await.status, 200, "its own key works all the same");
        // One request for each tries them, and they are back.
        for _ in 0..resting {
            assert_eq!(world.chat(0).await.status, 200);
        }
        for victim in 0..11 {
            let member = world.member(victim).unwrap();
            assert!(member.until.is_none_or(|until| until <= world.pool.now()), "{}", world.pool.snapshot());
        }
    }
    assert!(world.pool.snapshot().active() >= 11, "{}", world.pool.snapshot());
}

#[tokio::test]
async fn a_handful_of_callers_that_agree_lay_a_key_to_rest_for_a_minute_at_a_time() {
    let world = World::new(20);
    accuse(&world).await;
    for witness in 2..=7 {
        assert_eq!(world.chat(witness).await.status, 200, "{witness}");
        let member = world.member(0).unwrap();
        let expected = if witness < 7 { 1 } else { 2 };
        assert_eq!((member.state, member.rejections), (State::Resting, expected), "{witness}");
        if witness < 7 {
            assert!(member.until.unwrap() - world.pool.now() <= std::time::Duration::from_secs(60));
            world.pass(61);
        }
    }
}
