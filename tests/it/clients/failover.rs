use std::sync::{Arc, Mutex};

use key_commune::demand::Demand;
use key_commune::reqwest::{ReqwestService, response};
use key_commune::select::{Candidates, Place, Select};
use key_commune::{KeyCommuneLayer, Refusal, Served};
use tower::{Layer, ServiceExt};

use super::server::{answer, notes, serve};
use super::{Client, get, key_in, pool, post, text, whole};
use crate::support::key;

#[tokio::test]
async fn a_throttled_key_is_followed_by_the_next_one() {
    for client in Client::ALL {
        let (seen, mut saw) = notes();
        let address = serve(move |request| {
            let seen = seen.clone();
            async move {
                let key = key_in(&request);
                let body = axum::body::to_bytes(request.into_body(), 64).await.unwrap();
                seen.send((key, body.clone())).unwrap();
                if key == Some(0) { answer(429, "later") } else { answer(200, body) }
            }
        })
        .await;
        let layer = KeyCommuneLayer::new(pool(address, 2)).annotate(true);
        let good = client.send(layer, post(address, whole("hello"))).await.unwrap();
        let served = good.extensions().get::<Served>().unwrap();
        assert_eq!((good.status().as_u16(), served.attempts), (200, 2), "{client:?}");
        assert_eq!(text(good).await, "hello", "{client:?}");
        for number in [0, 1] {
            assert_eq!(saw.try_recv().unwrap(), (Some(number), "hello".into()), "{client:?}");
        }
    }
}

#[tokio::test]
async fn an_exhausted_pool_speaks_through_every_client() {
    for client in Client::ALL {
        let address = serve(|_| async { answer(401, "who are you?") }).await;
        let layer = KeyCommuneLayer::new(pool(address, 2));
        let answer = client.send(layer, get(address)).await.unwrap();
        assert_eq!(answer.status(), 429, "{client:?}");
        assert!(matches!(answer.extensions().get(), Some(Refusal::Exhausted { .. })), "{client:?}");
        assert!(text(answer).await.contains("no_key_available"), "{client:?}");
    }
}

#[tokio::test]
async fn the_middleware_keeps_the_callers_url_and_says_how_it_was_served() {
    let address = serve(|_| async { answer(200, "fine") }).await;
    for placement in [super::own_header(), key_commune::provider::Placement::Query("key".into())] {
        let pool = super::builder(address, placement, 1).build().unwrap();
        let id = pool.snapshot().members[0].id;
        let layer = KeyCommuneLayer::new(pool);
        let client = reqwest_middleware::ClientBuilder::new(super::careful()).with(layer).build();
        let answer = client.get(format!("http://{address}/v1/models?page=2")).send().await.unwrap();
        assert_eq!(answer.url().as_str(), format!("http://{address}/v1/models?page=2"));
        assert_eq!(answer.extensions().get::<Served>().map(|served| served.key), Some(id));
        assert!(!format!("{answer:?}").contains(&key(0)));
    }
}

#[tokio::test]
async fn an_answer_tells_reqwest_where_it_came_from() {
    let address = serve(|_| async { answer(200, "fine") }).await;
    let layer = KeyCommuneLayer::new(pool(address, 1));
    for layer in [layer.clone(), layer.scrub()] {
        let answer = layer.layer(ReqwestService::new(super::careful())).oneshot(get(address)).await.unwrap();
        assert_eq!(response(answer).url().as_str(), format!("http://{address}/v1/models"));
    }
}

/// Remembers what was asked for.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Option<String>>>>);

impl Select for Asked {
    fn select(&self, candidates: &dyn Candidates, demand: &Demand) -> Option<Place> {
        self.0.lock().unwrap().push(demand.model_name().map(str::to_owned));
        candidates.at_or_after(0)
    }
}

#[tokio::test]
async fn the_middleware_reads_the_demand_in_the_extensions_of_a_request() {
    let address = serve(|_| async { answer(200, "fine") }).await;
    let asked = Asked::default();
    let pool = super::builder(address, super::own_header(), 2).select(asked.clone()).build().unwrap();
    let layer = KeyCommuneLayer::new(pool);
    let client = reqwest_middleware::ClientBuilder::new(super::careful()).with(layer).build();
    let request = client.get(format!("http://{address}/v1/models")).with_extension(Demand::default().model("small"));
    request.send().await.unwrap();
    client.get(format!("http://{address}/v1/models")).send().await.unwrap();
    assert_eq!(*asked.0.lock().unwrap(), [Some("small".to_owned()), None]);
}
