//! The layer over a `reqwest::Client`, or over whatever takes `reqwest::Request`s.
//!
//! [`ReqwestService`] makes such a client a service for `http::Request`s, which is what the layer is put on. Bodies stream
//! both ways; the timeout that a request brings along survives.
//!
//! Make the client with `redirect(Policy::none())` and `no_proxy()`. On its way to another host reqwest takes a key out
//! of `Authorization`, but leaves one in `x-api-key` where it is. A key whose answer came from another origin is put out
//! of use, which is too late for that key; and a detour that led back, or a call that failed out there, is not seen.
//!
//! TLS is a feature of reqwest's that the application chooses; this crate asks for none.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use key_commune::reqwest::{ReqwestService, never_sent};
//! use key_commune::{KeyCommuneLayer, KeyPool, Provider};
//! use tower::{Layer, ServiceExt};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789", "sk-two-0123456789"])?;
//! let web = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
//! let client = KeyCommuneLayer::new(pool).never_sent(never_sent).layer(ReqwestService::new(web));
//!
//! let request = Request::get("https://api.openai.com/v1/models").body(Full::<Bytes>::default())?;
//! let answer = key_commune::reqwest::response(client.oneshot(request).await?);
//! println!("{}", answer.text().await?);
//! # Ok(())
//! # }
//! ```
//!
//! A key in the query is part of the URL. So the URL that an answer or an error brings back is without its query.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::reqwest::{Body as ReqwestBody, Error, Request, Response, ResponseBuilderExt, Url};
use bytes::Bytes;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::service::{BoxError, Landed, ReplayBody};

/// A client that takes `reqwest::Request`s, as a service for `http::Request`s: `reqwest::Client`,
/// `reqwest_middleware::ClientWithMiddleware`, or either under layers of their own.
#[derive(Clone, Debug, Default)]
pub struct ReqwestService<S = ::reqwest::Client> {
    client: S,
}

impl<S> ReqwestService<S> {
    /// A service over this client.
    pub fn new(client: S) -> Self {
        Self { client }
    }
}

impl<S, B> Service<http::Request<ReplayBody<B>>> for ReqwestService<S>
where
    S: Service<Request, Response = Response>,
    S::Error: Conceal,
    B: Body + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<ReqwestBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.client.poll_ready(cx).map_err(Conceal::conceal)
    }

    fn call(&mut self, request: http::Request<ReplayBody<B>>) -> Self::Future {
        match into_request(request) {
            Ok(request) => ResponseFuture::Sent { future: self.client.call(request) },
            Err(error) => ResponseFuture::Failed { error: Some(error) },
        }
    }
}

pin_project! {
    /// The answer of a [`ReqwestService`]. Polled again after it has answered, it stays pending.
    #[project = Project]
    #[must_use = "futures do nothing unless polled"]
    pub enum ResponseFuture<F> {
        /// The client has the request.
        #[doc(hidden)]
        Sent { #[pin] future: F },
        /// The request is none that the client could send.
        #[doc(hidden)]
        Failed { error: Option<Error> },
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response, E>>,
    E: Conceal,
{
    type Output = Result<http::Response<ReqwestBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Sent { future } => Poll::Ready(ready!(future.poll(cx)).map(into_http).map_err(Conceal::conceal)),
            Project::Failed { error } => match error.take() {
                Some(error) => Poll::Ready(Err(E::from(error).conceal())),
                None => Poll::Pending,
            },
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// An error of a client, which can forget what it tells of a URL that may hold a key.
pub trait Conceal: From<Error> {
    /// The same error, without a query in its text.
    #[must_use]
    fn conceal(self) -> Self;
}

impl Conceal for Error {
    fn conceal(mut self) -> Self {
        if let Some(url) = self.url_mut() {
            bare(url);
        }
        self
    }
}

impl Conceal for BoxError {
    fn conceal(self) -> Self {
        match self.downcast::<Error>() {
            Ok(error) => Box::new(error.conceal()),
            Err(other) => other,
        }
    }
}

/// Whether an error of reqwest, bare or as a [`BoxError`], says that the request was never sent: there was no connection
/// to send it on, or it is no request that can be. True only of a client that follows no redirects. For
/// [`KeyCommuneLayer::never_sent`](crate::service::KeyCommuneLayer::never_sent).
pub fn never_sent(error: &dyn Any) -> bool {
    let boxed = || error.downcast_ref::<BoxError>()?.downcast_ref::<Error>();
    let error = error.downcast_ref::<Error>().or_else(boxed);
    error.is_some_and(|error| error.is_connect() || error.is_builder())
}

/// An answer of the layer as reqwest's own type.
pub fn response<B>(mut answer: http::Response<B>) -> Response
where
    B: Body + Send + Sync + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    if let Some(url) = url_of(&answer) {
        set_url(&mut answer, url);
    }
    from_http(answer)
}

/// The same, with the URL that has been [set](set_url).
pub(crate) fn from_http<B>(answer: http::Response<B>) -> Response
where
    B: Body + Send + Sync + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    Response::from(answer.map(ReqwestBody::wrap))
}

/// A body that is all at hand stays one that reqwest can send again by itself.
pub(crate) fn into_request<B>(request: http::Request<ReplayBody<B>>) -> Result<Request, Error>
where
    B: Body + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    Request::try_from(request.map(|body| match body.as_bytes() {
        Some(bytes) => ReqwestBody::from(bytes.clone()),
        None => ReqwestBody::wrap(body),
    }))
}

/// An answer, with the place that it came from in its extensions: for the layer, and for the way back to reqwest.
pub(crate) fn into_http(answer: Response) -> http::Response<ReqwestBody> {
    let mut url = answer.url().clone();
    bare(&mut url);
    // A place that cannot be told is not the key's.
    let landed = Landed(url.as_str().parse().unwrap_or_default());
    let mut answer = http::Response::from(answer);
    answer.extensions_mut().insert(landed);
    set_url(&mut answer, url);
    answer
}

/// The place that an answer came from. Where answers are scrubbed, reqwest's own note of it is gone.
pub(crate) fn url_of<B>(answer: &http::Response<B>) -> Option<Url> {
    answer.extensions().get::<Landed>().and_then(|landed| landed.0.to_string().parse().ok())
}

/// Sets the URL that the answer has when it becomes reqwest's again.
pub(crate) fn set_url<B>(answer: &mut http::Response<B>, url: Url) {
    if let Ok(carrier) = http::Response::builder().url(url).body(()) {
        answer.extensions_mut().extend(carrier.into_parts().0.extensions);
    }
}

/// Leaves out what may hold a credential.
pub(crate) fn bare(url: &mut Url) {
    url.set_query(None);
    url.set_fragment(None);
    // Fails only where there is no host, and so no name before it.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}
