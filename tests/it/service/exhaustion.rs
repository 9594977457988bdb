//! I14: exhaustion is honest.

use std::time::Duration;

use key_commune::demand::Routing;
use key_commune::health::{Ladder, State};
use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;
use key_commune::service::Deadline;
use key_commune::{KeyCommuneLayer, Refusal};
use tower::Layer;

use crate::support::{
    CHAT, Step, Stepped, Upstream, answer, assert_idle, builder, client, fetch, in_flight, key, ok, plain, post,
    revoked, secs, throttled, timed, to, tokio_clock,
};

/// A pool of which every key was throttled just now, the first for 30 s, the second for 7 s.
async fn resting() -> (KeyPool, Upstream) {
    let pool = timed(2);
    let upstream = Upstream::answering(|seen| {
        let long = [("retry-after", "30"), ("retry-after-ms", "30000")];
        let short = [("retry-after", "7"), ("x-ms-retry-after-ms", "7000")];
        answer(429, if seen.key() == key(0) { &long } else { &short }, "its own words")
    });
    let got = fetch(&client(&pool, &upstream), post("x")).await;
    assert_eq!((got.told(), got.text().as_str(), got.refusal.clone()), ((429, Some("7")), "its own words", None));
    assert_eq!((got.header("retry-after-ms"), got.header("x-ms-retry-after-ms")), (None, None));
    assert_eq!(upstream.count(), 2);
    (pool, upstream)
}

