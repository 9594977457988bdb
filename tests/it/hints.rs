//! Every form in which a provider says when to come back, one row each.

mod left;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use key_commune::clock::Timestamp;
use key_commune::hint::{self, Hint};
use proptest::prelude::*;

/// One answer, and how long it asks to wait when it comes at [`NOW`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub name: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: &'static str,
    pub after: Option<Duration>,
}

/// When all answers of the table come: midnight, the first of January 2026, UTC.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(secs(1_767_225_600));

const DAY: u64 = 24 * 3_600;

/// From [`NOW`] to the last moment that can be told.
const FOREVER: Duration = Timestamp::MAX.since_unix().saturating_sub(NOW.since_unix());

impl Case {
    pub(crate) fn header_map(&self) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        self.headers.iter().map(header).collect()
    }

    fn read(&self) -> Option<Duration> {
        read(&self.header_map(), self.body.as_bytes())
    }
}

/// The table.
pub(crate) fn cases() -> Vec<Case> {
    CASES.to_vec()
}

fn read(headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
    hint::read(headers, body, NOW).map(|hint| hint.after)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn case(
    name: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    after: Option<Duration>,
) -> Case {
    Case { name, headers, body, after }
}

#[test]
fn every_form_is_read() {
    let wrong: Vec<_> = cases().into_iter().filter(|case| case.read() != case.after).collect();
    assert!(wrong.is_empty(), "{:#?}", wrong.iter().map(|case| (case, case.read())).collect::<Vec<_>>());
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases().len());
}

#[test]
fn a_body_is_read_up_to_64_kib() {
    let hint = r#"","retry_after":5}"#;
    let padded = |len: usize| format!(r#"{{"a":"{}{hint}"#, "x".repeat(len - hint.len() - r#"{"a":""#.len()));
    assert_eq!(read(&HeaderMap::new(), padded(64 * 1024).as_bytes()), Some(secs(5)));
    assert_eq!(read(&HeaderMap::new(), padded(64 * 1024 + 10).as_bytes()), None);
}

#[test]
fn a_body_of_nothing_but_phrases_or_brackets_ends_soon() {
    for text in ["retry in 5 bananas ", "[", r#"{"error":"#, "data: {}\n\n", "wait 1s1"] {
        let _ = read(&HeaderMap::new(), text.repeat(100_000).as_bytes());
    }
}

fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = CASES.iter().flat_map(|case| case.headers).map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn header_value() -> impl Strategy<Value = HeaderValue> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "[0-9a-z.:;=,\" +-]{0,70}".prop_map(String::into_bytes),
        "([0-9]{1,20}(\\.[0-9]{1,12})?(ms|s|m|h|d|w)?){1,4}".prop_map(String::into_bytes),
        prop::sample::select(CASES)
            .prop_map(|case| case.headers.first().map_or(vec![], |(_, value)| value.as_bytes().into())),
    ];
    let allowed = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    bytes
        .prop_map(move |bytes| HeaderValue::from_bytes(&bytes.into_iter().filter(allowed).collect::<Vec<_>>()).unwrap())
}

fn header_map() -> impl Strategy<Value = HeaderMap> {
    let header = (prop::sample::select(names()).prop_map(HeaderName::from_static), header_value());
    prop::collection::vec(header, 0..6).prop_map(|headers| headers.into_iter().collect())
}

/// Bodies of the table with a piece cut off or overwritten.
fn damaged_body() -> impl Strategy<Value = Vec<u8>> {
    let bodies: Vec<_> = CASES.iter().map(|case| case.body).filter(|body| !body.is_empty()).collect();
    let parts = (prop::sample::select(bodies), any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>());
    parts.prop_map(|(body, end, at, byte)| {
        let mut body = body.as_bytes()[..=end.index(body.len())].to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        body
    })
}

