//! Groups H and J: exhaustion, amplification, numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use key_commune::clock::{Clock, SystemClock, Timestamp};
use key_commune::health::{Ladder, State};
use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;
use key_commune::{KeyCommuneLayer, preset};
use proptest::prelude::*;
use tower::Layer;

use crate::support::{
    CHAT, Oops, Step, Stepped, Upstream, answer, assert_idle, builder, client, fetch, keys, ok, plain, post, read,
    secs, send, streamed, throttled, timed, to, tokio_clock,
};

/// Each body has 1 MiB, as much as one request may keep; the process may keep 64 of them.
#[tokio::test(start_paused = true)]
async fn attack_58_large_uploads_are_all_sent_and_only_as_many_kept_as_there_is_room_for() {
    const UPLOADS: usize = 100;
    let piece = bytes::Bytes::from(vec![b'x'; 1 << 16]);
    for _ in 0..2 {
        let pool = preset::key_cycle(Provider::OPENAI).keys(keys(2)).clock(tokio_clock()).build().unwrap();
        let (first, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let upstream = Upstream::new({
            let (first, again) = (Arc::clone(&first), Arc::clone(&again));
            move |mut call| {
                let (first, again) = (Arc::clone(&first), Arc::clone(&again));
                async move {
                    let is_first = call.number < UPLOADS;
                    let count = if is_first { first } else { again };
                    count.fetch_add(usize::from(call.drain().await == 1 << 20), Ordering::SeqCst);
                    tokio::time::sleep(secs(5)).await;
                    Ok(if is_first { throttled() } else { ok() })
                }
            }
        });
        let client = client(&pool, &upstream);
        let uploads: Vec<_> = (0..UPLOADS)
            .map(|_| {
                let (client, body) =
                    (client.clone(), Stepped::chunks(vec![piece.clone(); 16]).then(Step::Wait(secs(1))));
                tokio::spawn(async move { fetch(&client, to(CHAT, &[], body)).await.status.as_u16() })
            })
            .collect();
        let mut served = 0;
        for status in uploads {
            served += usize::from(status.await.unwrap() == 200);
        }
        assert_eq!(first.load(Ordering::SeqCst), UPLOADS, "every one is sent, and whole");
        assert_eq!(again.load(Ordering::SeqCst), served);
        assert!((32..=64).contains(&served), "{served} of them were kept: 64 MiB at most");
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn attack_64_what_may_have_been_executed_is_not_sent_again() {
    type Script = fn() -> Result<http::Response<Stepped>, Oops>;
    let scripts: [(&str, Script); 6] = [
        ("reset", || Err(Oops("reset"))),
        ("500", || Ok(answer(500, &[], ""))),
        ("504", || Ok(answer(504, &[("retry-after", "1")], ""))),
        ("half an answer", || Ok(streamed(200, &[], Stepped::chunks(["half"]).then(Step::Fail)))),
        ("half an event", || {
            Ok(streamed(
                200,
                &[("content-type", "text/event-stream")],
                Stepped::chunks(["data: {\"er"]).then(Step::Fail),
            ))
        }),
        ("nothing after the head", || Ok(streamed(200, &[], Stepped::new([Step::Fail])))),
    ];
    for (name, script) in scripts {
        let (pool, upstream) = (
            timed(3),
            Upstream::new(move |mut call| async move {
                call.read().await;
                script()
            }),
        );
        for count in 1..=20 {
            if let Ok(response) = send(&client(&pool, &upstream), post("pay")).await {
                read(response).await;
            }
            assert_eq!(upstream.count(), count, "{name}");
        }
    }
    let pool = timed(3);
    let upstream = Upstream::new(|mut call| async move {
        call.read().await;
        std::future::pending().await
    });
    let client = client(&pool, &upstream);
    assert!(tokio::time::timeout(secs(600), fetch(&client, post("pay"))).await.is_err());
    assert_eq!((upstream.count(), pool.snapshot().active()), (1, 3), "a caller that loses patience");
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn attack_67_the_queue_is_bounded_and_says_when() {
    let pool = builder(1).max_waiting(5).clock(tokio_clock()).build().unwrap();
    let upstream = Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() });
    let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(90)).layer(upstream);
    fetch(&client, post("x")).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { fetch(&client, post("x")).await })
        })
        .collect();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(pool.snapshot().waiting, 5);
    let mut refused = 0;
    for request in requests {
        let got = request.await.unwrap();
        if got.status.as_u16() != 200 {
            assert_eq!(got.told(), (429, Some("60")));
            refused += 1;
        }
    }
    assert_eq!(refused, 15);
    assert_idle(&pool);
}

