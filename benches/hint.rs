//! How fast an answer is read for what it says of limits: refusals for their hint, which bounds what a storm of them
//! costs, and all others for what is left. Run with `cargo bench --bench hint`.

mod support;

use std::hint::black_box;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use key_commune::clock::Timestamp;
use key_commune::hint;

const RETRY_AFTER: &[(&str, &str)] = &[("content-type", "application/json"), ("retry-after", "20")];
const LIMITS: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-remaining-tokens", "1999991"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "0s"),
];
const SENTENCE: &[u8] = br#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-x on tokens per min
 (TPM): Limit 30000, Used 29400, Requested 1030. Please try again in 859ms.","type":"tokens","code":"rate_limit_exceeded"}}"#;
const DELAY: &[u8] =
    br#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED",
"details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"PerMinutePerProject"}]},
{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"23s"}]}}"#;

/// The headers of an answer of `OpenAI`'s, without those of its limits.
const ANSWER: [(&str, &str); 20] = [
    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("content-type", "application/json"),
    ("content-length", "1024"),
    ("connection", "keep-alive"),
    ("access-control-expose-headers", "X-Request-ID"),
    ("cache-control", "no-store"),
    ("openai-organization", "org-x"),
    ("openai-processing-ms", "859"),
    ("openai-project", "proj_x"),
    ("openai-version", "2020-10-01"),
    ("x-envoy-upstream-service-time", "862"),
    ("x-request-id", "req_0123456789"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("cf-cache-status", "DYNAMIC"),
    ("set-cookie", "__cf_bm=0123456789; path=/; HttpOnly; Secure"),
    ("x-content-type-options", "nosniff"),
    ("server", "cloudflare"),
    ("cf-ray", "0123456789abcdef-FRA"),
    ("alt-svc", "h3=\":443\"; ma=86400"),
    ("vary", "accept-encoding"),
];
const PLAN: &[(&str, &str)] = &[
    ("anthropic-ratelimit-input-tokens-limit", "50000"),
    ("anthropic-ratelimit-input-tokens-remaining", "49000"),
    ("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:00:01Z"),
    ("anthropic-ratelimit-output-tokens-limit", "10000"),
    ("anthropic-ratelimit-output-tokens-remaining", "9000"),
    ("anthropic-ratelimit-output-tokens-reset", "2026-01-01T00:00:06Z"),
];

fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let header = |&(name, value): &(_, _)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    headers.iter().map(header).collect()
}

fn left(criterion: &mut criterion::Criterion, now: Timestamp) {
    for (name, limits) in
        [("left, nothing said", &[][..]), ("left, requests and tokens", LIMITS), ("left, tokens in and out", PLAN)]
    {
        let headers = headers(&[&ANSWER[..], limits].concat());
        assert_eq!(hint::left(&headers, now).is_some(), !limits.is_empty(), "{name}");
        criterion.bench_function(name, |bencher| bencher.iter(|| hint::left(black_box(&headers), now)));
    }
}

fn main() {
    let mut criterion = support::criterion();
    let now = Timestamp::from_unix(Duration::from_secs(1_767_225_600));
    left(&mut criterion, now);
    for (name, pairs, body) in [
        ("hint, nothing said", &[][..], &b"{}"[..]),
        ("hint, retry-after", RETRY_AFTER, SENTENCE),
        ("hint, limits", LIMITS, SENTENCE),
        ("hint, a sentence", &[], SENTENCE),
        ("hint, a field", &[], DELAY),
    ] {
        let headers = headers(pairs);
        assert_eq!(hint::read(&headers, body, now).is_some(), name != "hint, nothing said", "{name}");
        criterion
            .bench_function(name, |bencher| bencher.iter(|| hint::read(black_box(&headers), black_box(body), now)));
    }
    criterion.final_summary();
}
