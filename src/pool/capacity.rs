//! How much a member, and the pool as a whole, may be asked for: at a time, and in a span of time.
//!
//! A pool without [limits](super::Limits) pays for none of this. In one that has some, a member is taken without the lock as
//! elsewhere, and as long as it has room for more nothing else happens. Whoever takes the last of its room closes it, and
//! it is opened by whoever gives room back or, for limits in time, by whoever comes first after it has some again.

use super::limiter::Limiter;
use super::limits::Limits;
use super::member::Member;
use crate::clock::Timestamp;
use crate::sync::{AtomicU32, Ordering};

/// The limits of a pool, and what of them is not a member's own.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    /// What each member may be asked for.
    pub(super) each: Limits,
    /// How many requests the pool as a whole may serve at a time, and how many it does.
    most: Option<u32>,
    in_flight: AtomicU32,
    /// What it may be asked for in time.
    gate: Option<Limiter>,
    /// At what pace a member can be asked.
    pace: Option<Limiter>,
}

impl Capacity {
    pub(super) fn new(each: Limits, all: &Limits) -> Self {
        let (gate, pace) = (Limiter::new(all), Limiter::new(&each));
        Self { each, most: all.concurrent, in_flight: AtomicU32::new(0), gate, pace }
    }

    pub(super) fn limits_anything(&self) -> bool {
        self.limits_pool() || self.each != Limits::default()
    }

    /// Whether it is known how often keys may be asked.
    pub(super) fn limits_rates(&self) -> bool {
        self.pace.is_some()
    }

    /// Whether the pool as a whole is limited: then whoever comes goes behind those who wait, whatever they wait for.
    pub(super) fn limits_pool(&self) -> bool {
        self.gate.is_some() || self.most.is_some()
    }

    /// Whether requests for different models are counted apart.
    pub(super) fn tells_models_apart(&self) -> bool {
        self.each.concurrent_per_model.is_some()
    }

    /// What keeps the count of a new member.
    pub(super) fn limiter(&self) -> Option<Box<Limiter>> {
        Limiter::new(&self.each).map(Box::new)
    }

    /// Counts a request in that a member has been entered for, everywhere or nowhere. Answers when the member can be asked
    /// for the next one.
    pub(super) fn take(
        &self,
        member: &Member,
        in_flight: u32,
        tokens: u64,
        now: Timestamp,
    ) -> Result<Timestamp, Timestamp> {
        let busy = || Err(Timestamp::ZERO);
        if self.each.concurrent.is_some_and(|most| in_flight > most) || !self.enter() {
            return busy();
        }
        if self.gate.as_ref().is_some_and(|gate| gate.take(tokens, now).is_err()) {
            self.leave();
            return busy();
        }
        let Some(limiter) = member.limiter() else { return Ok(Timestamp::ZERO) };
        limiter.take(tokens, now).map_err(|_| {
            self.gate.iter().for_each(|gate| gate.refund(tokens, now, now));
            self.leave();
            limiter.ready_at(now)
        })
    }

    fn enter(&self) -> bool {
        let Some(most) = self.most else { return true };
        let fits = self.in_flight.fetch_add(1, Ordering::AcqRel) < most;
        if !fits {
            self.leave();
        }
        fits
    }

    fn leave(&self) {
        if self.most.is_some() {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Takes back what was counted in at the moment `at`, since nothing was sent.
    pub(super) fn refund(&self, member: &Member, tokens: u64, (at, now): (Timestamp, Timestamp)) {
        let limiters = [self.gate.as_ref(), member.limiter()];
        limiters.into_iter().flatten().for_each(|limiter| limiter.refund(tokens, at, now));
        self.leave();
    }

    /// Settles what was counted in, by what the answer has used.
    pub(super) fn charge(&self, member: &Member, tokens: u64, used: u64, now: Timestamp) {
        let limiters = [self.gate.as_ref(), member.limiter()];
        limiters.into_iter().flatten().for_each(|limiter| limiter.charge(tokens, used, now));
        self.leave();
    }

    /// When the pool as a whole can be asked for so many tokens.
    pub(super) fn ready_for(&self, tokens: u64, now: Timestamp) -> Timestamp {
        self.gate.as_ref().map_or(Timestamp::ZERO, |gate| gate.ready_for(tokens, now))
    }

    /// Whether the pool as a whole serves nobody more for now.
    pub(super) fn is_shut(&self, now: Timestamp) -> bool {
        self.is_full() || self.ready_for(0, now) > now
    }

    /// Whether the pool as a whole serves as many requests as it may.
    pub(super) fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.in_flight.load(Ordering::Acquire) >= most)
    }

    /// How many such requests so many members serve in a second, if that is limited.
    pub(super) fn per_second(&self, members: usize, tokens: u64) -> f64 {
        let each = self.pace.as_ref().map_or(f64::INFINITY, |pace| pace.per_second(tokens) * members as f64);
        self.gate.as_ref().map_or(each, |gate| gate.per_second(tokens).min(each))
    }

    /// Whether a member that serves so many requests has no room for another.
    pub(super) fn is_crowded(&self, in_flight: u32) -> bool {
        self.each.concurrent.is_some_and(|most| in_flight >= most)
    }
}
