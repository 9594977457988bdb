//! Connections to the provider: what they speak, and that they are used again.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::caller::get;
use super::program::{Proxy, command};
use super::{KEY, pair};
use crate::clients::tls::serve;

async fn start(upstream: &str, options: &[&str]) -> Proxy {
    let base = ["serve", "--listen", "127.0.0.1:0", "--key", KEY, "--upstream", upstream];
    Proxy::start(command(&[&base, options].concat())).await
}

#[tokio::test]
async fn they_speak_what_the_provider_offers() {
    for (offered, spoken) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"][..], "HTTP/1.1")] {
        let (port, root) = serve(offered).await;
        let file = std::env::temp_dir().join(format!("key-commune-proxy-{port}.pem"));
        std::fs::write(&file, root).unwrap();
        let proxy = start(&format!("https://localhost:{port}"), &["--ca-file", file.to_str().unwrap()]).await;
        std::fs::remove_file(file).unwrap();
        // Some connect at once, then some find a connection.
        for _ in 0..3 {
            let address = proxy.address;
            let asked = (0..8).map(|_| tokio::spawn(async move { get(address, "/v1/models").await }));
            for answer in asked.collect::<Vec<_>>() {
                let answer = answer.await.unwrap();
                assert_eq!((answer.status, &answer.body[..]), (200, spoken));
            }
        }
    }
}

/// Answers every request with the number of its connection.
async fn counting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = count.fetch_add(1, Ordering::Relaxed).to_string();
            let service = service_fn(move |_: Request<Incoming>| {
                let number = number.clone();
                async move { Ok::<_, Infallible>(Response::new(number)) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    port
}

#[tokio::test]
async fn one_that_is_free_is_used_again() {
    let proxy = start(&format!("http://127.0.0.1:{}", counting().await), &[]).await;
    for _ in 0..10 {
        assert_eq!(get(proxy.address, "/v1/models").await.body, "0");
    }
}

#[tokio::test]
async fn host_is_the_providers() {
    let (provider, proxy) = pair(&[]).await;
    assert_eq!(get(proxy.address, "/v1/models?a=b").await.status, 200);
    let seen = provider.only();
    assert_eq!((seen.line.as_str(), seen.only("host")), ("GET /v1/models?a=b", &*provider.address.to_string()));
}
