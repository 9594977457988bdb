//! The right to use one member for one attempt.

use std::sync::Arc;

use http::HeaderValue;

use super::attribution::Accusation;
use super::member::Member;
use super::shared::Shared;
use super::mood::Telling;
use super::spot::Spot;
use super::tried::Tried;
use super::wish::Wish;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::Step;
use crate::hint::Left;
use crate::origin::Origin;
use crate::outcome::{Fault, Outcome, Verdict};
use crate::scrub::Scrubber;
use crate::secret::KeyId;
use crate::subnet::Subnet;
use crate::usage::Usage;

/// How a call has ended so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Open,
    Served,
    Unserved,
}

/// The right to use one key for one attempt. Held until the last byte of the answer; dropping it gives the key back.
///
/// A lease that is dropped without a verdict says nothing about the key: the caller went away (I8).
#[derive(Debug)]
#[must_use = "a lease that is dropped gives its key back at once"]
pub struct Lease {
    pub(super) member: Arc<Member>,
    pub(super) step: Step,
    /// What the attempt tries out, if anything.
    pub(super) probe: Option<Spot>,
    pub(super) wish: Wish,
    call: Call,
    /// Whether it counts where keys are limited.
    counted: bool,
    /// Whether it is known that nothing was sent.
    unsent: bool,
    /// The tokens that the answer says it used.
    used: Option<u64>,
    begun: Timestamp,
    /// Whether a success with it proves the key: everywhere but in a commune, where only some calls do.
    proves: bool,
    /// Boxed, for few leases have one and all are moved about.
    accusation: Option<Box<Accusation>>,
}

impl Lease {
    /// A lease on a member that has been entered.
    #[inline]
    pub(super) fn new(member: Arc<Member>, step: Step, wish: Wish, probe: Option<Spot>) -> Self {
        Self {
            member,
            step,
            probe,
            wish,
            call: Call::Open,
            counted: true,
            unsent: false,
            used: None,
            begun: Timestamp::MAX,
            proves: true,
            accusation: None,
        }
    }

    /// The same, whatever the key and the pool are limited to.
    pub(super) fn uncounted(mut self) -> Self {
        self.counted = false;
        self
    }

    /// The attempt of a request begins.
    #[inline]
    pub(crate) fn begin(&mut self, tried: &mut Tried, now: Timestamp) {
        self.begun = now;
        tried.note(self.member.place, self.is_probe());
        self.member.note_use(now);
    }

    /// The id of the key.
    pub fn key_id(&self) -> KeyId {
        self.member.id
    }

    /// The name of the key for people.
    pub fn label(&self) -> Option<&str> {
        self.member.key.labelled()
    }

    /// What goes into the request: the key as its slot writes it, marked sensitive.
    pub fn value(&self) -> &HeaderValue {
        &self.member.value
    }

    /// The key's own origin, if it is not the pool's.
    pub fn origin(&self) -> Option<&Origin> {
        self.member.key.own_origin()
    }

    /// On whose behalf the key is used.
    pub fn caller(&self) -> Option<Caller> {
        self.wish.caller
    }

    /// Whether this attempt tries out a key whose rest is over.
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Remembers where the caller comes from, for the key's statistics.
    pub fn note_client(&self, subnet: Subnet) {
        self.member.note_client(subnet);
    }

    /// Adds what an answer says about its request to the key's statistics.
    pub(crate) fn note_usage(&mut self, usage: &Usage) {
        self.used = Some(usage.input.saturating_add(usage.output));
        if let Some(pool) = self.member.pool() {
            pool.note_usage(&self.member, usage, pool.clock.now());
        }
    }

    /// Remembers that the key gave this response.
    pub(crate) fn note_response(&self, id: &str) {
        if let Some(pool) = self.member.pool() {
            pool.note_response(id, &self.member);
        }
    }

    /// Whether the key is not the caller's own, in a commune.
    pub(crate) fn is_foreign(&self) -> bool {
        self.wish.caller.is_some_and(|caller| caller != self.member.caller())
    }

    pub(super) fn proves(&self) -> bool {
        self.proves
    }

    /// Says whether a clean success with it will prove the key.
    pub(crate) fn set_proves(&mut self, proves: bool) {
        self.proves = proves;
    }

    /// Whether a proof would change anything: the key is a newcomer, or has something to make good.
    pub(crate) fn wants_proof(&self) -> bool {
        self.proves && (self.member.is_stranger() || !self.member.word.is_clean())
    }

    /// What a refusal did to the key.
    pub(crate) fn take_accusation(&mut self) -> Option<Accusation> {
        self.accusation.take().map(|accusation| *accusation)
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

    /// What masks echoes of this key in an answer.
    pub fn scrubber(&self) -> Scrubber {
        self.member.scrubber()
    }

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
        !self.unsent && self.sent_at().is_some()
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
            && let Some(decay) = self.member.signals.latency_decay
            && let Some(latency) = self.member.latency()
        {
            latency.note(now - self.begun, now, decay);
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
