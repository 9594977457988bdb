//! I4: what is the caller's fault never touches a key, is never retried, and comes back byte for byte.

use key_commune::KeyCommuneLayer;
use key_commune::health::State;
use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;
use tower::Layer;

use crate::support::{
    CHAT, Stepped, Upstream, client, events, fetch, key, map, plain, post, streamed, timed, to,
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
    let upstream = Upstream::in_turn(move |_| crate::support::answer(403, &[], body));
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
