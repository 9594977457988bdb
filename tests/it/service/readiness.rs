//! Key first, then readiness: the other way round deadlocks against a concurrency limit.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use key_commune::KeyCommuneLayer;
use key_commune::rules::Rules;
use key_commune::service::ReplayBody;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};

use crate::support::{
    CHAT, Oops, Step, Stepped, Upstream, assert_idle, fetch, ok, post, revoked, secs, send, throttled, timed, to,
};

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_a_key_hold_no_permit() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() });
    let limited = ConcurrencyLimit::new(upstream.clone(), 1);
    let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(90)).layer(limited.clone());
    fetch(&client, post("x")).await;
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { fetch(&client, post("x")).await.status.as_u16() })
        })
        .collect();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(pool.snapshot().waiting, 10, "all of them got past the limit of one");
    let foreign = fetch(&client, to("https://other.example/", &[], Stepped::full("")));
    let foreign = tokio::time::timeout(secs(1), foreign).await.expect("the permit is free for others");
    assert_eq!(foreign.status.as_u16(), 200);
    for status in waiting {
        assert_eq!(status.await.unwrap(), 200, "no deadlock");
    }
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_keeps_its_client_keeps_no_permit_while_its_request_waits() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() });
    let layer = KeyCommuneLayer::new(pool.clone()).max_wait(secs(90));
    let mut client = layer.layer(ConcurrencyLimit::new(upstream, 1));
    let mut other = client.clone();
    fetch(&client, post("x")).await;
    let mut future = pin!(client.ready().await.unwrap().call(post("x")));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(context).is_pending());
    assert!(matches!(other.poll_ready(context), Poll::Ready(Ok(()))));
    drop(other);
    assert_eq!(future.await.unwrap().status().as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_body_is_inspected_holds_no_permit_meanwhile() {
    let needs = |_: &http::request::Parts, body: Option<&[u8]>| match body {
        None => key_commune::demand::Inspection::NeedsBody(100),
        Some(_) => key_commune::demand::Inspection::Demand(key_commune::demand::Demand::default()),
    };
    let upstream = Upstream::in_turn(|_| ok());
    let client = KeyCommuneLayer::new(timed(1)).inspect(needs).layer(ConcurrencyLimit::new(upstream, 1));
    let stuck = to(CHAT, &[], Stepped::chunks(["{"]).then(Step::Hang));
    let slow = tokio::spawn({
        let client = client.clone();
        async move { send(&client, stuck).await.is_ok() }
    });
    tokio::task::yield_now().await;
    let got = tokio::time::timeout(secs(1), fetch(&client, post("x"))).await.expect("no permit is held");
    assert_eq!(got.status.as_u16(), 200);
    slow.abort();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_keeps_its_client_keeps_no_permit_after_an_answer_of_ours() {
    let upstream = Upstream::in_turn(|_| ok());
    let layer = KeyCommuneLayer::new(timed(2)).inspect(Rules::new().path("^/v1/chat/").unwrap());
    for (uri, status) in
        [("https://api.openai.com/v1/files", 400), ("https://api.openai.com/v1/../files", 400), ("/", 421)]
    {
        let mut client = layer.layer(ConcurrencyLimit::new(upstream.clone(), 1));
        let mut other = client.clone();
        let answer = client.ready().await.unwrap().call(to(uri, &[], Stepped::full("x"))).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(matches!(other.poll_ready(context), Poll::Ready(Ok(()))), "{uri}");
    }
    assert_eq!(upstream.count(), 0);
}

/// Counts its clones and how often each was polled ready; panics when called unready; ready at the second poll only.
struct Counting {
    inner: Upstream,
    polls: usize,
    ready: Arc<AtomicUsize>,
}

impl Clone for Counting {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), polls: 0, ready: Arc::clone(&self.ready) }
    }
}

impl Service<Request<ReplayBody<Stepped>>> for Counting {
    type Response = Response<Stepped>;
    type Error = Oops;
    type Future = <Upstream as Service<Request<ReplayBody<Stepped>>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Oops>> {
        self.polls += 1;
        if self.polls < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ready.fetch_add(1, Ordering::SeqCst);
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReplayBody<Stepped>>) -> Self::Future {
        self.polls = 0;
        self.inner.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn attack_86_every_attempt_calls_a_service_that_was_polled_ready_itself() {
    for attempts in 1..=4 {
        let upstream = Upstream::in_turn(move |number| if number + 1 < attempts { revoked() } else { ok() });
        let ready = Arc::new(AtomicUsize::new(0));
        let counting = Counting { inner: upstream.clone(), polls: 0, ready: Arc::clone(&ready) };
        let mut client = KeyCommuneLayer::new(timed(4)).layer(counting);
        for round in 1..=3 {
            let response = client.ready().await.unwrap().call(post("x")).await.unwrap();
            assert_eq!(response.status().as_u16(), 200);
            let expected = attempts + round - 1;
            assert_eq!((upstream.count(), ready.load(Ordering::SeqCst)), (expected, expected));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attack_86_a_client_that_was_polled_ready_waits_and_can_be_used_again() {
    let pool = timed(1);
    let upstream = Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() });
    let ready = Arc::new(AtomicUsize::new(0));
    let counting = Counting { inner: upstream.clone(), polls: 0, ready: Arc::clone(&ready) };
    let mut client = KeyCommuneLayer::new(pool).max_wait(secs(90)).layer(counting);
    for _ in 0..4 {
        drop(client.ready().await.unwrap().call(post("x")).await.unwrap());
    }
    assert_eq!((upstream.count(), ready.load(Ordering::SeqCst)), (4, 5), "one readiness was given up for the wait");
}
