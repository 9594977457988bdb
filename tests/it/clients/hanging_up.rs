//! I8, I24: who hangs up ends the call to the provider, and leaves nothing behind.

use axum::body::Body;
use key_commune::KeyCommuneLayer;

use super::server::{Endless, Farewell, answer, notes, serve, soon};
use super::{Client, get, pool};

#[tokio::test]
async fn hanging_up_before_the_answer_ends_the_call() {
    for client in Client::ALL {
        let ((arrived, mut arrival), (gone, mut end)) = (notes(), notes());
        let address = serve(move |_| {
            arrived.send(()).unwrap();
            let farewell = Farewell(gone.clone());
            async move {
                std::future::pending::<()>().await;
                drop(farewell);
                answer(200, "")
            }
        })
        .await;
        let pool = pool(address, 2);
        let call = tokio::spawn(client.send(KeyCommuneLayer::new(pool.clone()), get(address)));
        soon(arrival.recv()).await.unwrap();
        call.abort();
        assert!(soon(call).await.unwrap_err().is_cancelled());
        soon(end.recv()).await.unwrap();
        assert_eq!(pool.snapshot().members[0].in_flight, 0, "{client:?}");
    }
}

#[tokio::test]
async fn hanging_up_in_the_middle_of_an_answer_ends_the_call() {
    for client in Client::ALL {
        let (gone, mut end) = notes();
        let address = serve(move |_| {
            let body = Body::new(Endless(Some("data: 1\n\n".into()), Farewell(gone.clone())));
            async { answer(200, body) }
        })
        .await;
        let pool = pool(address, 2);
        let answer = soon(client.send(KeyCommuneLayer::new(pool.clone()), get(address))).await.unwrap();
        assert_eq!(pool.snapshot().members[0].in_flight, 1, "{client:?}");
        drop(answer);
        soon(end.recv()).await.unwrap();
        assert_eq!((pool.snapshot().active(), pool.snapshot().members[0].in_flight), (2, 0), "{client:?}");
    }
}
