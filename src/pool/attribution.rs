//! Whose fault a refusal was, in a commune.
//!
//! A refusal that a caller meets with somebody else's key may be the fault of either, so it is a strike only once somebody
//! else has met it too: the key is suspect until its owner or one other caller has tried it, for a minute at most. A
//! caller whose request two keys refuse goes on with its own, and that answer judges all three. One caller alone neither
//! bans a key that it does not own nor strikes it twice (I22).

use std::sync::Arc;

use super::KeyPool;
use super::cell::Cell;
use super::commune::Presented;
use super::lease::Lease;
use super::ledger::Ledger;
use super::member::Member;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::{Health, Judge, State, Step};
use crate::outcome::{Fault, Outcome, Verdict};

/// So many callers may be one attacker. In a pool of more than ten times as many, a tenth of the members.
const FEW: usize = 5;

/// What a refusal has done to a key, for as long as the request that met it has not found out whose fault it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accusation {
    place: u32,
    before: Health,
    changed: Step,
}

impl Accusation {
    pub(super) fn new(place: u32, before: Health, after: Health) -> Self {
        Self { place, before, changed: after.changed() }
    }

    /// The key's health, if it is still what the refusal made of it.
    fn stands(&self, ledger: &Ledger) -> Option<Health> {
        let health = ledger.cell(self.place)?.health;
        (health.changed() == self.changed).then_some(health)
    }
}

impl Ledger {
    /// A member works though it was accused. Answers where its accuser stands, if that was one time too many.
    fn refute(&mut self, place: u32) -> Option<u32> {
        let accuser = self.cell_mut(place)?.clear_accuser()?;
        let cell = self.cells.iter_mut().flatten().find(|cell| cell.member.caller() == accuser)?;
        cell.has_wronged(place).then_some(cell.member.place)
    }
}

impl KeyPool {
    /// A request that keys had refused was refused with the caller's own too: it was the request. The keys are as they were,
    /// and the caller is on its own until its key has proved itself again.
    pub(crate) fn acquit(&self, accused: &[Accusation], presented: &Presented, now: Timestamp) {
        self.0.with(|ledger| {
            for accusation in accused {
                acquit(ledger, accusation, now);
            }
            self.0.isolate(ledger, presented.member(), now);
        });
    }

    /// A request was throttled with these keys, and with the caller's own too.
    pub(crate) fn join_fates(&self, throttled: &[Accusation], presented: &Presented) {
        self.0.with(|ledger| {
            if ledger.health_of(presented.member()).is_some()
                && let Some(cell) = ledger.cell_mut(presented.member().place)
            {
                cell.join_fate(throttled);
            }
        });
    }

    /// A request that keys had refused was accepted with the caller's own: they deserved their strikes.
    pub(crate) fn convict(&self, accused: &[Accusation], presented: &Presented, now: Timestamp) {
        self.0.with(|ledger| {
            for accusation in accused {
                convict(ledger, accusation, presented.caller(), (now, self.0.random.draw_other()));
            }
        });
    }
}

impl Shared {
    /// The health that a verdict leaves behind in a commune.
    pub(super) fn attribute(
        ledger: &mut Ledger,
        lease: &Lease,
        before: Health,
        verdict: &Verdict,
        (now, draw): (Timestamp, u64),
    ) -> Health {
        let foreign = verdict.fault() == Some(Fault::Key) && lease.is_foreign();
        match verdict.outcome {
            Outcome::Accepted if lease.proves() => free(ledger, lease, before, (now, draw)),
            Outcome::Rejected if foreign && before.state() == State::Active => suspect(ledger, lease, before, now),
            _ if foreign => strike(ledger, lease, before, verdict, (now, draw)),
            // Anybody gets a 2xx that proves nothing.
            Outcome::Accepted => before.judged(&Verdict::new(Outcome::Aborted), lease.step, &ledger.judge(now, draw)),
            _ => before.judged(verdict, lease.step, &ledger.judge(now, draw)),
        }
    }

    /// A clean answer has ended that only a good key gets: its strikes are cleared, and a newcomer joins.
    pub(super) fn prove(self: &Arc<Self>, lease: &Lease, now: Timestamp) {
        if self.commune.is_none() {
            return;
        }
        self.with(|ledger| match ledger.health_of(&lease.member) {
            Some(before) => {
                let after = before.proven(lease.step, ledger.next_step());
                if after != before {
                    let companions = ledger.cell_mut(lease.member.place).map(Cell::forgive).unwrap_or_default();
                    ledger.install(lease.member.place, after, now);
                    for companion in companions {
                        hasten(ledger, &companion, now);
                    }
                }
            }
            None if lease.member.is_stranger() => self.admit(ledger, &lease.member, now),
            None => {}
        });
    }

