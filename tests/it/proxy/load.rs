//! Much at once costs little memory: bodies pass through, whatever their size.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::caller::Caller;
use super::pair;

const MIB: usize = 1024 * 1024;

async fn upload(address: SocketAddr, mebibytes: usize) -> String {
    let mut caller = Caller::new(address).await;
    let length = mebibytes * MIB;
    caller
        .send(format!("POST /v1/files HTTP/1.1\r\nhost: p\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"))
        .await;
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..length / piece.len() {
        caller.0.write_all(&piece).await.unwrap();
    }
    caller.read().await
}

/// Attack 58.
#[tokio::test]
async fn i10_a_large_upload_and_endless_answers_take_no_memory() {
    let (_provider, proxy) = pair(&["--key", "sk-another-0123456789abcdef"]).await;
    let mut readers = JoinSet::new();
    for path in ["/v1/flood", "/v1/stream"] {
        let mut caller = Caller::new(proxy.address).await;
        caller.send(format!("GET {path} HTTP/1.1\r\nhost: p\r\n\r\n")).await;
        readers.spawn(async move {
            // Slower than it comes.
            loop {
                caller.read_until("x").await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    let answer = upload(proxy.address, 64).await;
    assert!(answer.ends_with(&format!("{{\"length\":{}}}", 64 * MIB)), "{answer}");
    let resident = proxy.resident() / 1024;
    println!("64 MiB up and two endless answers: {resident} MiB at most");
    assert!(resident < 120, "{resident} MiB");
}

/// Two keys, so that each upload could be sent again and is kept as far as the bound allows.
#[tokio::test]
async fn i10_a_thousand_uploads_at_once_stay_within_bounds() {
    let (provider, proxy) = pair(&["--key", "sk-another-0123456789abcdef"]).await;
    let start = Instant::now();
    let mut uploads = JoinSet::new();
    for _ in 0..1000 {
        uploads.spawn(upload(proxy.address, 2));
    }
    while let Some(answer) = uploads.join_next().await {
        let answer = answer.unwrap();
        assert!(answer.ends_with(&format!("{{\"length\":{}}}", 2 * MIB)), "{answer}");
    }
    assert_eq!(provider.seen().len(), 1000);
    let resident = proxy.resident() / 1024;
    println!("1,000 uploads of 2 MiB in {:?}: {resident} MiB at most", start.elapsed());
    assert!(resident < 256, "{resident} MiB");
}
