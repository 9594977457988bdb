//! The layer as a middleware of reqwest-middleware: the application keeps its client, and its requests carry no key.
//!
//! ```sh
//! cargo run --example reqwest_middleware --features reqwest-middleware
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Request as Received;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use key_commune::clock::Timestamp;
use key_commune::health::Penalties;
use key_commune::pool::Key;
use key_commune::secret::Pepper;
use key_commune::select::FillFirst;
use key_commune::{KeyCommuneLayer, KeyPool, Provider, Served};
use reqwest::redirect::Policy;
use reqwest_middleware::ClientBuilder;
use tokio::net::TcpListener;

/// A provider in this process.
async fn provider() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve)).await });
    Ok(url)
}

async fn serve(request: Received) -> Response {
    match request.headers().get(header::AUTHORIZATION) {
        Some(key) if key == "Bearer sk-second-0123456789" => "a poem about keys".into_response(),
        _ => (StatusCode::UNAUTHORIZED, r#"{"error":{"code":"invalid_api_key"}}"#).into_response(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = provider().await?;
    let pool = KeyPool::builder(Provider::custom(url.clone()))
        .select(FillFirst)
        .clock(|| Timestamp::from_unix(Duration::from_secs(1_700_000_000)))
        .pepper(Pepper::new([7; 32]))
        .penalties(Penalties::default().jitter(false))
        .key(Key::new("sk-first-0123456789")?.label("was revoked"))
        .key(Key::new("sk-second-0123456789")?.label("works"))
        .build()?;

    // Without redirects, which would carry keys to other hosts, and without a proxy from the environment.
    let web = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build()?;
    let client = ClientBuilder::new(web).with(KeyCommuneLayer::new(pool.clone())).build();

    let answer = client.post(format!("{url}/v1/completions")).body("{}").send().await?;
    let attempts = answer.extensions().get::<Served>().map_or(0, |served| served.attempts);
    println!("{} after {attempts} attempts: {}\n", answer.status(), answer.text().await?);
    print!("{}", pool.snapshot());
    Ok(())
}