#[tokio::test(start_paused = true)]
async fn i14_its_own_last_answer_comes_first_with_the_pools_soonest() {
    let (pool, _) = resting().await;
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i14_a_pool_at_rest_answers_at_once_with_its_soonest() {
    let (pool, upstream) = resting().await;
    tokio::time::advance(Duration::from_millis(2_500)).await;
    let got = fetch(&client(&pool, &upstream), post("x")).await;
    assert_eq!((got.told(), upstream.count()), ((429, Some("5")), 2), "4.5 s, rounded up");
    assert_eq!(got.refusal, Some(Refusal::Exhausted { retry_after: Some(Duration::from_millis(4_500)) }));
    assert_eq!(got.json()["error"]["code"], "no_key_available");
}

#[tokio::test(start_paused = true)]
async fn i14_what_speaks_of_our_key_is_never_shown() {
    let verified = r#"{"error":{"message":"Your organization must be verified to use the model `x`."}}"#;
    let credit = r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#;
    let spent = r#"{"error":{"code":402,"message":"Insufficient credits"}}"#;
    let invalid = r#"{"error":{"code":"invalid_api_key","message":"no"}}"#;
    let event = "data: {\"error\":{\"code\":\"invalid_api_key\"}}\n\n";
    let (json, sse) = ("application/json", "text/event-stream");
    let table = [
        (Provider::OPENAI, 401, json, invalid, "60"),
        (Provider::OPENAI, 401, json, "", "60"),
        (Provider::OPENAI, 402, json, "pay", "3600"),
        (Provider::OPENAI, 403, json, invalid, "60"),
        (Provider::OPENAI, 403, json, verified, "1"),
        (Provider::OPENAI, 200, sse, event, "60"),
        (Provider::ANTHROPIC, 400, json, credit, "3600"),
        (Provider::OPENROUTER, 200, json, spent, "3600"),
    ];
    for (provider, status, kind, body, wait) in table {
        for count in [1, 2] {
            let keys = (0..count).map(|number| Key::new(key(number)).unwrap());
            let provider = provider.clone().base("https://api.openai.com");
            let pool = KeyPool::builder(provider).penalties(plain()).keys(keys).clock(tokio_clock()).build().unwrap();
            let upstream = Upstream::in_turn(move |_| answer(status, &[("content-type", kind)], body));
            let got = fetch(&client(&pool, &upstream), post("x")).await;
            // A refusal that is about one model rests nobody: there is nothing to wait for.
            let rests = body != verified;
            assert_eq!(got.told(), (if rests { 429 } else { 503 }, Some(wait)), "{status} {body}: {}", got.text());
            assert_eq!(matches!(got.refusal, Some(Refusal::Exhausted { .. })), rests, "{status} {body}");
            assert_eq!(upstream.count(), count, "{status} {body}");
            assert_idle(&pool);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i14_without_a_key_that_will_come_back_it_is_503() {
    let retiring = plain().rejected(Ladder::steps([]).retires_at(1));
    let pool = builder(1).penalties(retiring).clock(tokio_clock()).build().unwrap();
    let upstream = Upstream::in_turn(|_| revoked());
    for _ in 0..2 {
        let got = fetch(&client(&pool, &upstream), post("x")).await;
        assert_eq!((got.told(), got.refusal.clone()), ((503, None), Some(Refusal::Exhausted { retry_after: None })));
    }
    assert_eq!((upstream.count(), pool.snapshot().members[0].state), (1, State::Retired));
    let got = fetch(&client(&timed(0), &upstream), post("x")).await;
    assert_eq!(got.told(), (503, None), "a pool without keys");
}

#[tokio::test(start_paused = true)]
async fn i14_a_request_waits_inside_its_deadline() {
    let hint = || answer(429, &[("retry-after", "7")], "");
    // What the layer was told, what the request says, and how long it waits: not at all if that would not help.
    let table = [
        (secs(0), None, 429, 0),
        (secs(6), None, 429, 0),
        (secs(8), None, 200, 7),
        (secs(0), Some(secs(8)), 200, 7),
        (secs(8), Some(secs(6)), 429, 0),
        (secs(8), Some(secs(0)), 429, 0),
        (Duration::MAX, None, 200, 7),
        (secs(0), Some(Duration::MAX), 200, 7),
    ];
    for (max_wait, deadline, status, waited) in table {
        let pool = timed(1);
        let upstream = Upstream::in_turn(move |number| if number == 0 { hint() } else { ok() });
        let client = KeyCommuneLayer::new(pool.clone()).max_wait(max_wait).annotate(true).layer(upstream.clone());
        assert_eq!(fetch(&client, post("x")).await.told(), (429, Some("7")));
        let mut request = post("x");
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let started = tokio::time::Instant::now();
        let got = fetch(&client, request).await;
        assert_eq!((got.status.as_u16(), started.elapsed()), (status, secs(waited)), "{max_wait:?} {deadline:?}");
        assert_eq!(got.served.map(|served| served.waited), (status == 200).then(|| secs(waited)));
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn i14_the_time_that_a_body_takes_to_come_is_no_waiting() {
    let pool = timed(1);
    let upstream =
        Upstream::in_turn(|number| if number == 0 { answer(429, &[("retry-after", "15")], "") } else { ok() });
    let layer = KeyCommuneLayer::new(pool.clone()).max_wait(secs(8)).annotate(true).inspect(Routing::new());
    let client = layer.layer(upstream.clone());
    fetch(&client, post("x")).await;
    let body = Stepped::chunks(["{"]).then(Step::Wait(secs(10))).then(Step::Data("}".into()));
    let got = fetch(&client, to(CHAT, &[("content-type", "application/json")], body)).await;
    assert_eq!((got.status.as_u16(), got.served.unwrap().waited), (200, secs(5)));
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i14_a_request_that_was_refused_waits_for_a_key_it_has_not_tried() {
    let pool = timed(2);
    let upstream = Upstream::in_turn(|number| match number {
        0 => answer(429, &[("retry-after", "9")], ""),
        1 => answer(429, &[("retry-after", "40")], ""),
        _ => ok(),
    });
    let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(20)).layer(upstream.clone());
    let first = pool.snapshot().members[0].id;
    pool.block(first, pool.now() + secs(15));
    let started = tokio::time::Instant::now();
    let got = fetch(&client, post("x")).await;
    assert_eq!(
        (got.told(), started.elapsed()),
        ((429, Some("1")), secs(15)),
        "the rest of the first key is over by now"
    );
    assert_eq!(upstream.count(), 2);
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i14_a_key_that_succeeds_is_handed_to_those_who_wait_in_their_order() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() });
    let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(100)).layer(upstream.clone());
    fetch(&client, post("first")).await;
    let tasks: Vec<_> = (0..20).map(|number| (client.clone(), number)).collect();
    let mut handles = Vec::new();
    for (client, number) in tasks {
        handles.push(tokio::spawn(async move { fetch(&client, post(&format!("{number:02}"))).await.status }));
        tokio::task::yield_now().await;
    }
    assert_eq!((pool.snapshot().waiting, in_flight(&pool)), (20, 0));
    for handle in handles {
        assert_eq!(handle.await.unwrap(), 200);
    }
    let order: Vec<_> = upstream.seen()[1..].iter().map(|seen| seen.body.clone()).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i14_a_service_that_is_overloaded_speaks_for_itself() {
    for count in [1, 2, 5] {
        let upstream = Upstream::in_turn(|_| answer(503, &[("retry-after", "30")], "busy"));
        let got = fetch(&client(&timed(count), &upstream), post("x")).await;
        assert_eq!((got.told(), got.text().as_str()), ((503, Some("30")), "busy"), "{count} keys");
        assert_eq!(upstream.count(), count.min(3));
    }
}

#[tokio::test(start_paused = true)]
async fn i14_an_answer_that_names_no_time_and_needs_none_gets_none() {
    let body =
        r#"{"error":{"code":"model_not_found","message":"`x` does not exist or you do not have access to it."}}"#;
    for count in [1, 2] {
        let upstream = Upstream::in_turn(move |_| answer(404, &[], body));
        let got = fetch(&client(&timed(count), &upstream), post("x")).await;
        assert_eq!((got.told(), got.text().as_str(), upstream.count()), ((404, None), body, count));
    }
}
