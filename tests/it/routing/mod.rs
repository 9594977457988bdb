//! Which keys may serve a request: by its model, and by what each limit hangs on.

mod capacity;
mod models;
mod scopes;
mod unstuck;

use key_commune::clock::Timestamp;
use key_commune::demand::Demand;
use key_commune::health::State;
use key_commune::hint::Hint;
use key_commune::outcome::{Outcome, Scope, Verdict};
use key_commune::pool::{Builder, Exhausted, Key, KeyPool, Lease, Tried};
use key_commune::provider::Provider;
use key_commune::secret::Pepper;

use crate::support::{Hand, plain, secs};

/// A pool of these keys: what each serves, and which account it is of.
fn builder(keys: &[(&str, &str)]) -> (Builder, Hand) {
    let clock = Hand::new();
    let key = |(index, (models, group)): (usize, &(&str, &str))| {
        let key = Key::new(format!("sk-routing-{index:04}-{}", "x".repeat(16))).unwrap().label(&index.to_string());
        let key = if models.is_empty() { key } else { key.models(models.parse().unwrap()) };
        key.group(group)
    };
    let builder = KeyPool::builder(Provider::OPENAI).pepper(Pepper::new([7; 32])).seed(7).penalties(plain());
    (builder.keys(keys.iter().enumerate().map(key)).clock(clock.clone()), clock)
}

fn pool(keys: &[(&str, &str)]) -> (KeyPool, Hand) {
    let (builder, clock) = builder(keys);
    (builder.build().unwrap(), clock)
}

fn asking(model: &str) -> Demand {
    if model.is_empty() { Demand::default() } else { Demand::default().model(model) }
}

fn take(pool: &KeyPool, model: &str) -> Result<Lease, Exhausted> {
    pool.checkout(&asking(model), &mut Tried::default(), pool.now())
}

/// The number of a lease's key.
fn number(pool: &KeyPool, lease: &Lease) -> usize {
    label(pool, lease).parse().unwrap()
}

fn label(pool: &KeyPool, lease: &Lease) -> String {
    pool.snapshot().member(lease.key_id()).and_then(|member| member.label.clone()).unwrap()
}

/// The keys that serve a model, asked until each was found.
fn served_by(pool: &KeyPool, model: &str) -> Vec<usize> {
    let held: Vec<_> = (0..40).filter_map(|_| take(pool, model).ok()).collect();
    let mut found: Vec<_> = held.iter().map(|lease| number(pool, lease)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn settle(pool: &KeyPool, mut lease: Lease, verdict: &Verdict) {
    lease.settle(verdict, pool.now());
}

fn accept(pool: &KeyPool, lease: Lease) {
    settle(pool, lease, &Verdict::new(Outcome::Accepted));
}

/// A throttle of this scope that asks for a rest of so many seconds.
fn throttle(scope: Scope, after: u64) -> Verdict {
    Verdict::new(Outcome::Throttled).scope(scope).hint(Some(Hint::after(secs(after))))
}

/// Takes the key with a number for a model, and settles it.
fn settle_with(pool: &KeyPool, index: usize, model: &str, verdict: &Verdict) {
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let lease = take(pool, model).unwrap();
        if number(pool, &lease) == index {
            return settle(pool, lease, verdict);
        }
        held.push(lease);
    }
    panic!("key {index} does not serve {model:?}");
}

fn states(pool: &KeyPool) -> Vec<State> {
    pool.snapshot().members.iter().map(|member| member.state).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what the pool says")]
fn in_secs(pool: &KeyPool, seconds: u64) -> Option<Timestamp> {
    Some(pool.now() + secs(seconds))
}
