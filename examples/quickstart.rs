//! What the layer does with three keys, of which one is revoked and one is throttled. No network, no feature.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use key_commune::clock::Timestamp;
use key_commune::health::Penalties;
use key_commune::pool::Key;
use key_commune::secret::Pepper;
use key_commune::service::ReplayBody;
use key_commune::{KeyCommuneLayer, KeyPool, Provider};
use tower::{Layer, Service, ServiceExt, service_fn};

type Body = Full<Bytes>;

/// Stands for `OpenAI`, and for the HTTP client that gets there.
async fn provider(request: Request<ReplayBody<Body>>) -> Result<Response<Body>, Infallible> {
    let key = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, wait, body) = match key {
        "Bearer sk-works-0123456789" => (200, None, r#"{"choices":[]}"#),
        "Bearer sk-throttled-0123456789" => (429, Some("20"), r#"{"error":{"code":"rate_limit_exceeded"}}"#),
        _ => (401, None, r#"{"error":{"code":"invalid_api_key"}}"#),
    };
    println!("  the provider sees {key:?} and answers {status}");
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status.try_into().unwrap_or_default();
    answer.headers_mut().extend(wait.map(|wait| (header::RETRY_AFTER, header::HeaderValue::from_static(wait))));
    Ok(answer)
}

/// `KeyPool::new(Provider::OPENAI, [..])` is all that is needed. This one has labels, and prints the same every time:
/// its clock stands still, chance begins at a known number, and rests have none in them.
fn pool() -> Result<KeyPool, Box<dyn Error>> {
    let pool = KeyPool::builder(Provider::OPENAI)
        .clock(|| Timestamp::from_unix(Duration::from_secs(1_700_000_000)))
        .pepper(Pepper::new([7; 32]))
        .penalties(Penalties::default().jitter(false))
        .seed(1)
        .key(Key::new("sk-works-0123456789")?.label("works"))
        .key(Key::new("sk-revoked-0123456789")?.label("was revoked"))
        .key(Key::new("sk-throttled-0123456789")?.label("is throttled"));
    Ok(pool.build()?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = pool()?;
    let mut client = KeyCommuneLayer::new(pool.clone()).layer(service_fn(provider));

    for number in 1..=5 {
        println!("request {number}, without a key:");
        let request = Request::post("https://api.openai.com/v1/chat/completions").body(Body::from("{}"))?;
        let answer = client.ready().await?.call(request).await?;
        let keys = answer.body().served().map_or(0, |served| served.attempts);
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        println!("  the caller gets {status} after {keys} key(s): {}", String::from_utf8_lossy(&body));
    }

    println!("\n{}", pool.snapshot());
    Ok(())
}
