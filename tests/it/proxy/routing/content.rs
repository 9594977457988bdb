//! Requests that break a rule are refused with the reason; what of others is to be changed is changed.

use super::super::caller::{ask, get};
use super::super::{Provider, Proxy};
use super::{JSON, KEYS, KeysFile, chat, post, serve, served};

/// What is said to this request.
async fn refused(proxy: &Proxy, line: &str, body: &str) -> String {
    let answer = ask(proxy.address, line, JSON, body).await;
    assert_eq!((answer.status, &*answer.code()), (400, "request_not_allowed"), "{line}: {answer:?}");
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn rules_hold_for_path_query_and_body() {
    let provider = Provider::start();
    let rules = ["--allow-path", "^/v1/chat/", "--allow-query", "v=^[12]$", "--allow-field", "metadata.team=^red$"];
    let proxy = serve(&provider, 2, &[&rules[..], &["--allow-field", "stream=true"]].concat()).await;
    let good = r#"{"metadata":{"team":"red"},"stream":true}"#;
    assert_eq!(post(&proxy, "/v1/chat/completions?v=1", good).await.status, 200);
    assert_eq!(provider.only().body, good);
    for (line, body, says) in [
        ("POST /v1/files?v=1", good, r#"path parameter "path" with value "/v1/files?v=1" does not match"#),
        ("POST /v1/chat/x", good, "Missing required query parameter: v"),
        ("POST /v1/chat/x?v=3", good, r#"query parameter "v" with value "3" does not match regex pattern: ^[12]$"#),
        ("POST /v1/chat/x?v=1", r#"{"stream":true}"#, "Missing required body-json parameter: metadata.team"),
        ("POST /v1/chat/x?v=1", r#"{"metadata":{"team":"blue"},"stream":true}"#, r#"with value "blue""#),
        ("POST /v1/chat/x?v=1", r#"{"metadata":{"team":"red"},"stream":false}"#, r#""stream" with value "false""#),
    ] {
        let reason = refused(&proxy, line, body).await;
        assert!(reason.contains(says), "{line}: {reason}");
    }
    assert_eq!(refused(&proxy, "GET /v1/models", "").await.split(' ').next(), Some("path"));
    assert!(provider.seen().is_empty());
}

#[tokio::test]
async fn what_may_choose_another_model_is_let_through_by_name() {
    let provider = Provider::start();
    let body = r#"{"model":"m","plugins":[]}"#;
    let strict = serve(&provider, 1, &["--allow-model", "^m$"]).await;
    let reason = refused(&strict, "POST /v1/chat/completions", body).await;
    assert!(reason.contains("may choose another model"), "{reason}");
    for rule in [["--allow-model", "^m$"], ["--allow-field", "model=^m$"]] {
        let proxy = serve(&provider, 1, &[&rule[..], &["--keep-field", "plugins"]].concat()).await;
        assert_eq!(post(&proxy, "/v1/chat/completions", body).await.status, 200);
    }
}

/// Rules come first, and routing finds what it needs in what they let through.
#[tokio::test]
async fn rules_and_routing_go_together() {
    let provider = Provider::start();
    let options = ["--allow-model", "^openai/", "--strip-prefix", "openai", "--strategy", "sticky"];
    let proxy = serve(&provider, 4, &options).await;
    refused(&proxy, "POST /v1/chat/completions", r#"{"model":"m","user":"u"}"#).await;
    for _ in 0..5 {
        assert_eq!(
            post(&proxy, "/v1/chat/completions", r#"{"model":"openai/m","user":"u","store":1}"#).await.status,
            200
        );
    }
    let seen = provider.seen();
    assert!(seen.iter().all(|seen| seen.body == r#"{"model":"m","user":"u","store":1}"#), "{seen:?}");
    assert!(seen.iter().all(|one| one.only("authorization") == seen[0].only("authorization")), "{seen:?}");
}

#[tokio::test]
async fn members_are_left_out_and_all_else_passes_as_it_is() {
    let provider = Provider::start();
    let proxy = serve(&provider, 1, &["--drop-field", "store", "--drop-field", "user"]).await;
    assert_eq!(post(&proxy, "/v1/chat", r#"{"a": 1, "store":true, "user":"u", "b":{"store":2}}"#).await.status, 200);
    assert_eq!(provider.only().body, r#"{"a": 1,"b":{"store":2}}"#);
    assert_eq!(get(proxy.address, "/v1/models?store=1").await.status, 200);
    assert_eq!(provider.only().line, "GET /v1/models?store=1");
}

/// As `Routing::key_cycle` says, whether or not keys have models, and what else is asked for.
#[tokio::test]
async fn under_the_preset_key_cycle_a_body_has_to_name_its_model() {
    let provider = Provider::start();
    let preset = ["--preset", "key-cycle"];
    let (long, line) = (format!(r#"{{"model":"m","x":"{}"}}"#, "x".repeat(1 << 20)), "POST /v1/models/m:x");
    for more in [&[][..], &["--strategy", "sticky"], &["--allow-path", "^/v1/"]] {
        let proxy = serve(&provider, 2, &[&preset, more].concat()).await;
        for body in ["{}", "[]", "m", r#"{"model":7}"#, r#"{"model":"m","model":"m"}"#, &long] {
            let reason = refused(&proxy, line, body).await;
            assert!(reason.starts_with("Invalid JSON payload: "), "{more:?} {reason}");
        }
        assert!(provider.seen().is_empty());
        assert_eq!((chat(&proxy, r#"{"model":"m"}"#).await, get(proxy.address, "/v1/x").await.status), (200, 200));
        assert_eq!(provider.seen().len(), 2, "{more:?}");
    }
    let [a, b, ..] = KEYS;
    let file = KeysFile::new(&[format!("{a} models=m"), format!("{b} models=others")]);
    let proxy = file.serve(&provider, &[&preset[..], &["--strip-prefix", "openai/"]].concat()).await;
    for (body, key) in [(r#"{"model":"openai/m"}"#, "a"), (r#"{"model":"n"}"#, "b"), ("", "b")] {
        assert_eq!(post(&proxy, "/v1/models/m:x", body).await.status, 200, "{body}");
        assert_eq!(served(&provider), key, "{body}: the path says nothing");
    }
}

/// A session keeps its key also where the preset does not know any.
#[tokio::test]
async fn a_strategy_beside_the_preset_key_cycle_is_told_what_it_needs() {
    let provider = Provider::start();
    let proxy = serve(&provider, 4, &["--preset", "key-cycle", "--strategy", "sticky"]).await;
    for session in 0..8 {
        for _ in 0..3 {
            assert_eq!(chat(&proxy, &format!(r#"{{"model":"m","user":"{session}"}}"#)).await, 200);
        }
        assert!(["aaa", "bbb", "ccc", "ddd"].contains(&&*served(&provider)), "{session}");
    }
}

#[tokio::test]
async fn no_more_of_a_body_is_read_than_is_allowed() {
    let provider = Provider::start();
    let body = |length: usize| format!(r#"{{"model":"m"{}}}"#, " ".repeat(length - 13));
    let strict = serve(&provider, 1, &["--allow-model", "^m$", "--max-body", "100"]).await;
    assert_eq!(post(&strict, "/v1/chat/completions", &body(100)).await.status, 200);
    let reason = refused(&strict, "POST /v1/chat/completions", &body(101)).await;
    assert!(reason.contains("too long"), "{reason}");
    let file = KeysFile::new(&[format!("{} models=m", KEYS[0]), format!("{} models=other", KEYS[1])]);
    provider.seen();
    for (bound, length, keys) in [("100", 100, "aaaa"), ("100", 101, "abab"), ("2000000", 1_500_000, "aaaa")] {
        let proxy = file.serve(&provider, &["--strategy", "round-robin", "--max-body", bound]).await;
        for _ in 0..4 {
            assert_eq!(post(&proxy, "/v1/chat/completions", &body(length)).await.status, 200);
        }
        let mut used: Vec<_> = served(&provider).chars().collect();
        let mut expected: Vec<_> = keys.chars().collect();
        used.sort_unstable();
        expected.sort_unstable();
        assert_eq!(used, expected, "{length}");
    }
}