    /// A caller whose requests are refused whatever the key is on its own.
    fn isolate(&self, ledger: &mut Ledger, member: &Arc<Member>, now: Timestamp) {
        if ledger.health_of(member).is_some() {
            isolate(ledger, member.place, (now, self.random.draw_other()));
        }
    }
}

fn isolate(ledger: &mut Ledger, place: u32, (now, draw): (Timestamp, u64)) {
    let Some(before) = ledger.cell(place).map(|cell| cell.health) else { return };
    if before.state() == State::Active {
        let after = before.judged(&Verdict::new(Outcome::Rejected), before.changed(), &ledger.judge(now, draw));
        ledger.install(place, after, now);
    }
}

/// Frees a key that an answer speaks for. If it was accused, its accuser was wrong: one that hid whose fault it was, by
/// going away or by a body that cannot be sent again, is found out by the witnesses.
fn free(ledger: &mut Ledger, lease: &Lease, before: Health, (now, draw): (Timestamp, u64)) -> Health {
    let is_witness = before.is_suspected() && lease.step >= before.changed();
    if is_witness && let Some(accuser) = ledger.refute(lease.member.place) {
        isolate(ledger, accuser, (now, draw));
    }
    before.freed(lease.step, ledger.next_step())
}

fn suspect(ledger: &mut Ledger, lease: &Lease, before: Health, now: Timestamp) -> Health {
    if lease.step < before.changed() {
        return before;
    }
    if let Some(cell) = ledger.cell_mut(lease.member.place) {
        cell.accuse(lease.caller());
    }
    before.suspected(&ledger.judge(now, 0))
}

/// A strike by a caller that does not own the key: its first one counts, until the key has proved itself.
fn strike(
    ledger: &mut Ledger,
    lease: &Lease,
    before: Health,
    verdict: &Verdict,
    (now, draw): (Timestamp, u64),
) -> Health {
    let fresh = lease.step >= before.changed();
    let counts =
        fresh && lease.caller().is_none_or(|caller| counts(ledger, lease.member.place, caller, verdict.outcome));
    before.judged(verdict, lease.step, &Judge { counts, ..ledger.judge(now, draw) })
}

/// Whether a foreign caller's strike is one more. For rejections a few that agree are not enough to go beyond the first,
/// which is a key's rest for a minute: they may have agreed beforehand.
fn counts(ledger: &mut Ledger, place: u32, caller: Caller, outcome: Outcome) -> bool {
    let few = FEW.max(ledger.ids.len() / 10);
    let Some(cell) = ledger.cell_mut(place) else { return false };
    cell.note_striker(caller) && (outcome != Outcome::Rejected || cell.strikers().len() > few)
}

/// Takes back what a refusal did, unless something else has happened to the key since.
fn acquit(ledger: &mut Ledger, accusation: &Accusation, now: Timestamp) {
    let Some(health) = accusation.stands(ledger) else { return };
    let next = ledger.next_step();
    let before = accusation.before;
    let rolled_back = || Health::rolled_back(before.released(before.changed(), &ledger.judge(now, 0)), next);
    let innocent = if health.state() == State::Suspect { health } else { rolled_back() };
    ledger.install(accusation.place, innocent.acquitted(next), now);
}

/// A request was throttled with this key and with its caller's own, and the caller's own works all the same: it was the
/// request, as it is with a prompt too long for any key's minute. Else one caller could lay all keys to rest (I22).
fn hasten(ledger: &mut Ledger, accusation: &Accusation, now: Timestamp) {
    let Some(health) = accusation.stands(ledger) else { return };
    ledger.install(accusation.place, health.hastened(now, ledger.next_step()), now);
}

/// Makes a suspicion a strike.
fn convict(ledger: &mut Ledger, accusation: &Accusation, caller: Caller, (now, draw): (Timestamp, u64)) {
    let Some(health) = accusation.stands(ledger) else { return };
    if health.state() != State::Suspect {
        return;
    }
    let counts = counts(ledger, accusation.place, caller, Outcome::Rejected);
    let judge = Judge { counts, ..ledger.judge(now, draw) };
    let struck = health.judged(&Verdict::new(Outcome::Rejected), health.changed(), &judge);
    ledger.install(accusation.place, struck, now);
}
