//! I8: a lease is judged at the head and ends once.

use http_body_util::BodyExt;
use key_commune::KeyCommuneLayer;
use key_commune::health::State;
use key_commune::pool::Limits;
use key_commune::select::FillFirst;
use tower::Layer;

use crate::support::{
    Oops, Step, Stepped, Upstream, answer, assert_idle, builder, client, events, fetch, in_flight, key, ok, post, read,
    secs, send, streamed, throttled, timed, tokio_clock,
};

fn endless() -> Stepped {
    Stepped::chunks(["data: 1\n\n"]).then(Step::Wait(secs(1))).then(Step::Data("data: 2\n\n".into())).then(Step::Hang)
}

#[tokio::test(start_paused = true)]
async fn i8_the_head_is_judged_and_the_lease_lasts_to_the_end_of_the_body() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|_| events(&["data: 1\n\n", "data: 2\n\n"]));
    let mut response = send(&client(&pool, &upstream), post("x")).await.unwrap();
    assert_eq!(in_flight(&pool), 1);
    while response.body_mut().frame().await.is_some() {}
    assert_idle(&pool);
    drop(response);
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i8_a_caller_that_hangs_up_is_neither_success_nor_failure() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|_| streamed(200, &[("content-type", "text/event-stream")], endless()));
    let mut response = send(&client(&pool, &upstream), post("x")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(in_flight(&pool), 1);
    drop(response);
    assert_idle(&pool);
    assert_eq!(pool.snapshot().members[0].state, State::Active);
}

#[tokio::test(start_paused = true)]
async fn i8_a_body_that_fails_gives_the_lease_back_and_says_so_unchanged() {
    let pool = timed(2);
    let body = || Stepped::chunks(["half"]).then(Step::Fail);
    let upstream = Upstream::in_turn(move |_| streamed(200, &[], body()));
    let response = send(&client(&pool, &upstream), post("x")).await.unwrap();
    let got = read(response).await;
    assert_eq!((got.text().as_str(), got.broken), ("half", Some(Oops("body"))));
    assert_eq!(upstream.count(), 1, "nothing that a caller has begun to receive is replayed");
    assert_eq!(pool.snapshot().active(), 2);
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i8_an_empty_body_needs_no_poll_to_give_the_lease_back() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|_| streamed(200, &[], Stepped::full("")));
    let response = send(&client(&pool, &upstream), post("x")).await.unwrap();
    assert_idle(&pool);
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn i8_the_last_frame_of_a_known_body_ends_the_lease() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|_| streamed(200, &[], Stepped::full("all")));
    let mut response = send(&client(&pool, &upstream), post("x")).await.unwrap();
    assert_eq!(in_flight(&pool), 1);
    response.body_mut().frame().await.unwrap().unwrap();
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i8_a_failed_head_is_final_though_its_body_is_long() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|_| streamed(429, &[("retry-after", "7")], endless()));
    let response = send(&client(&pool, &upstream), post("x")).await.unwrap();
    let member = &pool.snapshot().members[0];
    assert_eq!((member.state, member.throttles), (State::Resting, 1));
    drop(response);
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i8_a_success_frees_the_probe_at_its_head() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|number| {
        if number == 0 { throttled() } else { streamed(200, &[("content-type", "text/event-stream")], endless()) }
    });
    let client = client(&pool, &upstream);
    fetch(&client, post("x")).await;
    tokio::time::advance(secs(60)).await;
    let probe = send(&client, post("x")).await.unwrap();
    let second = send(&client, post("x")).await.unwrap();
    assert_eq!((probe.status().as_u16(), second.status().as_u16(), in_flight(&pool)), (200, 200, 2));
    assert_eq!(pool.snapshot().members[0].state, State::Active);
}

/// With a body, which would hold the lease to its end.
fn limited() -> http::Response<Stepped> {
    answer(429, &[("content-type", "application/json")], r#"{"error":{"code":"rate_limit_exceeded"}}"#)
}

/// Its own throttled answer, kept for want of a better one, must not take the room that the next attempt needs.
#[tokio::test(start_paused = true)]
async fn i8_a_head_that_failed_gives_its_room_to_the_next_attempt() {
    for wait in [0, 30] {
        let pool = builder(2).pool_limits(Limits::default().concurrent(1)).clock(tokio_clock()).build().unwrap();
        let upstream = Upstream::in_turn(|number| if number == 0 { limited() } else { ok() });
        let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(wait)).layer(upstream.clone());
        let begun = tokio::time::Instant::now();
        let got = fetch(&client, post("x")).await;
        assert_eq!((got.status.as_u16(), begun.elapsed()), (200, secs(0)), "max_wait {wait}");
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn i8_requests_that_fail_together_do_not_wait_for_each_other() {
    let pool = builder(2).pool_limits(Limits::default().concurrent(10)).select(FillFirst).clock(tokio_clock());
    let pool = pool.build().unwrap();
    let upstream = Upstream::new(|mut call| async move {
        let seen = call.read().await;
        tokio::time::sleep(secs(1)).await;
        Ok(if seen.key() == key(0) { limited() } else { ok() })
    });
    let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(20)).layer(upstream.clone());
    let begun = tokio::time::Instant::now();
    let all = (0..10).map(|_| async { fetch(&client, post("x")).await.status.as_u16() });
    assert_eq!(futures_util::future::join_all(all).await, [200; 10]);
    assert_eq!((begun.elapsed(), upstream.count()), (secs(2), 20));
    assert_idle(&pool);
}
