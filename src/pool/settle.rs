//! What an answer changes, and what a request that has failed altogether tells of everybody.

use super::attribution::Accusation;
use super::lease::Lease;
use super::ledger::Ledger;
use super::load::window;
use super::member::Member;
use super::outage::Failure;
use super::shared::Shared;
use super::spot::Spot;
use crate::clock::Timestamp;
use crate::health::Reason;
use crate::outcome::{Fault, Outcome, Verdict};
use std::sync::Arc;
use std::time::Duration;

impl Shared {
    /// Acts on what an answer said about the key of a lease.
    #[cold]
    pub(super) fn settle(&self, lease: &Lease, verdict: &Verdict, now: Timestamp) -> Option<Accusation> {
        let draw = self.random.draw_other();
        self.with(|ledger| self.settle_locked(ledger, lease, verdict, (now, draw)))
    }

    /// In a commune, answers what a refusal has done to a key that is not the caller's.
    fn settle_locked(
        &self,
        ledger: &mut Ledger,
        lease: &Lease,
        verdict: &Verdict,
        (now, draw): (Timestamp, u64),
    ) -> Option<Accusation> {
        // A key that was removed meanwhile has no health: nothing happens to it, and the caller gets the answer.
        let before = ledger.health_of(&lease.member)?;
        let struck = ledger.struck_by(lease, verdict);
        let is_key = struck == Some(Spot::Key(lease.member.place));
        match verdict.outcome {
            Outcome::Accepted if lease.proves() => self.calm(ledger),
            Outcome::Throttled if is_key => lease.member.note_throttle(now),
            _ => {}
        }
        let spared = ledger.journal.is_outage() && verdict.hint.is_none() && verdict.outcome != Outcome::Accepted;
        let judged = if spared { Verdict::new(Outcome::Aborted) } else { *verdict };
        ledger.settle_scopes(lease, &judged, struck, (now, draw));
        // What hangs on something else says nothing about the key.
        let heard = if is_key || judged.fault() != Some(Fault::Key) { judged } else { Verdict::new(Outcome::Aborted) };
        let before = ledger.health_of(&lease.member).unwrap_or(before);
        let after = if self.commune.is_some() {
            Self::attribute(ledger, lease, before, &heard, (now, draw))
        } else {
            before.judged(&heard, lease.step, &ledger.judge(now, draw))
        };
        // Who may be to blame is not known yet.
        let accused = self.commune.is_some() && lease.is_foreign() && heard.outcome == Outcome::Rejected;
        if !accused && (is_key || verdict.fault() != Some(Fault::Key)) {
            let failure = Failure { outcome: verdict.outcome, before, step: after.changed(), at: now };
            self.journal(ledger, lease, verdict, failure);
        }
        ledger.install(lease.member.place, after, now);
        if self.learns_pace && is_key && heard.outcome == Outcome::Throttled {
            let hint = heard.hint.map_or(Duration::ZERO, |hint| hint.after.min(ledger.penalties.longest_hint()));
            let rest = (after.changed() != before.changed()).then_some(hint);
            ledger.learn_pace(&lease.member, rest, now);
        }
        let foreign = self.commune.is_some() && lease.is_foreign() && heard.fault() == Some(Fault::Key);
        (foreign && after != before).then(|| Accusation::new(lease.member.place, before, after))
    }

    /// Failures that no hint explains, and that struck the key or are the service's, may be the beginning of an outage.
    fn journal(&self, ledger: &mut Ledger, lease: &Lease, verdict: &Verdict, failure: Failure) {
        let struck = verdict.fault() == Some(Fault::Key) && failure.step != failure.before.changed();
        let service = verdict.fault() == Some(Fault::Service);
        if verdict.hint.is_some() || ledger.journal.is_outage() || !(struck || service) {
            return;
        }
        if self.signals.mood.watch() {
            ledger.journal.succeeded();
        }
        ledger.journal.note(lease.member.place, failure);
    }

    /// A success: what failed before stands, and an outage is over.
    fn calm(&self, ledger: &mut Ledger) {
        if !ledger.journal.is_empty() || ledger.journal.is_outage() {
            ledger.journal.succeeded();
            self.signals.mood.set_outage(false);
        }
    }

    /// A request has tried all it may and failed: is it the keys, or everybody?
    #[cold]
    pub(super) fn give_up(&self, now: Timestamp) {
        self.with(|ledger| {
            if self.signals.mood.had_success() {
                self.calm(ledger);
            }
            let Some(failures) = ledger.journal.trip(self.signals.used.most(window(now)), now) else { return };
            self.signals.mood.set_outage(true);
            for (place, failure) in failures {
                roll_back(ledger, place, failure, now);
            }
        });
    }

    /// Takes a key out of use because it was sent where it does not belong.
    pub(super) fn expose(&self, member: &Arc<Member>, now: Timestamp) {
        self.with(|ledger| {
            let Some(health) = ledger.health_of(member) else { return };
            let retired = health.retired(Reason::Exposed, ledger.next_step());
            ledger.install(member.place, retired, now);
        });
    }
}

/// Takes back what a failure did, unless something else has happened to the key since.
fn roll_back(ledger: &mut Ledger, place: u32, failure: Failure, now: Timestamp) {
    let untouched = ledger.cell(place).is_some_and(|cell| cell.health.changed() == failure.step);
    if untouched && failure.step != failure.before.changed() {
        let health = crate::health::Health::rolled_back(failure.before, ledger.next_step());
        ledger.install(place, health, now);
    }
}
