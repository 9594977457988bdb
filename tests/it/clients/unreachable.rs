//! I9: a request that was never sent may go out with another key; any other error is the caller's to judge.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use key_commune::health::State;
use key_commune::pool::Key;
use key_commune::{KeyCommuneLayer, KeyPool, Origin};

use super::server::{answer, nobody, notes, serve, soon};
use super::{Client, builder, get, key_in, own_header, post, text, whole};
use crate::support::key;

/// Keys with origins of their own, of which the first is out of reach.
fn scattered(pool: SocketAddr, origins: [SocketAddr; 2]) -> KeyPool {
    let own = |(number, address)| {
        let origin: Origin = format!("http://{address}").parse().unwrap();
        Key::new(key(number)).unwrap().origin(origin)
    };
    builder(pool, own_header(), 0).keys(origins.into_iter().enumerate().map(own)).build().unwrap()
}

#[tokio::test]
async fn a_refused_connection_fails_over_if_the_layer_knows_that_nothing_was_sent() {
    for client in Client::ALL {
        let (dead, alive) = (nobody().await, serve(|_| async { answer(200, "here") }).await);
        let pool = scattered(dead, [dead, alive]);
        let layer = KeyCommuneLayer::new(pool.clone());
        client.send(layer.clone(), get(dead)).await.expect_err("nobody told the layer");
        let good = soon(client.send(client.telling(layer), get(dead))).await.unwrap();
        assert_eq!(text(good).await, "here", "{client:?}");
        assert!(pool.snapshot().members.iter().all(|member| member.state == State::Active), "{client:?}");
    }
}

#[tokio::test]
async fn where_no_key_gets_through_the_error_comes_back() {
    for client in Client::ALL {
        let (one, other) = (nobody().await, nobody().await);
        let layer = client.telling(KeyCommuneLayer::new(scattered(one, [one, other])));
        // Not "no key is available": there are keys.
        soon(client.send(layer, get(one))).await.expect_err("nobody is there");
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    for client in Client::ALL {
        let (seen, mut saw) = notes();
        let address = serve(move |request| {
            seen.send(key_in(&request)).unwrap();
            // The connection ends without an answer.
            async { panic!("on purpose") }
        })
        .await;
        let layer = client.telling(KeyCommuneLayer::new(super::pool(address, 2)));
        soon(client.send(layer, post(address, whole("pay")))).await.expect_err("no answer");
        assert_eq!((soon(saw.recv()).await, saw.try_recv().is_err()), (Some(Some(0)), true), "{client:?}");
    }
}

/// An error of a service that knows what it did.
#[derive(Debug, PartialEq)]
struct Unsent(u32);

#[tokio::test(start_paused = true)]
async fn no_more_attempts_than_the_budget_allows() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let inner = tower::service_fn(|_: http::Request<key_commune::service::ReplayBody<super::Upload>>| async {
        Err::<http::Response<super::Upload>, _>(Unsent(CALLS.fetch_add(1, Ordering::SeqCst)))
    });
    let address = nobody().await;
    let layer = KeyCommuneLayer::new(super::pool(address, 4)).never_sent(<dyn std::any::Any>::is::<Unsent>);
    let error = tower::ServiceExt::oneshot(tower::Layer::layer(&layer, inner), get(address)).await.unwrap_err();
    assert_eq!((error, CALLS.load(Ordering::SeqCst)), (Unsent(2), 3), "three attempts, and the last one's error");
}
