//! How a connection to a provider begins: name lookup, TCP and TLS within one limit, then the HTTP that was agreed on.

use std::time::Duration;

use http::Uri;
use hyper::client::conn::{http1, http2};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use key_commune::service::{BoxError, ReplayBody};
use rustls::ClientConfig;
use tokio::time::timeout;
use tower::ServiceExt as _;
use tracing::debug;

use crate::failure::Failure;
use crate::idle::Idle;

pub(crate) type Upload = Idle<hyper::body::Incoming>;

/// What carries requests over HTTP/1.1: one at a time.
pub(crate) type Own = http1::SendRequest<ReplayBody<Upload>>;

/// What carries requests over HTTP/2: many at once.
pub(crate) type Shared = http2::SendRequest<ReplayBody<Upload>>;

/// How long a silent connection is trusted before TCP asks whether it is still there.
const SILENT: Duration = Duration::from_secs(60);

/// What one connection buffers at most, each way.
pub(crate) const BUFFER: usize = 32 * 1024;

/// A new connection.
pub(crate) enum Connected {
    Own(Own),
    Shared(Shared),
}

#[derive(Clone)]
pub(crate) struct Connect {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl Connect {
    pub(crate) fn new(tls: ClientConfig, limit: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(SILENT));
        http.set_connect_timeout(Some(limit));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        Self { inner: https.wrap_connector(http), limit }
    }

    /// Connects to the origin of this URI.
    pub(crate) async fn to(&self, origin: Uri) -> Result<Connected, Failure> {
        let late = |error| Failure::Connect(BoxError::from(error));
        let stream = timeout(self.limit, self.inner.clone().oneshot(origin)).await.map_err(late)?;
        let stream = stream.map_err(Failure::Connect)?;
        if stream.connected().is_negotiated_h2() {
            let (sender, connection) =
                http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(stream).await?;
            drive(connection);
            return Ok(Connected::Shared(sender));
        }
        let (mut sender, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(stream).await?;
        drive(connection);
        sender.ready().await?;
        Ok(Connected::Own(sender))
    }
}

fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(error = &error as &dyn std::error::Error, "a connection to the provider broke");
        }
    });
}
