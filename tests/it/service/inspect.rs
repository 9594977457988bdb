//! What a request asks for is found out in a bounded look, and costs the body nothing.

use std::sync::{Arc, Mutex};

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use key_commune::KeyCommuneLayer;
use key_commune::classify::{Answer, Classify, Peek};
use key_commune::demand::{Demand, Inspect, Inspection};
use key_commune::outcome::Verdict;
use key_commune::select::{Candidates, Place, Select};
use tower::Layer;

use crate::support::{
    CHAT, Step, Stepped, Upstream, assert_idle, builder, fetch, ok, secs, send, throttled, timed, to, tokio_clock,
};

/// What an inspector was shown, in turn.
type Shown = Arc<Mutex<Vec<Option<Vec<u8>>>>>;
/// What a strategy was asked for.
type Asked = Arc<Mutex<Vec<Option<String>>>>;

/// Reads `{"model":..}`, at most `bound` bytes of it.
fn model_aware(bound: usize, shown: &Shown) -> impl Inspect + use<> {
    let shown = Arc::clone(shown);
    move |_: &Parts, body: Option<&[u8]>| {
        let mut shown = shown.lock().unwrap();
        shown.push(body.map(<[u8]>::to_vec));
        if shown.len() == 1 {
            return Inspection::NeedsBody(bound);
        }
        let json: Option<serde_json::Value> = body.and_then(|body| serde_json::from_slice(body).ok());
        match json.as_ref().and_then(|json| json["model"].as_str()) {
            Some(model) => Inspection::Demand(Demand::default().model(model)),
            None => Inspection::NeedsBody(bound),
        }
    }
}

/// Takes the first key, and notes the model that was asked for.
struct Noting(Asked);

impl Select for Noting {
    fn select(&self, candidates: &dyn Candidates, demand: &Demand) -> Option<Place> {
        self.0.lock().unwrap().push(demand.model_name().map(str::to_owned));
        candidates.at_or_after(0)
    }
}

const BODY: &str = r#"{"model":"gpt-x","messages":[]}"#;

