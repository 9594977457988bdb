//! Group G: nothing that can be printed holds a part of a key.

use std::fmt::{Debug, Display};

use key_commune::KeyCommuneLayer;
use key_commune::demand::Demand;
use key_commune::pool::{Key, KeyPool, Tried};
use key_commune::provider::Provider;
use key_commune::scrub::{Scrubber, Stream};
use key_commune::secret::{KeyId, Pepper, Secret};
use key_commune::service::ReplayBody;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Stepped, Upstream, builder, checkout, events, post, revoked, secs, tokio_clock};

/// What was printed, and by what.
#[derive(Default)]
struct Sink(Vec<(&'static str, String)>);

impl Sink {
    fn debug(&mut self, name: &'static str, value: &dyn Debug) {
        self.0.push((name, format!("{value:?} {value:#?}")));
    }

    fn display(&mut self, name: &'static str, value: &dyn Display) {
        self.0.push((name, value.to_string()));
    }

    fn check(&self, keys: &[String]) {
        for (name, text) in &self.0 {
            let told = keys.iter().flat_map(|key| key.as_bytes().windows(8)).find(|window| {
                let window = std::str::from_utf8(window).unwrap();
                // What every key of these tests begins with tells nothing.
                window != "sk-test-" && text.contains(window)
            });
            assert!(told.is_none(), "{name} tells a part of a key: {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "one line for each thing that prints")]
async fn attack_49_nothing_that_can_be_printed_holds_a_part_of_a_key() {
    let keys = ["Qw8zL0vKx3", "Rt5yM1uJc6", "Bn7gH2iFd9"].map(|middle| format!("sk-test-{middle}-pLmKoNjI"));
    let mut sink = Sink::default();
    let secret: Secret = keys[0].parse().unwrap();
    sink.debug("Secret", &secret);
    sink.display("masked", &secret.masked());
    sink.debug("Key", &Key::new(keys[0].as_str()).unwrap().label("blue"));
    sink.debug("Builder", &builder(3));
    sink.debug("Pepper", &Pepper::random());
    let id = Pepper::random().id("openai", &secret);
    sink.display("KeyId", &id);
    sink.display("KeyId as JSON", &serde_json::to_string(&id).unwrap());
    let scrubber = Scrubber::new(&secret);
    let mut stream = Stream::new(scrubber.clone());
    drop(stream.push(bytes::Bytes::from(keys[0][..20].to_owned())));
    sink.debug("Scrubber", &scrubber);
    sink.debug("Stream", &stream);

    let members = keys.iter().map(|key| Key::new(key.as_str()).unwrap());
    let pool = builder(0).keys(members).clock(tokio_clock()).build().unwrap();
    let lease = checkout(&pool).unwrap();
    sink.debug("Lease", &lease);
    sink.debug("value", lease.value());
    let refused = pool.wait(&Demand::default(), &Tried::default(), pool.now() + secs(1));
    sink.debug("Waiting", &refused);
    drop((refused, lease));
    let twice = pool.extend([Key::new(keys[0].as_str()).unwrap()]).unwrap_err();
    let blank = KeyPool::new(Provider::OPENAI, [format!("{} ", keys[0])]).unwrap_err();
    for error in [twice, blank] {
        sink.display("PoolError", &error);
        sink.debug("PoolError", &error);
    }

    let upstream = Upstream::in_turn(|number| if number == 0 { revoked() } else { events(&["data: 1\n\n"]) });
    let layer = KeyCommuneLayer::new(pool.clone()).scrub().annotate(true);
    sink.debug("KeyCommuneLayer", &layer);
    let mut client = layer.layer(tower::service_fn({
        let upstream = upstream.clone();
        move |request: http::Request<ReplayBody<Stepped>>| {
            let mut upstream = upstream.clone();
            async move { upstream.ready().await?.call(request).await }
        }
    }));
    let future = client.ready().await.unwrap().call(post("x"));
    sink.debug("ResponseFuture", &future);
    let response = future.await.unwrap();
    sink.debug("Response", &response);
    sink.debug("Served", &response.body().served());
    for seen in upstream.seen() {
        sink.debug("headers on their way", &seen.headers);
    }
    drop(response);
    sink.debug("KeyPool", &pool);
    let snapshot = pool.snapshot();
    sink.debug("Snapshot", &snapshot);
    sink.display("Snapshot", &snapshot);
    sink.display("Snapshot as JSON", &serde_json::to_string(&snapshot).unwrap());
    sink.debug("Change", &pool.drain(9));
    assert!(sink.0.len() > 25);
    sink.check(&keys);
}

#[test]
fn attack_55_keys_that_differ_in_one_byte_have_different_ids() {
    let pepper = Pepper::new([7; 32]);
    let key = |middle: u8| format!("{}{}{}", "a".repeat(250), middle as char, "z".repeat(250));
    let ids: std::collections::HashSet<KeyId> =
        (b'!'..=b'~').map(|middle| pepper.id("openai", &Secret::new(key(middle)).unwrap())).collect();
    assert_eq!(ids.len(), 94);
    let secret: Secret = key(b'x').parse().unwrap();
    assert_ne!(pepper.id("openai", &secret), pepper.id("groq", &secret));
    assert_ne!(pepper.id("openai", &secret), Pepper::new([8; 32]).id("openai", &secret));
}
