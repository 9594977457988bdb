//! What each provider's answers mean, by bodies as they are seen in the wild.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test")]

use http::{HeaderMap, HeaderValue, StatusCode, header};
use key_commune::classify::{Answer, Anthropic, ByStatus, Classify, Dialect, Gemini, OpenAi, OpenRouter, Peek};
use key_commune::clock::Timestamp;
use key_commune::outcome::{Fault, Outcome, Scope, Verdict};
use proptest::prelude::*;

use Outcome::{Accepted, CallerFault, Forbidden, Overloaded, QuotaSpent, Rejected, Throttled};
use Scope::KeyModel;

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream; charset=utf-8";

fn headers(kind: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))])
}

fn judge(by: &dyn Classify, status: u16, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let status = StatusCode::from_u16(status).unwrap();
    by.answer(&Answer { status, headers, body, now: Timestamp::ZERO })
}

/// Reads a table: one case a line in columns, as its first line says.
fn check(dialect: Dialect, table: &str) {
    for case in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<_> = case.split_whitespace().take(4).collect();
        let [status, kind, outcome, scope] = words[..] else { panic!("four columns: {case}") };
        let body = case.get(34..).unwrap_or_default();
        expect(dialect, status.parse().unwrap(), kind == "stream", (named(outcome), named(scope)), body);
    }
}

fn named<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_value(name.into()).unwrap()
}

fn expect(dialect: Dialect, status: u16, stream: bool, meaning: (Outcome, Scope), body: &str) {
    let unescaped = body.replace("\\n", "\n").replace("\\r", "\r");
    let (kind, sent) = if stream { (STREAM, unescaped.as_str()) } else { (JSON, body) };
    let verdict = judge(&*dialect.classifier(), status, &headers(kind), sent.as_bytes());
    assert_eq!((verdict.outcome, verdict.scope), meaning, "{dialect:?} {status} {body}");
    let refused =
        matches!(meaning, (Rejected | Throttled | QuotaSpent | Overloaded, _) | (Forbidden | CallerFault, KeyModel));
    assert_eq!(verdict.processed, !refused, "I9: {dialect:?} {status} {body}");
}

#[test]
fn answers_mean_what_the_tables_say() {
    check(Dialect::Status, include_str!("classify/status.txt"));
    check(Dialect::OpenAi, include_str!("classify/openai.txt"));
    check(Dialect::Anthropic, include_str!("classify/anthropic.txt"));
    check(Dialect::Gemini, include_str!("classify/gemini.txt"));
    check(Dialect::OpenRouter, include_str!("classify/openrouter.txt"));
}

#[test]
fn whose_fault_a_refusal_is() {
    let body = br#"{"error":{"code":"model_not_found",
        "message":"The model `m` does not exist or you do not have access to it."}}"#;
    assert_eq!(judge(&OpenAi, 404, &headers(JSON), body).fault(), Some(Fault::Key), "another key may be allowed to");
    let body = br#"{"error":{"code":"unsupported_country_region_territory","message":"x"}}"#;
    assert_eq!(judge(&OpenAi, 403, &headers(JSON), body).fault(), Some(Fault::Caller), "no key would do better");
}

