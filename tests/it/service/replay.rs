//! I9 and I10: what is sent again, and that the bodies of both ways stay what they were.

use std::any::Any;

use http::{HeaderMap, StatusCode};
use key_commune::KeyCommuneLayer;
use key_commune::classify::{Answer, ByStatus, Classify, Peek};
use key_commune::outcome::{Outcome, Verdict};
use tower::Layer;

use crate::support::{
    CHAT, Call, Oops, Step, Stepped, Upstream, answer, assert_idle, client, fetch, map, ok, post, read, revoked, secs,
    send, streamed, throttled, timed, to,
};

/// Ten chunks, a second apart.
fn upload() -> Stepped {
    let chunk = |number: u8| [Step::Data(vec![b'0' + number; 1_000].into()), Step::Wait(secs(1))];
    Stepped::new((0..10).flat_map(chunk)).then(Step::Trailers(map(&[("x-sum", "7")])))
}

fn uploaded() -> Vec<u8> {
    (0..10_u8).flat_map(|number| vec![b'0' + number; 1_000]).collect()
}

#[tokio::test(start_paused = true)]
async fn i9_i10_an_early_refusal_of_a_running_upload_fails_over_with_every_byte() {
    for early in [throttled, revoked] {
        let pool = timed(2);
        let upstream = Upstream::new(move |mut call: Call| async move {
            if call.number == 1 {
                call.read().await;
                return Ok(ok());
            }
            assert!(call.frame().await && call.frame().await && call.frame().await);
            tokio::spawn(async move { while call.frame().await {} });
            Ok(early())
        });
        let got = fetch(&client(&pool, &upstream), to(CHAT, &[], upload())).await;
        let [first, second] = upstream.seen().try_into().unwrap();
        assert_eq!((got.status.as_u16(), got.served.unwrap().attempts), (200, 2));
        assert_eq!((second.body, second.trailers), (uploaded(), Some(map(&[("x-sum", "7")]))));
        assert!(second.whole && !first.whole && first.body.len() == 3_000);
        assert_eq!(first.broken.as_deref(), Some("a later attempt of this request has taken its body over"));
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn i10_the_first_attempt_waits_for_no_body() {
    let upstream = Upstream::new(|mut call: Call| async move {
        call.frame().await;
        Ok(ok())
    });
    let body = Stepped::chunks(["first"]).then(Step::Hang);
    let got = fetch(&client(&timed(2), &upstream), to(CHAT, &[], body)).await;
    assert_eq!((got.status.as_u16(), upstream.last().body.as_slice()), (200, &b"first"[..]));
}

#[tokio::test(start_paused = true)]
async fn i10_a_body_too_large_to_keep_is_sent_once_and_whole() {
    const MIB: usize = 1 << 20;
    let large = || {
        let chunks = (0..17).map(|_| vec![b'x'; MIB / 16]);
        [Stepped::full(vec![b'x'; MIB / 16 * 17]), Stepped::chunks(chunks)]
    };
    for (index, body) in large().into_iter().enumerate() {
        let (pool, upstream) = (timed(2), Upstream::in_turn(|_| throttled()));
        let got = fetch(&client(&pool, &upstream), to(CHAT, &[], body)).await;
        assert_eq!((got.told(), upstream.count()), ((429, Some("1")), 1), "{index}: the other key is free for a retry");
        assert_eq!(upstream.last().body.len(), MIB / 16 * 17, "{index}");
        assert_idle(&pool);
    }
    let upstream = Upstream::in_turn(|_| throttled());
    for (body, attempts) in [("12345678", 2), ("123456789", 1)] {
        fetch(&KeyCommuneLayer::new(timed(2)).max_replay(8).layer(upstream.clone()), post(body)).await;
        assert_eq!(upstream.seen().iter().filter(|seen| seen.body == body.as_bytes()).count(), attempts, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn i9_only_what_was_not_processed_is_sent_again() {
    let model =
        r#"{"error":{"code":"model_not_found","message":"`x` does not exist or you do not have access to it."}}"#;
    let hint = &[("retry-after", "1")][..];
    let table = [
        (200, &[][..], "", 1),
        (401, &[], "", 2),
        (402, &[], "", 2),
        (403, &[], "", 1),
        (403, &[], model, 2),
        (404, &[], "", 1),
        (429, &[], "", 2),
        (500, &[], "", 1),
        (500, hint, "", 1),
        (502, &[], "", 1),
        (503, &[], "", 1),
        (503, hint, "", 2),
        (504, hint, "", 1),
        (520, &[], "", 1),
        (529, &[], "", 2),
    ];
    for (status, headers, body, attempts) in table {
        let (pool, upstream) = (timed(2), Upstream::in_turn(move |_| answer(status, headers, body)));
        let got = fetch(&client(&pool, &upstream), post("x")).await;
        assert_eq!(upstream.count(), attempts, "{status} {headers:?} {body}: {got:?}");
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn i9_failures_are_sent_again_only_when_the_application_asks_for_it() {
    for status in [500, 502, 503, 504, 520] {
        let upstream = Upstream::in_turn(move |number| if number == 0 { answer(status, &[], "") } else { ok() });
        let layer = KeyCommuneLayer::new(timed(2)).retry_failures(true);
        let got = fetch(&layer.layer(upstream.clone()), to(CHAT, &[], Stepped::chunks(["a", "b"]))).await;
        assert_eq!((got.status.as_u16(), upstream.count(), upstream.last().body), (200, 2, b"ab".to_vec()));
        assert_ne!(upstream.seen()[0].key(), upstream.seen()[1].key());
    }
}

/// Knows that an `Oops("refused")` was never sent.
struct Knows;

impl Classify for Knows {
    fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek {
        ByStatus.peek(status, headers)
    }

    fn answer(&self, answer: &Answer<'_>) -> Verdict {
        ByStatus.answer(answer)
    }

    fn error(&self, error: &dyn Any) -> Verdict {
        let verdict = Verdict::new(Outcome::Unreachable);
        if error.downcast_ref() == Some(&Oops("refused")) { verdict.unprocessed() } else { verdict }
    }
}

#[tokio::test(start_paused = true)]
async fn i9_an_error_is_sent_again_only_if_it_is_known_that_nothing_was_sent() {
    for (error, attempts) in [("refused", 2), ("reset", 1)] {
        let upstream = Upstream::new(move |mut call: Call| async move {
            call.read().await;
            if call.number == 0 { Err(Oops(error)) } else { Ok(ok()) }
        });
        let pool = timed(2);
        let answer = send(&KeyCommuneLayer::new(pool.clone()).classify(Knows).layer(upstream.clone()), post("x")).await;
        assert_eq!((answer.is_ok(), upstream.count()), (attempts == 2, attempts), "{error}");
        drop(answer);
        assert_idle(&pool);
        assert_eq!(pool.snapshot().active(), 2, "no key is to blame");
    }
}

#[tokio::test(start_paused = true)]
async fn i10_answers_stream_as_they_come() {
    let body = Stepped::chunks(["1"]).then(Step::Wait(secs(5))).then(Step::Data("2".into()));
    let body = body.then(Step::Trailers(map(&[("x-sum", "12"), ("set-cookie", "a")])));
    let slot = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let upstream = Upstream::in_turn(move |_| streamed(200, &[], slot.lock().unwrap().take().unwrap()));
    let started = tokio::time::Instant::now();
    let response = send(&client(&timed(2), &upstream), post("x")).await.unwrap();
    assert_eq!(started.elapsed(), secs(0), "the head does not wait for the body");
    let got = read(response).await;
    assert_eq!((started.elapsed(), got.text().as_str()), (secs(5), "12"));
    assert_eq!(got.trailers, Some(map(&[("x-sum", "12")])), "trailers pass by the rules of headers");
}
