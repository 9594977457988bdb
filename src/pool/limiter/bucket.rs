//! Tokens by the minute: a bucket that requests reserve from by estimate, and pay by what they have used.

use std::time::Duration;

use super::MINUTE;
use crate::clock::Timestamp;
use crate::rate::Gate;
use crate::sync::{AtomicU64, Ordering};

/// No provider grants as much. Keeps sums of reservations from overflowing.
const MOST: u64 = 1 << 40;

/// The bucket is full while the gate's theoretical arrival time has passed, and empty when that lies a minute ahead.
///
/// What is reserved stands beside it, and is neither more nor less for the time that passes. So an estimate that was too
/// high is given back exactly, and no order of answers leads to more than the bucket has held.
#[derive(Debug)]
pub(super) struct Bucket {
    used: Gate,
    reserved: AtomicU64,
    limit: u64,
}

impl Bucket {
    /// `limit` is not 0.
    pub(super) fn new(limit: u64) -> Self {
        Self { used: Gate::default(), reserved: AtomicU64::new(0), limit: limit.min(MOST) }
    }

    /// Reserves so many tokens, or answers when they may be there.
    pub(super) fn reserve(&self, tokens: u64, now: Timestamp) -> Result<(), Timestamp> {
        let tokens = tokens.min(self.limit);
        // Reserves first and looks then: what another one uses is seen as used or as reserved, or as both.
        let others = self.reserved.fetch_add(tokens, Ordering::AcqRel);
        let ready = self.ready(others.saturating_add(tokens), now);
        if ready <= now {
            return Ok(());
        }
        self.release(tokens);
        Err(ready)
    }

    /// Gives back what was reserved.
    pub(super) fn release(&self, tokens: u64) {
        self.reserved.fetch_sub(tokens.min(self.limit), Ordering::AcqRel);
    }

    /// Settles a reservation. A debt is forgotten beyond a minute of waiting: a stranger told the number.
    pub(super) fn settle(&self, reserved: u64, used: u64, now: Timestamp) {
        self.used.charge(self.time(used), MINUTE * 2, now);
        self.release(reserved);
    }

    /// When a request of so many tokens may find them.
    pub(super) fn ready_for(&self, tokens: u64, now: Timestamp) -> Timestamp {
        let others = self.reserved.load(Ordering::Acquire);
        self.ready(others.saturating_add(tokens.min(self.limit)), now)
    }

    /// How many requests of so many tokens it sustains per second.
    pub(super) fn per_second(&self, tokens: u64) -> f64 {
        self.limit as f64 / MINUTE.as_secs_f64() / tokens as f64
    }

    /// When the bucket holds so many tokens, if those that are reserved were used from now on.
    fn ready(&self, tokens: u64, now: Timestamp) -> Timestamp {
        let empty = self.used.tat().max(now) + self.time(tokens);
        Timestamp::from_unix(empty.since_unix().saturating_sub(MINUTE))
    }

    /// How long it takes until so many tokens have come in.
    fn time(&self, tokens: u64) -> Duration {
        let nanos = (u128::from(tokens) * MINUTE.as_nanos()).div_ceil(u128::from(self.limit));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
