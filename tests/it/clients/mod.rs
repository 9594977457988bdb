//! The layer on real clients, over real connections to servers in this process.

mod failover;
mod hanging_up;
mod redirects;
mod server;
mod streaming;
mod texts;
pub(crate) mod tls;
mod unreachable;

use std::error::Error;
use std::net::SocketAddr;

use axum::extract::Request as Received;
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use key_commune::pool::Builder;
use key_commune::provider::Placement;
use key_commune::reqwest::ReqwestService;
use key_commune::select::FillFirst;
use key_commune::service::BoxError;
use key_commune::{KeyCommuneLayer, KeyPool, Provider, hyper_client};
use reqwest::redirect::Policy;
use reqwest_middleware::ClientBuilder;
use tower::{Layer, Service, ServiceExt};

use crate::support;

type Upload = BoxBody<Bytes, std::io::Error>;
type Download = BoxBody<Bytes, BoxError>;

/// A client, as an application would set it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Hyper,
    HyperHttp2,
    Reqwest,
    /// A `ClientWithMiddleware` under the layer.
    Wrapped,
    /// The layer as a middleware.
    Middleware,
}

impl Client {
    const ALL: [Self; 5] = [Self::Hyper, Self::HyperHttp2, Self::Reqwest, Self::Wrapped, Self::Middleware];
    const OF_REQWEST: [Self; 3] = [Self::Reqwest, Self::Wrapped, Self::Middleware];

    /// Sends a request through the layer on a client that follows no redirects.
    async fn send(self, layer: KeyCommuneLayer, request: Request<Upload>) -> Result<Response<Download>, BoxError> {
        match self {
            Self::Hyper => call(layer.layer(hyper_client::builder().plain_http().build()?), request).await,
            Self::HyperHttp2 => {
                call(layer.layer(Hyper::builder(TokioExecutor::new()).http2_only(true).build_http()), request).await
            }
            _ => self.send_by(careful(), layer, request).await,
        }
    }

    /// The same on this client of reqwest's.
    async fn send_by(
        self,
        web: reqwest::Client,
        layer: KeyCommuneLayer,
        request: Request<Upload>,
    ) -> Result<Response<Download>, BoxError> {
        match self {
            Self::Reqwest => call(layer.layer(ReqwestService::new(web)), request).await,
            Self::Wrapped => call(layer.layer(ReqwestService::new(ClientBuilder::new(web).build())), request).await,
            _ => {
                let client = ClientBuilder::new(web).with(layer).build();
                let answer = client.execute(request.map(reqwest::Body::wrap).try_into()?).await?;
                Ok(Response::from(answer).map(|body: reqwest::Body| body.map_err(BoxError::from).boxed()))
            }
        }
    }

    /// The layer, told how this client says that it could not send.
    fn telling(self, layer: KeyCommuneLayer) -> KeyCommuneLayer {
        layer.never_sent(match self {
            Self::Hyper | Self::HyperHttp2 => hyper_client::never_sent,
            Self::Reqwest => key_commune::reqwest::never_sent,
            Self::Wrapped | Self::Middleware => key_commune::reqwest_middleware::never_sent,
        })
    }
}

async fn call<S, R>(client: S, request: Request<Upload>) -> Result<Response<Download>, BoxError>
where
    S: Service<Request<Upload>, Response = Response<R>, Error: Into<BoxError>>,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
{
    let answer = client.oneshot(request).await.map_err(Into::into)?;
    Ok(answer.map(|body| body.map_err(Into::into).boxed()))
}

/// A client of reqwest's as the documentation asks for it.
fn careful() -> reqwest::Client {
    reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap()
}

/// A client that follows redirects, as it should not.
fn careless() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn own_header() -> Placement {
    Placement::Header(HeaderName::from_static("x-api-key"))
}

/// A pool at this address that takes its keys in order.
fn builder(address: SocketAddr, placement: Placement, keys: usize) -> Builder {
    let provider = Provider::custom(format!("http://{address}")).slot(placement);
    let builder = KeyPool::builder(provider).penalties(support::plain()).select(FillFirst);
    builder.keys(support::keys(keys))
}

fn pool(address: SocketAddr, keys: usize) -> KeyPool {
    builder(address, own_header(), keys).build().unwrap()
}

fn get(address: SocketAddr) -> Request<Upload> {
    Request::get(format!("http://{address}/v1/models")).body(whole("")).unwrap()
}

fn post(address: SocketAddr, body: Upload) -> Request<Upload> {
    Request::post(format!("http://{address}/v1/chat")).body(body).unwrap()
}

fn whole(text: &'static str) -> Upload {
    Full::from(text).map_err(|never| match never {}).boxed()
}

async fn text(answer: Response<Download>) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The number of the key in a request, if there is one of the pool's anywhere in its head.
fn key_in(request: &Received) -> Option<usize> {
    let uri = request.uri().to_string();
    let values = request.headers().values().filter_map(|value| value.to_str().ok());
    let texts: Vec<_> = values.chain([uri.as_str()]).collect();
    (0..4).find(|&number| texts.iter().any(|text| text.contains(&support::key(number))))
}

/// Everything that an error could write into a log.
fn whole_text(error: &BoxError) -> String {
    let first: &(dyn Error + 'static) = &**error;
    let chain = std::iter::successors(Some(first), |&error| error.source());
    let texts: Vec<_> = chain.map(|error| format!("{error} {error:?} {error:#?}")).collect();
    texts.concat()
}
