//! The ready-made client over TLS: whom it trusts, and what it speaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use http::Version;
use key_commune::KeyCommuneLayer;
use key_commune::hyper_client::{self, ClientError};
use key_commune::provider::Provider;
use rcgen::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::server::TlsStream;
use tower::Layer;

use super::server::soon;
use super::{call, get, text, whole_text};
use crate::support::{key, keys};

struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // One that does not trust us hangs up.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Serves `https` with a certificate of its own, and offers these protocols. Its port and its certificate.
pub(crate) async fn serve(protocols: &[&str]) -> (u16, String) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let private = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(vec![cert.der().clone()], private).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let handle = async |request: axum::extract::Request| format!("{:?}", request.version());
    let listener = Tls { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handle)).await });
    (port, cert.pem())
}

fn layer(port: u16) -> KeyCommuneLayer {
    let provider = Provider::custom(format!("https://localhost:{port}"));
    let pool = key_commune::KeyPool::builder(provider).keys(keys(1)).build().unwrap();
    KeyCommuneLayer::new(pool).never_sent(hyper_client::never_sent)
}

fn request(port: u16) -> http::Request<super::Upload> {
    let mut request = get(SocketAddr::from(([127, 0, 0, 1], port)));
    *request.uri_mut() = format!("https://localhost:{port}/v1/models").parse().unwrap();
    request
}

#[tokio::test]
async fn it_trusts_the_roots_it_is_given_and_speaks_what_the_server_offers() {
    for (offered, spoken) in [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"][..], Version::HTTP_11)] {
        let (port, root) = serve(offered).await;
        let client = hyper_client::builder().roots(root).build().unwrap();
        let answer = call(layer(port).layer(client), request(port)).await.unwrap();
        assert_eq!(text(answer).await, format!("{spoken:?}"));
    }
}

#[tokio::test]
async fn it_trusts_nobody_else() {
    let (port, _) = serve(&["h2"]).await;
    let error = call(layer(port).layer(hyper_client::client().unwrap()), request(port)).await.unwrap_err();
    assert!(whole_text(&error).contains("UnknownIssuer") && !whole_text(&error).contains(&key(0)), "{error:?}");
    assert!(hyper_client::never_sent(&error), "behind a box too");
}

#[tokio::test]
async fn it_gives_up_on_a_server_that_only_listens() {
    // The connection is there; TLS never begins.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let client = hyper_client::builder().connect_timeout(Duration::from_millis(50)).build().unwrap();
    let error = soon(call(layer(port).layer(client), request(port))).await.unwrap_err();
    assert!(hyper_client::never_sent(&error), "{error:?}");
}

#[tokio::test]
async fn it_speaks_no_plain_http_unless_told_to() {
    let address = super::server::serve(|_| async { super::server::answer(200, "") }).await;
    let layer = KeyCommuneLayer::new(super::pool(address, 1));
    call(layer.layer(hyper_client::client().unwrap()), get(address)).await.expect_err("http is off");
    let client = hyper_client::builder().plain_http().build().unwrap();
    assert_eq!(call(layer.layer(client), get(address)).await.unwrap().status(), 200);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in ["", "not PEM", broken, "-----BEGIN CERTIFICATE-----\n"] {
        let client = hyper_client::builder().roots(text).build::<super::Upload>();
        assert_eq!(client.unwrap_err(), ClientError::Pem, "{text:?}");
    }
}