#[test]
fn attack_68_a_key_with_a_byte_that_no_header_can_hold_never_gets_into_a_pool() {
    for byte in 0..=u8::MAX {
        let fits = (0x21..=0x7e).contains(&byte);
        for text in [vec![byte, b'a', b'a'], vec![b'a', byte, b'a'], vec![b'a', b'a', byte]] {
            let accepted = String::from_utf8(text).is_ok_and(|text| KeyPool::new(Provider::OPENAI, [text]).is_ok());
            assert_eq!(accepted, fits, "{byte:#x}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attack_75_no_number_of_strikes_overflows_a_rest() {
    for cap in [secs(3_600), Duration::MAX] {
        let endless = plain().throttled(Ladder::doubling(secs(60), cap));
        let pool = builder(1).penalties(endless).clock(tokio_clock()).build().unwrap();
        let upstream = Upstream::in_turn(|_| throttled());
        let id = pool.snapshot().members[0].id;
        for strike in 1..=80_u32 {
            fetch(&client(&pool, &upstream), post("x")).await;
            let member = pool.snapshot().members.remove(0);
            assert_eq!((member.state, member.throttles), (State::Resting, strike));
            assert!(member.until.unwrap() > pool.now());
            // Its time is over by an operator's word: the strikes stay.
            assert!(pool.block(id, pool.now()));
        }
    }
}

fn request() -> impl Strategy<Value = Request<Stepped>> {
    let uri = prop_oneof![
        "[ -~]{0,40}",
        "(https?://)?(api\\.openai\\.com|evil)?(:[0-9]{0,6})?/[a-z/.%0-9\\\\?&=]{0,30}".prop_map(|uri| uri),
        Just(CHAT.to_owned()),
    ];
    let method = prop::sample::select(vec!["GET", "POST", "CONNECT", "OPTIONS", "HEAD", "X-ODD"]);
    let headers = prop::collection::vec(
        ("[a-zA-Z-]{1,20}|connection|te|upgrade|authorization", prop::collection::vec(any::<u8>(), 0..30)),
        0..8,
    );
    (uri, method, headers, prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..4)).prop_map(build)
}

type Parts = (String, &'static str, Vec<(String, Vec<u8>)>, Vec<Vec<u8>>);

fn build((uri, method, headers, body): Parts) -> Request<Stepped> {
    let mut request = Request::new(Stepped::chunks(body));
    *request.uri_mut() = uri.parse().unwrap_or_else(|_| Uri::from_static("/"));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(&value)) {
            request.headers_mut().append(name, value);
        }
    }
    request
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn attack_66_no_request_and_no_answer_makes_it_panic(
        request in request(),
        status in 100_u16..=999,
        header in ("retry-after|content-type|connection|content-encoding|x-ratelimit-reset", "[ -~]{0,40}"),
        body in prop::collection::vec("(event: error\n|data: |\\{\"error\":|[ -~]|\n){0,20}", 0..5),
        provider in 0_usize..4,
        (rebase, scrub) in (any::<bool>(), any::<bool>()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let row = [Provider::OPENAI, Provider::ANTHROPIC, Provider::GEMINI, Provider::OPENROUTER][provider].clone();
            let members = [0, 1].map(|number| Key::new(crate::support::key(number)).unwrap());
            let pool = KeyPool::builder(row.base("https://api.openai.com")).keys(members).build().unwrap();
            let upstream = Upstream::in_turn(move |_| {
                streamed(status, &[(header.0.as_str(), header.1.as_str())], Stepped::chunks(body.clone()))
            });
            let mut layer = KeyCommuneLayer::new(pool.clone());
            if rebase {
                layer = layer.rebase();
            }
            if scrub {
                layer = layer.scrub();
            }
            fetch(&layer.layer(upstream.clone()), request).await;
            assert!(upstream.count() <= 3);
            assert_idle(&pool);
        });
    }
}

/// The wall clock cannot be set from a test; that nobody looks at it after the start can be read.
#[test]
fn attack_73_the_wall_clock_is_read_once_so_that_setting_it_moves_no_deadline() {
    let clock = include_str!("../../../src/clock.rs");
    assert_eq!(clock.matches("SystemTime::now()").count(), 1);
    let (_, new) = clock.split_once("pub fn new() -> Self {").unwrap();
    let (new, behind) = new.split_once("impl Default").unwrap();
    assert!(new.contains("SystemTime::now()") && !behind.contains("SystemTime"), "only a clock that is made reads it");
    let (clock, mut last) = (SystemClock::new(), Timestamp::ZERO);
    for _ in 0..1_000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
}
