//! I18: a member's secret never reaches a caller where scrubbing is on.

use hyper::ext::ReasonPhrase;
use key_commune::service::Landed;
use key_commune::{KeyCommune, KeyCommuneLayer, Refusal};
use tower::Layer;

use crate::support::{
    CHAT, Step, Stepped, Upstream, answer, assert_idle, builder, client, fetch, key, map, ok, post, send, streamed,
    timed, to,
};

fn scrubbing(upstream: &Upstream) -> KeyCommune<Upstream> {
    KeyCommuneLayer::new(timed(1)).scrub().layer(upstream.clone())
}

fn mask() -> String {
    "*".repeat(key(0).len())
}

#[tokio::test(start_paused = true)]
async fn i18_an_echo_in_a_header_is_masked() {
    let upstream = Upstream::answering(|seen| {
        let echo = seen.headers["authorization"].to_str().unwrap();
        answer(404, &[("x-echo", echo), ("x-echo", "fine"), ("content-type", "text/plain")], "")
    });
    let got = fetch(&scrubbing(&upstream), post("x")).await;
    let echo = format!("Bearer {}", mask());
    assert_eq!(got.headers, map(&[("x-echo", &echo), ("x-echo", "fine"), ("content-type", "text/plain")]));
}

#[tokio::test(start_paused = true)]
async fn i18_an_echo_is_masked_wherever_the_body_is_cut() {
    for kind in ["text/plain", "text/event-stream"] {
        let text = format!("data: Bearer {} is wrong\n\ndata: [DONE]\n\n", key(0));
        let masked = text.replace(&key(0), &mask());
        for cut in 1..text.len() {
            let chunks = [text[..cut].to_owned(), text[cut..].to_owned()];
            let upstream =
                Upstream::in_turn(move |_| streamed(200, &[("content-type", kind)], Stepped::chunks(chunks.clone())));
            assert_eq!(fetch(&scrubbing(&upstream), post("x")).await.text(), masked, "cut at {cut}");
        }
        let bytes = text.clone();
        let upstream = Upstream::in_turn(move |_| {
            streamed(200, &[("content-type", kind)], Stepped::chunks(bytes.bytes().map(|byte| vec![byte])))
        });
        assert_eq!(fetch(&scrubbing(&upstream), post("x")).await.text(), masked, "byte by byte");
    }
}

#[tokio::test(start_paused = true)]
async fn i18_an_echo_in_trailers_and_in_an_unfinished_tail_is_masked() {
    let upstream = Upstream::in_turn(|_| {
        let body = Stepped::chunks(["sum ".to_owned(), key(0)]);
        streamed(200, &[], body.then(Step::Trailers(map(&[("x-sum", &key(0)), ("x-fine", "1")]))))
    });
    let got = fetch(&scrubbing(&upstream), post("x")).await;
    assert_eq!(
        (got.text(), got.trailers),
        (format!("sum {}", mask()), Some(map(&[("x-sum", &mask()), ("x-fine", "1")])))
    );
    let half = &key(0)[..20];
    let upstream = Upstream::in_turn(move |_| streamed(200, &[], Stepped::chunks([key(0)[..20].to_owned()])));
    assert_eq!(fetch(&scrubbing(&upstream), post("x")).await.text(), half, "a tail that is no echo is given back");
}

/// What hyper's client reads behind the status, its server would write.
#[tokio::test(start_paused = true)]
async fn i18_what_clients_put_beside_an_answer_stays_behind() {
    let landed = Landed(CHAT.parse().unwrap());
    let note = landed.clone();
    let upstream = Upstream::answering(move |seen| {
        let mut answer = ok();
        answer.extensions_mut().insert(ReasonPhrase::try_from(format!("OK {}", seen.key())).unwrap());
        answer.extensions_mut().insert(note.clone());
        answer
    });
    let answer = send(&scrubbing(&upstream), post("x")).await.unwrap();
    assert!(answer.extensions().get::<ReasonPhrase>().is_none());
    assert_eq!(answer.extensions().get(), Some(&landed));
    let answer = send(&client(&timed(1), &upstream), post("x")).await.unwrap();
    assert!(answer.extensions().get::<ReasonPhrase>().is_some(), "an application on its own keys may want it");
}

#[tokio::test(start_paused = true)]
async fn i18_answers_are_asked_for_plain_and_whole() {
    let upstream = Upstream::in_turn(|_| answer(200, &[], "x"));
    let sent = [("accept-encoding", "gzip, br"), ("range", "bytes=0-9"), ("if-range", "x")];
    fetch(&scrubbing(&upstream), to(CHAT, &sent, Stepped::full(""))).await;
    let seen = upstream.last().headers;
    assert_eq!(seen.get_all("accept-encoding").iter().collect::<Vec<_>>(), ["identity"]);
    assert!(!seen.contains_key("range") && !seen.contains_key("if-range"));
    fetch(&client(&timed(1), &upstream), to(CHAT, &sent, Stepped::full(""))).await;
    let seen = upstream.last().headers;
    assert_eq!(
        (&seen["accept-encoding"], &seen["range"]),
        (&"identity".parse().unwrap(), &"bytes=0-9".parse().unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn i18_an_answer_that_is_encoded_all_the_same_becomes_502() {
    for (encoding, status) in
        [("gzip", 502), ("br", 502), ("identity, zstd", 502), ("identity", 200), ("IDENTITY", 200)]
    {
        let pool = builder(1).build().unwrap();
        let upstream = Upstream::in_turn(move |_| answer(200, &[("content-encoding", encoding)], "bytes"));
        let client = KeyCommuneLayer::new(pool.clone()).scrub().layer(upstream);
        let response = send(&client, post("x")).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{encoding}");
        let refusal = response.extensions().get().cloned();
        assert_eq!(refusal, (status == 502).then_some(Refusal::Encoded));
        drop(response);
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn i18_is_off_unless_asked_for() {
    let upstream = Upstream::in_turn(|_| answer(200, &[("x-echo", &key(0)), ("content-encoding", "gzip")], &key(0)));
    let got = fetch(&client(&timed(1), &upstream), post("x")).await;
    assert_eq!((got.text(), got.header("x-echo").map(str::to_owned)), (key(0), Some(key(0))));
}
