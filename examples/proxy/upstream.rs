//! The client below the layer: hyper's, over rustls, with a limit on connecting and one on waiting for an answer's head.
//! It follows no redirects and reads no proxy from the environment.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use key_commune::service::{BoxError, ReplayBody};
use pin_project_lite::pin_project;
use rustls::ClientConfig;
use tokio::time::{Sleep, sleep, timeout};
use tower::Service;

use crate::failure::Failure;
use crate::idle::{Idle, Progress};
use crate::settings::Timeouts;

pub(crate) type Upload = Idle<Incoming>;

/// How long an unused connection is kept; how long a silent one is trusted before TCP asks whether it is still there.
const KEPT: Duration = Duration::from_secs(60);

/// What one connection buffers at most, each way.
pub(crate) const BUFFER: usize = 32 * 1024;

/// Cloned for each request, so everything sits behind one count.
#[derive(Clone, Debug)]
pub(crate) struct Upstream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client<Connect, ReplayBody<Upload>>,
    head: Duration,
}

impl Upstream {
    pub(crate) fn new(tls: ClientConfig, timeouts: Timeouts) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(KEPT));
        http.set_connect_timeout(Some(timeouts.connect));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        let connect = Connect { inner: https.wrap_connector(http), limit: timeouts.connect };
        let mut builder = Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(KEPT);
        builder.http1_max_buf_size(BUFFER);
        Self(Arc::new(Shared { client: builder.build(connect), head: timeouts.head }))
    }
}

impl Service<Request<ReplayBody<Upload>>> for Upstream {
    type Response = Response<Incoming>;
    type Error = Failure;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<ReplayBody<Upload>>) -> Answer {
        let upload = request.extensions_mut().remove();
        let Shared { client, head } = &*self.0;
        Answer { head: client.request(request), sleep: sleep(*head), upload, limit: *head }
    }
}

pin_project! {
    /// The answer's head, or the end of patience: counted from the start, or from when the upload last moved.
    pub(crate) struct Answer {
        #[pin]
        head: ResponseFuture,
        #[pin]
        sleep: Sleep,
        upload: Option<Progress>,
        limit: Duration,
    }
}

impl Future for Answer {
    type Output = Result<Response<Incoming>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(answer) = this.head.poll(cx) {
            return Poll::Ready(answer.map_err(Failure::from));
        }
        loop {
            ready!(this.sleep.as_mut().poll(cx));
            match this.upload.as_ref().map(|upload| upload.last() + *this.limit) {
                Some(due) if due > this.sleep.deadline() => this.sleep.as_mut().reset(due),
                _ => return Poll::Ready(Err(Failure::Late)),
            }
        }
    }
}

/// Connects within a limit: name lookup, TCP and TLS together.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl Service<Uri> for Connect {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connected = timeout(self.limit, self.inner.call(target));
        Box::pin(async move { connected.await? })
    }
}
