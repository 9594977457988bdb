//! What a limit hangs on, and so what rests: a key, a key for one model, the keys of one account, or all.

use super::cell::Cell;
use super::lane::{Lane, LaneId};
use super::lease::Lease;
use super::ledger::{Ledger, standing};
use super::snapshot::Rest;
use super::word::Standing;
use crate::clock::Timestamp;
use crate::health::{Health, Judge, State};
use crate::outcome::{Fault, Outcome, Scope, Verdict};

/// A thing in the books that has a health of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// Every key.
    Pool,
    /// The keys of one account, by the number of their group.
    Group(u32),
    /// The key at a place.
    Key(u32),
    /// The key at a place, for one model.
    Pair(u32, LaneId),
}

impl Ledger {
    /// What a verdict strikes. A limit for one model strikes the key where it is not known for which.
    pub(super) fn struck_by(&mut self, lease: &Lease, verdict: &Verdict) -> Option<Spot> {
        if verdict.fault() != Some(Fault::Key) {
            return None;
        }
        let place = lease.member.place;
        let group = self.cell(place)?.group;
        match (self.penalties.scope(verdict), &lease.wish.model) {
            (Scope::Pool, _) => Some(Spot::Pool),
            (Scope::Group, _) => Some(group.map_or(Spot::Key(place), Spot::Group)),
            (Scope::KeyModel, Some(model)) => Some(Spot::Pair(place, self.tell_apart(model).id)),
            (Scope::KeyModel, None) if verdict.outcome == Outcome::Forbidden => None,
            (Scope::Key | Scope::KeyModel, _) => Some(Spot::Key(place)),
        }
    }

    /// Acts on what an answer said about anything but the key of its lease.
    pub(super) fn settle_scopes(
        &mut self,
        lease: &Lease,
        verdict: &Verdict,
        struck: Option<Spot>,
        (now, draw): (Timestamp, u64),
    ) {
        for spot in self.scopes_of(lease) {
            let heard = match verdict.outcome {
                Outcome::Accepted if lease.proves() => *verdict,
                _ if struck == Some(spot) => *verdict,
                _ if lease.probe == Some(spot) => Verdict::new(Outcome::Aborted),
                _ => continue,
            };
            let Some(before) = self.health_at(spot) else { continue };
            let judge = Judge { counts: !lease.is_foreign(), ..self.judge(now, draw) };
            let after = before.judged(&heard, lease.step, &judge);
            if struck == Some(spot) && !after.is_clean() && self.scopes.bearers(spot).next().is_none() {
                self.scopes.bear(spot, lease.member.place);
            }
            self.install_at(spot, after, now);
            if struck == Some(spot) {
                self.lock_out(spot, now);
            }
        }
    }

    /// What a lease is on besides its key.
    fn scopes_of(&self, lease: &Lease) -> impl Iterator<Item = Spot> + use<> {
        let place = lease.member.place;
        let lanes = self.roster.lanes.load();
        let lane = lease.wish.model.as_ref().and_then(|model| lanes.named(model));
        let group = self.cell(place).and_then(|cell| cell.group);
        [lane.map(|lane| Spot::Pair(place, lane.id)), group.map(Spot::Group), Some(Spot::Pool)].into_iter().flatten()
    }

    /// A key that has come to the end of its ladder for too many models rests for all.
    fn lock_out(&mut self, spot: Spot, now: Timestamp) {
        let Spot::Pair(place, _) = spot else { return };
        let Some(lockout) = self.penalties.lockout_rule() else { return };
        let spent = self.scopes.pairs_at(place).filter(|(_, health)| self.penalties.is_at_end(health)).count();
        let Some(before) = self.cell(place).map(|cell| cell.health) else { return };
        if spent >= lockout.models && before.state() == State::Active {
            let after = before.locked_out(now + lockout.rest, self.next_step());
            self.install(place, after, now);
        }
    }

    /// How a thing is doing; `None` if it is no more.
    pub(super) fn health_at(&self, spot: Spot) -> Option<Health> {
        match spot {
            Spot::Key(place) => self.cell(place).map(|cell| cell.health),
            Spot::Pair(place, lane) => self.cell(place).map(|_| self.scopes.pair(place, lane)),
            Spot::Group(number) => self.scopes.group(number),
            Spot::Pool => Some(self.scopes.pool()),
        }
    }

