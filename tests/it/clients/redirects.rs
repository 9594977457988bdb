//! I1: a key does not follow a redirect; one that was made to is put out of use.

use axum::body::Body;
use axum::response::Response;
use key_commune::health::{Reason, State};
use key_commune::{KeyCommuneLayer, Refusal};
use tokio::sync::mpsc::UnboundedReceiver;

use super::server::{answer, notes, serve};
use super::{Client, careless, get, key_in, pool, text};

const CODES: [u16; 5] = [301, 302, 303, 307, 308];

/// A server that sends its callers on to another one, at another port or under another host name; and the keys that
/// arrive there.
async fn trap(code: u16, host: &str) -> (std::net::SocketAddr, UnboundedReceiver<Option<usize>>) {
    let (seen, saw) = notes();
    let evil = serve(move |request| {
        seen.send(key_in(&request)).unwrap();
        async { answer(200, "gotcha") }
    })
    .await;
    let location = format!("http://{host}:{}/v1/models", evil.port());
    let address = serve(move |_| {
        let answer = Response::builder().status(code).header("location", location.clone());
        async move { answer.body(Body::empty()).unwrap() }
    })
    .await;
    (address, saw)
}

#[tokio::test]
async fn no_client_carries_a_key_elsewhere() {
    for client in Client::ALL {
        for (code, host) in CODES.into_iter().flat_map(|code| [(code, "127.0.0.1"), (code, "localhost")]) {
            let (address, mut saw) = trap(code, host).await;
            let pool = pool(address, 2);
            let answer = client.send(KeyCommuneLayer::new(pool.clone()), get(address)).await.unwrap();
            assert_eq!(answer.status().as_u16(), code, "{client:?}");
            assert!(saw.try_recv().is_err(), "{client:?} followed {code}");
            assert_eq!(pool.snapshot().active(), 2, "{client:?}");
        }
    }
}

#[tokio::test]
async fn a_key_that_was_carried_elsewhere_is_put_out_of_use() {
    for client in Client::OF_REQWEST {
        for (code, host) in CODES.into_iter().flat_map(|code| [(code, "127.0.0.1"), (code, "localhost")]) {
            let (address, mut saw) = trap(code, host).await;
            let pool = pool(address, 2);
            let answer = client.send_by(careless(), KeyCommuneLayer::new(pool.clone()), get(address)).await.unwrap();
            assert_eq!(saw.try_recv(), Ok(Some(0)), "what this guards against: {client:?} {code}");
            assert_eq!(answer.status(), 502, "{client:?} {code}");
            assert_eq!(answer.extensions().get(), Some(&Refusal::Redirected), "{client:?} {code}");
            assert!(!text(answer).await.contains("gotcha"), "{client:?} {code}");
            let snapshot = pool.snapshot();
            let states = snapshot.members.iter().map(|member| (member.state, member.reason)).collect::<Vec<_>>();
            assert_eq!(states, [(State::Retired, Some(Reason::Exposed)), (State::Active, None)], "{client:?} {code}");
        }
    }
}

#[tokio::test]
async fn a_redirect_within_the_origin_harms_nobody() {
    for client in Client::OF_REQWEST {
        let address = serve(|request: axum::extract::Request| async move {
            let answer = Response::builder().status(307).header("location", "/v1/models?here");
            if request.uri().query().is_some() {
                super::server::answer(200, "")
            } else {
                answer.body(Body::empty()).unwrap()
            }
        })
        .await;
        let pool = pool(address, 2);
        let answer = client.send_by(careless(), KeyCommuneLayer::new(pool.clone()), get(address)).await.unwrap();
        assert_eq!((answer.status().as_u16(), pool.snapshot().active()), (200, 2), "{client:?}");
    }
}
