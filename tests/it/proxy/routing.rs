//! Which key serves: by model, by session, by strategy, and where it goes.

mod content;
mod limits;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::caller::{Answer, Caller, ask, get};
use super::provider::Reply;
use super::{Provider, Proxy};

const JSON: &str = "content-type: application/json\r\n";
const KEYS: [&str; 4] = [
    "sk-key-a-0123456789abcdef",
    "sk-key-b-0123456789abcdef",
    "sk-key-c-0123456789abcdef",
    "sk-key-d-0123456789abcdef",
];

/// A file of keys that is gone when it is dropped.
struct KeysFile(PathBuf);

impl KeysFile {
    fn new(lines: &[String]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("routing-{}-{}.keys", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, lines.join("\n")).unwrap();
        Self(path)
    }

    async fn serve(&self, provider: &Provider, options: &[&str]) -> Proxy {
        let file = self.0.display().to_string();
        Proxy::serve(provider, &[&["--keys-file", &file], options].concat()).await
    }
}

impl Drop for KeysFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// In front of this provider, with so many of the keys.
async fn serve(provider: &Provider, keys: usize, options: &[&str]) -> Proxy {
    let keys: Vec<_> = KEYS[..keys].iter().flat_map(|key| ["--key", key]).collect();
    Proxy::serve(provider, &[&keys, options].concat()).await
}

async fn post(proxy: &Proxy, path: &str, body: &str) -> Answer {
    ask(proxy.address, &format!("POST {path}"), JSON, body).await
}

async fn chat(proxy: &Proxy, body: &str) -> u16 {
    post(proxy, "/v1/chat/completions", body).await.status
}

/// The letters of the keys that have served since the last time.
fn served(provider: &Provider) -> String {
    let letter = |seen: &super::provider::Seen| seen.only("authorization").chars().nth("Bearer sk-key-".len()).unwrap();
    provider.seen().iter().map(letter).collect()
}

#[tokio::test]
async fn a_model_is_served_by_the_keys_that_have_it() {
    let provider = Provider::start();
    let [a, b, c, _] = KEYS;
    let file = KeysFile::new(&[format!("{a} models=gpt-4*"), format!("{b} models=o3,o4"), format!("{c} models=o4")]);
    let mut proxy = file.serve(&provider, &[]).await;
    for (model, keys) in [("gpt-4o-mini", "a"), ("o3", "b"), ("o4", "bc")] {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        for _ in 0..6 {
            assert_eq!(chat(&proxy, &body).await, 200);
        }
        assert!(served(&provider).chars().all(|key| keys.contains(key)), "{model}");
    }
    let answer = post(&proxy, "/v1/chat/completions", r#"{"model":"llama"}"#).await;
    assert_eq!((answer.status, &*answer.code()), (404, "model_not_found"), "{answer:?}");
    assert_eq!(answer.json()["error"]["message"], "The model `llama` does not exist, or no API key serves it");
    assert_eq!(served(&provider), "");
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200, "asks for no model");
    assert!(proxy.says("keys: ").await.ends_with("keys: 3, 3 for some models only\n"));
}