#[test]
fn no_more_is_asked_for_than_can_matter() {
    let peek = |by: &dyn Classify, status, kind| by.peek(StatusCode::from_u16(status).unwrap(), &headers(kind));
    let table: [(&dyn Classify, u16, &'static str, Peek); 14] = [
        (&ByStatus, 200, JSON, Peek::Nothing),
        (&ByStatus, 200, "Text/Event-Stream", Peek::Event),
        (&ByStatus, 401, JSON, Peek::Nothing),
        (&ByStatus, 429, JSON, Peek::Body),
        (&OpenAi, 200, JSON, Peek::Nothing),
        (&OpenAi, 200, STREAM, Peek::Event),
        (&OpenAi, 302, JSON, Peek::Nothing),
        (&OpenAi, 401, JSON, Peek::Body),
        (&Anthropic, 400, JSON, Peek::Body),
        (&Anthropic, 401, JSON, Peek::Nothing),
        (&Gemini, 400, JSON, Peek::Body),
        (&OpenRouter, 200, JSON, Peek::Body),
        (&OpenRouter, 200, "application/octet-stream", Peek::Nothing),
        (&OpenRouter, 200, STREAM, Peek::Event),
    ];
    for (by, status, kind, expected) in table {
        assert_eq!(peek(by, status, kind), expected, "{status} {kind}");
    }
}

const DIALECTS: [Dialect; 5] =
    [Dialect::Status, Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::OpenRouter];

#[test]
fn our_own_refusals_are_understood_by_the_same_dialect() {
    for dialect in DIALECTS {
        let body = dialect.error_json(StatusCode::TOO_MANY_REQUESTS, "all_keys_resting", "all keys \"rest\"");
        let verdict = judge(&*dialect.classifier(), 429, &headers(JSON), body.as_bytes());
        assert_eq!(verdict.outcome, Throttled, "{dialect:?} {body}");
    }
    let shapes = DIALECTS.map(|dialect| dialect.error_json(StatusCode::SERVICE_UNAVAILABLE, "c", "m"));
    assert_eq!(shapes[0], shapes[1]);
    assert_eq!(shapes[1], r#"{"error":{"code":"c","message":"m","param":null,"type":"service_unavailable_error"}}"#);
    assert_eq!(shapes[2], r#"{"error":{"message":"m","type":"overloaded_error"},"type":"error"}"#);
    assert_eq!(shapes[3], r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#);
    assert_eq!(shapes[4], r#"{"error":{"code":503,"message":"m"}}"#);
}

/// Bodies that look like a provider's, in words that no table knows.
fn strange() -> impl Strategy<Value = Vec<u8>> {
    let word = "x[a-z_]{0,20}";
    let shaped = (word, word, "[ -~]{0,80}", 0u32..700).prop_map(|(code, kind, message, number)| {
        let body = serde_json::json!({"error": {"code": code, "type": kind, "message": format!("x{message}"),
            "number": number, "details": [{"reason": kind, "violations": [{"quotaId": code}]}]}});
        body.to_string().into_bytes()
    });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..400), shaped]
}

proptest! {
    #[test]
    fn anything_gets_a_verdict(
        status in 100u16..1000,
        body in strange(),
        kind in prop_oneof![Just(JSON), Just(STREAM)],
        cut in 0usize..200,
        prefix in prop_oneof![Just("data: "), Just("event: error\ndata:"), Just("")],
    ) {
        let body = [prefix.as_bytes(), &body[..body.len().min(cut)]].concat();
        for dialect in DIALECTS {
            let verdict = judge(&*dialect.classifier(), status, &headers(kind), &body);
            prop_assert!(verdict.outcome != Accepted || (200..300).contains(&status));
        }
    }

    #[test]
    fn i4_a_caller_fault_never_touches_a_key(
        status in prop::sample::select(vec![400u16, 404, 405, 409, 413, 422]),
        body in strange(),
    ) {
        for dialect in DIALECTS {
            let verdict = judge(&*dialect.classifier(), status, &headers(JSON), &body);
            prop_assert_eq!(verdict, Verdict::new(CallerFault), "{:?}", dialect);
        }
    }

    #[test]
    fn i4_words_of_the_caller_do_not_make_it_the_keys_fault(name in "[ -~]{0,120}") {
        let quoted = serde_json::json!({"error": {"type": "invalid_request_error", "status": "INVALID_ARGUMENT",
            "code": "invalid_value", "message": format!("Invalid value: '{name}'. Your credit balance is too low.")}});
        for dialect in DIALECTS {
            let verdict = judge(&*dialect.classifier(), 400, &headers(JSON), quoted.to_string().as_bytes());
            prop_assert_eq!(verdict.outcome, CallerFault, "{:?}", dialect);
        }
    }
}