proptest! {
    #[test]
    fn any_headers_are_survived(headers in header_map(), now in any::<u64>()) {
        let _ = hint::read(&headers, b"", Timestamp::from_unix(Duration::from_nanos(now)));
    }

    #[test]
    fn any_body_is_survived(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&HeaderMap::new(), &body);
    }

    #[test]
    fn any_sentence_is_survived(text in "(retry in|wait for|reset after)[ 0-9a-zµé.]{0,70}") {
        let _ = read(&HeaderMap::new(), text.as_bytes());
    }

    #[test]
    fn any_damage_is_survived(headers in header_map(), body in damaged_body()) {
        let _ = hint::read(&headers, &body, NOW);
    }

    #[test]
    fn digits_of_retry_after_are_that_many_seconds(digits in "[0-9]{1,64}") {
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::try_from(&digits).unwrap())]);
        let expected = secs(digits.parse().unwrap_or(u64::MAX));
        prop_assert_eq!(hint::read(&headers, b"", NOW), Some(Hint::after(expected)));
    }
}

#[rustfmt::skip] // one row, one line
const CASES: &[Case] = &[
    // Retry-After: RFC 9110 10.2.3, and what is sent instead of it
    case("retry-after: zero", &[("retry-after", "0")], "", Some(secs(0))),
    case("retry-after: one", &[("retry-after", "1")], "", Some(secs(1))),
    case("retry-after: seconds", &[("retry-after", "120")], "", Some(secs(120))),
    case("retry-after: a day", &[("retry-after", "86400")], "", Some(secs(86400))),
    case("retry-after: leading zeros", &[("retry-after", "007")], "", Some(secs(7))),
    case("retry-after: blanks around", &[("retry-after", "  20\t")], "", Some(secs(20))),
    case("retry-after: fraction", &[("retry-after", "1.5")], "", Some(millis(1500))),
    case("retry-after: small fraction", &[("retry-after", "0.25")], "", Some(millis(250))),
    case("retry-after: fraction of zero", &[("retry-after", "3.0")], "", Some(secs(3))),
    case("retry-after: long fraction", &[("retry-after", "1.123456789999")], "", Some(Duration::new(1, 123_456_789))),
    case("retry-after: epoch is still seconds", &[("retry-after", "1767225600")], "", Some(secs(1_767_225_600))),
    case("retry-after: thousands of years", &[("retry-after", "999999999999")], "", Some(secs(999_999_999_999))),
    case("retry-after: u32 max plus one", &[("retry-after", "4294967296")], "", Some(secs(4_294_967_296))),
    case("retry-after: u64 max", &[("retry-after", "18446744073709551615")], "", Some(secs(u64::MAX))),
    case("retry-after: u64 max plus one", &[("retry-after", "18446744073709551616")], "", Some(secs(u64::MAX))),
    case("retry-after: 64 digits", &[("retry-after", "9999999999999999999999999999999999999999999999999999999999999999")], "", Some(secs(u64::MAX))),
    case("retry-after: 65 digits", &[("retry-after", "99999999999999999999999999999999999999999999999999999999999999999")], "", None),
    case("retry-after: empty", &[("retry-after", "")], "", None),
    case("retry-after: blank", &[("retry-after", "   ")], "", None),
    case("retry-after: negative", &[("retry-after", "-1")], "", None),
    case("retry-after: negative zero", &[("retry-after", "-0")], "", None),
    case("retry-after: negative fraction", &[("retry-after", "-1.5")], "", None),
    case("retry-after: plus sign", &[("retry-after", "+5")], "", None),
    case("retry-after: exponent", &[("retry-after", "1e3")], "", None),
    case("retry-after: capital exponent", &[("retry-after", "1E3")], "", None),
    case("retry-after: hex", &[("retry-after", "0x10")], "", None),
    case("retry-after: octal digits", &[("retry-after", "0o17")], "", None),
    case("retry-after: inner blank", &[("retry-after", "1 0")], "", None),
    case("retry-after: inner tab", &[("retry-after", "1\t0")], "", None),
    case("retry-after: underscore", &[("retry-after", "1_000")], "", None),
    case("retry-after: thousands comma", &[("retry-after", "1,000")], "", None),
    case("retry-after: list", &[("retry-after", "5, 10")], "", None),
    case("retry-after: semicolon", &[("retry-after", "5;x=1")], "", None),
    case("retry-after: point first", &[("retry-after", ".5")], "", None),
    case("retry-after: point last", &[("retry-after", "5.")], "", None),
    case("retry-after: two points", &[("retry-after", "1.2.3")], "", None),
    case("retry-after: inf", &[("retry-after", "inf")], "", None),
    case("retry-after: infinity", &[("retry-after", "Infinity")], "", None),
    case("retry-after: nan", &[("retry-after", "NaN")], "", None),
    case("retry-after: words", &[("retry-after", "soon")], "", None),
    case("retry-after: unit", &[("retry-after", "120s")], "", None),
    case("retry-after: word unit", &[("retry-after", "2 minutes")], "", None),
    case("retry-after: quoted", &[("retry-after", r#""120""#)], "", None),
    case("retry-after: arabic digits", &[("retry-after", "١٢٠")], "", None),
    case("retry-after: full-width digits", &[("retry-after", "５")], "", None),
    case("retry-after: latin one", &[("retry-after", "é")], "", None),
    case("retry-after: json", &[("retry-after", "{}")], "", None),
    case("retry-after: boolean", &[("retry-after", "true")], "", None),
    case("retry-after: imf-fixdate", &[("retry-after", "Thu, 01 Jan 2026 00:02:00 GMT")], "", Some(secs(120))),
    case("retry-after: rfc 850 date", &[("retry-after", "Thursday, 01-Jan-26 00:02:00 GMT")], "", Some(secs(120))),
    case("retry-after: asctime date", &[("retry-after", "Thu Jan  1 00:02:00 2026")], "", Some(secs(120))),
    case("retry-after: this very moment", &[("retry-after", "Thu, 01 Jan 2026 00:00:00 GMT")], "", Some(secs(0))),
    case("retry-after: past date", &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], "", Some(secs(0))),
    case("retry-after: the epoch", &[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")], "", Some(secs(0))),
    case("retry-after: leap day", &[("retry-after", "Tue, 29 Feb 2028 00:00:00 GMT")], "", Some(secs(789 * DAY))),
    case("retry-after: no leap day", &[("retry-after", "Sun, 29 Feb 2026 00:00:00 GMT")], "", None),
    case("retry-after: last date", &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], "", Some(FOREVER)),
    case("retry-after: date without zone", &[("retry-after", "Thu, 01 Jan 2026 00:02:00")], "", None),
    case("retry-after: date in another zone", &[("retry-after", "Thu, 01 Jan 2026 00:02:00 CET")], "", None),
    case("retry-after: date with an impossible hour", &[("retry-after", "Thu, 01 Jan 2026 25:02:00 GMT")], "", None),
    case("retry-after: rfc 3339", &[("retry-after", "2026-01-01T00:02:00Z")], "", None),
    case("retry-after: rfc 2822 with a comment bomb", &[("retry-after", "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((")], "", None),
    case("retry-after: the largest of several", &[("retry-after", "5"), ("retry-after", "30"), ("retry-after", "20")], "", Some(secs(30))),
    case("retry-after: the valid one of several", &[("retry-after", "soon"), ("retry-after", "7"), ("retry-after", "-9")], "", Some(secs(7))),
    // the same in milliseconds: https://learn.microsoft.com/en-us/answers/questions/5625878/
    case("retry-after-ms", &[("retry-after-ms", "859")], "", Some(millis(859))),
    case("retry-after-ms: fraction", &[("retry-after-ms", "1500.5")], "", Some(Duration::from_micros(1_500_500))),
    case("x-ms-retry-after-ms", &[("x-ms-retry-after-ms", "2500")], "", Some(millis(2500))),
    case("retry-after-ms: finer than retry-after", &[("retry-after", "3"), ("retry-after-ms", "2100")], "", Some(millis(2100))),
    case("retry-after-ms: garbage leaves retry-after", &[("retry-after", "3"), ("retry-after-ms", "-1")], "", Some(secs(3))),
    case("retry-after-ms: zero leaves retry-after", &[("retry-after", "3"), ("retry-after-ms", "0")], "", Some(secs(3))),
    case("retry-after-ms: huge", &[("retry-after-ms", "99999999999999999999")], "", Some(Duration::new(18_446_744_073_709_551, 615_000_000))),
    // OpenAI: https://thoughtbot.com/blog/openai-rate-limits
    case("openai: requests", &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s")], "", Some(secs(1))),
    case("openai: tokens", &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")], "", Some(secs(360))),
    case("openai: milliseconds", &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "12ms")], "", Some(millis(12))),
    case("openai: tokens by usage", &[("x-ratelimit-remaining-tokens_usage_based", "0"), ("x-ratelimit-reset-tokens_usage_based", "1h2m")], "", Some(secs(3720))),
    case("openai: days", &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1d2h")], "", Some(secs(93600))),
    case("openai: something left", &[("x-ratelimit-remaining-tokens", "1"), ("x-ratelimit-reset-tokens", "6m0s")], "", None),
    case("openai: no count", &[("x-ratelimit-reset-tokens", "6m0s")], "", None),
    case("openai: the spent dimension only", &[("x-ratelimit-remaining-requests", "59"), ("x-ratelimit-reset-requests", "9h"), ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "20s")], "", Some(secs(20))),
    case("openai: the later of two spent", &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "8.64s"), ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m26.4s")], "", Some(millis(86400))),
    case("openai: retry-after goes first", &[("retry-after", "2"), ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")], "", Some(secs(2))),
    case("openai: retry-after of zero does not", &[("retry-after", "0"), ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")], "", Some(secs(360))),
    case("openai: negative duration", &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "-6m0s")], "", None),
    case("openai: duration ago", &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m ago")], "", None),
    // Groq: https://console.groq.com/docs/rate-limits.md; Azure, Cerebras, Mistral: as seen
    case("groq: requests of the day", &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "2m59.56s")], "", Some(millis(179_560))),
    case("groq: tokens of the minute", &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "7.66s")], "", Some(millis(7660))),
    case("azure: whole seconds", &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "12")], "", Some(secs(12))),
    case("azure: unknown count", &[("x-ratelimit-remaining-tokens", "-1"), ("x-ratelimit-reset-tokens", "12")], "", None),
    case("azure: unknown reset", &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "-1")], "", None),
    case("azure: zero", &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "0")], "", Some(secs(0))),
    case("cerebras: requests of the day", &[("x-ratelimit-remaining-requests-day", "0"), ("x-ratelimit-reset-requests-day", "33011.38")], "", Some(millis(33_011_380))),
    case("cerebras: tokens of the minute", &[("x-ratelimit-remaining-tokens-minute", "0.0"), ("x-ratelimit-reset-tokens-minute", "11.5")], "", Some(millis(11500))),
    case("mistral: by size", &[("ratelimitbysize-remaining", "0"), ("ratelimitbysize-reset", "41")], "", Some(secs(41))),
    // GitHub and others: a lone number, told apart by its size
    case("generic: seconds from now", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")], "", Some(secs(60))),
    case("generic: longest seconds from now", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2999999")], "", Some(secs(2_999_999))),
    case("generic: seconds since the epoch", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225660")], "", Some(secs(60))),
    case("generic: past seconds since the epoch", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225540")], "", Some(secs(0))),
    case("generic: milliseconds since the epoch", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225660500")], "", Some(millis(60500))),
    case("generic: fraction since the epoch", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225660.25")], "", Some(millis(60250))),
    case("generic: saturates", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "99999999999999999999")], "", Some(FOREVER)),
    case("generic: rfc 3339", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2026-01-01T00:01:00Z")], "", Some(secs(60))),
    case("generic: http date", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "Thu, 01 Jan 2026 00:01:00 GMT")], "", Some(secs(60))),
    case("generic: something left", &[("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "1767225660")], "", None),
    case("generic: unknown count", &[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "60")], "", Some(secs(60))),
    case("generic: unknown reset", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "-1")], "", None),
    case("generic: no count at all", &[("x-ratelimit-reset", "60")], "", Some(secs(60))),
    case("generic: another count", &[("x-ratelimit-reset", "60"), ("x-ratelimit-remaining-tokens", "5")], "", None),
    case("generic: twitter spelling", &[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1767225660")], "", Some(secs(60))),
    case("openrouter: milliseconds since the epoch", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767312000000")], "", Some(secs(DAY))),
    // Anthropic
    case("anthropic: requests", &[("anthropic-ratelimit-requests-remaining", "0"), ("anthropic-ratelimit-requests-reset", "2026-01-01T00:01:00Z")], "", Some(secs(60))),
    case("anthropic: tokens", &[("anthropic-ratelimit-tokens-remaining", "0"), ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:01:00Z")], "", Some(secs(60))),
    case("anthropic: input-tokens", &[("anthropic-ratelimit-input-tokens-remaining", "0"), ("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:01:00Z")], "", Some(secs(60))),
    case("anthropic: output-tokens", &[("anthropic-ratelimit-output-tokens-remaining", "0"), ("anthropic-ratelimit-output-tokens-reset", "2026-01-01T00:01:00Z")], "", Some(secs(60))),
    case("anthropic: something left", &[("anthropic-ratelimit-requests-remaining", "12"), ("anthropic-ratelimit-requests-reset", "2026-01-01T00:01:00Z")], "", None),
    case("anthropic: offset and fraction", &[("anthropic-ratelimit-tokens-remaining", "0"), ("anthropic-ratelimit-tokens-reset", "2026-01-01T01:01:00.5+01:00")], "", Some(millis(60500))),
    case("anthropic: past", &[("anthropic-ratelimit-tokens-remaining", "0"), ("anthropic-ratelimit-tokens-reset", "2025-12-31T23:59:00Z")], "", Some(secs(0))),
    case("anthropic: not a date", &[("anthropic-ratelimit-tokens-remaining", "0"), ("anthropic-ratelimit-tokens-reset", "2026-13-01T00:00:00Z")], "", None),
    case("anthropic: plan", &[("anthropic-ratelimit-unified-reset", "1767229200")], "", Some(secs(3600))),
    case("anthropic: plan refused", &[("anthropic-ratelimit-unified-status", "rejected"), ("anthropic-ratelimit-unified-reset", "1767229200"), ("anthropic-ratelimit-requests-remaining", "5")], "", Some(secs(3600))),
    case("anthropic: plan not to blame", &[("anthropic-ratelimit-unified-status", "allowed_warning"), ("anthropic-ratelimit-unified-reset", "1767229200")], "", None),
    case("anthropic: window of the plan", &[("anthropic-ratelimit-unified-5h-status", "allowed"), ("anthropic-ratelimit-unified-5h-reset", "1767225700"), ("anthropic-ratelimit-unified-7d-status", "rejected"), ("anthropic-ratelimit-unified-7d-reset", "1767312000")], "", Some(secs(DAY))),
    // IETF: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
    case("ietf 11", &[("ratelimit", r#""default";r=0;t=30"#)], "", Some(secs(30))),
    case("ietf 11: something left", &[("ratelimit", r#""default";r=1;t=30"#)], "", None),
    case("ietf 11: several policies", &[("ratelimit", r#""minute";r=0;t=30, "day";r=0;t=7200, "week";r=5;t=99999"#)], "", Some(secs(7200))),
    case("ietf 11: several headers", &[("ratelimit", r#""minute";r=0;t=30"#), ("ratelimit", r#""day";r=0;t=60;pk=:AAA=:"#)], "", Some(secs(60))),
    case("ietf 11: window of the policy", &[("ratelimit", r#""a";r=0"#), ("ratelimit-policy", r#""b";q=9;w=9, "a";q=100;w=60;qu="tokens""#)], "", Some(secs(60))),
    case("ietf 11: policy alone", &[("ratelimit-policy", r#""a";q=100;w=60"#)], "", None),
    case("ietf 11: negative", &[("ratelimit", r#""a";r=0;t=-30"#)], "", None),
    case("ietf 11: broken", &[("ratelimit", r#""a;r=0;t=30"#)], "", None),
    case("ietf 08", &[("ratelimit", "limit=100, remaining=0, reset=30")], "", Some(secs(30))),
    case("ietf 08: something left", &[("ratelimit", "limit=100, remaining=7, reset=30")], "", None),
    case("ietf 07", &[("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "30")], "", Some(secs(30))),
    case("ietf 07: something left", &[("ratelimit-remaining", "3"), ("ratelimit-reset", "30")], "", None),
    // Google: https://discuss.ai.google.dev/t/429-errors-despite-waiting-after-retrydelay/96899
    case("google: retry delay", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#, Some(millis(34500))),
    case("google: retry delay as a message", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{"seconds":"34","nanos":500000000}}]}}"#, Some(millis(34500))),
    case("google: retry delay in numbers", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{"seconds":34}}]}}"#, Some(secs(34))),
    case("google: any detail", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.Help"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}"#, Some(secs(22))),
    case("google: negative delay", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"-22s"}]}}"#, None),
    case("google: huge delay", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"99999999999999999999s"}]}}"#, Some(secs(u64::MAX))),
    case("google: quota reset delay", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","metadata":{"quotaResetDelay":"156h14m36.75s"}}]}}"#, Some(millis(562_476_750))),
    case("google: quota reset before retry delay", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"5s"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","metadata":{"quotaResetDelay":"1h"}}]}}"#, Some(secs(3600))),
    case("google: quota reset time", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","metadata":{"quotaResetTimeStamp":"2026-01-01T01:00:00Z"}}]}}"#, Some(secs(3600))),
    case("google: quota of the minute", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}"#, Some(secs(22))),
    case("google: quota of the day", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}"#, None),
    case("google: quotas of minute and day", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"InputTokensPerMinute"},{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}"#, None),
    case("google: quota of the day with its reset", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","metadata":{"quotaResetDelay":"9h"}}]}}"#, Some(secs(32400))),
    case("google: quota of the day with a sentence", &[], r#"{"error":{"message":"Please retry in 22s.","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}"#, None),
    case("google: array of a stream", &[], r#"[{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#, Some(secs(34))),
    case("google: open array of a stream", &[], r#"[{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}
,"#, Some(secs(34))),
    case("google: cut off after the delay", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s""#, Some(secs(34))),
    case("google: cut off inside the delay", &[], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34"#, None),
    case("google: event of a stream", &[], "event: error\r\ndata: {\"error\":{\"details\":[{\"retryDelay\":\"34s\"}]}}\r\n\r\n", Some(secs(34))),
    case("google: sentence", &[], r#"{"error":{"message":"You exceeded your current quota. Please retry in 34.074824224s."}}"#, Some(Duration::new(34, 74_824_224))),
    case("google: header before body", &[("retry-after", "3")], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}"#, Some(secs(3))),
    case("google: header of zero", &[("retry-after", "0")], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}"#, Some(secs(22))),
    case("google: header of zero alone", &[("retry-after", "0")], r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[]}}"#, Some(secs(0))),
    // OpenRouter: https://openrouter.ai/docs/api_reference/limits
    case("openrouter: mirrored reset", &[], r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1767312000000"},"provider_name":null}}}"#, Some(secs(DAY))),
    case("openrouter: mirrored numbers", &[], r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429,"metadata":{"headers":{"X-RateLimit-Remaining":0,"X-RateLimit-Reset":1767312000000},"provider_name":null}}}"#, Some(secs(DAY))),
    case("openrouter: mirrored, something left", &[], r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429,"metadata":{"headers":{"X-RateLimit-Remaining":"3","X-RateLimit-Reset":"1767312000000"},"provider_name":null}}}"#, None),
    case("openrouter: mirrored retry-after", &[], r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429,"metadata":{"headers":{"Retry-After":"17","bad name":"1"},"provider_name":null}}}"#, Some(secs(17))),
    case("openrouter: error of the provider behind", &[], r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"details\":[{\"retryDelay\":\"34s\"}]}}"}}}"#, Some(secs(34))),
    case("openrouter: sentence of the provider behind", &[], r#"{"error":{"message":"429: {\"error\":{\"message\":\"Please retry in 9s.\"}}"}}"#, Some(secs(9))),
    // Codex
    case("codex: seconds", &[], r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":7200,"resets_at":1767229200}}"#, Some(secs(7200))),
    case("codex: moment", &[], r#"{"error":{"type":"usage_limit_reached","resets_at":1767229200}}"#, Some(secs(3600))),
    case("codex: past moment", &[], r#"{"error":{"resets_at":1767220000}}"#, Some(secs(0))),
    case("codex: negative", &[], r#"{"error":{"resets_in_seconds":-5}}"#, None),
    // retry_after
    case("retry_after: beside the error", &[], r#"{"error":{"code":"x"},"retry_after":5}"#, Some(secs(5))),
    case("retry_after: in the error", &[], r#"{"error":{"retry_after":5.5}}"#, Some(millis(5500))),
    case("retry_after: text", &[], r#"{"message":"slow down","retry_after":"5"}"#, Some(secs(5))),
    case("retry_after: duration", &[], r#"{"retry_after":"1m5s"}"#, Some(secs(65))),
    case("retry_after: huge", &[], r#"{"retry_after":1e300}"#, Some(Duration::MAX)),
    case("retry_after: negative", &[], r#"{"retry_after":-1}"#, None),
    case("retry_after: null", &[], r#"{"retry_after":null}"#, None),
    case("retry_after: cut off inside the number", &[], r#"{"retry_after":12"#, None),
    // sentences: as seen
    case("sentence: openai seconds", &[], r#"{"error":{"message":"Limit 3, Used 3, Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more."}}"#, Some(secs(20))),
    case("sentence: openai minutes", &[], r#"{"error":{"message":"Please try again in 6m0s."}}"#, Some(secs(360))),
    case("sentence: openai milliseconds", &[], r#"{"error":{"message":"Please try again in 859ms."}}"#, Some(millis(859))),
    case("sentence: groq", &[], r#"{"error":{"message":"Please try again in 1h2m59.56s. Need more tokens?"}}"#, Some(millis(3_779_560))),
    case("sentence: minute and milliseconds", &[], r#"{"error":{"message":"try again in 1m500ms"}}"#, Some(millis(60500))),
    case("sentence: bare number", &[], r#"{"error":{"message":"retry after 5"}}"#, Some(secs(5))),
    case("sentence: bare number with a colon", &[], r#"{"error":{"message":"Retry-After: 5."}}"#, Some(secs(5))),
    case("sentence: bare number with an equals sign", &[], r#"{"error":{"message":"retry_after=5, sorry"}}"#, Some(secs(5))),
    case("sentence: bare number before a word", &[], r#"{"error":{"message":"retry after 5 attempts"}}"#, None),
    case("sentence: seconds", &[], r#"{"error":{"message":"Retry in 15 seconds"}}"#, Some(secs(15))),
    case("sentence: azure", &[], r#"{"error":{"message":"Please retry after 27 seconds. Please go here: https://aka.ms/oai/quotaincrease"}}"#, Some(secs(27))),
    case("sentence: wait for", &[], r#"{"error":{"message":"Please wait for 30 seconds before trying again"}}"#, Some(secs(30))),
    case("sentence: wait", &[], r#"{"error":{"message":"Please wait 1.5 s"}}"#, Some(millis(1500))),
    case("sentence: minutes", &[], r#"{"error":{"message":"Your limit will reset after 2 minutes"}}"#, Some(secs(120))),
    case("sentence: quota", &[], r#"{"error":{"message":"Your quota will reset after 1h2m3s."}}"#, Some(secs(3723))),
    case("sentence: days", &[], r#"{"error":{"message":"try again in 3 days, 4 hours"}}"#, Some(secs(3 * DAY + 4 * 3_600))),
    case("sentence: and", &[], r#"{"error":{"message":"try again in 1 minute and 20 seconds"}}"#, Some(secs(80))),
    case("sentence: about", &[], r#"{"error":{"message":"Try again in about 5 minutes."}}"#, Some(secs(300))),
    case("sentence: months are not minutes", &[], r#"{"error":{"message":"try again in 5 months"}}"#, None),
    case("sentence: negative", &[], r#"{"error":{"message":"retry in -5s"}}"#, None),
    case("sentence: time of day", &[], r#"{"error":{"message":"try again after 10:30:00"}}"#, None),
    case("sentence: no number", &[], r#"{"error":{"message":"try again in a moment"}}"#, None),
    case("sentence: second phrase", &[], r#"{"error":{"message":"Do not retry after errors; wait 3s"}}"#, Some(secs(3))),
    case("sentence: plain text body", &[], "Rate limited. Please try again in 20s", Some(secs(20))),
    case("sentence: plain text error field", &[], r#"{"error":"retry in 7 seconds"}"#, Some(secs(7))),
    case("sentence: responses stream", &[], r#"data: {"type":"response.failed","response":{"error":{"message":"Please try again in 11.054s."}}}"#, Some(millis(11054))),
    case("sentence: cut off after it", &[], r#"{"error":{"message":"Please try again in 20s. Visit https://plat"#, Some(secs(20))),
    case("sentence: cut off inside it", &[], r#"{"error":{"message":"Please try again in 20"#, None),
    // nothing said
    case("nothing", &[], "", None),
    case("nothing: no hint in the body", &[], r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#, None),
    case("nothing: not JSON", &[], "<html>429 Too Many Requests</html>", None),
    case("nothing: NUL", &[], "\0\0{\0", None),
];
