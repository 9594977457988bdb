//! How fast an answer's hint is read: only refusals are, so this bounds what a storm of them costs. Run with
//! `cargo bench --bench hint`.

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

fn main() {
    let mut criterion = support::criterion();
    let now = Timestamp::from_unix(Duration::from_secs(1_767_225_600));
    for (name, headers, body) in [
        ("hint, nothing said", &[][..], &b"{}"[..]),
        ("hint, retry-after", RETRY_AFTER, SENTENCE),
        ("hint, limits", LIMITS, SENTENCE),
        ("hint, a sentence", &[], SENTENCE),
        ("hint, a field", &[], DELAY),
    ] {
        let header = |&(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = headers.iter().map(header).collect();
        assert_eq!(hint::read(&headers, body, now).is_some(), name != "hint, nothing said", "{name}");
        criterion
            .bench_function(name, |bencher| bencher.iter(|| hint::read(black_box(&headers), black_box(body), now)));
    }
    criterion.final_summary();
}
