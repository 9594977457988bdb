//! SIGTERM: nobody new, answers under way to their end, status 0.

use std::time::Duration;

use tokio::time::Instant;

use super::caller::{Caller, get};
use super::pair;
use super::program::{Proxy, command};

const SLOW: &str = "GET /v1/slow HTTP/1.1\r\nhost: p\r\n\r\n";

#[tokio::test]
async fn answers_under_way_finish_and_nobody_new_comes_in() {
    for signal in ["TERM", "INT"] {
        let (_provider, mut proxy) = pair(&[]).await;
        let mut idle = Caller::new(proxy.address).await;
        idle.send("GET /health HTTP/1.1\r\nhost: p\r\n\r\n").await;
        idle.read_until("ok").await;
        let mut callers = Vec::new();
        for _ in 0..10 {
            let mut caller = Caller::new(proxy.address).await;
            caller.send(SLOW).await;
            callers.push(caller);
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        proxy.signal(signal);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(tokio::net::TcpStream::connect(proxy.address).await.is_err(), "it still listens");
        for caller in &mut callers {
            let answer = caller.read().await;
            assert!(answer.ends_with(r#"{"slow":true}"#), "{answer}");
        }
        assert_eq!(proxy.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn what_takes_longer_than_the_drain_is_cut_off() {
    let (_provider, mut proxy) = pair(&["--drain", "300ms"]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send("GET /v1/stream HTTP/1.1\r\nhost: p\r\n\r\n").await;
    caller.read_until("tick").await;
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert!(proxy.stderr().await.contains("--drain"));
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let (_provider, mut proxy) = pair(&[]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send("GET /v1/stream HTTP/1.1\r\nhost: p\r\n\r\n").await;
    caller.read_until("tick").await;
    proxy.signal("TERM");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn the_demo_is_well_and_leaves_in_good_order() {
    let start = Instant::now();
    let mut proxy = Proxy::start(command(&["demo", "--listen", "127.0.0.1:0"])).await;
    println!("listening {:?} after the start, {} KiB", start.elapsed(), proxy.resident());
    assert_eq!(get(proxy.address, "/health").await.body, r#"{"status":"ok"}"#);
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
}
