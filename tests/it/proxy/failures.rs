//! What the caller hears when there is no answer to pass on.

use std::time::Duration;

use tokio::time::Instant;

use super::caller::{Caller, ask, get};
use super::program::{Proxy, command};
use super::{KEY, Provider, pair};

async fn behind(upstream: &str, options: &[&str]) -> Proxy {
    let base = ["serve", "--listen", "127.0.0.1:0", "--upstream", upstream, "--key", KEY];
    Proxy::start(command(&[&base, options].concat())).await
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_a_502() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = behind(&format!("http://{free}/deep"), &[]).await;
    let answer = ask(proxy.address, "POST /v1/chat?q=private", "", "{}").await;
    assert_eq!((answer.status, &*answer.code()), (502, "upstream_unreachable"), "{answer:?}");
    for private in ["private", KEY, "deep", "127.0.0.1"] {
        assert!(!answer.body.contains(private), "{answer:?}");
    }
    let proxy = behind("https://nowhere.invalid", &["--provider", "anthropic"]).await;
    let answer = get(proxy.address, "/v1/models").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error"]["type"], "api_error");
}

#[tokio::test]
async fn a_provider_that_does_not_connect_in_time_is_a_502() {
    // Accepts nobody: a TLS handshake that nobody answers.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("https://{}", deaf.local_addr().unwrap());
    let proxy = behind(&upstream, &["--connect-timeout", "200ms"]).await;
    let answer = get(proxy.address, "/v1/models").await;
    assert_eq!((answer.status, &*answer.code()), (502, "upstream_unreachable"), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_a_504_and_the_call_ends() {
    let (mut provider, proxy) = pair(&["--head-timeout", "300ms"]).await;
    let answer = ask(proxy.address, "POST /v1/never", "", "{}").await;
    assert_eq!((answer.status, &*answer.code()), (504, "upstream_timeout"), "{answer:?}");
    provider.gone.recv().await.unwrap();
    assert_eq!(get(proxy.address, "/health").await.status, 200);
}

#[tokio::test]
async fn time_for_the_upload_is_not_taken_from_the_answers() {
    let (_provider, proxy) = pair(&["--head-timeout", "400ms"]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send("POST /v1/a HTTP/1.1\r\nhost: p\r\nconnection: close\r\ncontent-length: 8\r\n\r\n").await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        caller.send("x").await;
    }
    let answer = caller.read().await;
    assert!(answer.ends_with(r#"{"length":8}"#), "{answer}");
}

#[tokio::test]
async fn what_stands_still_is_ended() {
    let (mut provider, proxy) = pair(&["--idle-timeout", "300ms"]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send("POST /v1/a HTTP/1.1\r\nhost: p\r\ncontent-length: 8\r\n\r\nxx").await;
    let answer = caller.read().await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("upload_stalled"), "{answer}");
    provider.seen();

    let start = Instant::now();
    let answer = get(proxy.address, "/v1/stall").await;
    assert!(answer.body.contains("tick") && !answer.body.ends_with("0\r\n\r\n"), "{answer:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    // A stream that moves goes on for longer than that.
    let mut caller = Caller::new(proxy.address).await;
    caller.send("GET /v1/stream HTTP/1.1\r\nhost: p\r\n\r\n").await;
    for _ in 0..15 {
        caller.read_until("tick").await;
    }
    drop(caller);
    provider.gone.recv().await.unwrap();
}

/// Attack 61: a caller that asks for much and reads nothing lets go of its key.
#[tokio::test]
async fn a_caller_that_does_not_read_is_let_go() {
    let (mut provider, proxy) = pair(&["--idle-timeout", "400ms"]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send("GET /v1/flood HTTP/1.1\r\nhost: p\r\n\r\n").await;
    tokio::time::timeout(Duration::from_secs(10), provider.gone.recv()).await.expect("the call goes on").unwrap();
    drop(caller);
}

#[tokio::test]
async fn an_exhausted_pool_says_when_to_come_back() {
    let provider = Provider::start();
    let proxy = Proxy::serve(&provider, &["--key", "sk-busy-0123456789abcdef"]).await;
    for _ in 0..2 {
        let answer = get(proxy.address, "/v1/models").await;
        assert_eq!(answer.status, 429, "{answer:?}");
        let after = answer.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
        assert!((25..=60).contains(&after.parse::<u32>().unwrap()), "{answer:?}");
    }
    assert_eq!(provider.seen().len(), 1);

    let proxy = Proxy::serve(&provider, &["--key", "sk-dead-0123456789abcdef"]).await;
    let answer = get(proxy.address, "/v1/models").await;
    assert_eq!((answer.status, &*answer.code()), (429, "no_key_available"), "{answer:?}");
    assert_eq!(get(proxy.address, "/health").await.status, 200);
}

#[tokio::test]
async fn a_refused_key_makes_room_for_a_good_one() {
    let provider = Provider::start();
    let keys = ["--key", "sk-dead-0123456789abcdef", "--key", "sk-busy-0123456789abcdef", "--key", KEY];
    let proxy = Proxy::serve(&provider, &keys).await;
    for _ in 0..20 {
        assert_eq!(ask(proxy.address, "POST /v1/chat", "", "{}").await.status, 200);
    }
    assert!(provider.seen().len() <= 22);
}

/// Attack 61: heads that trickle in, or do not come at all.
#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let (provider, proxy) = pair(&["--idle-timeout", "400ms"]).await;
    for begin in ["", "P", "PRI * HTTP/2.0\r\n", "GET /v1/models HTTP/1.1\r\nx-slow: "] {
        let mut caller = Caller::new(proxy.address).await;
        caller.send(begin).await;
        let start = Instant::now();
        caller.read().await;
        assert!(start.elapsed() < Duration::from_secs(5), "{begin:?}");
    }
    // Each byte in time does not make a head in time.
    let mut caller = Caller::new(proxy.address).await;
    caller.send("GET /v1/models HTTP/1.1\r\nx-slow: ").await;
    let mut ended = false;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ended = caller.0.try_write(b"x").is_err();
        if ended {
            break;
        }
    }
    assert!(ended && provider.seen().is_empty());
}
