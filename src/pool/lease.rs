//! The right to use one member for one attempt, and what it tells. How it ends is told [elsewhere](super::ending).

use std::sync::Arc;

use http::HeaderValue;

use super::attribution::Accusation;
use super::ending::Call;
use super::member::Member;
use super::spot::Spot;
use super::tried::Tried;
use super::wish::Wish;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::Step;
use crate::origin::Origin;
use crate::scrub::Scrubber;
use crate::secret::KeyId;
use crate::subnet::Subnet;
use crate::usage::Usage;

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
    pub(super) call: Call,
    /// Whether it counts where keys are limited.
    pub(super) counted: bool,
    /// Whether it is known that nothing was sent.
    pub(super) unsent: bool,
    /// The tokens that the answer says it used.
    pub(super) used: Option<u64>,
    pub(super) begun: Timestamp,
    /// Whether a success with it proves the key: everywhere but in a commune, where only some calls do.
    pub(super) proves: bool,
    /// Boxed, for few leases have one and all are moved about.
    pub(super) accusation: Option<Box<Accusation>>,
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

    /// What masks echoes of this key in an answer.
    pub fn scrubber(&self) -> Scrubber {
        self.member.scrubber()
    }
}
