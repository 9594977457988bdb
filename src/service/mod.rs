//! The Tower service: takes the credential out of a request, puts the best key of the pool in, watches the answer, and
//! moves on to another key when this one is refused.
//!
//! Its error is the inner service's own; what it has to say itself it says as a response, with a [`Refusal`] in the
//! extensions (I21). `poll_ready` is the inner service's own too: a request that finds a key at once uses the service
//! that was polled ready; one that has to wait for a key gives that readiness up, and polls a clone ready once it has a
//! key. Always key first, then readiness: the other way round, requests that hold a concurrency permit would wait for
//! keys that requests without a permit hold.

mod answer;
mod body;
mod follow;
mod frames;
mod future;
mod hygiene;
mod job;
mod judge;
mod layer;
mod party;
mod peek;
mod peeking;
mod prepare;
mod proof;
mod refusal;
mod replay;
mod rewriting;
#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod script;
mod scrubbing;
mod watch;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::secret::KeyId;
pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::KeyCommuneLayer;
use layer::Settings;
pub use refusal::Refusal;
pub use replay::{ReplayBody, Superseded};

/// Any error, as body types of the ecosystem box it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client with a pool of keys. Made by [`KeyCommuneLayer`].
#[derive(Clone, Debug)]
pub struct KeyCommune<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> KeyCommune<S> {
    fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The client inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The client inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes the layer off again.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for KeyCommune<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: 'static,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(&mut self.inner, &self.settings, request)
    }
}

/// How long one request may wait for a key: put it into the request's extensions to override
/// [`KeyCommuneLayer::max_wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Duration);

/// Where the request of an answer really went, for adapters of clients that follow redirects: put into the answer's
/// extensions, it lets the layer see a key that was carried to another origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed(pub http::Uri);

/// How a request was served. See [`ResponseBody::served`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// The key whose answer this is.
    pub key: KeyId,
    /// How many keys were tried, this one included.
    pub attempts: u32,
    /// How long the request waited for a key.
    pub waited: Duration,
}
