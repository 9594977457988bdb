//! What rests that is not a key alone: a key for one model, the keys of one account, or all of them.
//!
//! All of these have the health of a key, with the same ladders, probes and steps. They are not remembered by stores: after a
//! restart the next answer tells.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cell::Cell;
use super::lane::{Lane, LaneId};
use super::lease::Lease;
use super::ledger::{Ledger, standing};
use super::snapshot::Rest;
use super::spot::Spot;
use super::word::Standing;
use crate::clock::Timestamp;
use crate::health::{Health, Judge, State};
use crate::outcome::{Fault, Outcome, Scope, Verdict};
use crate::secret::KeyId;

#[derive(Debug, Default)]
pub(super) struct Scopes {
    pairs: BTreeMap<(u32, LaneId), Health>,
    /// How many pairs are not clean.
    marked: usize,
    /// How many requests keys serve for one model, where that is limited.
    busy: HashMap<(u32, LaneId), u32>,
    groups: BTreeMap<u32, Group>,
    numbers: HashMap<Box<str>, u32>,
    next_group: u32,
    pool: Health,
}

/// The keys of one account.
#[derive(Debug, Default)]
struct Group {
    health: Health,
    places: BTreeSet<u32>,
}

impl Scopes {
    /// So many pairs that are clean again are kept for their steps.
    const MOST_CLEAN: usize = 16_384;

    pub(super) fn pair(&self, place: u32, lane: LaneId) -> Health {
        self.pairs.get(&(place, lane)).copied().unwrap_or_default()
    }

    pub(super) fn group(&self, number: u32) -> Option<Health> {
        self.groups.get(&number).map(|group| group.health)
    }

    pub(super) fn pool(&self) -> Health {
        self.pool
    }

    /// Where the keys of a group stand.
    pub(super) fn places(&self, group: u32) -> impl Iterator<Item = u32> {
        self.groups.get(&group).into_iter().flat_map(|group| group.places.iter().copied())
    }

    /// How each key that has something with a model is doing for it.
    pub(super) fn pairs_of(&self, lane: LaneId) -> impl Iterator<Item = (u32, Health)> {
        self.pairs.iter().filter(move |((_, other), _)| *other == lane).map(|(&(place, _), &health)| (place, health))
    }

    /// Everything that has a health of its own besides keys.
    pub(super) fn spots(&self) -> impl Iterator<Item = Spot> {
        let pairs = self.pairs.keys().map(|&(place, lane)| Spot::Pair(place, lane));
        pairs.chain(self.groups.keys().copied().map(Spot::Group)).chain([Spot::Pool])
    }

    /// How a key is doing for the models that it has something with.
    pub(super) fn pairs_at(&self, place: u32) -> impl Iterator<Item = (LaneId, Health)> {
        self.pairs.range((place, 0)..=(place, LaneId::MAX)).map(|(&(_, lane), &health)| (lane, health))
    }

    /// How many requests a key serves for a model.
    pub(super) fn busy(&self, place: u32, lane: LaneId) -> u32 {
        self.busy.get(&(place, lane)).copied().unwrap_or(0)
    }

    pub(super) fn busy_with(&self, lane: LaneId) -> impl Iterator<Item = u32> {
        self.busy.keys().filter(move |(_, other)| *other == lane).map(|&(place, _)| place)
    }

    pub(super) fn occupy(&mut self, place: u32, lane: LaneId) {
        *self.busy.entry((place, lane)).or_default() += 1;
    }

    /// One request for the model less. Answers whether it was counted.
    pub(super) fn vacate(&mut self, place: u32, lane: LaneId) -> bool {
        let Some(count) = self.busy.get_mut(&(place, lane)) else { return false };
        *count -= 1;
        if *count == 0 {
            self.busy.remove(&(place, lane));
        }
        true
    }

    /// Puts the key at a place into a group.
    pub(super) fn enter(&mut self, name: &str, place: u32) -> u32 {
        let next = &mut self.next_group;
        let number = *self.numbers.entry(name.into()).or_insert_with(|| {
            *next += 1;
            *next
        });
        self.groups.entry(number).or_default().places.insert(place);
        number
    }

    /// Takes the key at a place out of its group. Answers whether that was the last.
    fn leave(&mut self, number: u32, place: u32) -> bool {
        let Some(group) = self.groups.get_mut(&number) else { return false };
        group.places.remove(&place);
        let empty = group.places.is_empty();
        if empty {
            self.groups.remove(&number);
            self.numbers.retain(|_, other| *other != number);
        }
        empty
    }

    fn set_pair(&mut self, place: u32, lane: LaneId, health: Health) {
        let old = self.pairs.insert((place, lane), health);
        self.marked += usize::from(!health.is_clean());
        self.marked -= usize::from(old.is_some_and(|old| !old.is_clean()));
        if self.pairs.len() - self.marked > Self::MOST_CLEAN {
            self.pairs.retain(|_, health| !health.is_clean());
        }
    }

    fn remove_pair(&mut self, place: u32, lane: LaneId) {
        let old = self.pairs.remove(&(place, lane));
        self.marked -= usize::from(old.is_some_and(|old| !old.is_clean()));
    }
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

    /// Puts a new health in place of the old one.
    pub(super) fn install_at(&mut self, spot: Spot, health: Health, now: Timestamp) {
        if let Spot::Key(place) = spot {
            return self.install(place, health, now);
        }
        let Some(old) = self.health_at(spot).filter(|old| *old != health) else { return };
        self.reschedule(spot, old, health);
        self.set_scope(spot, health);
        self.publish_step(old, health);
        self.hand_out_at(spot, now);
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
        self.signals.set_scopes(standing(self.scopes.pool), self.scopes.marked);
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
        if let Some(number) = group {
            let health = self.scopes.group(number).unwrap_or_default();
            if self.scopes.leave(number, place) {
                self.unschedule(Spot::Group(number), health);
            }
        }
        self.tell_scopes();
    }

    /// Holds nothing against a key any more for any model.
    pub(super) fn clear_pairs(&mut self, id: KeyId, now: Timestamp) {
        let Some(place) = self.place_of(id) else { return };
        let lanes: Vec<_> = self.scopes.pairs_at(place).map(|(lane, _)| lane).collect();
        for lane in lanes {
            self.install_at(Spot::Pair(place, lane), Health::cleared(self.next_step()), now);
        }
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
