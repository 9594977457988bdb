//! A7: what happens to a request, in which order.

use key_commune::Refusal;
use key_commune::health::State;

use super::super::{CHAT, MODELS, World, number, presenting};
use super::{bare, builder, chat, commune, fails, send};
use crate::support::{Stepped, answer, ok, to};

#[tokio::test]
async fn a07_3_without_a_key_the_answer_is_401() {
    let world = commune(1);
    let got = send(&world, to(CHAT, &[], Stepped::full("{}"))).await;
    assert_eq!((got.status.as_u16(), &got.refusal), (401, &Some(Refusal::NoCredential)));
    assert!(got.json()["error"]["message"].is_string(), "in the provider's shape");
}

#[tokio::test]
async fn a07_5_keys_have_16_to_256_characters() {
    for (length, text) in [
        (15, Some("Key too short (minimum 16 characters)")),
        (16, None),
        (20, None),
        (256, None),
        (257, Some("Key too long (maximum 256 characters)")),
    ] {
        let world = commune(1);
        let bearer = format!("Bearer {}", "k".repeat(length));
        let got = send(&world, to(CHAT, &[("authorization", &bearer)], Stepped::full("{}"))).await;
        let message = got.json()["error"]["message"].as_str().map(str::to_owned);
        assert_eq!(
            (got.status.as_u16(), message.as_deref()),
            (if text.is_some() { 400 } else { 200 }, text),
            "{length}"
        );
    }
}

#[tokio::test]
async fn a07_7_x_forwarded_host_must_be_the_providers() {
    for (host, status) in [
        ("api.openai.com", 200),
        ("API.OpenAI.com:8443", 200),
        ("eu.api.openai.com", 200),
        ("evil.example", 400),
        ("evilapi.openai.com", 400),
        ("api.openai.com.evil.example", 400),
        ("", 400),
    ] {
        let world = commune(1);
        let mut request = super::super::chat(0);
        request.headers_mut().insert("x-forwarded-host", host.parse().unwrap());
        assert_eq!(send(&world, request).await.status, status, "{host:?}");
        assert!(world.upstream.seen().iter().all(|seen| !seen.headers.contains_key("x-forwarded-host")), "I2");
    }
}

#[tokio::test]
async fn a07_9_an_unknown_key_serves_its_own_request() {
    let world = commune(3);
    fails(&world, 401, &[9]);
    for _ in 0..3 {
        assert_eq!(chat(&world, 9).await.status, 401);
    }
    assert_eq!((world.used(0), world.member(9)), (vec![9; 3], None));
}

#[tokio::test]
async fn a07_9_a_blocked_key_serves_its_own_requests_and_no_others() {
    let world = commune(3);
    block(&world, 0).await;
    let from = world.upstream.count();
    for _ in 0..4 {
        chat(&world, 0).await;
    }
    assert_eq!(world.used(from), [0; 4]);
    world.answers(|_| ok());
    let from = world.upstream.count();
    for _ in 0..20 {
        chat(&world, 1).await;
    }
    assert!(!world.used(from).contains(&0));
}

/// Key 0 is throttled until it rests.
async fn block(world: &World, victim: usize) {
    fails(world, 429, &[0]);
    while world.state(victim) == State::Active {
        chat(world, victim).await;
    }
}

#[tokio::test]
async fn a07_9_i16_i17_a_block_ends_with_a_success_and_not_by_time_alone() {
    let world = commune(3);
    block(&world, 0).await;
    world.pass(3_600);
    let from = world.upstream.count();
    assert_eq!(chat(&world, 0).await.status, 429, "the owner is on its own until the key works");
    world.answers(|_| ok());
    for _ in 0..20 {
        chat(&world, 0).await;
    }
    assert_eq!(world.used(from)[..2], [0, 0]);
    assert!(world.used(from).iter().any(|&number| number != 0));
}

#[tokio::test]
async fn a07_9_any_other_key_is_balanced_over_the_pool() {
    let world = commune(4);
    for _ in 0..40 {
        chat(&world, 0).await;
    }
    for victim in 0..4 {
        assert_eq!(world.used(0).iter().filter(|&&number| number == victim).count(), 10);
    }
}

#[tokio::test]
async fn a07_9_i14_with_no_key_left_the_callers_own_is() {
    let world = commune(3);
    fails(&world, 429, &[1, 2]);
    while world.pool.snapshot().active() > 1 {
        assert_eq!(chat(&world, 0).await.status, 200);
    }
    assert_eq!(chat(&world, 0).await.status, 200, "it was 503 while the only key that works was not in its cache");
    fails(&world, 429, &[0, 1, 2]);
    chat(&world, 0).await;
    assert_eq!(chat(&world, 0).await.status, 429, "its own answer");
}

#[tokio::test]
async fn a07_10_calls_are_counted_before_they_are_forwarded() {
    let world = commune(1);
    for status in [200, 401, 429, 500] {
        world.answers(move |_| bare(status));
        chat(&world, 0).await;
    }
    assert_eq!(world.member(0).unwrap().uses_today, 4, "failures too");
    world.answers(|_| ok());
    chat(&world, 9).await;
    assert_eq!(world.member(9).unwrap().uses_today, 0, "but not the one that a key joins by");
}

#[tokio::test]
async fn a07_11_i14_another_key_serves_what_one_has_refused() {
    for status in [401, 429] {
        let world = commune(4);
        world.answers(move |seen| if number(seen) == 1 { bare(status) } else { ok() });
        let mut attempts = 0;
        for _ in 0..8 {
            let got = chat(&world, 0).await;
            assert_eq!(got.status, 200, "it was {status}, for a key that this caller does not own");
            attempts = attempts.max(got.served.unwrap().attempts);
        }
        assert_eq!(attempts, 2);
    }
}

#[tokio::test]
async fn a07_11_what_is_not_about_the_key_is_forwarded_once() {
    for status in [400, 402, 404, 408, 500, 502, 503, 504] {
        let world = commune(1);
        world.answers(move |_| bare(status));
        assert_eq!((chat(&world, 0).await.status.as_u16(), world.upstream.count()), (status, 1));
    }
}

#[tokio::test]
async fn a07_13_the_caller_gets_status_headers_and_body() {
    let world = commune(1);
    world.answers(|_| answer(418, &[("content-type", "text/plain"), ("etag", "x")], "short and stout"));
    let got = chat(&world, 0).await;
    assert_eq!((got.status.as_u16(), got.header("etag"), got.text().as_str()), (418, Some("x"), "short and stout"));
}

#[tokio::test]
async fn a07_9_i17_calls_that_leave_something_behind_go_with_the_callers_own_key() {
    let world = commune(4);
    for _ in 0..8 {
        send(&world, presenting(2, "https://api.openai.com/v1/files")).await;
        send(&world, presenting(2, MODELS)).await;
    }
    assert_eq!(world.used(0), [2; 16]);
}

#[tokio::test]
async fn b_max_keys_2_with_2_keys_lets_the_call_pass_and_the_key_not_in() {
    for (most, joins) in [(2, false), (3, true)] {
        let world = World::by_its_own_rules(builder(2).max_keys(most));
        assert_eq!(chat(&world, 9).await.status, 200);
        assert_eq!(
            (world.member(9).is_some(), world.pool.snapshot().members.len()),
            (joins, if joins { 3 } else { 2 })
        );
    }
    let world = commune(200);
    chat(&world, 900).await;
    assert_eq!(world.pool.snapshot().members.len(), 200, "shipped as 200");
}
