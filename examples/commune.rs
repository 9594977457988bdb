//! Callers who share their keys: one joins, one never had a key that works, and one's key is revoked. No network, no
//! feature.
//!
//! ```sh
//! cargo run --example commune
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use key_commune::clock::Timestamp;
use key_commune::health::Penalties;
use key_commune::pool::Commune;
use key_commune::secret::Pepper;
use key_commune::service::ReplayBody;
use key_commune::{KeyCommuneLayer, KeyPool, Provider};
use tower::{Layer, Service, ServiceExt, service_fn};

type Body = Full<Bytes>;

static BOBS_KEY_IS_REVOKED: AtomicBool = AtomicBool::new(false);

/// Stands for `OpenAI`, and for the HTTP client that gets there.
async fn provider(request: Request<ReplayBody<Body>>) -> Result<Response<Body>, Infallible> {
    let key = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, body) = match key {
        "Bearer sk-alice-0123456789" => (200, r#"{"choices":[]}"#),
        "Bearer sk-bob-0123456789" if !BOBS_KEY_IS_REVOKED.load(Ordering::Relaxed) => (200, r#"{"choices":[]}"#),
        _ => (401, r#"{"error":{"code":"invalid_api_key"}}"#),
    };
    println!("  the provider sees {key:?} and answers {status}");
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status.try_into().unwrap_or_default();
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *answer.headers_mut() = HeaderMap::from_iter([json]);
    Ok(answer)
}

/// `KeyPool::builder(Provider::OPENAI).commune(Commune::default()).build()` is all that is needed. This one prints the same
/// every time.
fn pool() -> Result<KeyPool, Box<dyn Error>> {
    let pool = KeyPool::builder(Provider::OPENAI)
        .commune(Commune::default())
        .clock(|| Timestamp::from_unix(Duration::from_secs(1_700_000_000)))
        .pepper(Pepper::new([7; 32]))
        .penalties(Penalties::default().jitter(false))
        .seed(1);
    Ok(pool.build()?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = pool()?;
    let mut client = KeyCommuneLayer::new(pool.clone()).layer(service_fn(provider));

    for (story, who) in [
        ("Alice is new: her own key serves her, and joins", "alice"),
        ("Bob, too", "bob"),
        ("Alice is a member: any key serves her", "alice"),
        ("and again", "alice"),
        ("Mallory made his key up: it is all he gets", "mallory"),
        ("Bob's key is revoked, which he has not noticed; Alice does not notice either", "alice"),
        ("and again", "alice"),
        ("Bob is on his own until his key works again", "bob"),
    ] {
        println!("{story}:");
        BOBS_KEY_IS_REVOKED.fetch_or(story.contains("revoked"), Ordering::Relaxed);
        let request = Request::post("https://api.openai.com/v1/chat/completions")
            .header(header::AUTHORIZATION, format!("Bearer sk-{who}-0123456789"))
            .body(Body::from("{}"))?;
        let answer = client.ready().await?.call(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        println!("  {who} gets {status}");
    }

    println!("\n{}", pool.snapshot());
    Ok(())
}
