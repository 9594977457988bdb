//! I10: a body is changed only where the layer was told to, for each attempt anew, and never by halves.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use key_commune::demand::{Demand, Inspect, Inspection};
use key_commune::pool::{Key, KeyPool};
use key_commune::rewrite::{Attempt, DropFields, Rewrite, StripPrefix};
use key_commune::service::ReplayBody;
use key_commune::{KeyCommune, KeyCommuneLayer, Origin};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{
    CHAT, Call, Step, Stepped, Upstream, assert_idle, builder, fetch, in_flight, key, map, ok, post, secs, send,
    throttled, timed, to, tokio_clock,
};

const BODY: &str = r#"{"model":"openai/gpt-4o","store":true}"#;

/// The same in one piece, in two, and a byte a second.
fn bodies() -> [Stepped; 3] {
    let slow = BODY.bytes().flat_map(|byte| [Step::Data(vec![byte].into()), Step::Wait(secs(1))]);
    [Stepped::full(BODY), Stepped::chunks([&BODY[..9], &BODY[9..]]), Stepped::new(slow)]
}

/// Writes the key's label behind the body.
fn signed(_: &Parts, body: &[u8], attempt: &Attempt<'_>) -> Option<Bytes> {
    Some([body, b" for ", attempt.label?.as_bytes()].concat().into())
}

fn labelled(count: usize) -> KeyPool {
    let keys = (0..count).map(|number| Key::new(key(10 + number)).unwrap().label(&number.to_string()));
    builder(0).keys(keys).clock(tokio_clock()).build().unwrap()
}

fn with(pool: &KeyPool, upstream: &Upstream, rewrite: impl Rewrite + 'static) -> KeyCommune<Upstream> {
    KeyCommuneLayer::new(pool.clone()).rewrite(rewrite).layer(upstream.clone())
}

fn failing_once() -> Upstream {
    Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() })
}

