//! I11, I19: how often the layer asks for memory. A binary of its own, for it brings its own allocator, which counts.

#[path = "../benches/support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body::{Body, Frame};
use http_body_util::Full;
use key_commune::clock::Timestamp;
use key_commune::demand::{Demand, Inspect, Inspection, Routing};
use key_commune::hint;
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::Tried;
use key_commune::rate::{Crowd, Rate};
use key_commune::secret::KeyId;
use key_commune::select::{LeastUsed, PeakEwma, Sticky};
use key_commune::service::BoxError;
use key_commune::usage::Meter;
use key_commune::{Key, KeyCommuneLayer, KeyPool, Provider};
use support::{Bare, Keys, Template, send, turn};
use tower::Layer;

/// Far more than the growth of any table that is kept from one request to the next.
const WARM_UP: usize = 1_000;

/// How often memory is asked for when `run` is done once more, after it has been done often.
fn allocations(mut run: impl FnMut()) -> u64 {
    (0..WARM_UP).for_each(|_| run());
    let counted = measure(&mut run);
    assert_eq!(counted.count_current, 0, "something is kept");
    counted.count_total
}

/// What the layer adds to the service inside, and gives back with the answer.
fn added<B>(layer: &KeyCommuneLayer, request: impl Fn() -> Request<B>) -> u64
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let (mut bare, mut layered) = (Bare, layer.layer(Bare));
    let without = allocations(|| send(&mut bare, request()));
    allocations(|| send(&mut layered, request())) - without
}

fn layer(keys: usize) -> KeyCommuneLayer {
    KeyCommuneLayer::new(Keys::new(keys).pool)
}

/// The same bytes without a word about their number.
struct Streamed(Full<Bytes>);

impl Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[test]
fn i11_a_lease_costs_no_allocation() {
    for keys in [1, 200] {
        let pool = Keys::new(keys).pool;
        assert_eq!(allocations(|| turn(&pool, |value| drop(black_box(value)))), 0);
    }
}

#[test]
fn what_an_answer_has_left_costs_no_allocation() {
    let header = |&(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let headers: HeaderMap = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "9"),
        ("x-ratelimit-reset-requests", "2m59.56s"),
        ("x-ratelimit-remaining-tokens-day", "1000"),
        ("x-ratelimit-reset-tokens-day", "33011.38"),
        ("anthropic-ratelimit-input-tokens-remaining", "49000"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:00:01Z"),
    ]
    .iter()
    .map(header)
    .collect();
    assert_eq!(allocations(|| _ = black_box(hint::left(&headers, Timestamp::ZERO))), 0);
    assert_eq!(allocations(|| _ = black_box(hint::left(&HeaderMap::new(), Timestamp::ZERO))), 0);
}

#[test]
fn i11_no_strategy_costs_an_allocation() {
    let key = |number: u8| Key::new(format!("sk-proj-{number:040}")).unwrap();
    let unequal = |number: u8| key(number).weight(number % 3).tier(number / 100);
    let pools = [
        KeyPool::builder(Provider::OPENAI).keys((0..200).map(unequal)),
        KeyPool::builder(Provider::OPENAI).keys((0..200).map(unequal)).select(Sticky::new(LeastUsed)),
        KeyPool::builder(Provider::OPENAI).keys((0..200).map(key)).select(Sticky::new(PeakEwma::default())),
    ];
    let session = Demand::default().session("a session");
    for pool in pools.map(|builder| builder.build().unwrap()) {
        for demand in [&session, &Demand::default()] {
            let request = || {
                let mut lease = pool.checkout(demand, &mut Tried::default(), pool.now()).unwrap();
                lease.settle(&Verdict::new(Outcome::Accepted), pool.now());
            };
            assert_eq!(allocations(request), 0);
        }
    }
}

#[test]
fn i11_a_request_that_cannot_be_sent_again_costs_no_allocation() {
    let template = Template::new();
    let streamed = || template.request().map(Streamed);
    assert_eq!(added(&layer(1), || template.request()), 0, "one key");
    assert_eq!(added(&layer(1), streamed), 0, "one key, a stream");
    assert_eq!(added(&layer(200).max_replay(1_023), || template.request()), 0, "too large to keep");
    let head_tells = Routing::new().models(false).sessions([]);
    assert_eq!(added(&layer(1).inspect(head_tells), streamed), 0, "one key, a stream that is not looked into");
}

/// Two make the copy of the header map: its entries, and the table that finds them.
#[test]
fn i11_a_request_that_can_be_sent_again_costs_two() {
    let template = Template::new();
    assert_eq!(added(&layer(200), || template.request()), 2);
    assert_eq!(added(&layer(200).follow_responses(true), || template.request()), 2, "no call that gives a response");
    let with_extension = || {
        let mut request = template.request();
        request.extensions_mut().insert(7_u64);
        request
    };
    assert_eq!(added(&layer(200), with_extension), 2 + 3, "the map of extensions, its table, the extension");
}

/// What was owned by one has to be shared by two: one more for each value that was made from a `String`, each header
/// name that the `http` crate has no constant for, and a body made from a `Vec`. The encodings that are accepted become one
/// that is shared anyway.
#[test]
fn i11_what_was_never_shared_costs_one_more() {
    let template = Template::new();
    assert_eq!(added(&layer(200), || template.fresh()), 2 + 7 + 2 + 1);
}

