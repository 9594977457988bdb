//! What several topics share: clocks in the test's hand, keys, requests, and a provider that plays a script.

mod client;
mod stepped;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use key_commune::clock::{Clock, Timestamp};
use key_commune::demand::Demand;
use key_commune::health::Penalties;
use key_commune::origin::Origin;
use key_commune::pool::{Builder, Exhausted, Key, KeyPool, Lease, Tried};
use key_commune::provider::Provider;

pub(crate) use client::{CHAT, Got, assert_idle, client, fetch, in_flight, post, read, send, to};
pub(crate) use stepped::{Step, Stepped, map};
pub(crate) use upstream::{Call, Oops, Seen, Upstream, answer, events, ok, revoked, streamed, throttled};

/// A clock that goes when it is told to.
#[derive(Clone, Debug)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    /// At this moment.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(now.since_unix().as_millis() as u64)))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(Duration::from_millis(self.0.load(Ordering::SeqCst)))
    }
}

/// A clock that follows tokio's, paused or not. To be made inside a runtime.
pub(crate) fn tokio_clock() -> impl Clock {
    let start = tokio::time::Instant::now();
    move || Timestamp::from_unix(Duration::from_secs(1_700_000_000) + start.elapsed())
}

pub(crate) fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Rests without chance in them.
pub(crate) fn plain() -> Penalties {
    Penalties::default().jitter(false)
}

/// The text of the key with this number.
pub(crate) fn key(number: usize) -> String {
    format!("sk-test-{number:08}-abcdefghijklmnopqrstuvwxyz")
}

/// A key of which everything has been said that can be.
pub(crate) fn complete(number: usize) -> Key {
    let key = Key::new(key(number)).unwrap().label("blue").origin(Origin::parse("https://other.example/v1").unwrap());
    key.weight(2).tier(1).group("acct-a").models("gpt-4,gpt-4o*,others".parse().unwrap())
}

pub(crate) fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|number| Key::new(key(number)).unwrap()).collect()
}

/// A pool at `https://api.openai.com` without chance in its rests, choosing by a known seed.
pub(crate) fn builder(count: usize) -> Builder {
    KeyPool::builder(Provider::OPENAI).penalties(plain()).seed(7).keys(keys(count))
}

/// A checkout by a request that has tried nothing yet.
pub(crate) fn checkout(pool: &KeyPool) -> Result<Lease, Exhausted> {
    pool.checkout(&Demand::default(), &mut Tried::default(), pool.now())
}

/// A pool as [`builder`] makes it, on tokio's time.
pub(crate) fn timed(count: usize) -> KeyPool {
    builder(count).clock(tokio_clock()).build().unwrap()
}
