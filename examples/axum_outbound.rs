//! A layered client in the state of an axum application, for handlers that call a provider.
//!
//! ```sh
//! cargo run --example axum_outbound --features hyper-client
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use key_commune::hyper_client::{self, HyperClient};
use key_commune::{KeyCommune, KeyCommuneLayer, KeyPool, Provider};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

/// What every handler has. Cloning it shares the pool and the connections.
#[derive(Clone)]
struct App {
    url: String,
    client: KeyCommune<HyperClient<Body>>,
}

/// Asks the provider and streams its answer to the caller.
async fn ask(State(app): State<App>) -> Result<Response, StatusCode> {
    let request = Request::post(format!("{}/v1/chat/completions", app.url)).body(Body::from("{}"));
    let request = request.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // No key left is an answer too: 429 or 503. Only a broken connection is an error.
    let answer = app.client.oneshot(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(answer.map(Body::new))
}

/// A provider in this process.
async fn provider() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve)).await });
    Ok(url)
}

async fn serve(request: Request) -> Response {
    let has_key = request.headers().get(header::AUTHORIZATION).is_some_and(|key| key == "Bearer sk-only-0123456789");
    if has_key { "the provider's answer".into_response() } else { StatusCode::UNAUTHORIZED.into_response() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = provider().await?;
    let pool = KeyPool::new(Provider::custom(url.clone()), ["sk-only-0123456789"])?;
    let layer = KeyCommuneLayer::new(pool.clone()).never_sent(hyper_client::never_sent);
    let client = layer.layer(hyper_client::builder().plain_http().build()?);
    let app = Router::new().route("/ask", get(ask)).with_state(App { url, client });

    // `axum::serve(listener, app)` would serve it. One request is enough here.
    let answer = app.oneshot(Request::get("/ask").body(Body::empty())?).await?;
    let status = answer.status();
    println!("GET /ask: {status} {}", String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()));
    print!("{}", pool.snapshot());
    Ok(())
}
