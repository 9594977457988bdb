//! One request: is it for us, does it go in circles, may it come in; then the layer has it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::service::Service;
use key_commune::service::{ResponseBody, ResponseFuture};
use key_commune::subnet::{Proxies, Subnet};
use key_commune::{KeyCommune, KeyPool};
use memchr::memmem;
use pin_project_lite::pin_project;
use tower::{Layer, Service as _};
use tracing::{Level, debug, enabled};

use crate::answer::{Body, refusal};
use crate::census::Census;
use crate::connect::Upload;
use crate::door::Door;
use crate::failure::Failure;
use crate::idle::{Idle, Progress};
use crate::index;
use crate::log::Told;
use crate::settings::Settings;
use crate::upstream::Upstream;

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Plane(Arc<Shared>);

/// The service that hyper's server calls, for one connection.
#[derive(Clone)]
pub(crate) struct Seat {
    shared: Arc<Shared>,
    peer: IpAddr,
}

struct Shared {
    pool: KeyPool,
    client: KeyCommune<Upstream>,
    door: Door,
    idle: Duration,
    /// Made anew with every start, so that a request that comes back is known.
    token: String,
    via: HeaderValue,
    census: Census,
    proxies: Option<Proxies>,
}

impl Plane {
    pub(crate) fn new(settings: Settings, census: Census) -> Self {
        let Settings { pool, layer, door, tls, timeouts, proxies, .. } = settings;
        let client = layer.layer(Upstream::new(tls, timeouts));
        let token = format!("key-commune-{:016x}", rand::random::<u64>());
        let via = HeaderValue::try_from(format!("1.1 {token}")).unwrap_or(HeaderValue::from_static("1.1 key-commune"));
        let idle = timeouts.idle;
        Self(Arc::new(Shared { pool, client, door, idle, token, via, census, proxies }))
    }

    /// The service for a connection from there.
    pub(crate) fn seat(&self, peer: IpAddr) -> Seat {
        Seat { shared: Arc::clone(&self.0), peer }
    }
}

impl Service<Request<Incoming>> for Seat {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        if let Some(proxies) = &self.shared.proxies {
            let client = proxies.client(self.peer, request.headers());
            request.extensions_mut().insert(Subnet::from(client));
        }
        let told = enabled!(Level::DEBUG).then(|| Box::new(Told::new(&request)));
        Answering { way: Way::New { request: Some(request) }, shared: Arc::clone(&self.shared), told }
    }
}

pin_project! {
    /// The answer to come. Not boxed: hyper has a place for it in each connection.
    pub(crate) struct Answering {
        #[pin]
        way: Way,
        shared: Arc<Shared>,
        told: Option<Box<Told>>,
    }
}

pin_project! {
    #[project = WayProj]
    enum Way {
        // By the first poll hyper has read a small body, so that it need not be streamed.
        New { request: Option<Request<Incoming>> },
        Own { answer: Option<Response<Body>> },
        Layer { #[pin] answer: ResponseFuture<Upstream, Upload, Incoming> },
    }
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let WayProj::New { request } = this.way.as_mut().project() {
            let Some(request) = request.take() else { return Poll::Pending };
            this.way.set(this.shared.serve(request));
        }
        let answer = match this.way.project() {
            WayProj::New { .. } => None,
            WayProj::Own { answer } => answer.take(),
            WayProj::Layer { answer } => Some(this.shared.pass_on(ready!(answer.poll(cx)))),
        };
        let Some(answer) = answer else { return Poll::Pending };
        if let Some(told) = this.told.take() {
            told.log(&answer);
        }
        Poll::Ready(Ok(answer))
    }
}

impl Shared {
    fn serve(&self, request: Request<Incoming>) -> Way {
        let (mut head, body) = request.into_parts();
        if let Some(answer) = self.own_answer(&mut head) {
            return Way::Own { answer: Some(answer) };
        }
        head.headers.append(header::VIA, self.via.clone());
        let mut client = self.client.clone();
        let mut body = Idle::new(body, self.idle);
        if !body.is_end_stream() {
            let progress = Progress::new();
            client.get_mut().follow(progress.clone());
            body = body.telling(progress);
        }
        // The upstream is always ready: it connects when it is called.
        Way::Layer { answer: client.call(Request::from_parts(head, body)) }
    }

    fn pass_on(&self, answer: Result<Response<ResponseBody<Incoming>>, Failure>) -> Response<Body> {
        match answer {
            Ok(mut answer) => {
                // Version and reason phrase are those of one connection: hyper knows those of the caller's.
                *answer.version_mut() = Version::default();
                answer.extensions_mut().remove::<ReasonPhrase>();
                answer.map(|body| Either::Left(Idle::new(body, self.idle)))
            }
            Err(failure) => {
                debug!(error = &failure as &dyn std::error::Error, "no answer");
                self.refuse(failure.told())
            }
        }
    }

    /// What needs no key: the pool's health, requests that go in circles, callers that may not come in.
    fn own_answer(&self, head: &mut Parts) -> Option<Response<Body>> {
        if is_health_check(head) {
            return Some(self.census.health(&self.pool));
        }
        if self.pool.is_commune() && index::is_asked_for(head) {
            return Some(index::page(self.pool.provider(), self.census.active(&self.pool)));
        }
        let came_back = |value: &HeaderValue| memmem::find(value.as_bytes(), self.token.as_bytes()).is_some();
        if head.headers.get_all(header::VIA).iter().any(came_back) {
            let message = "the request came back to the proxy; --upstream leads to the proxy itself";
            return Some(self.refuse((StatusCode::LOOP_DETECTED, "loop_detected", message)));
        }
        if !self.door.admits(head) {
            let message = "present the key of this proxy";
            return Some(self.refuse((StatusCode::UNAUTHORIZED, "invalid_proxy_key", message)));
        }
        None
    }

    fn refuse(&self, told: (StatusCode, &str, &str)) -> Response<Body> {
        refusal(self.pool.provider(), told)
    }
}

fn is_health_check(head: &Parts) -> bool {
    let is_ours = head.uri.authority().is_none() || head.version == Version::HTTP_2;
    is_ours && head.uri.path() == "/health" && matches!(head.method, Method::GET | Method::HEAD)
}
