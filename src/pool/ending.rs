//! How a lease ends: what its answer said, and that it is dropped.

use super::lease::Lease;
use super::mood::Telling;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::hint::Left;
use crate::outcome::{Fault, Outcome, Verdict};

/// How a call has ended so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    Served,
    Unserved,
}

impl Lease {
    /// Tells the pool what the answer said. A lease is settled once, by its head; only a failure that follows an
    /// acceptance (an error inside the answer's body) is heard after that.
    ///
    /// A success of a key without strikes takes no lock and allocates nothing (I11).
    #[inline]
    pub fn settle(&mut self, verdict: &Verdict, now: Timestamp) {
        if verdict.outcome == Outcome::Accepted && self.is_usual() {
            self.call = Call::Served;
        } else {
            self.weigh(verdict, now);
        }
    }

    /// Whether a success is one of many, of which nobody has to hear.
    #[inline]
    fn is_usual(&self) -> bool {
        self.call == Call::Open
            && self.probe.is_none()
            && self.member.signals.mood.is_quiet()
            && self.member.word.is_clean()
    }

    #[inline(never)]
    fn weigh(&mut self, verdict: &Verdict, now: Timestamp) {
        if self.call != Call::Open && (verdict.outcome == Outcome::Accepted || verdict.fault().is_none()) {
            return;
        }
        if self.member.signals.mood.listens() {
            self.tell_strategy(verdict, now);
        }
        self.act(verdict, now);
    }

    fn tell_strategy(&self, verdict: &Verdict, now: Timestamp) {
        self.time(now);
        if verdict.outcome == Outcome::Accepted
            && let Some(served) = self.member.served()
        {
            served.note(self.wish.model.as_deref(), now);
        }
    }

    fn act(&mut self, verdict: &Verdict, now: Timestamp) {
        self.note(verdict.outcome);
        self.unsent = verdict.outcome == Outcome::Unreachable && !verdict.processed;
        if self.matters(verdict)
            && let Some(pool) = self.member.pool()
        {
            self.accusation = pool.settle(self, verdict, now).map(Box::new);
            self.probe = None;
        }
        self.proves &= verdict.outcome == Outcome::Accepted;
    }

    /// The answer has ended as it should.
    pub(crate) fn complete(&mut self) {
        if self.call != Call::Open
            && self.wants_proof()
            && let Some(pool) = self.member.pool()
        {
            let now = pool.clock.now();
            pool.prove(self, now);
        }
    }

    /// Acts on what a good answer says is left of the key's limits: a key of which nothing is left is not asked before
    /// there is again.
    pub(crate) fn heed(&self, left: &Left, now: Timestamp) {
        let others = self.member.word.counts().0.saturating_sub(1);
        let Some(wait) = left.wait(others) else { return };
        if let Some(pool) = self.member.pool() {
            pool.avoid(&self.member, wait, now);
        }
    }

    /// Settles what somebody sees in the body that follows an accepted head.
    pub(crate) fn look(&mut self, see: impl FnOnce(Timestamp) -> Option<Verdict>) {
        let Some(pool) = self.member.pool() else { return };
        let now = pool.clock.now();
        if let Some(verdict) = see(now) {
            self.settle(&verdict, now);
        }
    }

    /// Takes the key out of use: it went to a place it is not bound to.
    pub fn expose(&mut self, now: Timestamp) {
        self.note(Outcome::Forbidden);
        if let Some(pool) = self.member.pool() {
            self.give_permit_back(&pool, now);
            pool.expose(&self.member, now);
        }
    }

    /// When the attempt began, if it did.
    pub(super) fn sent_at(&self) -> Option<Timestamp> {
        Some(self.begun).filter(|&begun| begun != Timestamp::MAX)
    }

    /// Whether something was sent, as far as is known.
    pub(super) fn was_sent(&self) -> bool {
        !self.unsent
    }

    /// How many tokens count: what the answer says; nothing for one that was refused; else what was expected.
    pub(super) fn tokens_used(&self) -> u64 {
        self.used.unwrap_or(if self.call == Call::Unserved { 0 } else { self.wish.tokens })
    }

    /// Nobody has said how the attempt went, or it has taken up more than the word of its member tells.
    #[inline(never)]
    fn wind_up(&mut self) {
        let Some(pool) = self.member.pool() else { return };
        let now = pool.clock.now();
        self.give_permit_back(&pool, now);
        if self.call == Call::Open {
            self.unsent = self.sent_at().is_none();
            self.time(now);
            self.note(Outcome::Aborted);
        }
        if self.member.signals.is_limited && self.counted {
            pool.vacate(self, now);
        }
    }

    #[cold]
    fn give_room(&self) {
        if let Some(pool) = self.member.pool() {
            pool.give_room(self.member.place, pool.clock.now());
        }
    }

    /// Takes note of how long the head of the answer took, for a strategy that wants to know.
    fn time(&self, now: Timestamp) {
        if self.call == Call::Open
            && let Some(begun) = self.sent_at()
            && let Some(decay) = self.member.signals.latency_decay
            && let Some(latency) = self.member.latency()
        {
            latency.note(now - begun, now, decay);
        }
    }

    /// Takes note of how the call ended. Only what is no success is counted, once.
    fn note(&mut self, outcome: Outcome) {
        if outcome == Outcome::Accepted {
            self.call = Call::Served;
        } else if self.call != Call::Unserved {
            self.call = Call::Unserved;
            self.member.counters.note(outcome);
        }
    }

    /// What the attempt was to try out is still to be tried.
    fn give_permit_back(&mut self, pool: &Shared, now: Timestamp) {
        if self.probe.is_some() {
            pool.settle(self, &Verdict::new(Outcome::Aborted), now);
            self.probe = None;
        }
    }

    fn has_more_to_clear(&self) -> bool {
        let pool = || self.member.pool();
        self.member.signals.mood.has_scopes() && pool().is_some_and(|pool| pool.has_more_to_clear(self))
    }

    /// Whether the pool has to be told under its lock.
    fn matters(&self, verdict: &Verdict) -> bool {
        match verdict.fault() {
            _ if self.probe.is_some() => true,
            None if verdict.outcome == Outcome::Accepted => {
                if !self.proves {
                    return false;
                }
                let telling = self.member.signals.mood.succeeded();
                telling == Telling::Lock || !self.member.word.is_clean() || self.has_more_to_clear()
            }
            Some(Fault::Key | Fault::Service) => true,
            _ => false,
        }
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if self.call == Call::Open || self.probe.is_some() || self.member.signals.is_limited {
            self.wind_up();
        }
        if self.member.word.leave() {
            self.give_room();
        }
    }
}
