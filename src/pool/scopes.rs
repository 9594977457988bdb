//! What rests that is not a key alone: a key for one model, the keys of one account, or all of them.
//!
//! All of these have the health of a key, with the same ladders, probes and steps. Stores remember them with the keys that
//! were refused: see [`rests`](super::rests).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::lane::LaneId;
use super::spot::Spot;
use crate::health::Health;

#[derive(Debug, Default)]
pub(super) struct Scopes {
    pub(super) pairs: BTreeMap<(u32, LaneId), Health>,
    /// How many pairs are not clean.
    pub(super) marked: usize,
    /// How many requests keys serve for one model, where that is limited.
    pub(super) busy: HashMap<(u32, LaneId), u32>,
    pub(super) groups: BTreeMap<u32, Group>,
    pub(super) numbers: HashMap<Box<str>, u32>,
    pub(super) next_group: u32,
    pub(super) pool: Health,
    /// The places of the keys that were refused for it.
    pool_bearers: BTreeSet<u32>,
}

/// The keys of one account.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) health: Health,
    places: BTreeSet<u32>,
    /// Those of them that were refused for it.
    bearers: BTreeSet<u32>,
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

    /// Where the keys stand that remember how a group or the pool is doing.
    pub(super) fn bearers(&self, spot: Spot) -> impl Iterator<Item = u32> {
        let bearers = match spot {
            Spot::Group(number) => self.groups.get(&number).map(|group| &group.bearers),
            Spot::Pool => Some(&self.pool_bearers),
            Spot::Key(_) | Spot::Pair(..) => None,
        };
        bearers.into_iter().flatten().copied()
    }

    fn bearers_mut(&mut self, spot: Spot) -> Option<&mut BTreeSet<u32>> {
        match spot {
            Spot::Group(number) => self.groups.get_mut(&number).map(|group| &mut group.bearers),
            Spot::Pool => Some(&mut self.pool_bearers),
            Spot::Key(_) | Spot::Pair(..) => None,
        }
    }

    /// The key at a place remembers how a group or the pool is doing.
    pub(super) fn bear(&mut self, spot: Spot, place: u32) {
        self.bearers_mut(spot).map(|bearers| bearers.insert(place));
    }

    /// It need not any more.
    pub(super) fn unburden(&mut self, spot: Spot, place: u32) {
        self.bearers_mut(spot).map(|bearers| bearers.remove(&place));
    }

    /// Nobody need.
    pub(super) fn relieve(&mut self, spot: Spot) {
        self.bearers_mut(spot).map(BTreeSet::clear);
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
    pub(super) fn leave(&mut self, number: u32, place: u32) -> bool {
        let Some(group) = self.groups.get_mut(&number) else { return false };
        group.places.remove(&place);
        let empty = group.places.is_empty();
        if empty {
            self.groups.remove(&number);
            self.numbers.retain(|_, other| *other != number);
        }
        empty
    }

    pub(super) fn set_pair(&mut self, place: u32, lane: LaneId, health: Health) {
        let old = self.pairs.insert((place, lane), health);
        self.marked += usize::from(!health.is_clean());
        self.marked -= usize::from(old.is_some_and(|old| !old.is_clean()));
        if self.pairs.len() - self.marked > Self::MOST_CLEAN {
            self.pairs.retain(|_, health| !health.is_clean());
        }
    }

    pub(super) fn remove_pair(&mut self, place: u32, lane: LaneId) {
        let old = self.pairs.remove(&(place, lane));
        self.marked -= usize::from(old.is_some_and(|old| !old.is_clean()));
    }
}
