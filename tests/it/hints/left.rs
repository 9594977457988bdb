//! What answers that were served say is left, one row for each form.

use http::{HeaderMap, HeaderName, HeaderValue};
use key_commune::hint::{self, Left, Quota};
use proptest::prelude::*;

use super::{DAY, NOW, header_value, millis, secs};

/// `remaining`, `limit` and `reset`.
type Said = (u64, Option<u64>, Option<std::time::Duration>);

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let header = |&(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    pairs.iter().map(header).collect()
}

fn said(quota: Option<Quota>) -> Option<Said> {
    quota.map(|quota| (quota.remaining, quota.limit, quota.reset))
}

/// Of requests and of tokens.
fn left(pairs: &[(&'static str, &'static str)]) -> (Option<Said>, Option<Said>) {
    let left = hint::left(&headers(pairs), NOW);
    assert_ne!(left, Some(Left::default()), "nothing is told by `None`");
    left.map_or((None, None), |left| (said(left.requests), said(left.tokens)))
}

#[test]
fn openai() {
    let pairs = [
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-remaining-tokens", "1999991"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    let requests = Some((9_999, Some(10_000), Some(millis(6))));
    assert_eq!(left(&pairs), (requests, Some((1_999_991, Some(2_000_000), Some(secs(360))))));
    assert_eq!(left(&[("x-ratelimit-remaining-tokens_usage_based", "7")]), (None, Some((7, None, None))));
}

#[test]
fn anthropic_by_the_tightest_of_its_tokens() {
    let pairs = [
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:01Z"),
        ("anthropic-ratelimit-tokens-limit", "60000"),
        ("anthropic-ratelimit-tokens-remaining", "58000"),
        ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:02Z"),
        ("anthropic-ratelimit-input-tokens-limit", "50000"),
        ("anthropic-ratelimit-input-tokens-remaining", "49000"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:00:01Z"),
        ("anthropic-ratelimit-output-tokens-limit", "10000"),
        ("anthropic-ratelimit-output-tokens-remaining", "9000"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-01-01T00:00:06Z"),
        ("anthropic-ratelimit-unified-5h-status", "allowed"),
        ("anthropic-ratelimit-unified-5h-reset", "1767229200"),
    ];
    let requests = Some((49, Some(50), Some(secs(1))));
    assert_eq!(left(&pairs), (requests, Some((9_000, Some(10_000), Some(secs(6))))));
}

#[test]
fn other_providers() {
    let openrouter =
        [("x-ratelimit-limit", "50"), ("x-ratelimit-remaining", "49"), ("x-ratelimit-reset", "1767312000000")];
    assert_eq!(left(&openrouter), (Some((49, Some(50), Some(secs(DAY)))), None));
    let groq = [("x-ratelimit-remaining-requests", "14370"), ("x-ratelimit-reset-requests", "2m59.56s")];
    assert_eq!(left(&groq), (Some((14_370, None, Some(millis(179_560)))), None));
    let azure = [("x-ratelimit-remaining-tokens", "-1"), ("x-ratelimit-remaining-requests", "-1")];
    assert_eq!(left(&azure), (None, None));
    let cerebras = [
        ("x-ratelimit-remaining-requests-day", "14400"),
        ("x-ratelimit-reset-requests-day", "33011.38"),
        ("x-ratelimit-remaining-tokens-minute", "60000"),
        ("x-ratelimit-limit-tokens-minute", "64000"),
    ];
    let requests = Some((14_400, None, Some(millis(33_011_380))));
    assert_eq!(left(&cerebras), (requests, Some((60_000, Some(64_000), None))));
    let kong = [("x-ratelimit-remaining-day", "90"), ("x-ratelimit-remaining-minute", "5")];
    assert_eq!(left(&kong), (Some((5, None, None)), None));
    let github = [("x-rate-limit-remaining", "4"), ("x-rate-limit-reset", "1767229200")];
    assert_eq!(left(&github), (Some((4, None, Some(secs(3_600)))), None));
}

#[test]
fn the_drafts_of_the_ietf() {
    let seventh = [("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "3"), ("ratelimit-reset", "30")];
    assert_eq!(left(&seventh), (Some((3, Some(100), Some(secs(30)))), None));
    let eighth = [("ratelimit", "limit=100, remaining=7, reset=30")];
    assert_eq!(left(&eighth), (Some((7, Some(100), Some(secs(30)))), None));
    let eleventh = [
        ("ratelimit-policy", r#""minute";q=60;w=60, "day";q=1000;w=86400, "in";q=500;w=60;qu="tokens""#),
        ("ratelimit", r#""minute";r=50;t=30, "day";r=20, "in";r=400;t=9"#),
    ];
    let requests = Some((20, Some(1_000), Some(secs(DAY))));
    assert_eq!(left(&eleventh), (requests, Some((400, Some(500), Some(secs(9))))));
    assert_eq!(left(&[("ratelimit", r#""tokens";r=5"#)]), (None, Some((5, None, None))));
    let bytes = [("ratelimit-policy", r#""a";q=9;qu="content-bytes""#), ("ratelimit", r#""a";r=5"#)];
    assert_eq!(left(&bytes), (None, None));
}

#[test]
fn the_fewest_count_and_among_as_many_the_latest() {
    let twice = [("ratelimit-remaining", "9"), ("ratelimit-remaining", "7"), ("ratelimit-remaining", "8")];
    assert_eq!(left(&twice), (Some((7, None, None)), None));
    let alike = [
        ("x-ratelimit-remaining-requests-minute", "5"),
        ("x-ratelimit-reset-requests-minute", "30"),
        ("x-ratelimit-remaining-requests-day", "5"),
        ("x-ratelimit-reset-requests-day", "3000"),
        ("x-ratelimit-remaining-requests", "5"),
    ];
    assert_eq!(left(&alike), (Some((5, None, Some(secs(3_000)))), None));
}

#[test]
fn what_is_not_of_the_form_is_passed_over() {
    for value in ["", " ", "-1", "+5", "5.0", "1, 2", "5;x", "0x5", "five", "٥"] {
        assert_eq!(left(&[("x-ratelimit-remaining-requests", value)]), (None, None), "{value:?}");
    }
    let garbage = [
        ("x-ratelimit-remaining-requests", " 5 "),
        ("x-ratelimit-limit-requests", "many"),
        ("x-ratelimit-reset-requests", "soon"),
    ];
    assert_eq!(left(&garbage), (Some((5, None, None)), None));
    let huge = [("x-ratelimit-remaining-tokens", "99999999999999999999")];
    assert_eq!(left(&huge), (None, Some((u64::MAX, None, None))));
    let long = format!("x-{}-ratelimit-remaining-tokens", "x".repeat(200));
    let long = HeaderMap::from_iter([(HeaderName::try_from(long).unwrap(), HeaderValue::from_static("5"))]);
    assert_eq!(hint::left(&long, NOW).and_then(|left| said(left.tokens)), Some((5, None, None)));
}

#[test]
fn other_headers_and_other_units_say_nothing() {
    let others = [
        ("x-ratelimit-remaining-images", "5"),
        ("x-ratelimitbysize-remaining-minute", "5"),
        ("x-ratelimit-limit-requests", "5"),
        ("x-ratelimit-reset-requests", "5"),
        ("anthropic-ratelimit-unified-remaining", "5"),
        ("retry-after", "5"),
        ("remaining-requests", "5"),
        ("ratelimit-policy", r#""a";q=5"#),
    ];
    assert_eq!(left(&others), (None, None));
    assert_eq!(hint::left(&HeaderMap::new(), NOW), None);
}

fn name() -> impl Strategy<Value = HeaderName> {
    let known = prop::sample::select(vec!["ratelimit", "ratelimit-policy", "x-ratelimit-remaining"]);
    let part = "(x|ratelimit|rate-limit|remaining|limit|reset|requests|tokens|day|a{1,50})";
    let parts = prop::collection::vec(part, 1..6).prop_map(|parts| parts.join("-"));
    prop_oneof![known.prop_map(str::to_owned), parts].prop_map(|name| HeaderName::try_from(name).unwrap())
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let field = r#"("?[a-z]{1,6}"?(;(r|t|q|w|qu)="?[0-9a-z]{1,20}"?){0,3},? ?){0,4}"#;
    prop_oneof![header_value(), field.prop_map(|field| HeaderValue::try_from(field).unwrap())]
}

proptest! {
    #[test]
    fn any_answer_is_survived(headers in prop::collection::vec((name(), value()), 0..8), now in any::<u64>()) {
        let now = key_commune::clock::Timestamp::from_unix(std::time::Duration::from_nanos(now));
        let headers: HeaderMap = headers.into_iter().collect();
        prop_assert_ne!(hint::left(&headers, now), Some(Left::default()));
    }

    #[test]
    fn any_count_is_read(remaining: u64, limit: u64, reset in 0_u64..3_000_000) {
        let value = |number: u64| HeaderValue::from(number);
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("x-ratelimit-reset-tokens"), value(reset)),
            (HeaderName::from_static("x-ratelimit-remaining-tokens"), value(remaining)),
            (HeaderName::from_static("x-ratelimit-limit-tokens"), value(limit)),
        ]);
        let tokens = hint::left(&headers, NOW).and_then(|left| left.tokens);
        prop_assert_eq!(said(tokens), Some((remaining, Some(limit), Some(secs(reset)))));
    }
}
