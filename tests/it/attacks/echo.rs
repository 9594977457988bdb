//! Group C: the key comes back.

use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;
use key_commune::{KeyCommune, KeyCommuneLayer};
use tower::Layer;

use crate::support::{Stepped, Upstream, answer, builder, events, fetch, key, post, streamed, timed};

fn scrubbing(pool: KeyPool, upstream: &Upstream) -> KeyCommune<Upstream> {
    KeyCommuneLayer::new(pool).scrub().layer(upstream.clone())
}

/// The key, byte by byte.
fn spelt(spell: impl Fn(u8) -> String) -> String {
    key(0).bytes().map(spell).collect::<Vec<_>>().concat()
}

/// No eight bytes in a row of the key; what its maker puts before it does not count.
fn assert_clean(text: &[u8], key: &str, what: &str) {
    for window in key.as_bytes()["sk-test-".len()..].windows(8) {
        let found = text.windows(8).any(|part| part == window);
        assert!(!found, "{what}: {} in {}", String::from_utf8_lossy(window), String::from_utf8_lossy(text));
    }
}

#[tokio::test(start_paused = true)]
async fn attack_16_an_echo_is_masked_in_every_form_chunk_by_chunk() {
    let hex = spelt(|byte| format!("{byte:02x}"));
    let percent = spelt(|byte| format!("%{byte:02X}"));
    let unicode = spelt(|byte| format!("\\u{byte:04x}"));
    for form in [key(0), hex, percent, unicode, format!("Bearer {}", key(0))] {
        for status in [200, 400, 404, 500] {
            let text = format!("<pre>{form}</pre>");
            let upstream = Upstream::in_turn({
                let text = text.clone();
                move |_| streamed(status, &[], Stepped::chunks(text.bytes().map(|byte| vec![byte])))
            });
            let got = fetch(&scrubbing(timed(1), &upstream), post("x")).await;
            assert_eq!(got.body.len(), text.len(), "masks are as long as what they hide");
            assert!(!got.text().contains(&form), "{form}");
            assert_clean(&got.body, &key(0), &form);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attack_17_a_refusal_that_shows_a_part_of_the_key_is_replaced() {
    let shown = format!("Incorrect API key provided: {}***{}.", &key(0)[..16], &key(0)[30..]);
    for status in [401, 402, 403] {
        for encoding in ["identity", "gzip"] {
            let body = format!(r#"{{"error":{{"message":"{shown}","code":"invalid_api_key"}}}}"#);
            let upstream = Upstream::in_turn(move |_| {
                answer(status, &[("content-encoding", encoding), ("x-echo", &key(0))], &body)
            });
            let got = fetch(&scrubbing(timed(1), &upstream), post("x")).await;
            assert_clean(&got.body, &key(0), "body");
            assert_clean(format!("{:?}", got.headers).as_bytes(), &key(0), "headers");
            assert!(matches!(got.status.as_u16(), 429 | 502));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attack_18_our_own_answers_hold_no_part_of_a_key() {
    for provider in [Provider::OPENAI, Provider::ANTHROPIC, Provider::GEMINI, Provider::OPENROUTER] {
        let pool =
            KeyPool::builder(provider.base("https://api.openai.com")).key(Key::new(key(0)).unwrap()).build().unwrap();
        let upstream = Upstream::in_turn(|_| answer(401, &[("content-encoding", "gzip")], &key(0)));
        let client = scrubbing(pool.clone(), &upstream);
        for uri in ["https://api.openai.com/v1/chat", "https://api.openai.com/../x", "/v1/chat"] {
            let got = fetch(&client, crate::support::to(uri, &[], Stepped::full("x"))).await;
            assert!(got.refusal.is_some(), "{uri}");
            assert_clean(format!("{got:?} {} {}", got.text(), got.refusal.clone().unwrap()).as_bytes(), &key(0), uri);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attack_19_error_events_are_judged_first_and_masked_always() {
    let error = format!("data: {{\"error\":{{\"code\":\"rate_limit_exceeded\",\"message\":\"{}\"}}}}\n\n", key(0));
    for before in [0, 1, 100] {
        let chunks: Vec<_> = std::iter::repeat_n("data: {}\n\n".to_owned(), before).chain([error.clone()]).collect();
        let upstream = Upstream::in_turn(move |_| events(&chunks.iter().map(String::as_str).collect::<Vec<_>>()));
        let pool = builder(1).build().unwrap();
        let got = fetch(&scrubbing(pool.clone(), &upstream), post("x")).await;
        assert_clean(&got.body, &key(0), "event");
        assert_eq!(pool.snapshot().members[0].throttles, 1, "{before} events before it");
    }
}