    /// What rests of a member besides itself: its account first.
    pub(super) fn rests_of(&self, cell: &Cell) -> Vec<Rest> {
        let lanes = self.roster.lanes.load();
        let group = cell.group.and_then(|number| Rest::of(Scope::Group, None, self.scopes.group(number)?));
        let pairs = self.scopes.pairs_at(cell.member.place);
        let pairs = pairs.filter_map(|(lane, health)| Rest::of(Scope::KeyModel, lanes.name_of(lane), health));
        group.into_iter().chain(pairs).collect()
    }

    /// Puts a new health in place of the old one, for a store to be told of.
    pub(super) fn install_at(&mut self, spot: Spot, health: Health, now: Timestamp) {
        if let Spot::Key(place) = spot {
            return self.install(place, health, now);
        }
        if self.health_at(spot).is_some_and(|old| old != health) {
            self.remember(spot, health, now);
            self.put_at(spot, health, now);
        }
    }

    /// Puts a new health in place of the old one of anything but a key.
    pub(super) fn put_at(&mut self, spot: Spot, health: Health, now: Timestamp) {
        let Some(old) = self.health_at(spot).filter(|old| *old != health) else { return };
        self.reschedule(spot, old, health);
        self.set_scope(spot, health);
        self.publish_step(old, health);
        self.note_opened(spot, now);
    }

    fn set_scope(&mut self, spot: Spot, health: Health) {
        match spot {
            Spot::Key(_) => {}
            Spot::Pair(place, lane) => {
                self.scopes.set_pair(place, lane, health);
                self.mark_pair(place, lane);
            }
            Spot::Group(number) => {
                if let Some(group) = self.scopes.groups.get_mut(&number) {
                    group.health = health;
                }
                let places: Vec<u32> = self.scopes.places(number).collect();
                for place in places {
                    self.refresh(place);
                }
            }
            Spot::Pool => self.scopes.pool = health,
        }
        self.tell_scopes();
    }

    /// Tells those who read without the lock what there is besides keys.
    fn tell_scopes(&self) {
        self.signals.mood.set_scopes(standing(self.scopes.pool), self.scopes.marked > 0);
    }

    /// Brings the bits of a key for one model up to date.
    pub(super) fn mark_pair(&self, place: u32, lane: LaneId) {
        let lanes = self.roster.lanes.load();
        if let Some(lane) = lanes.by_id(lane) {
            self.judge_pair(lane, place);
            lane.mark(&self.roster.tiers, place, self.roster.open.get(place as usize));
        }
    }

    /// Tells a lane how a key is doing for its model.
    pub(super) fn judge_pair(&self, lane: &Lane, place: u32) {
        let health = self.scopes.pair(place, lane.id);
        let closed = standing(health) == Standing::Closed || self.is_pair_busy(place, lane.id);
        lane.judge(place, closed, !health.is_clean());
    }

    /// The key at a place goes, and all that hung on it.
    pub(super) fn forget_scopes(&mut self, place: u32, group: Option<u32>) {
        let lanes: Vec<_> = self.scopes.pairs_at(place).collect();
        for (lane, health) in lanes {
            self.unschedule(Spot::Pair(place, lane), health);
            self.scopes.remove_pair(place, lane);
        }
        self.scopes.busy.retain(|(other, _), _| *other != place);
        self.scopes.unburden(Spot::Pool, place);
        if let Some(number) = group {
            self.scopes.unburden(Spot::Group(number), place);
            let health = self.scopes.group(number).unwrap_or_default();
            if self.scopes.leave(number, place) {
                self.unschedule(Spot::Group(number), health);
            }
        }
        self.tell_scopes();
    }

    /// No model is told apart any more by this number.
    pub(super) fn forget_lane(&mut self, lane: LaneId) {
        let pairs: Vec<_> = self.scopes.pairs_of(lane).collect();
        for (place, health) in pairs {
            self.unschedule(Spot::Pair(place, lane), health);
            self.scopes.remove_pair(place, lane);
        }
        self.scopes.busy.retain(|(_, other), _| *other != lane);
        self.tell_scopes();
    }
}
