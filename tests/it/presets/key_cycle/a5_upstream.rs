//! A5: what is sent.

use http::{Method, Uri};
use key_commune::origin::Origin;
use key_commune::pool::Key;
use key_commune::{KeyCommuneLayer, Provider, Refusal, preset};
use tower::Layer;

use super::super::{JSON, bad, hinted_for};
use super::{chat, client, pool};
use crate::support::{CHAT, Seen, Stepped, Upstream, answer, fetch, key, ok, to};

const BODY: &str = r#"{"model":"m"}"#;

/// What is sent for a request.
async fn passed(uri: &str, headers: &[(&str, &str)]) -> Seen {
    let upstream = Upstream::answering(|_| ok());
    fetch(&client(&pool(&["m"]), &upstream), to(uri, headers, Stepped::full(BODY))).await;
    upstream.last()
}

#[tokio::test(start_paused = true)]
async fn a5_1_i1_a_path_is_joined_to_the_keys_base_url_without_doubling_and_keeps_its_query() {
    for (base, path, expected) in [
        ("https://a.example", "/v1/chat?x=1", "https://a.example/v1/chat?x=1"),
        ("https://a.example/v1", "/v1/chat?x=1", "https://a.example/v1/chat?x=1"),
        ("https://a.example/v1/", "/v1/chat", "https://a.example/v1/chat"),
        ("https://a.example/openai/v1", "/v1/chat", "https://a.example/openai/v1/chat"),
        ("https://a.example/v1", "/chat", "https://a.example/v1/chat"),
    ] {
        let own = Key::new(key(0)).unwrap().models("m".parse().unwrap()).origin(Origin::parse(base).unwrap());
        let pool = preset::key_cycle(Provider::custom("https://pool.example")).key(own).build().unwrap();
        let upstream = Upstream::answering(|_| ok());
        let proxy = KeyCommuneLayer::new(pool).rebase().layer(upstream.clone());
        assert_eq!(fetch(&proxy, to(path, &[JSON], Stepped::full(BODY))).await.status, 200);
        assert_eq!(upstream.last().uri, expected.parse::<Uri>().unwrap(), "{base} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a5_1_i1_no_path_leaves_the_base_with_a_key() {
    for path in ["/v1/../admin", "/v1/%2e%2e/admin"] {
        let upstream = Upstream::answering(|_| ok());
        let request = to(&format!("https://api.openai.com{path}"), &[JSON], Stepped::full(BODY));
        let got = fetch(&client(&pool(&["m"]), &upstream), request).await;
        assert!(matches!(got.refusal, Some(Refusal::Path(_))) && upstream.count() == 0, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a5_2_the_method_is_the_callers() {
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::GET] {
        let upstream = Upstream::answering(|_| ok());
        let mut request = to(CHAT, &[JSON], Stepped::full(BODY));
        *request.method_mut() = method.clone();
        fetch(&client(&pool(&["m"]), &upstream), request).await;
        assert_eq!(upstream.last().method, method);
    }
}

#[tokio::test(start_paused = true)]
async fn a5_3_a5_5_i2_nothing_goes_out_that_is_the_connections_and_nothing_else_is_lost() {
    let removed = [
        ("connection", "x-private"),
        ("x-private", "1"),
        ("te", "gzip"),
        ("host", "proxy.example"),
        ("cookie", "c=1"),
        ("transfer-encoding", "chunked"),
    ];
    let kept = [("content-type", "application/json; charset=utf-8"), ("user-agent", "test"), ("openai-beta", "x")];
    let mut request = to(CHAT, &[&removed[..], &kept[..]].concat(), Stepped::full(BODY));
    for value in ["1", "2"] {
        request.headers_mut().append("x-multi", value.parse().unwrap());
    }
    let upstream = Upstream::answering(|_| ok());
    fetch(&client(&pool(&["m"]), &upstream), request).await;
    let seen = upstream.last();
    assert!(removed.iter().all(|(name, _)| !seen.headers.contains_key(*name)), "{:?}", seen.headers);
    assert!(kept.iter().all(|(name, value)| seen.headers[*name] == value));
    assert!(seen.headers.get_all("x-multi").iter().eq(["1", "2"]));
}

#[tokio::test(start_paused = true)]
async fn a5_4_i2_a_callers_own_credential_is_never_sent_and_the_pools_always() {
    for name in ["authorization", "x-api-key", "api-key", "proxy-authorization"] {
        let seen = passed(CHAT, &[JSON, (name, "Bearer sk-callers-own-0123456789")]).await;
        assert_eq!(seen.headers["authorization"], format!("Bearer {}", key(0)));
        assert!(seen.headers.values().all(|value| !value.to_str().unwrap().contains("callers")), "{name}");
    }
}

#[test]
fn a5_6_i1_a_base_url_with_a_user_name_is_none() {
    assert!(Origin::parse("https://user:password@a.example/v1").is_err());
}

#[tokio::test(start_paused = true)]
async fn a5_7_i1_a_redirect_goes_to_the_caller() {
    for status in [301, 302, 303, 307, 308] {
        let upstream = Upstream::in_turn(move |_| answer(status, &[("location", "https://elsewhere.example/")], ""));
        let got = fetch(&client(&pool(&["m", "m"]), &upstream), chat("m")).await;
        assert_eq!((got.status.as_u16(), upstream.count()), (status, 1));
        assert_eq!(got.header("location"), Some("https://elsewhere.example/"));
    }
}

#[tokio::test(start_paused = true)]
async fn a5_8_the_body_is_the_same_on_every_attempt() {
    let upstream = bad(2, || hinted_for("1"));
    let chunks = ["{\"model\"", ":\"m\",\"x\":\"", "😀\"}"];
    let got = fetch(&client(&pool(&["m"; 3]), &upstream), to(CHAT, &[JSON], Stepped::chunks(chunks))).await;
    assert_eq!((got.status.as_u16(), upstream.count()), (200, 3));
    assert!(upstream.seen().iter().all(|seen| seen.body == chunks.concat().as_bytes()));
}
