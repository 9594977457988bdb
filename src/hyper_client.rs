//! A ready-made https client to put the layer on: hyper with rustls, and nothing that carries a key elsewhere.
//!
//! It follows no redirect and asks no environment variable for a proxy. It trusts the web's public roots, speaks HTTP/2
//! where the server offers it and HTTP/1.1 elsewhere, and gives up connecting after ten seconds.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use key_commune::{KeyCommuneLayer, KeyPool, Provider, hyper_client};
//! use tower::Layer;
//!
//! let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789", "sk-two-0123456789"])?;
//! let layer = KeyCommuneLayer::new(pool).never_sent(hyper_client::never_sent);
//! let client = layer.layer(hyper_client::client::<Full<Bytes>>()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connector;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use http_body::Body;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::service::{BoxError, ReplayBody};
pub use connector::Connector;

/// The client that [`client`] and [`Builder::build`] make, for request bodies of type `B`.
pub type HyperClient<B> = Client<Connector, ReplayBody<B>>;

/// A client with the default settings, for `https` only.
///
/// # Errors
/// Only if TLS cannot be set up at all.
pub fn client<B>() -> Result<HyperClient<B>, ClientError>
where
    B: Body + Send + Unpin,
    B::Error: Into<BoxError>,
{
    builder().build()
}

/// A client with other settings.
pub fn builder() -> Builder {
    Builder { connect_timeout: Duration::from_secs(10), roots: Vec::new(), plain_http: false }
}

/// Whether an error of this client, bare or as a [`BoxError`], says that the request was never sent: there was no
/// connection to send it on. For [`KeyCommuneLayer::never_sent`](crate::service::KeyCommuneLayer::never_sent).
pub fn never_sent(error: &dyn Any) -> bool {
    let boxed = || error.downcast_ref::<BoxError>()?.downcast_ref::<Error>();
    error.downcast_ref::<Error>().or_else(boxed).is_some_and(Error::is_connect)
}

/// Builds a client.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use key_commune::hyper_client;
/// use std::time::Duration;
///
/// let client = hyper_client::builder().connect_timeout(Duration::from_secs(3)).build::<Full<Bytes>>()?;
/// # Ok::<(), hyper_client::ClientError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    connect_timeout: Duration,
    roots: Vec<u8>,
    plain_http: bool,
}

impl Builder {
    /// How long it may take to connect: name lookup, TCP and TLS together. Default: 10 s.
    pub fn connect_timeout(mut self, longest: Duration) -> Self {
        self.connect_timeout = longest;
        self
    }

    /// Trusts the certificates in this PEM text too, beside the web's public roots.
    pub fn roots(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots.extend_from_slice(pem.as_ref());
        self.roots.push(b'\n');
        self
    }

    /// Speaks plain `http` too. A key still goes so to this machine only, unless its provider allows more by name: its
    /// [`Origin`](crate::origin::Origin) sees to that.
    pub fn plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    /// When the PEM text of [`roots`](Self::roots) holds no certificate or one that cannot be used.
    pub fn build<B>(self) -> Result<HyperClient<B>, ClientError>
    where
        B: Body + Send + Unpin,
        B::Error: Into<BoxError>,
    {
        let https = HttpsConnectorBuilder::new().with_tls_config(self.tls()?);
        let https = if self.plain_http { https.https_or_http() } else { https.https_only() };
        let inner = https.enable_http1().enable_http2().wrap_connector(self.tcp());
        let connector = Connector { inner, limit: self.connect_timeout };
        Ok(Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector))
    }

    fn tcp(&self) -> HttpConnector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        tcp.set_connect_timeout(Some(self.connect_timeout));
        tcp
    }

    /// The crypto provider is named here: the process's default one panics when there are two to choose from.
    fn tls(&self) -> Result<ClientConfig, ClientError> {
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
        let config = config.map_err(|_| ClientError::Tls)?;
        Ok(config.with_root_certificates(self.trusted()?).with_no_client_auth())
    }

    fn trusted(&self) -> Result<RootCertStore, ClientError> {
        let mut store: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        let public = store.len();
        for root in CertificateDer::pem_slice_iter(&self.roots) {
            let root = root.map_err(|_| ClientError::Pem)?;
            store.add(root).map_err(|_| ClientError::Pem)?;
        }
        if store.len() == public && !self.roots.is_empty() {
            return Err(ClientError::Pem);
        }
        Ok(store)
    }
}

/// Why a client cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The text that was to name more roots is no PEM, holds no certificate, or one that cannot be used.
    #[error("the PEM text holds no certificate, or one that cannot be used")]
    Pem,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls,
}
