//! The layer in an axum service: whatever no route takes goes to the provider, with a key of the pool.
//!
//! ```sh
//! cargo run --example axum_layer --features hyper-client
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleError;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use key_commune::{KeyCommuneLayer, KeyPool, Provider, hyper_client};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

/// The application. Whoever may call it may use the keys, so a real one has a check of its own in front.
fn app(pool: KeyPool) -> Result<Router, Box<dyn Error>> {
    let layer = KeyCommuneLayer::new(pool)
        .rebase() // requests name this server; they go to the provider's URL
        .scrub() // who gets the answers does not own the keys
        .never_sent(hyper_client::never_sent);
    let client = layer.layer(hyper_client::builder().plain_http().build::<Body>()?);
    let upstream = HandleError::new(client, async |_| (StatusCode::BAD_GATEWAY, "the provider cannot be reached"));
    Ok(Router::new().route("/health", get(async || "well")).fallback_service(upstream))
}

/// A provider in this process that tells too much.
async fn provider() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve)).await });
    Ok(url)
}

async fn serve(request: Request) -> Response {
    let key = request.headers().get(header::AUTHORIZATION).and_then(|key| key.to_str().ok()).unwrap_or("no key");
    format!("{} {} with {key}", request.method(), request.uri()).into_response()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = KeyPool::new(Provider::custom(provider().await?), ["sk-only-0123456789"])?;
    let app = app(pool.clone())?;

    for path in ["/health", "/v1/models?limit=3", "/v1/../admin"] {
        // What a caller sends as a key is taken out.
        let request = Request::get(path).header(header::AUTHORIZATION, "Bearer mine").body(Body::empty())?;
        let answer = app.clone().oneshot(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        println!("GET {path}: {status}\n  {}", String::from_utf8_lossy(&body));
    }
    print!("{}", pool.snapshot());
    Ok(())
}
