//! I21: the layer has no error of its own; what it says itself it says as a response.

use std::any::Any;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, StatusCode};
use key_commune::classify::{Answer, ByStatus, Classify, Peek};
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;
use key_commune::service::ReplayBody;
use key_commune::{KeyCommuneLayer, Refusal};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Oops, Stepped, Upstream, assert_idle, client, fetch, key, ok, post, revoked, send, timed};

/// Remembers what errors it is shown.
#[derive(Clone, Default)]
struct Nosy(Arc<Mutex<Vec<Option<Oops>>>>);

impl Classify for Nosy {
    fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek {
        ByStatus.peek(status, headers)
    }

    fn answer(&self, answer: &Answer<'_>) -> Verdict {
        ByStatus.answer(answer)
    }

    fn error(&self, error: &dyn Any) -> Verdict {
        self.0.lock().unwrap().push(error.downcast_ref().copied());
        Verdict::new(Outcome::Unreachable).unprocessed()
    }
}

#[tokio::test(start_paused = true)]
async fn i21_the_clients_error_comes_through_unchanged() {
    for count in [1, 2] {
        let pool = timed(count);
        let upstream = Upstream::new(|_| async { Err(Oops("reset")) });
        let error = send(&client(&pool, &upstream), post("x")).await.unwrap_err();
        assert_eq!((error, upstream.count()), (Oops("reset"), 1));
        assert_eq!(pool.snapshot().active(), count);
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn i21_an_error_on_every_key_is_still_the_clients_error() {
    for (count, attempts) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
        let (pool, nosy) = (timed(count), Nosy::default());
        let upstream = Upstream::new(|_| async { Err(Oops("refused")) });
        let client = KeyCommuneLayer::new(pool.clone()).classify(nosy.clone()).layer(upstream.clone());
        let error = send(&client, post("x")).await.unwrap_err();
        assert_eq!((error, upstream.count()), (Oops("refused"), attempts), "{count} keys");
        assert_eq!(*nosy.0.lock().unwrap(), vec![Some(Oops("refused")); attempts], "downcast by its own type");
        assert_idle(&pool);
    }
}

#[derive(Clone)]
struct NeverReady;

impl Service<Request<ReplayBody<Stepped>>> for NeverReady {
    type Response = Response<Stepped>;
    type Error = Oops;
    type Future = std::future::Ready<Result<Response<Stepped>, Oops>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Oops>> {
        Poll::Ready(Err(Oops("closed")))
    }

    fn call(&mut self, _: Request<ReplayBody<Stepped>>) -> Self::Future {
        unreachable!()
    }
}

#[tokio::test(start_paused = true)]
async fn i21_readiness_is_the_clients_own() {
    let client = KeyCommuneLayer::new(timed(1)).layer(NeverReady);
    assert_eq!(send(&client, post("x")).await.unwrap_err(), Oops("closed"));
    let infallible = service_fn(|_: Request<ReplayBody<Stepped>>| async { Ok::<_, Infallible>(ok()) });
    let answer: Result<_, Infallible> = KeyCommuneLayer::new(timed(1)).layer(infallible).oneshot(post("x")).await;
    assert_eq!(answer.unwrap().status().as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn i21_refusals_speak_as_the_provider_does_and_to_programs_too() {
    let openai = r#"{"error":{"code":"no_key_available","message":"no API key is available for this request now","param":null,"type":"rate_limit_error"}}"#;
    let anthropic = r#"{"error":{"message":"no API key is available for this request now","type":"rate_limit_error"},"type":"error"}"#;
    let gemini = r#"{"error":{"code":429,"message":"no API key is available for this request now","status":"RESOURCE_EXHAUSTED"}}"#;
    let openrouter = r#"{"error":{"code":429,"message":"no API key is available for this request now"}}"#;
    let table = [
        (Provider::OPENAI, openai),
        (Provider::ANTHROPIC, anthropic),
        (Provider::GEMINI, gemini),
        (Provider::OPENROUTER, openrouter),
    ];
    for (provider, body) in table {
        let provider = provider.base("https://api.openai.com");
        let pool = KeyPool::builder(provider).key(Key::new(key(0)).unwrap()).build().unwrap();
        let upstream = Upstream::in_turn(|_| revoked());
        let got = fetch(&client(&pool, &upstream), post("x")).await;
        assert_eq!((got.status.as_u16(), got.text().as_str()), (429, body));
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert!(matches!(got.refusal, Some(Refusal::Exhausted { retry_after: Some(_) })));
        assert_eq!(got.served, None);
    }
}
