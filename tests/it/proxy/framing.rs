//! One request in is one request out, whatever two readers could make of its length.

use super::caller::{Caller, ask, raw};
use super::pair;

/// Versions, and what they say about the length of the body.
const HEADS: [(&str, &str); 21] = [
    ("1.1", "content-length: 5\r\ntransfer-encoding: chunked\r\n"),
    ("1.1", "transfer-encoding: chunked\r\ncontent-length: 5\r\n"),
    ("1.1", "content-length: 5\r\ncontent-length: 6\r\n"),
    ("1.1", "content-length: 5, 6\r\n"),
    ("1.1", "content-length: +5\r\n"),
    ("1.1", "content-length: 0x5\r\n"),
    ("1.1", "content-length: 5 5\r\n"),
    ("1.1", "content-length: -1\r\n"),
    ("1.1", "content-length: 99999999999999999999\r\n"),
    ("1.1", "content-length : 5\r\n"),
    ("1.1", " content-length: 5\r\n"),
    ("1.0", "transfer-encoding: chunked\r\n"),
    ("1.1", "transfer-encoding: chunked, identity\r\n"),
    ("1.1", "transfer-encoding: identity, chunked\r\n"),
    ("1.1", "transfer-encoding: xchunked\r\n"),
    ("1.1", "transfer-encoding:\x0bchunked\r\n"),
    ("1.1", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
    ("1.1", "transfer-encoding : chunked\r\n"),
    ("1.1", "x: y\r\n transfer-encoding: chunked\r\n"),
    ("1.1", "x: y\ntransfer-encoding: chunked\r\n"),
    ("1.1", "x: y\rtransfer-encoding: chunked\r\n"),
];

/// Attack 69. Each head is followed by a body that would be a second request to a reader of another opinion.
#[tokio::test]
async fn nobody_smuggles_a_second_request() {
    let (provider, proxy) = pair(&[]).await;
    for (version, headers) in HEADS {
        for body in [
            "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
            "5\r\nabcde\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        ] {
            let text =
                format!("POST /v1/chat HTTP/{version}\r\nhost: proxy\r\nconnection: close\r\n{headers}\r\n{body}");
            let answer = raw(proxy.address, text).await;
            let seen = provider.seen();
            assert!(seen.len() <= 1, "{headers:?}: {seen:?}");
            assert!([0, 200, 400, 431].contains(&answer.status), "{headers:?}: {answer:?}");
            assert!(seen.iter().all(|seen| seen.line == "POST /v1/chat"), "{headers:?}: {seen:?}");
            assert_eq!(answer.status == 200, seen.len() == 1, "{headers:?}: {answer:?}");
            let both = |seen: &super::provider::Seen| {
                seen.headers.contains_key("content-length") && seen.headers.contains_key("transfer-encoding")
            };
            assert!(!seen.iter().any(both), "{headers:?}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn requests_on_one_connection_stay_apart_and_in_order() {
    let (provider, proxy) = pair(&[]).await;
    let mut caller = Caller::new(proxy.address).await;
    let one = "POST /v1/a HTTP/1.1\r\nhost: p\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let two = "POST /v1/b HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\nxyGET /v1/c HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n";
    caller.send(format!("{one}{two}")).await;
    assert_eq!(caller.read().await.matches("HTTP/1.1 200 OK").count(), 3);
    let seen = provider.seen();
    let seen: Vec<_> = seen.iter().map(|seen| (&*seen.line, seen.length)).collect();
    assert_eq!(seen, [("POST /v1/a", 3), ("POST /v1/b", 2), ("GET /v1/c", 0)]);
}

#[tokio::test]
async fn a_body_keeps_its_bytes_and_its_length() {
    let (provider, proxy) = pair(&[]).await;
    let body = "x".repeat(3_000_000);
    assert_eq!(ask(proxy.address, "POST /v1/a", "", &body).await.body, r#"{"length":3000000}"#);
    assert_eq!(provider.only().only("content-length"), "3000000");
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused() {
    let (provider, proxy) = pair(&[]).await;
    let headers = format!("x-long: {}\r\n", "x".repeat(200_000));
    let answer = ask(proxy.address, "GET /v1/a", &headers, "").await;
    assert!([0, 431].contains(&answer.status), "{answer:?}");
    assert!(provider.seen().is_empty());
}

#[tokio::test]
async fn a_caller_that_asks_first_is_told_to_go_on() {
    let (provider, proxy) = pair(&[]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller
        .send(
            "POST /v1/a HTTP/1.1\r\nhost: p\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        )
        .await;
    assert_eq!(caller.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    caller.send("{}").await;
    assert!(caller.read().await.starts_with("HTTP/1.1 200 OK"));
    assert!(!provider.only().headers.contains_key("expect"));
}

#[tokio::test]
async fn an_old_provider_does_not_make_old_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut provider = Caller(listener.accept().await.unwrap().0);
        provider.read_until("\r\n\r\n").await;
        provider.send("HTTP/1.0 200 fine\r\nx-a: b\r\n\r\nuntil the end").await;
    });
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--key", super::KEY];
    let proxy = super::Proxy::start(super::program::command(&arguments)).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send("GET /v1/a HTTP/1.1\r\nhost: p\r\n\r\n").await;
    let answer = caller.read_until("0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("transfer-encoding: chunked"), "{answer}");
    assert!(answer.contains("until the end"), "{answer}");
}