#[tokio::test]
async fn a_key_with_a_base_url_gets_its_models_there() {
    let (usual, own) = (Provider::start(), Provider::start());
    let [a, b, ..] = KEYS;
    let own_url = format!("{b} models=eu-* base_url=http://{}/eu/v1", own.address);
    let file = KeysFile::new(&[format!("{a} models=others"), own_url]);
    let proxy = file.serve(&usual, &["--strip-prefix", "openai/", "--drop-field", "store"]).await;
    let answer = post(&proxy, "/v1/chat/completions?x=1", r#"{"model":"openai/eu-1","store":true}"#).await;
    assert_eq!(answer.status, 200);
    let seen = own.only();
    assert_eq!((&*seen.line, &seen.body[..]), ("POST /eu/v1/chat/completions?x=1", &br#"{"model":"eu-1"}"#[..]));
    assert_eq!(seen.only("authorization"), format!("Bearer {b}"));
    assert_eq!(chat(&proxy, r#"{"model":"us-1"}"#).await, 200);
    let seen = usual.only();
    assert_eq!((&*seen.line, &seen.body[..]), ("POST /v1/chat/completions", &br#"{"model":"us-1"}"#[..]));
    assert!(own.seen().is_empty());
}

#[tokio::test]
async fn weight_and_tier_of_a_key_hold_under_a_strategy() {
    let provider = Provider::start();
    let [a, b, c, _] = KEYS;
    let file = KeysFile::new(&[format!("{a} weight=2"), b.into(), format!("{c} tier=1 group=spare")]);
    let mut proxy = file.serve(&provider, &["--strategy", "round-robin"]).await;
    for _ in 0..6 {
        assert_eq!(chat(&proxy, "{}").await, 200);
    }
    let served = served(&provider);
    assert_eq!((served.matches('a').count(), served.matches('b').count()), (4, 2), "{served}");
    let line = proxy.says("keys: ").await;
    assert!(line.ends_with("keys: 3, 1 with a weight, 1 behind the first tier, 1 in a group\n"), "{line}");
}

#[tokio::test]
async fn a_strategy_is_chosen_by_its_name() {
    for (name, expected) in [("round-robin", "abcabc"), ("fill-first", "aaaaaa"), ("least-used", "abcabc")] {
        let provider = Provider::start();
        let mut proxy = serve(&provider, 3, &["--strategy", name]).await;
        for _ in 0..6 {
            assert_eq!(chat(&proxy, "{}").await, 200);
        }
        assert_eq!(served(&provider), expected, "{name}");
        assert!(proxy.says("strategy: ").await.ends_with(&format!("strategy: {name}\n")));
    }
    for name in ["two-choices", "peak-ewma"] {
        let provider = Provider::start();
        let proxy = serve(&provider, 3, &["--strategy", name]).await;
        assert_eq!(chat(&proxy, "{}").await, 200);
        assert_eq!(provider.seen().len(), 1, "{name}");
    }
    let provider = Provider::start();
    let mut proxy = serve(&provider, 3, &["--preset", "key-cycle", "--daily-reset", "08:30"]).await;
    for _ in 0..3 {
        assert_eq!(chat(&proxy, r#"{"model":"m"}"#).await, 200);
    }
    assert_eq!(served(&provider), "abc");
    proxy.says("strategy: that of the preset key-cycle; a new day at 08:30:00 UTC\n").await;
}

#[tokio::test]
async fn a_session_stays_with_its_key() {
    for option in [["--strategy", "sticky"], ["--preset", "api-key-lb"]] {
        let provider = Provider::start();
        let proxy = serve(&provider, 4, &option).await;
        let mut keys = std::collections::BTreeSet::new();
        for session in 0..20 {
            for turn in 0..3 {
                let body = format!(r#"{{"session_id":"chat-{session}","turn":{turn}}}"#);
                assert_eq!(chat(&proxy, &body).await, 200);
            }
            let served = served(&provider);
            assert!(["aaa", "bbb", "ccc", "ddd"].contains(&&*served), "{option:?}: {served}");
            keys.insert(served);
        }
        assert!(keys.len() > 1, "{option:?}: all sessions are with one key");
    }
}

/// Without a flag for it.
#[tokio::test]
async fn what_follows_a_response_goes_to_the_key_that_gave_it() {
    let provider = Provider::acting(|seen| {
        let key = seen.only("authorization").replace("Bearer sk-key-", "").chars().next().unwrap();
        Reply::new(200, format!(r#"{{"id":"resp_{key}","object":"response"}}"#))
    });
    let proxy = serve(&provider, 4, &["--strategy", "round-robin"]).await;
    for _ in 0..4 {
        assert_eq!(post(&proxy, "/v1/responses", r#"{"model":"m"}"#).await.status, 200);
    }
    assert_eq!(served(&provider), "abcd");
    for key in ["c", "a", "c"] {
        let body = format!(r#"{{"model":"m","previous_response_id":"resp_{key}"}}"#);
        assert_eq!(post(&proxy, "/v1/responses", &body).await.status, 200);
        assert_eq!(get(proxy.address, &format!("/v1/responses/resp_{key}")).await.status, 200);
        assert_eq!(served(&provider), key.repeat(2));
    }
}

/// Nobody needs to know what it asks for.
#[tokio::test]
async fn a_body_is_not_waited_for_in_vain() {
    let provider = Provider::start();
    let head = "POST /v1/early HTTP/1.1\r\nhost: p\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    let proxy = serve(&provider, 2, &["--strategy", "peak-ewma"]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send(format!("{head}{{")).await;
    assert!(caller.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}
