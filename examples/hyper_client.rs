//! The ready-made hyper client: the first key is throttled, the second one gets the answer, which streams.
//!
//! ```sh
//! cargo run --example hyper_client --features hyper-client
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Request as Received;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use key_commune::clock::Timestamp;
use key_commune::pool::Key;
use key_commune::secret::Pepper;
use key_commune::select::FillFirst;
use key_commune::{KeyCommuneLayer, KeyPool, Provider, hyper_client};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

/// A provider in this process. A real one has an `https` URL, and `hyper_client::client()` is all that it takes.
async fn provider() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve)).await });
    Ok(url)
}

async fn serve(request: Received) -> Response {
    let is_first = request.headers().get(header::AUTHORIZATION).is_some_and(|key| key == "Bearer sk-first-0123456789");
    if is_first {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "20")], "slow down").into_response();
    }
    let events = "data: {\"delta\":\"Hello\"}\n\ndata: {\"delta\":\" world\"}\n\ndata: [DONE]\n\n";
    ([(header::CONTENT_TYPE, "text/event-stream")], events).into_response()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = provider().await?;
    let pool = KeyPool::builder(Provider::custom(url.clone()))
        .select(FillFirst)
        .clock(|| Timestamp::from_unix(Duration::from_secs(1_700_000_000)))
        .pepper(Pepper::new([7; 32]))
        .key(Key::new("sk-first-0123456789")?)
        .key(Key::new("sk-second-0123456789")?)
        .build()?;

    // A connection that never came about is no reason to give up: another key may have another base URL.
    let layer = KeyCommuneLayer::new(pool.clone()).never_sent(hyper_client::never_sent);
    let client = layer.layer(hyper_client::builder().plain_http().build::<Full<Bytes>>()?);

    let request = Request::post(format!("{url}/v1/chat/completions")).body(Full::from("{\"stream\":true}"))?;
    let mut answer = client.oneshot(request).await?;
    let attempts = answer.body().served().map_or(0, |served| served.attempts);
    println!("{} after {attempts} attempts", answer.status());
    while let Some(frame) = answer.body_mut().frame().await {
        if let Ok(chunk) = frame?.into_data() {
            print!("{}", String::from_utf8_lossy(&chunk));
        }
    }

    print!("{}", pool.snapshot());
    Ok(())
}
