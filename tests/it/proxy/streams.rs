//! Bytes go on as they come, both ways, and end when the caller does.

use std::time::Duration;

use tokio::time::Instant;

use super::caller::{Caller, ask};
use super::pair;

#[tokio::test]
async fn i10_events_arrive_one_by_one() {
    let (_provider, proxy) = pair(&[]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send("GET /v1/stream HTTP/1.1\r\nhost: p\r\n\r\n").await;
    let mut times = Vec::new();
    for _ in 0..6 {
        let text = caller.read_until("tick").await;
        assert_eq!(text.matches("tick").count(), 1, "{text}");
        times.push(Instant::now());
    }
    // Sent 50 ms apart; gathered, the last ones would come together.
    let shortest = times.windows(2).map(|pair| pair[1] - pair[0]).skip(1).min().unwrap();
    assert!(shortest > Duration::from_millis(10), "{shortest:?}");
}

#[tokio::test]
async fn i10_an_upload_arrives_piece_by_piece() {
    let (provider, proxy) = pair(&[]).await;
    let mut caller = Caller::new(proxy.address).await;
    caller.send("POST /v1/early HTTP/1.1\r\nhost: p\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await;
    // The answer comes before the end of the upload.
    assert!(caller.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(provider.only().line, "POST /v1/early");
}

#[tokio::test]
async fn i8_a_caller_that_hangs_up_ends_the_call() {
    for (path, seen) in [("/v1/stream", "tick"), ("/v1/stall", "tick"), ("/v1/never", "")] {
        let (mut provider, proxy) = pair(&[]).await;
        let mut caller = Caller::new(proxy.address).await;
        caller.send(format!("POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{{}}")).await;
        if seen.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        } else {
            caller.read_until(seen).await;
        }
        let start = Instant::now();
        drop(caller);
        if path == "/v1/stall" {
            // This provider notices only when it writes; that the connection is closed shows in the drain below.
            tokio::time::sleep(Duration::from_millis(200)).await;
        } else {
            let gone = tokio::time::timeout(Duration::from_secs(2), provider.gone.recv()).await;
            gone.expect("the call goes on").unwrap();
            println!("{path}: the call ended {:?} after its caller", start.elapsed());
        }
        assert_eq!(ask(proxy.address, "GET /v1/models", "", "").await.status, 200);
    }
}

/// HTTP/2 without TLS, by a client that knows it beforehand.
#[tokio::test]
async fn callers_may_speak_http_2() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let (provider, proxy) = pair(&[]).await;
    let stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.unwrap();
    tokio::spawn(connection);
    for number in 0..20 {
        let uri = format!("http://anything.example/v1/{number}");
        let request = http::Request::post(uri).body(Full::<bytes::Bytes>::from("abc")).unwrap();
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), r#"{"length":3}"#);
        let seen = provider.only();
        assert_eq!(
            (seen.line, seen.headers["host"].to_str().unwrap()),
            (format!("POST /v1/{number}"), &*provider.address.to_string())
        );
    }
}