/// What the attempts share, and the block that a stream of unknown size is copied into.
#[test]
fn i11_a_stream_that_can_be_sent_again_costs_two_more() {
    let template = Template::new();
    assert_eq!(added(&layer(200), || template.request().map(Streamed)), 2 + 2);
}

/// The queue of the pieces that a masked body is given out in.
#[test]
fn i18_masking_costs_one() {
    let template = Template::new();
    assert_eq!(added(&layer(1).scrub(), || template.request()), 1);
}

#[test]
fn metering_an_answer_costs_nothing() {
    let event = r#"{"model":"gpt-4o","choices":[{"delta":{"content":"word"}}],"usage":{"prompt_tokens":7}}"#;
    for (kind, text) in [("application/json", event.to_owned()), ("text/event-stream", format!("data: {event}\n\n"))] {
        let (kind, text) = (HeaderValue::from_static(kind), Bytes::from_owner(text.into_bytes()));
        let mut meter = Meter::new(Some(&kind)).unwrap();
        assert_eq!(allocations(|| meter.feed(&text)), 0, "{kind:?}");
        assert_eq!(meter.finish().unwrap().input, 7, "{kind:?}");
    }
}

/// Of so many turns, each of 1.5 KiB, with an instruction, escapes and lists in lists.
fn chat(turns: usize, names: &str) -> Bytes {
    let turn =
        format!(r#"{{"role":"user","content":[{{"type":"text","text":"{}"}}]}}"#, r#"Be \"brief\".\n"#.repeat(100));
    let turns = vec![turn; turns].join(",");
    let said =
        format!(r#""messages":[{{"role":"system","content":"Be brief."}},{turns}],"tools":[{{"a":{{"b":[[]]}}}}]"#);
    let body = format!("{{{said}{names}}}");
    Bytes::from_owner(body.into_bytes())
}

const NAMES: [&str; 3] = [
    r#","model":"gpt-4o","user":"ada","previous_response_id":"resp_1""#,
    r#","model":"accounts/fireworks/models/llama-v3p1-405b-instruct","session_id":"f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "previous_response_id":"resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b""#,
    r#","model":"claude-3-5-sonnet-20241022","previous_response_id":"resp_1""#,
];

#[test]
fn routing_by_a_body_costs_nothing() {
    let head = Request::post("https://api.openai.com/v1/responses").body(()).unwrap().into_parts().0;
    for body in NAMES.map(|names| chat(68, names)) {
        let find = |routing: &Routing, body| match routing.inspect(&head, body) {
            Inspection::Demand(demand) => black_box(demand),
            Inspection::NeedsBody(_) => Demand::default(),
            Inspection::Refuse(reason) => panic!("{reason}"),
        };
        assert!(body.len() > 100 << 10);
        let routing = Routing::new().tokens(true);
        let found = find(&routing, Some(&body));
        assert!(found.model_name().is_some() && found.session_id().is_some() && found.previous_response_id().is_some());
        assert_eq!(measure(|| drop(find(&routing, Some(&body)))).count_total, 0, "{found:?}");
        assert_eq!(measure(|| drop(find(&routing, None))).count_total, 0, "{found:?}");
        let nothing = Routing::new().models(false).sessions([]).previous_responses(false);
        assert_eq!(measure(|| drop(find(&nothing, Some(&body)))).count_total, 0, "{found:?}");
    }
}

/// Nor do names cost anything later on.
#[test]
fn a_request_with_names_costs_no_more_than_one_without() {
    let template = Template::new();
    let costs = |body: Bytes| {
        let request = || {
            let mut request = template.request().map(|_| Full::new(body.clone()));
            request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            request
        };
        added(&layer(200).inspect(Routing::new()), request)
    };
    let without = costs(Bytes::from_static(b"{}"));
    for names in NAMES {
        assert_eq!(costs(chat(1, names)), without, "{names}");
    }
}

/// The presented key, as text and as the secret that wipes it; beyond what a private pool that masks costs.
#[test]
fn a_commune_costs_two_more() {
    let template = Template::presenting();
    let private = added(&layer(200).scrub(), || template.request());
    let commune = KeyCommuneLayer::new(Keys::shared(200).pool);
    assert_eq!(added(&commune, || template.request()), private + 2);
}

/// The table is taken at the first use, and is all that there will ever be.
#[test]
fn i19_any_number_of_strangers_costs_8_mib() {
    let crowd = Crowd::default();
    let ask = |id: KeyId| {
        let _ = black_box(crowd.admit(id, Rate::new(Duration::from_secs(2)), Timestamp::ZERO));
    };
    let spread = |number: u128| number.wrapping_mul(u128::MAX / 7_919);
    let strangers: Vec<KeyId> = (0..10_000).map(|number| format!("{:032x}", spread(number)).parse().unwrap()).collect();
    let first = measure(|| ask(strangers[0]));
    assert_eq!((first.count_current, first.bytes_current), (4, 8 << 20), "four rows");
    let flood = measure(|| strangers.iter().copied().for_each(ask));
    assert_eq!(flood.count_total, 0);
}
