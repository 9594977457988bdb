//! The right to use one member for one attempt.

use std::sync::Arc;

use http::HeaderValue;

use super::attribution::Accusation;
use super::member::Member;
use super::signals::Telling;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::Step;
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
    pub(super) probe: bool,
    caller: Option<Caller>,
    call: Call,
    begun: Timestamp,
    /// Whether a success with it proves the key: everywhere but in a commune, where only some calls do.
    proves: bool,
    accusation: Option<Accusation>,
}

impl Lease {
    /// A lease on a member that has been entered.
    #[inline]
    pub(super) fn new(member: Arc<Member>, step: Step, caller: Option<Caller>, probe: bool) -> Self {
        Self { member, step, probe, caller, call: Call::Open, begun: Timestamp::MAX, proves: true, accusation: None }
    }

    /// The attempt begins.
    #[inline]
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.begun = now;
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
        self.caller
    }

    /// Whether this attempt tries out a key whose rest is over.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// Remembers where the caller comes from, for the key's statistics.
    pub fn note_client(&self, subnet: Subnet) {
        self.member.note_client(subnet);
    }

    /// Adds what an answer says about its request to the key's statistics.
    pub(crate) fn note_usage(&self, usage: &Usage) {
        if let Some(pool) = self.member.pool.upgrade() {
            pool.note_usage(&self.member, usage, pool.clock.now());
        }
    }

    /// Remembers that the key gave this response.
    pub(crate) fn note_response(&self, id: &str) {
        if let Some(pool) = self.member.pool.upgrade() {
            pool.note_response(id, &self.member);
        }
    }

    /// Whether the key is not the caller's own, in a commune.
    pub(crate) fn is_foreign(&self) -> bool {
        self.caller.is_some_and(|caller| caller != self.member.caller())
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
        self.accusation.take()
    }

    /// The answer has ended as it should.
    pub(crate) fn complete(&mut self) {
        if self.call != Call::Open
            && self.wants_proof()
            && let Some(pool) = self.member.pool.upgrade()
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
        if self.call != Call::Open && (verdict.outcome == Outcome::Accepted || verdict.fault().is_none()) {
            return;
        }
        if self.member.signals.latency_decay.is_some() {
            return self.settle_timed(verdict, now);
        }
        self.act(verdict, now);
    }

    #[cold]
    fn settle_timed(&mut self, verdict: &Verdict, now: Timestamp) {
        self.time(now);
        self.act(verdict, now);
    }

    #[inline]
    fn act(&mut self, verdict: &Verdict, now: Timestamp) {
        self.note(verdict.outcome);
        if self.matters(verdict)
            && let Some(pool) = self.member.pool.upgrade()
        {
            self.accusation = pool.settle(self, verdict, now);
            self.probe = false;
        }
        self.proves &= verdict.outcome == Outcome::Accepted;
    }

    /// Settles what somebody sees in the body that follows an accepted head.
    pub(crate) fn look(&mut self, see: impl FnOnce(Timestamp) -> Option<Verdict>) {
        let Some(pool) = self.member.pool.upgrade() else { return };
        let now = pool.clock.now();
        if let Some(verdict) = see(now) {
            self.settle(&verdict, now);
        }
    }

    /// Takes the key out of use: it went to a place it is not bound to.
    pub fn expose(&mut self, now: Timestamp) {
        self.note(Outcome::Forbidden);
        if let Some(pool) = self.member.pool.upgrade() {
            pool.expose(&self.member, now);
            self.probe = false;
        }
    }

    /// Takes note of how long the head of the answer took, for a strategy that wants to know.
    fn time(&self, now: Timestamp) {
        if self.call == Call::Open
            && let Some(decay) = self.member.signals.latency_decay
        {
            self.member.latency.note(now - self.begun, now, decay);
        }
    }

    /// Takes note of how the call ended. Only what is no success is counted, once.
    #[inline]
    fn note(&mut self, outcome: Outcome) {
        if outcome == Outcome::Accepted {
            self.call = Call::Served;
        } else if self.call != Call::Unserved {
            self.call = Call::Unserved;
            self.member.counters.note(outcome);
        }
    }

    /// Whether the pool has to be told under its lock.
    #[inline]
    fn matters(&self, verdict: &Verdict) -> bool {
        match verdict.fault() {
            _ if self.probe => true,
            None if verdict.outcome == Outcome::Accepted => {
                if !self.proves {
                    return false;
                }
                let telling = self.member.signals.succeeded();
                telling == Telling::Lock || !self.member.word.is_clean()
            }
            Some(Fault::Key | Fault::Service) => true,
            _ => false,
        }
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if self.probe
            && let Some(pool) = self.member.pool.upgrade()
        {
            let now = pool.clock.now();
            pool.settle(self, &Verdict::new(Outcome::Aborted), now);
        }
        if self.call == Call::Open {
            if self.member.signals.latency_decay.is_some()
                && let Some(pool) = self.member.pool.upgrade()
            {
                self.time(pool.clock.now());
            }
            self.note(Outcome::Aborted);
        }
        self.member.word.leave();
    }
}
