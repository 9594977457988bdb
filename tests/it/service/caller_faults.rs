//! I4: what is the caller's fault never touches a key, is never retried, and comes back byte for byte.

use key_commune::KeyCommuneLayer;
use key_commune::demand::Routing;
use key_commune::health::State;
use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;
use tower::Layer;

use crate::support::{
    CHAT, Stepped, Upstream, answer, client, events, fetch, key, keys, map, ok, plain, post, streamed, timed, to,
    tokio_clock,
};

fn providers() -> [Provider; 4] {
    [Provider::OPENAI, Provider::ANTHROPIC, Provider::GEMINI, Provider::OPENROUTER]
        .map(|row| row.base("https://api.openai.com"))
}

#[tokio::test(start_paused = true)]
async fn i4_a_callers_mistake_comes_back_byte_for_byte_after_one_attempt() {
    let headers = [("content-type", "application/json"), ("x-request-id", "r-1"), ("x-twice", "1"), ("x-twice", "2")];
    let chunks = [r#"{"error":{"message":"bad \u00e9"#, "\",", "  \"type\":\"invalid_request_error\"}}\n\0"];
    for provider in providers() {
        for status in
            [400, 404, 405, 406, 408, 409, 410, 411, 413, 414, 415, 416, 417, 421, 422, 425, 426, 431, 451, 499]
        {
            let members = [Key::new(key(0)).unwrap(), Key::new(key(1)).unwrap()];
            let pool = KeyPool::builder(provider.clone()).penalties(plain()).keys(members).build().unwrap();
            let upstream = Upstream::in_turn(move |_| streamed(status, &headers, Stepped::chunks(chunks)));
            let got = fetch(&client(&pool, &upstream), to(CHAT, &[], Stepped::full("{"))).await;
            let name = provider.name();
            assert_eq!((got.status.as_u16(), got.text()), (status, chunks.concat()), "{name} {status}");
            assert_eq!((got.headers, got.refusal), (map(&headers), None), "{name} {status}");
            assert_eq!((upstream.count(), got.served.unwrap().attempts), (1, 1), "{name} {status}");
            for member in pool.snapshot().members {
                assert_eq!(
                    (member.state, member.throttles, member.rejections),
                    (State::Active, 0, 0),
                    "{name} {status}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i4_redirects_and_other_oddities_pass_too() {
    for status in [204, 206, 301, 302, 304, 307, 308] {
        let pool = timed(2);
        let headers = [("location", "https://evil.example/")];
        let upstream = Upstream::in_turn(move |_| streamed(status, &headers, Stepped::full("")));
        let got = fetch(&client(&pool, &upstream), to(CHAT, &[], Stepped::full("{"))).await;
        assert_eq!((got.status.as_u16(), got.headers, upstream.count()), (status, map(&headers), 1));
        assert_eq!(pool.snapshot().active(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn i4_a_403_of_the_callers_own_is_its_own() {
    let pool = timed(2);
    let body = r#"{"error":{"message":"Your input was flagged","code":"content_policy"}}"#;
    let upstream = Upstream::in_turn(move |_| answer(403, &[], body));
    let got = fetch(&client(&pool, &upstream), to(CHAT, &[], Stepped::full("{"))).await;
    assert_eq!((got.status.as_u16(), got.text().as_str(), upstream.count()), (403, body, 1));
    assert_eq!(pool.snapshot().active(), 2);
}

#[tokio::test(start_paused = true)]
async fn i4_a_callers_mistake_inside_a_stream_is_not_retried_either() {
    const FAULT: &str = "data: {\"error\":{\"message\":\"This model's maximum context length is 8192 tokens.\",\"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":\"context_length_exceeded\"}}\n\n";
    let upstream = Upstream::in_turn(|_| events(&[FAULT]));
    let client = KeyCommuneLayer::new(timed(4)).retry_failures(true).layer(upstream.clone());
    let got = fetch(&client, post("x")).await;
    assert_eq!((got.status.as_u16(), got.text().as_str(), upstream.count()), (200, FAULT, 1));
}

const LARGE: &str = r#"{"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 30601. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
const LONG: &str = r#"{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."},"request_id":"req_1"}"#;

fn pool_of(provider: &Provider, count: usize) -> KeyPool {
    KeyPool::builder(provider.clone()).keys(keys(count)).penalties(plain()).clock(tokio_clock()).build().unwrap()
}

/// However long one waits, and whatever others ask for.
#[tokio::test(start_paused = true)]
async fn i4_a_request_that_is_too_large_costs_no_key_anything() {
    for (provider, uri, text) in
        [(Provider::OPENAI, CHAT, LARGE), (Provider::ANTHROPIC, "https://api.anthropic.com/v1/messages", LONG)]
    {
        for count in [1, 2, 5] {
            let pool = pool_of(&provider, count);
            let large = |body: &[u8]| body.len() > 50;
            let upstream =
                Upstream::answering(
                    move |seen| {
                        if large(&seen.body) { answer(429, &[("retry-after", "9")], text) } else { ok() }
                    },
                );
            let client = KeyCommuneLayer::new(pool.clone()).inspect(Routing::new()).layer(upstream.clone());
            let ask = |body: String| fetch(&client, to(uri, &[], Stepped::full(body)));
            let got = ask(format!(r#"{{"model":"m","x":"{}"}}"#, "a".repeat(60))).await;
            assert_eq!((got.told(), got.text().as_str()), ((429, Some("9")), text), "its own words");
            assert_eq!(upstream.count(), count.min(3), "I23");
            for member in pool.snapshot().members {
                assert_eq!((member.state, member.throttles, member.rests.len()), (State::Active, 0, 0));
            }
            for model in ["m", "n"] {
                let before = upstream.count();
                let got = ask(format!(r#"{{"model":"{model}"}}"#)).await;
                assert_eq!((got.status.as_u16(), upstream.count()), (200, before + 1), "{count} {model}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_one_key_is_served_by_another() {
    let pool = pool_of(&Provider::OPENAI, 2);
    let upstream = Upstream::answering(|seen| if seen.key() == key(0) { answer(429, &[], LARGE) } else { ok() });
    let client = client(&pool, &upstream);
    for _ in 0..10 {
        assert_eq!(fetch(&client, post("x")).await.status.as_u16(), 200);
    }
    assert!(upstream.uses(&key(0)) > 0 && pool.snapshot().active() == 2);
}