/// What reaches the provider of a body that goes through these.
async fn sent(rewrite: impl Rewrite + 'static, body: Stepped) -> Vec<u8> {
    let upstream = Upstream::in_turn(|_| ok());
    assert_eq!(fetch(&with(&timed(2), &upstream, rewrite), to(CHAT, &[], body)).await.status, 200);
    upstream.last().body
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_made_anew_out_of_what_came() {
    for body in bodies() {
        let (pool, upstream) = (labelled(2), failing_once());
        let got = fetch(&with(&pool, &upstream, signed), to(CHAT, &[], body)).await;
        assert_eq!((got.status.as_u16(), upstream.count()), (200, 2));
        for seen in upstream.seen() {
            let number = seen.key()["sk-test-0000001".len()..].chars().next().unwrap();
            assert_eq!((seen.body, seen.whole), (format!("{BODY} for {number}").into_bytes(), true));
        }
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn one_sees_what_the_one_before_has_made() {
    let (pool, upstream) = (labelled(1), Upstream::in_turn(|_| ok()));
    let layer = KeyCommuneLayer::new(pool).rewrite(StripPrefix::default()).rewrite(DropFields::new(["store"]));
    fetch(&layer.rewrite(signed).layer(upstream.clone()), post(BODY)).await;
    assert_eq!(upstream.last().body, br#"{"model":"gpt-4o"} for 0"#);
}

#[tokio::test(start_paused = true)]
async fn what_the_head_says_of_the_body_holds() {
    let digests = ["content-digest", "repr-digest", "digest", "content-md5"].map(|name| (name, "sha-256=:x:"));
    let headers = [&digests[..], &[("content-length", "38"), ("content-type", "application/json")]].concat();
    for (rewrite, kept) in [("openai", false), ("azure", true)] {
        let upstream = Upstream::in_turn(|_| ok());
        let client = with(&timed(1), &upstream, StripPrefix::new(rewrite));
        fetch(&client, to(CHAT, &headers, Stepped::full(BODY))).await;
        let seen = upstream.last();
        assert!(digests.iter().all(|(name, _)| seen.headers.contains_key(*name) == kept), "{:?}", seen.headers);
        assert!(seen.headers.contains_key("content-type") && !seen.headers.contains_key("content-length"));
        assert_eq!(seen.body == BODY.as_bytes(), kept);
    }
    let inner = service_fn(async |request: Request<ReplayBody<Stepped>>| {
        let length = request.body().size_hint().exact();
        Ok::<_, Infallible>(Response::new(Stepped::full(format!("{length:?}"))))
    });
    let mut client = KeyCommuneLayer::new(timed(1)).rewrite(StripPrefix::default()).layer(inner);
    for body in bodies() {
        let answer = client.ready().await.unwrap().call(to(CHAT, &[], body)).await.unwrap();
        assert_eq!(crate::support::read(answer).await.text(), format!("Some({})", BODY.len() - "openai/".len()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_changed_passes_as_it_came() {
    let trailed = |body: &'static str| Stepped::chunks([body]).then(Step::Trailers(map(&[("x-sum", "7")])));
    for (body, trailers) in [(BODY, None), ("not JSON", Some(map(&[("x-sum", "7")])))] {
        let upstream = failing_once();
        fetch(&with(&timed(2), &upstream, StripPrefix::default()), to(CHAT, &[], trailed(body))).await;
        assert_eq!(upstream.count(), 2);
        for seen in upstream.seen() {
            assert_eq!((seen.body == body.as_bytes(), &seen.trailers), (trailers.is_some(), &trailers), "{body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_key_is_held_while_the_body_comes() {
    let pool = timed(1);
    let client = with(&pool, &Upstream::in_turn(|_| ok()), signed);
    let request = to(CHAT, &[], Stepped::chunks(["a"]).then(Step::Hang));
    assert!(tokio::time::timeout(secs(60), send(&client, request)).await.is_err(), "it never comes to its end");
    let waiting = tokio::spawn({
        let (client, request) = (client.clone(), to(CHAT, &[], Stepped::chunks(["a"]).then(Step::Wait(secs(9)))));
        async move { fetch(&client, request).await }
    });
    tokio::time::sleep(secs(5)).await;
    assert_eq!(in_flight(&pool), 0);
    assert_eq!(waiting.await.unwrap().status, 200);
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_body_for_which_no_rewrite_applies_is_not_waited_for() {
    for (kind, waits) in [("audio/wav", false), ("application/json", true)] {
        let upstream = Upstream::new(|mut call: Call| async move {
            call.frame().await;
            Ok(ok())
        });
        let client = with(&timed(2), &upstream, DropFields::new(["store"]));
        let body = Stepped::chunks(["first"]).then(Step::Hang);
        let answer = send(&client, to(CHAT, &[("content-type", kind)], body));
        assert_eq!(tokio::time::timeout(secs(60), answer).await.is_err(), waits, "{kind}");
        assert_eq!(upstream.count(), usize::from(!waits));
    }
}

#[tokio::test(start_paused = true)]
async fn i10_a_body_that_is_too_long_or_empty_or_broken_passes_unseen() {
    let seen = |_: &Parts, _: &[u8], _: &Attempt<'_>| Some(Bytes::from_static(b"seen"));
    for body in [Stepped::full("123456789"), Stepped::chunks(["1234", "56789"]), Stepped::chunks(["123456789"])] {
        let upstream = Upstream::in_turn(|_| ok());
        let layer = KeyCommuneLayer::new(timed(2)).max_replay(8).rewrite(seen);
        fetch(&layer.layer(upstream.clone()), to(CHAT, &[], body)).await;
        assert_eq!((upstream.last().body, upstream.last().whole), (b"123456789".to_vec(), true));
    }
    for (body, bound, expected) in [("12345678", 8, "seen"), ("123456789", 8, "123456789"), ("", 8, ""), ("1", 0, "1")]
    {
        let upstream = Upstream::in_turn(|_| ok());
        let layer = KeyCommuneLayer::new(timed(1)).max_replay(bound).rewrite(seen);
        fetch(&layer.layer(upstream.clone()), post(body)).await;
        assert_eq!(upstream.last().body, expected.as_bytes());
    }
    let upstream = Upstream::in_turn(|_| ok());
    let broken = Stepped::chunks(["12"]).then(Step::Fail);
    fetch(&with(&timed(1), &upstream, seen), to(CHAT, &[], broken)).await;
    assert_eq!((upstream.last().body, upstream.last().broken.as_deref()), (b"12".to_vec(), Some("body")));
}

struct Panics;

impl Rewrite for Panics {
    fn rewrite(&self, _: &Parts, _: &[u8], _: &Attempt<'_>) -> Option<Bytes> {
        panic!("in a rewrite")
    }
}

struct PanicsBefore;

impl Rewrite for PanicsBefore {
    fn rewrite(&self, _: &Parts, _: &[u8], _: &Attempt<'_>) -> Option<Bytes> {
        Some(Bytes::from_static(b"never"))
    }

    fn applies(&self, _: &Parts) -> bool {
        panic!("in a rewrite")
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_changes_nothing_and_keeps_nobody_from_changing() {
    for body in bodies() {
        let (pool, upstream) = (labelled(2), failing_once());
        let layer = KeyCommuneLayer::new(pool.clone()).rewrite(Panics).rewrite(PanicsBefore);
        let got = fetch(&layer.clone().layer(upstream.clone()), to(CHAT, &[], body)).await;
        assert_eq!((got.status.as_u16(), upstream.count()), (200, 2));
        assert!(upstream.seen().iter().all(|seen| seen.body == BODY.as_bytes()));
        fetch(&layer.rewrite(StripPrefix::default()).layer(upstream.clone()), post(BODY)).await;
        assert_eq!(upstream.last().body, BODY.replace("openai/", "").as_bytes());
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn i3_it_is_shown_what_is_sent_but_for_the_key() {
    let own = Origin::parse("https://eu.example/openai").unwrap();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let noting = {
        let shown = Arc::clone(&shown);
        move |head: &Parts, _: &[u8], attempt: &Attempt<'_>| -> Option<Bytes> {
            let (label, origin) = (attempt.label.map(str::to_owned), attempt.origin.to_string());
            assert_eq!(attempt.provider, "openai");
            shown.lock().unwrap().push((head.uri.to_string(), head.headers.clone(), label, origin, attempt.key));
            None
        }
    };
    let keys = [Key::new(key(1)).unwrap().label("eu").origin(own), Key::new(key(2)).unwrap()];
    let pool = builder(0).keys(keys).clock(tokio_clock()).build().unwrap();
    let upstream = failing_once();
    fetch(&with(&pool, &upstream, noting), to(CHAT, &[("x-a", "1"), ("cookie", "a")], Stepped::full(BODY))).await;
    let (mut shown, mut seen) = (shown.lock().unwrap().clone(), upstream.seen());
    shown.sort_by(|one, other| one.2.cmp(&other.2));
    seen.sort_by_key(|seen| seen.uri.host() != Some("api.openai.com"));
    let at = |place: usize| (&*shown[place].0, shown[place].2.as_deref(), &*shown[place].3);
    assert_eq!(at(0), ("https://api.openai.com/v1/chat/completions", None, "https://api.openai.com"));
    let moved = "https://eu.example/openai/v1/chat/completions";
    assert_eq!(at(1), (moved, Some("eu"), "https://eu.example/openai"));
    for ((uri, headers, ..), seen) in shown.iter().zip(&seen) {
        let mut sent = seen.headers.clone();
        assert!(sent.remove("authorization").is_some());
        assert_eq!((headers, uri), (&sent, &seen.uri.to_string()));
    }
    let ids: Vec<_> = pool.snapshot().members.iter().map(|member| member.id).collect();
    assert!(shown.iter().all(|shown| ids.contains(&shown.4)) && shown[0].4 != shown[1].4);
}

struct Judging(Arc<Mutex<Vec<Vec<u8>>>>);

impl Inspect for Judging {
    fn inspect(&self, _: &Parts, body: Option<&[u8]>) -> Inspection {
        let Some(body) = body else { return Inspection::NeedsBody(1 << 20) };
        self.0.lock().unwrap().push(body.to_vec());
        if body == b"bad" { Inspection::Refuse("bad".into()) } else { Inspection::Demand(Demand::default()) }
    }

    fn may_refuse(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_judged_is_what_is_changed() {
    for body in bodies() {
        let (judged, upstream) = (Arc::default(), Upstream::in_turn(|_| ok()));
        let layer = KeyCommuneLayer::new(timed(1)).inspect(Judging(Arc::clone(&judged)));
        let client = layer.rewrite(StripPrefix::default()).layer(upstream.clone());
        fetch(&client, to(CHAT, &[], body)).await;
        assert_eq!(*judged.lock().unwrap(), [BODY.as_bytes()]);
        assert_eq!(upstream.last().body, BODY.replace("openai/", "").as_bytes());
        assert_eq!(fetch(&client, post("bad")).await.status, 400);
        assert_eq!(upstream.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_a_body_that_is_there() {
    let unchanged = |_: &Parts, _: &[u8], _: &Attempt<'_>| -> Option<Bytes> { None };
    for body in bodies() {
        assert_eq!(sent(unchanged, body).await, BODY.as_bytes());
    }
    let started = tokio::time::Instant::now();
    sent(signed, Stepped::full(BODY)).await;
    assert_eq!(started.elapsed(), secs(0));
}
