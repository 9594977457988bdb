//! The layer routes by what is found, and sends what was read.

use std::sync::{Arc, Mutex};

use key_commune::KeyCommuneLayer;
use key_commune::demand::{Demand, Routing};
use key_commune::select::{Candidates, Place, Select};
use tower::Layer;

use crate::support::{CHAT, Stepped, Upstream, builder, fetch, ok, throttled, to, tokio_clock};

type Asked = Arc<Mutex<Vec<Demand>>>;

/// Takes the first key, and notes what was asked for.
struct Noting(Asked);

impl Select for Noting {
    fn select(&self, candidates: &dyn Candidates, demand: &Demand) -> Option<Place> {
        self.0.lock().unwrap().push(demand.clone());
        candidates.at_or_after(0)
    }
}

/// Two attempts: what each was routed by. The provider gets the body as it came.
async fn routed(said: Option<Demand>) -> Vec<Demand> {
    let asked = Asked::default();
    let pool = builder(2).select(Noting(Arc::clone(&asked))).clock(tokio_clock()).build().unwrap();
    let upstream = Upstream::in_turn(|number| if number == 0 { throttled() } else { ok() });
    let client = KeyCommuneLayer::new(pool).inspect(Routing::new()).layer(upstream.clone());
    let body = [&super::CHAT[..20], &super::CHAT[20..]];
    let mut request = to(CHAT, &[("content-type", "application/json")], Stepped::chunks(body));
    request.extensions_mut().extend(said.into_iter().fold(http::Extensions::new(), |mut extensions, said| {
        extensions.insert(said);
        extensions
    }));
    assert_eq!(fetch(&client, request).await.status.as_u16(), 200);
    assert!(upstream.seen().iter().all(|seen| seen.body == super::CHAT.as_bytes() && seen.whole));
    let asked = asked.lock().unwrap();
    asked.clone()
}

#[tokio::test(start_paused = true)]
async fn i10_each_attempt_is_routed_by_the_body_that_is_sent() {
    let found = Demand::default().model("gpt-4o").session("s-1").previous_response("resp_1");
    assert_eq!(routed(None).await, [found.clone(), found]);
}

#[tokio::test(start_paused = true)]
async fn what_the_application_says_counts_instead() {
    let said = Demand::default().session("said");
    assert_eq!(routed(Some(said.clone())).await, [said.clone(), said]);
}
