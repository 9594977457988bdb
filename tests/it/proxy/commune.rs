//! The proxy without keys of its own: callers bring theirs.

use std::collections::BTreeSet;

use super::Provider;
use super::caller::ask;
use super::program::Proxy;

/// A member's header lines.
fn bearer(number: usize) -> String {
    format!("authorization: Bearer {}\r\n", key(number))
}

fn key(number: usize) -> String {
    format!("sk-member-{number:02}-0123456789abcdefghij")
}

const CHAT: &str = "POST /v1/chat/completions";

#[tokio::test]
async fn callers_share_their_keys() {
    let provider = Provider::start();
    let proxy = Proxy::serve(&provider, &[]).await;
    assert_eq!(ask(proxy.address, CHAT, "", "{}").await.status, 401);
    for number in 0..3 {
        assert_eq!(ask(proxy.address, CHAT, &bearer(number), "{}").await.status, 200);
        assert_eq!(provider.only().only("authorization"), format!("Bearer {}", key(number)), "its own the first time");
    }
    for _ in 0..30 {
        assert_eq!(ask(proxy.address, CHAT, &bearer(1), "{}").await.status, 200);
    }
    let used: BTreeSet<_> = provider.seen().iter().map(|seen| seen.only("authorization").to_owned()).collect();
    assert_eq!(used.len(), 3);
    for name in ["x-api-key", "api-key", "x-goog-api-key"] {
        assert_eq!(ask(proxy.address, CHAT, &format!("{name}: {}\r\n", key(2)), "{}").await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn only_so_many_keys_join() {
    let provider = Provider::start();
    let proxy = Proxy::serve(&provider, &["--max-keys", "1"]).await;
    for number in [0, 1, 1, 1] {
        assert_eq!(ask(proxy.address, CHAT, &bearer(number), "{}").await.status, 200);
        assert_eq!(provider.only().only("authorization"), format!("Bearer {}", key(number)));
    }
}

#[tokio::test]
async fn a_browser_is_told_what_this_is() {
    let provider = Provider::start();
    let proxy = Proxy::serve(&provider, &["--key", &key(0), "--mode", "commune"]).await;
    let page = ask(proxy.address, "GET /", "accept: text/html,application/xhtml+xml;q=0.9\r\n", "").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("1 key shares this way") && page.body.contains("can see what is sent"), "{page:?}");
    assert!(provider.seen().is_empty());
    assert_eq!(ask(proxy.address, "GET /", &bearer(0), "").await.status, 200);
    assert_eq!(provider.only().line, "GET /", "a client has the path for itself");
    assert_eq!(ask(proxy.address, "GET /health", "", "").await.status, 200);
}

#[tokio::test]
async fn callers_that_come_too_often_are_told_when_to_come_back() {
    let provider = Provider::start();
    let proxy = Proxy::serve(&provider, &["--rate-per-caller", "1/1h", "--burst", "2"]).await;
    for expected in [200, 200, 429, 429] {
        let answer = ask(proxy.address, CHAT, &bearer(0), "{}").await;
        assert_eq!(answer.status, expected, "{answer:?}");
    }
    let answer = ask(proxy.address, CHAT, &bearer(0), "{}").await;
    assert_eq!(answer.code(), "rate_limit_exceeded");
    let wait = answer.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!((3_590..=3_600).contains(&wait.parse::<u32>().unwrap()), "{answer:?}");
    assert_eq!(ask(proxy.address, CHAT, &bearer(1), "{}").await.status, 200, "another caller");
    assert_eq!(provider.seen().len(), 3);
}

#[tokio::test]
async fn a_commune_that_leads_to_itself_ends_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (listen, upstream) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let arguments = ["serve", "--listen", &listen, "--upstream", &upstream, "--mode", "commune"];
    let keys: Vec<_> = (0..4).flat_map(|number| ["--key".to_owned(), key(number)]).collect();
    let arguments: Vec<_> = arguments.into_iter().chain(keys.iter().map(String::as_str)).collect();
    let proxy = Proxy::start(super::program::command(&arguments)).await;
    for _ in 0..10 {
        assert_eq!(ask(proxy.address, CHAT, &bearer(0), "{}").await.status, 508);
    }
}
