//! I3: no error text holds a key, not even one that is part of the URL.

use key_commune::KeyCommuneLayer;
use key_commune::provider::Placement;

use super::server::{answer, nobody, notes, serve, soon};
use super::{Client, builder, get, key_in, whole_text};
use crate::support::key;

#[tokio::test]
async fn the_error_of_a_dead_connection_holds_no_key() {
    for client in Client::ALL {
        let address = nobody().await;
        let pool = builder(address, Placement::Query("key".into()), 1).build().unwrap();
        let error = client.send(KeyCommuneLayer::new(pool), get(address)).await.unwrap_err();
        assert!(!whole_text(&error).contains(&key(0)), "{client:?}: {error:?}");
    }
}

#[tokio::test]
async fn the_error_of_a_broken_call_holds_no_key() {
    for client in Client::ALL {
        let (seen, mut saw) = notes();
        let address = serve(move |request| {
            seen.send(key_in(&request)).unwrap();
            async { panic!("on purpose") }
        })
        .await;
        let pool = builder(address, Placement::Query("key".into()), 1).build().unwrap();
        let error = soon(client.send(KeyCommuneLayer::new(pool), get(address))).await.unwrap_err();
        assert_eq!(soon(saw.recv()).await, Some(Some(0)), "the key is where it could get out");
        assert!(!whole_text(&error).contains(&key(0)), "{client:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_becomes_an_error_holds_no_key() {
    let address = serve(|_| async { answer(404, "nothing here") }).await;
    let pool = builder(address, Placement::Query("key".into()), 1).build().unwrap();
    let layer = KeyCommuneLayer::new(pool);
    let client = reqwest_middleware::ClientBuilder::new(super::careful()).with(layer.clone()).build();
    let by_middleware = client.get(format!("http://{address}/v1/models")).send().await.unwrap();
    let service = tower::Layer::layer(&layer, key_commune::reqwest::ReqwestService::new(super::careful()));
    let by_service = key_commune::reqwest::response(tower::ServiceExt::oneshot(service, get(address)).await.unwrap());
    for answer in [by_middleware, by_service] {
        let text = format!("{answer:?} {:?}", answer.error_for_status_ref().unwrap_err());
        assert!(text.contains("/v1/models") && !text.contains(&key(0)), "{text}");
    }
}
