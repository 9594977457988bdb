//! What a request asks for is found out in a bounded look, and costs the body nothing.

use std::sync::{Arc, Mutex};

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use key_commune::classify::{Answer, Classify, Peek};
use key_commune::demand::{Demand, Inspect, Inspection};
use key_commune::outcome::Verdict;
use key_commune::rules::Rules;
use key_commune::select::{Candidates, Place, Select};
use key_commune::{KeyCommune, KeyCommuneLayer, KeyPool, Provider, Refusal};
use tower::Layer;

use crate::support::{
    CHAT, Step, Stepped, Upstream, answer, assert_idle, builder, fetch, ok, secs, send, throttled, timed, to,
    tokio_clock,
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

/// A caller that sends byte by byte costs no more than another: it is the frames that would have to be counted, and kept.
#[tokio::test(start_paused = true)]
async fn i19_a_body_that_comes_byte_by_byte_goes_on_in_large_pieces() {
    let text = format!(r#"{{"model":"gpt-4o-mini","x":"{}"}}"#, "a".repeat(100_000));
    let body = Stepped::chunks(text.bytes().map(|byte| vec![byte]));
    let upstream = Upstream::new(|mut call| async move {
        let mut frames = 0;
        while call.frame().await {
            frames += 1;
        }
        Ok(answer(200, &[], &frames.to_string()))
    });
    let rules = Rules::new().body("model", "^gpt-4o-mini$").unwrap();
    let client = KeyCommuneLayer::new(timed(2)).inspect(rules).layer(upstream.clone());
    let got = fetch(&client, to(CHAT, &[("content-type", "application/json")], body)).await;
    assert_eq!((got.status.as_u16(), got.text().as_str()), (200, "1"));
    assert!(upstream.last().body == text.as_bytes());
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

/// Lets nothing through that says `no`; needs the body for that, and says why if there is too much of it.
struct Strict {
    bound: usize,
    panics: bool,
}

impl Inspect for Strict {
    fn inspect(&self, _: &Parts, body: Option<&[u8]>) -> Inspection {
        assert!(!self.panics, "not my day");
        match body {
            None => Inspection::NeedsBody(self.bound),
            Some(b"no") => Inspection::Refuse("no means \"no\"".into()),
            Some(_) => Inspection::Demand(Demand::default().model("found")),
        }
    }

    fn too_long(&self, _: &Parts) -> Inspection {
        Inspection::Refuse("too much".into())
    }

    fn may_refuse(&self) -> bool {
        true
    }
}

/// A pool that tells what it was asked for, and a provider that answers.
fn noting(inspect: impl Inspect + 'static) -> (KeyPool, KeyCommune<Upstream>, Upstream, Asked) {
    let asked = Asked::default();
    let pool = builder(2).select(Noting(Arc::clone(&asked))).clock(tokio_clock()).build().unwrap();
    let upstream = Upstream::in_turn(|_| ok());
    let client = KeyCommuneLayer::new(pool.clone()).inspect(inspect).layer(upstream.clone());
    (pool, client, upstream, asked)
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_gets_400_and_meets_no_key() {
    let (pool, client, upstream, asked) = noting(Strict { bound: 2, panics: false });
    for (body, reason) in [
        (Stepped::full("no"), "no means \"no\""),
        (Stepped::chunks(["n", "o"]), "no means \"no\""),
        (Stepped::full("yes"), "too much"),
        (Stepped::chunks(["y", "e", "s"]).then(Step::Hang), "too much"),
        (Stepped::chunks(["n"]).then(Step::Fail), "too much"),
    ] {
        let got = fetch(&client, to(CHAT, &[], body)).await;
        assert_eq!(got.told(), (400, None));
        let json = serde_json::json!({"error": {"message": reason, "type": "invalid_request_error", "param": null,
            "code": "request_not_allowed"}});
        assert_eq!((got.json(), got.header("content-type")), (json, Some("application/json")));
        assert_eq!((got.refusal, got.served), (Some(Refusal::Denied(reason.into())), None));
    }
    assert_eq!((upstream.count(), asked.lock().unwrap().len(), pool.snapshot().active()), (0, 0, 2));
    assert_idle(&pool);
    assert_eq!(fetch(&client, to(CHAT, &[], Stepped::full("ok"))).await.status.as_u16(), 200);
    assert_eq!(*asked.lock().unwrap(), [Some("found".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_refused_by_its_head_alone_while_its_body_hangs() {
    let refuse = |_: &Parts, _: Option<&[u8]>| Inspection::Refuse("never".into());
    let (pool, client, upstream, _) = noting(refuse);
    let got = fetch(&client, to(CHAT, &[], Stepped::new([Step::Hang]))).await;
    assert_eq!((got.status.as_u16(), got.refusal), (400, Some(Refusal::Denied("never".into()))));
    assert_eq!(upstream.count(), 0);
    assert_idle(&pool);
}

/// Who may refuse is asked also where the application knows the demand, which still counts.
#[tokio::test(start_paused = true)]
async fn a_demand_in_the_extensions_opens_no_way_round_a_refusal() {
    let (_, client, upstream, asked) = noting(Strict { bound: 2, panics: false });
    for (body, status) in [("no", 400), ("yes", 400), ("ok", 200)] {
        let mut request = to(CHAT, &[], Stepped::full(body));
        request.extensions_mut().insert(Demand::default().model("said"));
        assert_eq!(fetch(&client, request).await.status.as_u16(), status, "{body}");
    }
    assert_eq!((upstream.count(), asked.lock().unwrap().clone()), (1, vec![Some("said".to_owned())]));
}

#[tokio::test(start_paused = true)]
async fn who_may_refuse_and_panics_lets_nothing_through() {
    let (pool, client, upstream, _) = noting(Strict { bound: 2, panics: true });
    let got = fetch(&client, to(CHAT, &[], Stepped::full("ok"))).await;
    assert_eq!(got.status.as_u16(), 400);
    assert_eq!(got.refusal, Some(Refusal::Denied("the request could not be judged".into())));
    assert_eq!(upstream.count(), 0);
    assert_idle(&pool);
}

/// The path and the query that are judged are those that are sent: the origin's path before them, no credential in them.
#[tokio::test(start_paused = true)]
async fn rules_judge_what_is_sent() {
    let pool = timed(2);
    let upstream = Upstream::in_turn(|_| ok());
    let rules = Rules::new().path("^/v1/chat/completions[?]a=1$").unwrap().body("model", "^gpt-").unwrap();
    let layer = KeyCommuneLayer::new(pool.clone()).inspect(rules);
    let (plain, served) = (layer.clone().layer(upstream.clone()), layer.rebase().layer(upstream.clone()));
    let json = [("content-type", "application/json")];
    let whole = format!("{CHAT}?a=1");
    for (client, uri) in [(&plain, &*whole), (&served, "/v1/chat/completions?a=1"), (&served, &*whole)] {
        let got = fetch(client, to(uri, &json, Stepped::full(BODY))).await;
        assert_eq!(got.status.as_u16(), 200, "{uri}: {}", got.text());
        assert_eq!((upstream.last().uri.to_string(), upstream.last().body), (whole.clone(), BODY.into()));
    }
    let sent = upstream.count();
    for (client, uri) in
        [(&plain, CHAT), (&served, "/v1/models?a=/v1/chat/completions?a=1"), (&served, "/v1/%63hat/completions?a=1")]
    {
        assert_eq!(fetch(client, to(uri, &json, Stepped::full(BODY))).await.status.as_u16(), 400, "{uri}");
    }
    assert_eq!(upstream.count(), sent);
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_rule_on_the_model_tells_the_demand() {
    let (_, client, _, asked) = noting(Rules::new().body("model", "^gpt-").unwrap());
    let json = [("content-type", "application/json")];
    assert_eq!(fetch(&client, to(CHAT, &json, Stepped::full(BODY))).await.status.as_u16(), 200);
    assert_eq!(fetch(&client, to(CHAT, &json, Stepped::full(BODY.replace("gpt", "o1")))).await.status.as_u16(), 400);
    assert_eq!(*asked.lock().unwrap(), [Some("gpt-x".to_owned())]);
}

/// A provider's own shape of errors is kept.
#[tokio::test(start_paused = true)]
async fn a_refusal_reads_as_the_providers_own() {
    let pool = KeyPool::new(Provider::ANTHROPIC, ["sk-ant-0123456789abcdef"]).unwrap();
    let layer = KeyCommuneLayer::new(pool).inspect(Rules::new().path("^/v1/messages$").unwrap());
    let got =
        fetch(&layer.layer(Upstream::in_turn(|_| ok())), to("https://api.anthropic.com/v1/x", &[], Stepped::full("")))
            .await;
    assert_eq!((got.status.as_u16(), got.json()["error"]["type"].as_str()), (400, Some("invalid_request_error")));
}
