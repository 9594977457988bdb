//! The layer as a middleware of reqwest-middleware.
//!
//! It is the same engine: what comes after the middleware is the client that the layer is put on. Each attempt runs all
//! middlewares behind this one, with a copy of the extensions as they were. A [`Demand`] and a
//! [`Deadline`] are read from the extensions of the request; [`Served`] is in those of the answer.
//!
//! ```
//! use key_commune::{KeyCommuneLayer, KeyPool, Provider, Served};
//! use reqwest_middleware::ClientBuilder;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789", "sk-two-0123456789"])?;
//! // Redirects would carry keys elsewhere.
//! let web = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
//! let client = ClientBuilder::new(web).with(KeyCommuneLayer::new(pool)).build();
//!
//! let answer = client.get("https://api.openai.com/v1/models").send().await?;
//! println!("{:?}", answer.extensions().get::<Served>());
//! # Ok(())
//! # }
//! ```

use std::any::Any;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::reqwest::{Body as ReqwestBody, Request, Response, Url};
use ::reqwest_middleware::{Error, Middleware, Next, Result};
use http::Extensions;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::demand::Demand;
use crate::reqwest::{Conceal, bare, from_http, into_http, into_request, set_url, url_of};
use crate::service::{BoxError, Deadline, KeyCommuneLayer, ReplayBody, ResponseBody, Served};

#[async_trait::async_trait]
impl Middleware for KeyCommuneLayer {
    async fn handle(&self, request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let asked = request.url().clone();
        let mut request = http::Request::<ReqwestBody>::try_from(request)?;
        share::<Demand>(extensions, request.extensions_mut());
        share::<Deadline>(extensions, request.extensions_mut());
        let mut service = self.layer(Rest { next, extensions: extensions.clone() });
        poll_fn(|cx| Service::<http::Request<ReqwestBody>>::poll_ready(&mut service, cx)).await?;
        Ok(from_http(annotated(service.call(request).await?, asked)))
    }
}

/// Whether an error of reqwest-middleware says that the request was never sent. For
/// [`KeyCommuneLayer::never_sent`](crate::service::KeyCommuneLayer::never_sent).
pub fn never_sent(error: &dyn Any) -> bool {
    match error.downcast_ref::<Error>() {
        Some(Error::Reqwest(error)) => crate::reqwest::never_sent(error),
        _ => false,
    }
}

impl Conceal for Error {
    fn conceal(self) -> Self {
        match self {
            Self::Reqwest(error) => Self::Reqwest(error.conceal()),
            other @ Self::Middleware(_) => other,
        }
    }
}

/// What comes after the middleware, as a service.
#[derive(Clone)]
struct Rest<'a> {
    next: Next<'a>,
    extensions: Extensions,
}

impl<'a, B> Service<http::Request<ReplayBody<B>>> for Rest<'a>
where
    B: Body + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<ReqwestBody>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response>> + Send + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<ReplayBody<B>>) -> Self::Future {
        let Self { next, mut extensions } = self.clone();
        let request = into_request(request);
        Box::pin(async move {
            let request = request.map_err(|error| Error::from(error).conceal())?;
            next.run(request, &mut extensions).await.map(into_http).map_err(Conceal::conceal)
        })
    }
}

fn share<T: Clone + Send + Sync + 'static>(from: &Extensions, to: &mut Extensions) {
    if let Some(value) = from.get::<T>() {
        to.insert(value.clone());
    }
}

/// The answer, with how it was served, and with the URL that the caller asked for if that is where it came from.
fn annotated(
    mut answer: http::Response<ResponseBody<ReqwestBody>>,
    asked: Url,
) -> http::Response<ResponseBody<ReqwestBody>> {
    if let Some(served) = answer.body().served().copied() {
        answer.extensions_mut().insert::<Served>(served);
    }
    let mut place = asked.clone();
    bare(&mut place);
    let landed = url_of(&answer).filter(|landed| *landed != place);
    set_url(&mut answer, landed.unwrap_or(asked));
    answer
}