fn bodies() -> [(&'static str, Stepped); 3] {
    let slow = BODY.bytes().flat_map(|byte| [Step::Data(vec![byte].into()), Step::Wait(secs(1))]);
    let (head, tail) = BODY.split_at(9);
    [("whole", Stepped::full(BODY)), ("chunks", Stepped::chunks([head, tail])), ("slow", Stepped::new(slow))]
}

#[tokio::test(start_paused = true)]
async fn a_body_within_the_bound_is_shown_whole_and_arrives_intact() {
    for bound in [BODY.len(), 4_096, usize::MAX] {
        for (name, body) in bodies() {
            let (shown, asked) = (Shown::default(), Asked::default());
            let pool = builder(2).select(Noting(Arc::clone(&asked))).clock(tokio_clock()).build().unwrap();
            let upstream = Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() });
            let client = KeyCommuneLayer::new(pool.clone()).inspect(model_aware(bound, &shown)).layer(upstream.clone());
            let got = fetch(&client, to(CHAT, &[], body)).await;
            assert_eq!((got.status.as_u16(), upstream.count()), (200, 2), "{name}");
            assert!(upstream.seen().iter().all(|seen| seen.body == BODY.as_bytes() && seen.whole), "{name}");
            assert_eq!(*shown.lock().unwrap(), [None, Some(BODY.as_bytes().to_vec())], "{name}");
            assert_eq!(*asked.lock().unwrap(), [Some("gpt-x".to_owned()), Some("gpt-x".to_owned())], "{name}");
            assert_idle(&pool);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i10_a_body_beyond_the_bound_is_an_unknown_demand_and_arrives_intact() {
    for (name, body) in bodies() {
        let (shown, asked) = (Shown::default(), Asked::default());
        let pool = builder(2).select(Noting(Arc::clone(&asked))).clock(tokio_clock()).build().unwrap();
        let upstream = Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() });
        let inspect = model_aware(BODY.len() - 1, &shown);
        let client = KeyCommuneLayer::new(pool).inspect(inspect).layer(upstream.clone());
        assert_eq!(fetch(&client, to(CHAT, &[], body)).await.status.as_u16(), 200, "{name}");
        assert!(upstream.seen().iter().all(|seen| seen.body == BODY.as_bytes()), "{name}");
        assert_eq!(
            (&*shown.lock().unwrap(), &*asked.lock().unwrap()),
            (&vec![None, None], &vec![None, None]),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn i10_a_body_beyond_the_replay_bound_is_not_waited_for() {
    let shown = Shown::default();
    let upstream = Upstream::new(|mut call| async move {
        call.frame().await;
        Ok(ok())
    });
    let layer = KeyCommuneLayer::new(timed(2)).inspect(model_aware(1 << 30, &shown)).max_replay(4);
    let body = Stepped::chunks([&BODY[..3], &BODY[3..9]]).then(Step::Hang);
    let got = fetch(&layer.layer(upstream.clone()), to(CHAT, &[], body)).await;
    assert_eq!((got.status.as_u16(), shown.lock().unwrap().clone()), (200, vec![None, None]));
    assert_eq!(upstream.last().body, BODY.as_bytes()[..3]);
}

#[tokio::test(start_paused = true)]
async fn i10_a_body_that_fails_while_it_is_inspected_fails_the_attempt_and_no_key() {
    let (shown, pool) = (Shown::default(), timed(2));
    let upstream = Upstream::in_turn(|_| ok());
    let client = KeyCommuneLayer::new(pool.clone()).inspect(model_aware(100, &shown)).layer(upstream.clone());
    send(&client, to(CHAT, &[], Stepped::chunks(["{"]).then(Step::Fail))).await.unwrap();
    assert_eq!((upstream.last().broken.as_deref(), upstream.last().body.as_slice()), (Some("body"), &b"{"[..]));
    assert_eq!(pool.snapshot().active(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_demand_in_the_extensions_wins() {
    let (shown, asked) = (Shown::default(), Asked::default());
    let pool = builder(2).select(Noting(Arc::clone(&asked))).build().unwrap();
    let upstream = Upstream::in_turn(|_| ok());
    let client = KeyCommuneLayer::new(pool).inspect(model_aware(100, &shown)).layer(upstream.clone());
    let mut request = to(CHAT, &[], Stepped::full(BODY));
    request.extensions_mut().insert(Demand::default().model("said"));
    fetch(&client, request).await;
    assert_eq!((shown.lock().unwrap().len(), asked.lock().unwrap().clone()), (0, vec![Some("said".to_owned())]));
}

struct Broken;

impl Inspect for Broken {
    fn inspect(&self, _: &Parts, body: Option<&[u8]>) -> Inspection {
        assert!(body.is_none(), "not my day");
        Inspection::NeedsBody(100)
    }
}

impl Classify for Broken {
    fn peek(&self, _: StatusCode, _: &HeaderMap) -> Peek {
        panic!("not my day")
    }

    fn answer(&self, _: &Answer<'_>) -> Verdict {
        panic!("not my day")
    }

    fn error(&self, _: &dyn std::any::Any) -> Verdict {
        panic!("not my day")
    }
}

#[tokio::test(start_paused = true)]
async fn attack_85_hooks_that_panic_cost_no_request_and_no_key() {
    let pool = timed(3);
    let upstream = Upstream::new(|mut call| async move {
        call.read().await;
        if call.number % 3 == 2 { Err(crate::support::Oops("reset")) } else { Ok(throttled()) }
    });
    let layer = KeyCommuneLayer::new(pool.clone()).inspect(Broken).classify(Broken);
    let client = layer.layer(upstream.clone());
    for number in 0..300 {
        let answer = send(&client, to(CHAT, &[], Stepped::full(BODY))).await;
        assert_eq!(answer.is_err(), number % 3 == 2);
        assert_eq!(upstream.last().body, BODY.as_bytes());
    }
    assert_eq!((upstream.count(), pool.snapshot().active()), (300, 3));
    assert_idle(&pool);
}
