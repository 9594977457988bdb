//! On whose behalf a request is served in a commune: which keys it may use, and what their refusals tell about whom.

use http::request::Parts;
use http::{StatusCode, response};

use super::layer::Settings;
use super::proof;
use super::refusal::Refusal;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::outcome::{Fault, Outcome, Verdict};
use crate::pool::{Accusation, KeyPool, Lease, Presented, Tried};
use crate::provider::Endpoint;
use crate::secret::Secret;
use crate::slot::{Bearer, KEY_HEADERS, Slot, SlotError};

/// How many keys that are not the caller's may refuse a request before it goes on with the caller's own.
const MOST_REFUSALS: u8 = 2;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts")]
pub(super) struct Party {
    presented: Presented,
    /// Whether other people's keys may serve this call.
    shares: bool,
    /// Whether a clean success of this call proves a key.
    proves: bool,
    /// Whether the caller's own key has been tried.
    was_own: bool,
    refusals: u8,
    accused: Vec<Accusation>,
    /// The keys that were throttled, and whether the caller's own was.
    throttled: Vec<Accusation>,
    was_throttled: bool,
}

impl Party {
    /// Who sends this request, whose credential is taken out.
    pub(super) fn read(settings: &Settings, head: &mut Parts, now: Timestamp) -> Result<Self, Refusal> {
        let provider = settings.pool.provider();
        let is_one_of = |calls: &[Endpoint]| calls.iter().any(|call| call.matches(&head.method, head.uri.path()));
        let (stateless, proves) = (is_one_of(provider.shared()), is_one_of(provider.proof()));
        if !settings.pool.may_be_forwarded(&head.headers) {
            return Err(Refusal::ForwardedHost);
        }
        let secret = credential(settings.pool.slot(), head)?;
        let presented = settings.pool.present(secret, now)?;
        let shares = stateless && presented.shares();
        let (accused, throttled) = (Vec::new(), Vec::new());
        Ok(Self { presented, shares, proves, was_own: false, refusals: 0, accused, throttled, was_throttled: false })
    }

    pub(super) fn caller(&self) -> Caller {
        self.presented.caller()
    }

    /// Whether other people's keys may serve this request.
    pub(super) fn shares(&self) -> bool {
        self.shares && self.refusals < MOST_REFUSALS
    }

    /// The caller's own key, if it was not tried yet: the last resort.
    pub(super) fn own(&self, pool: &KeyPool, tried: &mut Tried, now: Timestamp) -> Option<Lease> {
        (!self.was_own).then(|| pool.checkout_own(&self.presented, tried, now))
    }

    /// Takes note of a key that is about to be used for this request.
    pub(super) fn note(&mut self, lease: &mut Lease) {
        lease.set_proves(self.proves);
        self.was_own |= self.presented.owns(lease);
    }

    /// Whether more of the answer must be seen than its head before it proves anything.
    pub(super) fn wants_body(lease: &Lease, head: &response::Parts) -> bool {
        head.status.is_success() && lease.wants_proof() && proof::is_json(head)
    }

    /// An answer that proves nothing is nobody's success.
    pub(super) fn doubt(lease: &mut Lease, head: &response::Parts, seen: &[u8]) {
        if head.status.is_success() && lease.wants_proof() {
            lease.set_proves(proof::is_proof(head, seen));
        }
    }

    /// Draws from the answer what it says about those whose keys were tried.
    pub(super) fn weigh(
        &mut self,
        pool: &KeyPool,
        lease: &mut Lease,
        (status, verdict): (StatusCode, &Verdict),
        now: Timestamp,
    ) {
        if lease.is_foreign() {
            self.refusals += u8::from(is_refusal(status, verdict));
            let list = if verdict.outcome == Outcome::Rejected { &mut self.accused } else { &mut self.throttled };
            list.extend(lease.take_accusation());
            if verdict.outcome == Outcome::Accepted {
                pool.note_gift(&self.presented, lease);
            }
        } else if verdict.outcome == Outcome::Throttled {
            self.was_throttled = true;
        } else if self.refusals > 0 && is_refusal(status, verdict) {
            pool.acquit(&std::mem::take(&mut self.accused), &self.presented, now);
        } else if self.refusals >= MOST_REFUSALS && verdict.outcome == Outcome::Accepted {
            pool.convict(&std::mem::take(&mut self.accused), &self.presented, now);
        }
        if self.was_throttled && verdict.outcome == Outcome::Throttled && !self.throttled.is_empty() {
            pool.join_fates(&self.throttled, &self.presented);
        }
    }

    /// Whether the request goes on with another key after this answer; `None` if that does not depend on whose key it was.
    pub(super) fn goes_on(&self, lease: &Lease, status: Option<StatusCode>, verdict: &Verdict) -> Option<bool> {
        let refused = status.is_some_and(|status| is_refusal(status, verdict)) || verdict.fault() == Some(Fault::Key);
        match (lease.is_foreign(), refused) {
            (true, true) => Some(true),
            // A key that was rejected does not help its owner to other people's (I17); one that only rests may.
            (false, true) => Some(verdict.outcome == Outcome::Throttled && self.shares && self.refusals == 0),
            (_, false) if self.shares() => None,
            (_, false) => Some(false),
        }
    }
}

/// Whether an answer turns the key down, or the caller: which of them is not known where the key is not the caller's.
pub(super) fn is_refusal(status: StatusCode, verdict: &Verdict) -> bool {
    verdict.outcome == Outcome::Rejected || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Takes the caller's credential out of the provider's own slot and wherever else clients put theirs. Several are one if they are the same.
fn credential(slot: &dyn Slot, head: &mut Parts) -> Result<Secret, Refusal> {
    match find(slot, head) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) | Err(SlotError::Empty) => Err(Refusal::NoCredential),
        Err(error) => Err(error.into()),
    }
}

fn find(slot: &dyn Slot, head: &mut Parts) -> Result<Option<Secret>, SlotError> {
    let mut found = slot.take(head)?;
    same(&mut found, Bearer.take(head)?)?;
    // Most requests have none of these, and names compare faster than they are looked up.
    if head.headers.keys().any(|name| KEY_HEADERS.iter().any(|other| other.0 == *name)) {
        for other in &KEY_HEADERS {
            same(&mut found, other.take(head)?)?;
        }
    }
    Ok(found)
}

fn same(found: &mut Option<Secret>, other: Option<Secret>) -> Result<(), SlotError> {
    match (&found, other) {
        (Some(one), Some(other)) if *one != other => return Err(SlotError::Several),
        (None, other) => *found = other,
        _ => {}
    }
    Ok(())
}
