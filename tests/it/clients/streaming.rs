use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Channel};
use key_commune::KeyCommuneLayer;
use key_commune::reqwest::ReqwestService;
use std::sync::{Arc, Mutex};
use tower::{Layer, ServiceExt};

use super::server::{answer, notes, serve, soon};
use super::{Client, careful, get, pool, post};

#[tokio::test]
async fn events_arrive_one_by_one() {
    for client in Client::ALL {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        let body = Arc::new(Mutex::new(Some(body)));
        let address = serve(move |_| {
            let body = body.lock().unwrap().take().unwrap();
            let answer = Response::builder().header("content-type", "text/event-stream");
            async move { answer.body(Body::new(body)).unwrap() }
        })
        .await;
        sender.send_data("data: 0\n\n".into()).await.unwrap();
        let layer = KeyCommuneLayer::new(pool(address, 2));
        let mut body = soon(client.send(layer, get(address))).await.unwrap().into_body();
        for number in 0..3 {
            // The server sends the next event only after this one was read.
            let event = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(event, format!("data: {number}\n\n"), "{client:?}");
            sender.send_data(format!("data: {}\n\n", number + 1).into()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_upload_streams() {
    for client in Client::ALL {
        let (seen, mut saw) = notes();
        let address = serve(move |request| {
            let seen = seen.clone();
            async move {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    seen.send(frame.unwrap().into_data().unwrap()).unwrap();
                }
                answer(200, "thanks")
            }
        })
        .await;
        let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
        let layer = KeyCommuneLayer::new(pool(address, 2));
        let answer = tokio::spawn(client.send(layer, post(address, body.boxed())));
        for chunk in ["one", "two", "three"] {
            sender.send_data(chunk.into()).await.unwrap();
            assert_eq!(soon(saw.recv()).await.unwrap(), chunk, "{client:?}");
        }
        drop(sender);
        assert_eq!(soon(answer).await.unwrap().unwrap().status(), 200, "{client:?}");
    }
}

#[tokio::test]
async fn the_timeout_of_a_request_survives() {
    let address = serve(|_| std::future::pending()).await;
    let url = format!("http://{address}/v1/models");
    let request = || careful().get(&url).timeout(Duration::from_millis(30)).build().unwrap();

    let layer = KeyCommuneLayer::new(pool(address, 2)).never_sent(key_commune::reqwest::never_sent);
    let client = layer.layer(ReqwestService::new(careful()));
    let request_once = http::Request::<reqwest::Body>::try_from(request()).unwrap();
    assert!(soon(client.oneshot(request_once)).await.unwrap_err().is_timeout());

    let layer = KeyCommuneLayer::new(pool(address, 2)).never_sent(key_commune::reqwest_middleware::never_sent);
    let client = reqwest_middleware::ClientBuilder::new(careful()).with(layer).build();
    assert!(soon(client.execute(request())).await.unwrap_err().is_timeout());
}
