//! What only some members need: those of a commune or a pool with limits, those of one whose strategy asks how long they
//! take or what they have served, those whose keys are written in another way, and the first few of any. A million others do without.

use std::sync::OnceLock;

use super::latency::Latency;
use super::limiter::Limiter;
use super::served::Served;
use crate::rate::Gate;
use crate::scrub::Scrubber;
use crate::secret::Secret;
use crate::sync::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(super) struct Extras {
    /// The key's text, where the value for requests does not hold it as it is.
    pub(super) secret: Option<Secret>,
    /// What it has been asked for, where that is limited.
    pub(super) limiter: Option<Box<Limiter>>,
    /// What masks echoes of the key.
    pub(super) scrubber: OnceLock<Scrubber>,
    /// How long it takes to answer.
    pub(super) latency: Latency,
    /// What it has served of each model.
    pub(super) served: Served,
    /// How often its owner comes.
    pub(super) gate: Gate,
    /// Answers that others got with it, and that its owner got with others.
    given: AtomicU64,
    taken: AtomicU64,
}

impl Extras {
    pub(super) fn new(secret: Option<Secret>, limiter: Option<Box<Limiter>>) -> Self {
        Self { secret, limiter, ..Self::default() }
    }

    pub(super) fn give(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// How many more answers its owner got with others than others got with it.
    pub(super) fn owes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed).saturating_sub(self.given.load(Ordering::Relaxed))
    }
}
