//! I24: when all futures and bodies are dropped, in-flight counts, permits and waiters are exactly zero.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use http::Response;
use http_body::Body;
use key_commune::pool::KeyPool;
use key_commune::{KeyCommune, KeyCommuneLayer};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};

use crate::support::{
    CHAT, Step, Stepped, Upstream, assert_idle, events, ok, revoked, secs, streamed, throttled, timed, to,
};

type Limited = KeyCommune<ConcurrencyLimit<Upstream>>;

/// Takes a few polls for everything: the upload, the head, the beginning of the answer, its rest.
fn slow(number: usize) -> Response<Stepped> {
    let stream = |first: &'static str| {
        let body = Stepped::new([Step::Yield, Step::Data(first.into()), Step::Yield, Step::Data("data: 2\n\n".into())]);
        streamed(200, &[("content-type", "text/event-stream")], body.then(Step::Wait(secs(1))))
    };
    match number {
        0 => streamed(429, &[("retry-after", "3")], Stepped::new([Step::Yield, Step::Data("a".into()), Step::Yield])),
        1 => stream("data: {\"error\":{\"code\":\"slow_down\"}}\n\n"),
        2 => revoked(),
        _ => stream("data: 1\n\n"),
    }
}

fn scene(keys: usize, blocked: bool) -> (KeyPool, Limited) {
    let pool = timed(keys);
    if blocked {
        let ids: Vec<_> = pool.snapshot().members.iter().map(|member| member.id).collect();
        for id in ids {
            assert!(pool.block(id, pool.now() + secs(2)));
        }
    }
    let upstream = Upstream::new(|mut call| async move {
        tokio::task::yield_now().await;
        call.read().await;
        tokio::time::sleep(secs(1)).await;
        Ok(slow(call.number))
    });
    let limited = ConcurrencyLimit::new(upstream, 1);
    (pool.clone(), KeyCommuneLayer::new(pool).max_wait(secs(100)).scrub().layer(limited))
}

fn request() -> http::Request<Stepped> {
    let body = Stepped::new([Step::Yield, Step::Data("a".into()), Step::Wait(secs(1)), Step::Data("b".into())]);
    to(CHAT, &[], body)
}

/// Nothing is in flight, nobody waits, and both the limit's permit and the probes are there for the next request.
async fn assert_nothing_is_lost(pool: &KeyPool, mut client: Limited, at: &str) {
    tokio::task::yield_now().await;
    assert_idle(pool);
    let ready = std::future::poll_fn(|cx| client.poll_ready(cx));
    assert!(tokio::time::timeout(secs(1), ready).await.is_ok(), "{at}: the permit is lost");
    drop(client);
    tokio::time::advance(secs(100_000)).await;
    for _ in 0..pool.snapshot().members.len() {
        let upstream = Upstream::in_turn(|_| ok());
        let got = crate::support::fetch(&crate::support::client(pool, &upstream), request()).await;
        assert_eq!(got.status.as_u16(), 200, "{at}: a probe is lost");
    }
}

#[tokio::test(start_paused = true)]
async fn i24_a_request_can_be_dropped_at_every_poll() {
    for (keys, blocked) in [(1, false), (1, true), (4, false), (4, true)] {
        let mut polls = 0;
        loop {
            let (pool, mut client) = scene(keys, blocked);
            let done = {
                let mut future = pin!(client.ready().await.unwrap().call(request()));
                let context = &mut Context::from_waker(Waker::noop());
                let mut done = false;
                for _ in 0..polls {
                    done = future.as_mut().poll(context).is_ready();
                    if done {
                        break;
                    }
                    tokio::time::advance(secs(1) / 2).await;
                }
                done
            };
            assert_nothing_is_lost(&pool, client, &format!("{keys} keys, blocked {blocked}, {polls} polls")).await;
            polls += 1;
            assert!(polls < 200, "it ends");
            if done {
                break;
            }
        }
        assert!(polls > 8, "there was something to drop: {polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn i24_an_answer_can_be_dropped_at_every_frame() {
    let mut polls = 0;
    loop {
        let (pool, mut client) = scene(4, false);
        let mut response = client.ready().await.unwrap().call(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let context = &mut Context::from_waker(Waker::noop());
        let mut done = false;
        for _ in 0..polls {
            let frame = pin!(response.body_mut()).poll_frame(context);
            done = matches!(frame, std::task::Poll::Ready(None));
            if done {
                break;
            }
            tokio::time::advance(secs(1) / 2).await;
        }
        drop(response);
        assert_nothing_is_lost(&pool, client, &format!("{polls} polls")).await;
        polls += 1;
        assert!(polls < 50, "it ends");
        if done {
            break;
        }
    }
    assert!(polls > 4, "{polls}");
}

#[tokio::test(start_paused = true)]
async fn i24_a_request_that_is_never_polled_holds_nothing_when_it_is_dropped() {
    let (pool, mut client) = scene(2, false);
    let future = client.ready().await.unwrap().call(request());
    drop(future);
    assert_nothing_is_lost(&pool, client, "never polled").await;
}

#[tokio::test(start_paused = true)]
async fn i24_a_thousand_requests_dropped_at_odd_times_leave_nothing_behind() {
    let pool = timed(3);
    let upstream = Upstream::new(|mut call| async move {
        tokio::time::sleep(secs(1) * (call.number as u32 % 5)).await;
        call.read().await;
        Ok(match call.number % 4 {
            0 => throttled(),
            1 => streamed(200, &[], Stepped::chunks(["a"]).then(Step::Hang)),
            _ => events(&["data: 1\n\n"]),
        })
    });
    let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(30)).layer(upstream);
    let mut tasks = Vec::new();
    for number in 0..1_000_u32 {
        let client = client.clone();
        let all = async move {
            let response = crate::support::send(&client, request()).await.unwrap();
            crate::support::read(response).await;
        };
        tasks.push(tokio::spawn(tokio::time::timeout(secs(1) * (number % 13) / 2, all)));
    }
    for task in tasks {
        drop(task.await.unwrap());
    }
    assert_idle(&pool);
}
