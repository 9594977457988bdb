//! What the benches and the allocation test share: pools, a request as a proxy gets it, and a client that answers at once.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "several use it, none all of it; they may panic")]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use key_commune::Provider;
use key_commune::demand::Demand;
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::{Builder, Commune, Key, KeyPool, Tried};
use key_commune::secret::KeyId;
use tower::Service;

/// Short and often: machines that others use drift.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// A pool of which ever more keys can be laid to rest, evenly strewn.
pub struct Keys {
    pub pool: KeyPool,
    ids: Vec<KeyId>,
    resting: usize,
}

impl Keys {
    pub fn new(count: usize) -> Self {
        Self::with(KeyPool::builder(Provider::OPENAI), count)
    }

    /// Their callers' own. Chance begins at a known number: a caller that happens to be served with its own key costs less.
    pub fn shared(count: usize) -> Self {
        Self::with(KeyPool::builder(Provider::OPENAI).commune(Commune::default()).seed(7), count)
    }

    pub fn with(builder: Builder, count: usize) -> Self {
        let pool = builder.build().unwrap();
        let texts = (0..count).map(|number| Key::new(key(number)).unwrap());
        let ids = pool.extend(texts).unwrap();
        Self { pool, ids, resting: 0 }
    }

    /// Lays more keys to rest, until it is so many in a hundred.
    pub fn rest(&mut self, share: usize) {
        let until = self.pool.now() + Duration::from_secs(1 << 30);
        for (number, &id) in self.ids.iter().enumerate() {
            let rank = 99 - number * 37 % 100;
            if (self.resting..share).contains(&rank) {
                self.pool.block(id, until);
            }
        }
        self.resting = share;
    }
}

fn key(number: usize) -> String {
    format!("sk-proj-{number:040}")
}

/// One request's way through the pool, without the request: a key, its value, a success.
#[inline]
pub fn turn(pool: &KeyPool, put: impl FnOnce(HeaderValue)) {
    turn_for(pool, &Demand::default(), put);
}

/// The same for a request that asks for something.
#[inline]
pub fn turn_for(pool: &KeyPool, demand: &Demand, put: impl FnOnce(HeaderValue)) {
    let now = pool.now();
    let mut lease = pool.checkout(demand, &mut Tried::default(), now).unwrap();
    put(lease.value().clone());
    lease.settle(&Verdict::new(Outcome::Accepted), now);
}

/// What a server hands on: ten headers with values that share one buffer, and a body of 1 KiB.
pub struct Template {
    head: http::request::Parts,
    body: Bytes,
}

impl Template {
    pub fn new() -> Self {
        let mut head = Request::post("https://api.openai.com/v1/chat/completions").body(()).unwrap().into_parts().0;
        for name in [
            "accept",
            "accept-encoding",
            "accept-language",
            "authorization",
            "cache-control",
            "content-length",
            "content-type",
            "openai-beta",
            "user-agent",
            "x-request-id",
        ] {
            let value = Bytes::from_owner(format!("a value of {name}").into_bytes());
            let value = HeaderValue::from_maybe_shared(value).unwrap();
            head.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        // Names share their buffers only from the first clone on.
        drop(head.clone());
        Self { head, body: Bytes::from_owner(vec![b'x'; 1024]) }
    }

    /// The same with the first key of a commune in it.
    pub fn presenting() -> Self {
        let mut template = Self::new();
        let bearer = Bytes::from_owner(format!("Bearer {}", key(0)).into_bytes());
        template.head.headers.insert("authorization", HeaderValue::from_maybe_shared(bearer).unwrap());
        template
    }

    pub fn request(&self) -> Request<Full<Bytes>> {
        Request::from_parts(self.head.clone(), Full::new(self.body.clone()))
    }

    /// The same as an application makes it: nothing in it has ever been shared.
    pub fn fresh(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(self.body.to_vec())));
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        for (name, value) in &self.head.headers {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).unwrap();
            request.headers_mut().insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request
    }
}

/// A client that reads every request's body and answers, all at once.
#[derive(Clone)]
pub struct Bare;

impl<B: Body + Unpin> Service<Request<B>> for Bare {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        drain(request.body_mut());
        black_box(&request);
        let body = Full::new(Bytes::from_static(br#"{"id":"chatcmpl-1","choices":[]}"#));
        let mut response = Response::new(body);
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        ready(Ok(response))
    }
}

/// Sends a request and reads the whole answer; both are there at once.
#[inline]
pub fn send<S, B, R>(service: &mut S, request: Request<B>)
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body + Unpin,
{
    status(service, request);
}

/// The same, and what the answer's status was.
#[inline]
pub fn status<S, B, R>(service: &mut S, request: Request<B>) -> u16
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body + Unpin,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let Poll::Ready(Ok(mut answer)) = pin!(service.call(request)).poll(&mut cx) else { unreachable!() };
    drain(answer.body_mut());
    answer.status().as_u16()
}

fn drain<B: Body + Unpin>(body: &mut B) {
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut *body).poll_frame(&mut cx) {
        assert!(black_box(frame).is_ok());
    }
}
