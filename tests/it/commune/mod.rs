//! Pools whose members are their callers' own keys: a caller presents a key, and once that has proved itself, any healthy
//! key serves it.

mod attribution;
mod chance;
mod conformance;
mod defects;
mod even;
mod hygiene;
mod leaks;
mod membership;
mod proof;
mod simulation;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use key_commune::health::State;
use key_commune::pool::{Builder, Commune, KeyPool, MemberSnapshot};
use key_commune::provider::Provider;
use key_commune::secret::{Pepper, Secret};

use crate::support::{Got, Hand, Seen, Stepped, Upstream, client, fetch, key, keys, ok, plain, revoked, to};

pub(crate) const CHAT: &str = "https://api.openai.com/v1/chat/completions";
pub(crate) const MODELS: &str = "https://api.openai.com/v1/models";

type Answer = dyn Fn(&Seen) -> Response<Stepped> + Send + Sync;

/// A commune in front of a provider whose answers can be exchanged while it runs.
pub(crate) struct World {
    pub(crate) clock: Hand,
    pub(crate) pool: KeyPool,
    pub(crate) upstream: Upstream,
    answer: Arc<Mutex<Arc<Answer>>>,
}

impl World {
    /// The keys 0 to `count` are members; the provider accepts everybody.
    pub(crate) fn new(count: usize) -> Self {
        Self::with(KeyPool::builder(Provider::OPENAI).commune(Commune::default()).keys(keys(count)))
    }

    pub(crate) fn with(builder: Builder) -> Self {
        Self::by_its_own_rules(builder.penalties(plain()))
    }

    /// The penalties are the builder's.
    pub(crate) fn by_its_own_rules(builder: Builder) -> Self {
        let clock = Hand::new();
        let pool = builder.pepper(pepper()).seed(7).clock(clock.clone()).build().unwrap();
        let answer: Arc<Mutex<Arc<Answer>>> = Arc::new(Mutex::new(Arc::new(|_: &Seen| ok())));
        let current = Arc::clone(&answer);
        let upstream = Upstream::answering(move |seen| {
            let answer = Arc::clone(&current.lock().unwrap());
            answer(seen)
        });
        Self { clock, pool, upstream, answer }
    }

    /// From now on the provider answers like this.
    pub(crate) fn answers(&self, answer: impl Fn(&Seen) -> Response<Stepped> + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// From now on the provider refuses these keys, in its usual words, and accepts all others.
    pub(crate) fn refuses(&self, numbers: &'static [usize]) {
        self.answers(move |seen| if is_one_of(seen, numbers) { revoked() } else { ok() });
    }

    /// A chat of the caller with this key.
    pub(crate) async fn chat(&self, number: usize) -> Got {
        self.send(chat(number)).await
    }

    pub(crate) async fn send(&self, request: Request<Stepped>) -> Got {
        fetch(&client(&self.pool, &self.upstream), request).await
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.pass(Duration::from_secs(seconds));
    }

    /// The keys that were sent from the `from`th request on, by their numbers.
    pub(crate) fn used(&self, from: usize) -> Vec<usize> {
        self.upstream.seen()[from..].iter().map(number).collect()
    }

    pub(crate) fn member(&self, number: usize) -> Option<MemberSnapshot> {
        let secret: Secret = key(number).parse().unwrap();
        self.pool.snapshot().member(pepper().id("openai", &secret)).cloned()
    }

    pub(crate) fn state(&self, number: usize) -> State {
        self.member(number).expect("a member").state
    }
}

fn pepper() -> Pepper {
    Pepper::new([7; 32])
}

/// Whether a request came with one of these keys.
pub(crate) fn is_one_of(seen: &Seen, numbers: &[usize]) -> bool {
    numbers.contains(&number(seen))
}

/// Which key a request came with.
pub(crate) fn number(seen: &Seen) -> usize {
    seen.key()[8..16].parse().expect("a test key")
}

pub(crate) fn chat(number: usize) -> Request<Stepped> {
    presenting(number, CHAT)
}

/// A POST with this key to any place.
pub(crate) fn presenting(number: usize, uri: &str) -> Request<Stepped> {
    let bearer = format!("Bearer {}", key(number));
    to(uri, &[("authorization", &bearer), ("content-type", "application/json")], Stepped::full("{}".to_owned()))
}
