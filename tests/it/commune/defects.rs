//! The predecessor's defects that a commune could have, each against the defaults, under the number it has in the notes on
//! the predecessor.
//!
//! Elsewhere: 1, keys sent where the request says (`attacks::destination`); 2, joining without proof
//! (`proof::only_a_clean_answer_of_the_api_admits_a_key`, `proof::other_calls_admit_nobody`,
//! `membership::a_retired_key_gives_up_its_seat_to_one_that_works`); 5 and 31, its cache, of which there is none
//! (`conformance`, A7 2); 6, followed redirects (`clients::redirects`); 7 to 10, bodies and time
//! (`service::replay`, `service::peek`, `service::cancel`, `service::errors`); 14 for throttles
//! (`attribution::k_concurrent_failures_are_one_strike`); 23, headers that tell
//! about people (`hygiene`); 32, latecomers (`membership::late_members_are_not_everybodys_choice`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use key_commune::health::State;
use key_commune::pool::{Commune, KeyPool};
use key_commune::provider::Provider;
use key_commune::rate::Rate;
use key_commune::rules::Rules;
use key_commune::subnet::Subnet;
use key_commune::{KeyCommuneLayer, Refusal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tower::Layer;

use super::{World, chat, is_one_of, number};
use crate::support::{
    Call, Seen, Stepped, Upstream, answer, assert_idle, client, fetch, key, keys, ok, revoked, secs, throttled, to,
};

/// Ways in which an answer can turn a key down.
const REFUSALS: [u16; 4] = [401, 402, 403, 429];

fn refusal(status: u16) -> Response<Stepped> {
    match status {
        401 => revoked(),
        403 => answer(403, &[], r#"{"error":{"message":"no","code":"invalid_api_key"}}"#),
        status => answer(status, &[], ""),
    }
}

#[tokio::test]
async fn defect_03_a_key_that_was_revoked_or_has_no_credit_is_no_ticket_and_is_dealt_to_nobody() {
    for status in REFUSALS {
        let world = World::new(3);
        world.answers(move |seen| if is_one_of(seen, &[0]) { refusal(status) } else { ok() });
        for _ in 0..10 {
            assert_eq!(world.chat(1).await.status, 200, "{status}");
            world.chat(0).await;
        }
        let from = world.upstream.count();
        for _ in 0..20 {
            assert_eq!(world.chat(1).await.status, 200);
            assert_eq!(world.chat(0).await.status.as_u16(), status, "its owner is on its own");
        }
        let mut used = world.used(from);
        used.retain(|&number| number == 0);
        assert_eq!(used.len(), 20, "{status}");
    }
}

#[tokio::test]
async fn defect_04_nobody_gets_the_failure_of_a_key_that_is_not_theirs() {
    for status in REFUSALS {
        let world = World::new(4);
        world.answers(move |seen| if is_one_of(seen, &[0]) { refusal(status) } else { ok() });
        for caller in [1, 2, 3].into_iter().cycle().take(60) {
            assert_eq!(world.chat(caller).await.status, 200, "{status}");
            world.pass(61);
        }
        assert!(world.upstream.uses(&key(0)) > 0, "{status}");
    }
}

#[tokio::test]
async fn defect_11_every_key_has_its_share() {
    for count in [2, 3, 4, 5, 10] {
        let world = World::new(count);
        for _ in 0..40 * count {
            world.chat(0).await;
        }
        let used = world.used(0);
        let share = |key: usize| used.iter().filter(|&&number| number == key).count();
        assert!((0..count).all(|key| (36..=44).contains(&share(key))), "{count}");
    }
}

#[tokio::test]
async fn defect_12_a_key_whose_rest_is_over_serves_at_once() {
    let world = World::new(1);
    world.answers(|_| throttled());
    world.chat(0).await;
    assert_eq!(world.chat(0).await.status, 429);
    world.answers(|_| ok());
    world.pass(3_600);
    assert_eq!(world.chat(0).await.status, 200, "it was 503 for up to a minute");
    assert_eq!(world.state(0), State::Active);
}

/// A provider that answers the first request only when it is told to, and the others at once.
fn slow_first(first: fn() -> Response<Stepped>, then: fn() -> Response<Stepped>) -> (Upstream, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let upstream = Upstream::new(move |mut call: Call| {
        let wait = Arc::clone(&wait);
        async move {
            call.read().await;
            if call.number > 0 {
                return Ok(then());
            }
            wait.notified().await;
            Ok(first())
        }
    });
    (upstream, go)
}

/// Starts a request of caller 0 that will be answered last.
async fn late(world: &World, upstream: &Upstream) -> tokio::task::JoinHandle<crate::support::Got> {
    let client = client(&world.pool, upstream);
    let task = tokio::spawn(async move { fetch(&client, chat(0)).await });
    while upstream.count() == 0 {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test]
async fn defect_13_a_key_may_go_while_requests_are_served_with_it() {
    for last in [ok, throttled, revoked] {
        let world = World::new(1);
        let (upstream, go) = slow_first(last, ok);
        let request = late(&world, &upstream).await;
        let id = world.member(0).unwrap().id;
        assert!(world.pool.remove(id));
        go.notify_one();
        assert_eq!(request.await.unwrap().status, last().status(), "the provider's answer, not a 500");
        assert_eq!(world.member(0), None, "nor does it bring it back");
        assert_idle(&world.pool);
    }
}

#[tokio::test]
async fn defect_14_three_rejections_at_once_are_one() {
    let world = World::new(1);
    let upstream = Upstream::new(|mut call: Call| async move {
        call.read().await;
        tokio::task::yield_now().await;
        Ok(revoked())
    });
    let client = client(&world.pool, &upstream);
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let client = client.clone();
        calls.spawn(async move { fetch(&client, chat(0)).await.status.as_u16() });
    }
    assert_eq!(calls.join_all().await, [401; 3]);
    let member = world.member(0).unwrap();
    assert_eq!((member.state, member.rejections), (State::Resting, 1));
}

#[tokio::test]
async fn defect_14_an_incident_of_the_provider_empties_no_pool() {
    for refuse in [revoked, throttled] {
        let world = World::new(6);
        world.answers(move |_| refuse());
        for caller in (0..6).cycle().take(60) {
            world.chat(caller).await;
        }
        assert!(world.pool.snapshot().members.iter().all(|member| member.state != State::Retired));
        world.answers(|_| ok());
        world.pass(3_600);
        for caller in 0..6 {
            assert_eq!(world.chat(caller).await.status, 200);
        }
        assert_eq!(world.pool.snapshot().active(), 6, "{}", world.pool.snapshot());
    }
}

#[tokio::test]
async fn defect_15_first_requests_of_one_key_may_overlap() {
    let world = World::new(1);
    let all_are_here = Arc::new(tokio::sync::Barrier::new(8));
    let upstream = Upstream::new(move |mut call: Call| {
        let all_are_here = Arc::clone(&all_are_here);
        async move {
            call.read().await;
            all_are_here.wait().await;
            Ok(ok())
        }
    });
    let client = client(&world.pool, &upstream);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        calls.spawn(async move { fetch(&client, chat(5)).await.status.as_u16() });
    }
    assert_eq!(calls.join_all().await, [200; 8]);
    assert_eq!((world.pool.snapshot().members.len(), world.state(5)), (2, State::Active));
    assert_idle(&world.pool);
}

#[tokio::test]
async fn defect_16_an_older_success_does_not_end_a_rest() {
    for refuse in [throttled as fn() -> _, revoked] {
        let world = World::new(1);
        let (upstream, go) = slow_first(ok, refuse);
        let request = late(&world, &upstream).await;
        fetch(&client(&world.pool, &upstream), chat(0)).await;
        let before = world.member(0).unwrap();
        assert_eq!(before.state, State::Resting);
        go.notify_one();
        assert_eq!(request.await.unwrap().status, 200);
        let after = world.member(0).unwrap();
        assert_eq!((after.state, after.until), (State::Resting, before.until));
        assert_eq!((after.throttles, after.rejections), (before.throttles, before.rejections));
    }
}

/// How long key 0 rests after its owner has met this.
async fn rest(world: &World, retry_after: &'static str) -> Duration {
    world.answers(move |_| answer(429, &[("retry-after", retry_after)], ""));
    world.chat(0).await;
    world.member(0).unwrap().until.unwrap() - world.pool.now()
}

#[tokio::test]
async fn defect_17_hints_are_obeyed_and_capped_and_so_are_rests() {
    for (hint, expected) in [("20", 20), ("3600", 3_600), ("999999999999", 3_600), ("18446744073709551616", 3_600)] {
        assert_eq!(rest(&World::new(1), hint).await, secs(expected), "{hint}");
    }
    let world = World::new(1);
    world.answers(|_| throttled());
    for _ in 0..2_000 {
        world.chat(0).await;
    }
    let member = world.member(0).unwrap();
    assert_eq!(
        (member.throttles, member.until.unwrap() - world.pool.now()),
        (2_000, secs(3_600)),
        "it reached infinity"
    );
}

#[tokio::test]
async fn defect_18_whoever_hammers_on_its_throttled_key_loses_nothing_but_time() {
    let world = World::new(3);
    world.answers(|seen| if is_one_of(seen, &[0]) { throttled() } else { ok() });
    for _ in 0..100 {
        world.chat(0).await;
    }
    let member = world.member(0).unwrap();
    assert_eq!((member.state, member.retirements), (State::Resting, 0), "the fifteenth deleted it");
    assert!(member.until.unwrap() - world.pool.now() <= secs(3_600));
    world.answers(|_| ok());
    assert_eq!(world.chat(0).await.status, 200);
    assert_eq!(world.state(0), State::Active);
}

#[tokio::test]
async fn defect_18_a_key_that_was_retired_does_not_come_back_as_if_nothing_had_been() {
    let world = World::new(2);
    for round in 1..=3 {
        world.refuses(&[0]);
        while world.state(0) != State::Retired {
            world.chat(0).await;
            world.pass(60);
        }
        world.answers(|_| ok());
        assert_eq!(world.chat(0).await.status, 200);
        assert_eq!((world.state(0), world.member(0).unwrap().retirements), (State::Active, round));
    }
}

fn limited(count: usize) -> World {
    let rules = Commune::default().rate(Rate::new(secs(2)));
    World::with(KeyPool::builder(Provider::OPENAI).commune(rules).keys(keys(count)))
}

#[tokio::test]
async fn defect_19_junk_keys_lift_nobodys_limit_and_are_held_to_it_themselves() {
    let world = limited(2);
    for (caller, status) in [(0, 200), (7, 401)] {
        world.refuses(&[7]);
        assert_eq!(world.chat(caller).await.status.as_u16(), status);
        for junk in 1_000..1_500 {
            world.chat(junk).await;
        }
        let got = world.chat(caller).await;
        assert_eq!(got.told(), (429, Some("2")), "max_keys of them pushed it out; and it was told no time");
        assert!(matches!(got.refusal, Some(Refusal::TooOften { .. })));
        world.pass(2);
    }
}

#[tokio::test]
async fn defect_19_what_cannot_be_a_key_is_not_counted_as_one() {
    let world = limited(1);
    for _ in 0..3 {
        let got = world.send(to(super::CHAT, &[("authorization", "Bearer short")], Stepped::full("{}"))).await;
        assert_eq!((got.status.as_u16(), got.refusal), (400, Some(Refusal::KeyTooShort)), "the limit came first");
    }
}

#[tokio::test]
async fn defect_20_no_text_of_a_callers_is_kept_as_its_subnet() {
    let world = World::new(1);
    for said in ["1.2.3.4", "2001:db8::1", &"x".repeat(300)] {
        let mut request = chat(0);
        request.headers_mut().insert("x-forwarded-for", said.parse().unwrap());
        world.send(request).await;
        assert_eq!(world.member(0).unwrap().last_client, None, "only the application knows whom to believe");
    }
    let mut request = chat(0);
    request.extensions_mut().insert(Subnet::from("2001:db8:1:2::3".parse::<IpAddr>().unwrap()));
    world.send(request).await;
    assert_eq!(world.member(0).unwrap().last_client.unwrap().to_string(), "2001:db8:1::/48");
}

#[tokio::test]
async fn defect_24_no_second_field_array_or_line_gets_past_a_rule() {
    let bodies = [
        r#"{"model":"x:free","models":["openai/gpt-4"]}"#,
        r#"{"model":["gpt-4","x:free"]}"#,
        "{\"model\":\"gpt-4\\nx:free\"}",
        r#"{"model":"x:free","model":"gpt-4"}"#,
    ];
    let world = World::new(1);
    let rules = Rules::new().body("model", ":free$").unwrap();
    let client = KeyCommuneLayer::new(world.pool.clone()).inspect(rules).layer(world.upstream.clone());
    for body in bodies {
        let mut request = chat(0);
        *request.body_mut() = Stepped::full(body);
        let got = fetch(&client, request).await;
        assert_eq!((got.status.as_u16(), world.upstream.count()), (400, 0), "{body}");
    }
    let mut request = chat(0);
    *request.body_mut() = Stepped::full(r#"{"model":"x:free"}"#);
    assert_eq!(fetch(&client, request).await.status, 200);
}

#[tokio::test]
async fn defect_22_anthropics_header_is_read_and_written_bare() {
    const MESSAGES: &str = "https://api.anthropic.com/v1/messages";
    let json = ("content-type", "application/json");
    for (name, scheme) in [("x-api-key", ""), ("authorization", "Bearer ")] {
        let world = World::with(KeyPool::builder(Provider::ANTHROPIC).commune(Commune::default()).keys(keys(2)));
        for _ in 0..8 {
            let value = format!("{scheme}{}", key(0));
            let got = world.send(to(MESSAGES, &[(name, &value), json], Stepped::full("{}"))).await;
            assert_eq!(got.status, 200);
        }
        let seen: Vec<Seen> = world.upstream.seen();
        assert!(seen.iter().all(|seen| seen.headers["x-api-key"] == key(number(seen)).as_str()));
        assert!(seen.iter().all(|seen| !seen.headers.contains_key("authorization")));
        assert!(seen.iter().any(|seen| number(seen) == 1), "and is shared");
    }
}

#[tokio::test]
async fn defect_22_another_scheme_is_not_a_key() {
    let world = World::new(1);
    let got = world.send(to(super::CHAT, &[("authorization", "Basic c2stdGVzdDpzay10ZXN0")], Stepped::full(""))).await;
    assert_eq!((got.status.as_u16(), world.upstream.count()), (400, 0));
    assert!(matches!(got.refusal, Some(Refusal::Credential(_))));
}

#[tokio::test]
async fn defect_32_a_busy_key_is_left_alone_however_little_it_was_used() {
    let world = World::new(2);
    let (upstream, go) = slow_first(ok, ok);
    let request = late(&world, &upstream).await;
    let client = client(&world.pool, &upstream);
    let busy = number(&upstream.seen()[0]);
    for _ in 0..50 {
        fetch(&client, chat(0)).await;
    }
    assert_eq!(upstream.uses(&key(busy)), 1, "requests in flight come before those of the past");
    go.notify_one();
    assert_eq!(request.await.unwrap().status, 200);
}

#[tokio::test]
async fn defect_32_one_throttle_does_not_outrank_any_load_for_the_rest_of_the_day() {
    let world = World::new(2);
    world.answers(|seen| if is_one_of(seen, &[1]) { throttled() } else { ok() });
    while world.state(1) == State::Active {
        world.chat(0).await;
    }
    world.answers(|_| ok());
    world.pass(61);
    let from = world.upstream.count();
    for _ in 0..100 {
        world.chat(0).await;
        world.pass(60);
    }
    let share = world.used(from).iter().filter(|&&number| number == 1).count();
    assert!(share > 25, "{share} of 100 in the hour and a half before midnight");
}

#[tokio::test]
async fn defect_21_a_reverse_proxy_in_front_may_name_its_own_host() {
    let world = World::new(1);
    let mut request = chat(0);
    request.headers_mut().insert("x-forwarded-host", "gateway.example".parse().unwrap());
    assert_eq!(world.send(request).await.status, 200);
    assert!(!world.upstream.last().headers.contains_key("x-forwarded-host"));
}
