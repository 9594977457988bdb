//! Connects within a time limit: name lookup, TCP and TLS together.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::timeout;
use tower_service::Service;

use crate::service::BoxError;

type Https = HttpsConnector<HttpConnector>;

/// What the ready-made client connects with.
#[derive(Clone, Debug)]
pub struct Connector {
    pub(super) inner: Https,
    pub(super) limit: Duration,
}

impl Service<Uri> for Connector {
    type Response = <Https as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, origin: Uri) -> Self::Future {
        let connected = timeout(self.limit, self.inner.call(origin));
        Box::pin(async move { connected.await? })
    }
}
