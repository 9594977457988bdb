//! What rests beside a key, for one model or with others, is remembered with the key that was refused for it, and comes
//! back with it.
//!
//! Of the keys of an account the first one that is refused bears its rest until that is over, and so it is with the rest of
//! all keys. After a restart, or by way of replicas, several may: then the longest rest stands.

use super::cell::Cell;
use super::lane::Lanes;
use super::ledger::Ledger;
use super::spot::Spot;
use crate::clock::Timestamp;
use crate::health::Health;
use crate::record::{Rest, RestOf, Rests};
use crate::secret::KeyId;

impl Ledger {
    /// Has those who bear it remember how a thing is doing from now on.
    pub(super) fn remember(&mut self, spot: Spot, health: Health, now: Timestamp) {
        let places: Vec<u32> = match spot {
            Spot::Key(_) => return,
            Spot::Pair(place, _) => vec![place],
            Spot::Group(_) | Spot::Pool => self.scopes.bearers(spot).collect(),
        };
        for place in places {
            let Some(of) = self.cell(place).and_then(|cell| self.rest_of(spot, cell)) else { continue };
            let revised = self.cell_mut(place).is_some_and(|cell| cell.revise_rest(of, health.condition(), now));
            if revised {
                self.changes.note(place);
            }
        }
        if health.is_clean() {
            self.scopes.relieve(spot);
        }
    }

    /// Takes over what is remembered with a key, as far as it is new.
    pub(super) fn recall(&mut self, place: u32, rests: Rests, now: Timestamp) {
        let Some(cell) = self.cell_mut(place) else { return };
        let is_known = |rest: &&Rest| cell.rests().and_then(|known| known.of(&rest.of)) == Some(rest);
        let news: Vec<Rest> = rests.iter().filter(|rest| !is_known(rest)).cloned().collect();
        cell.set_rests(rests);
        for rest in news {
            self.hear(place, &rest, now);
        }
    }

    fn hear(&mut self, place: u32, rest: &Rest, now: Timestamp) {
        let Some(spot) = self.spot_of(place, rest) else { return };
        let Some(before) = self.health_at(spot) else { return };
        let told = self.restored(rest, now);
        if told.is_clean() {
            self.scopes.unburden(spot, place);
        } else {
            self.scopes.bear(spot, place);
        }
        let after = self.longest_borne(spot, now).unwrap_or(told);
        if after.condition() != before.condition() {
            self.put_at(spot, after, now);
        }
        self.renew_late(spot, rest.since, now);
    }

    fn restored(&self, rest: &Rest, now: Timestamp) -> Health {
        Health::restored(rest.condition, &self.judge(now, 0))
    }

    /// The longest rest of a group or the pool that keys remember.
    fn longest_borne(&self, spot: Spot, now: Timestamp) -> Option<Health> {
        let borne = |place| {
            let cell = self.cell(place)?;
            Some(self.restored(cell.rests()?.of(&self.rest_of(spot, cell)?)?, now))
        };
        self.scopes.bearers(spot).filter_map(borne).max_by_key(Health::condition)
    }

    /// What a key is to remember a thing as.
    fn rest_of(&self, spot: Spot, cell: &Cell) -> Option<RestOf> {
        match spot {
            Spot::Key(_) => None,
            Spot::Pair(_, lane) => self.roster.lanes.load().name_of(lane).map(|name| RestOf::Model(name.into())),
            Spot::Group(_) => cell.member.key.group_name().map(|name| RestOf::Group(name.into())),
            Spot::Pool => Some(RestOf::Pool),
        }
    }

    /// What a key means by what it remembers: nothing, if it is of another account by now. For a rest a model is told apart as
    /// long as there is room.
    fn spot_of(&mut self, place: u32, rest: &Rest) -> Option<Spot> {
        match &rest.of {
            RestOf::Model(name) => {
                let has_room = self.roster.lanes.load().len() < Lanes::MOST;
                let known = self.lane_named(name);
                let lane =
                    known.or_else(|| (has_room && !rest.is_clear()).then(|| self.tell_apart(&(**name).into()).id));
                lane.map(|lane| Spot::Pair(place, lane))
            }
            RestOf::Group(name) => {
                let cell = self.cell(place).filter(|cell| cell.member.key.group_name() == Some(name))?;
                cell.group.map(Spot::Group)
            }
            RestOf::Pool => Some(Spot::Pool),
        }
    }

    /// Holds nothing against a key any more for any model, nor against others for what it was refused for.
    pub(super) fn clear_rests(&mut self, id: KeyId, now: Timestamp) {
        let Some(place) = self.place_of(id) else { return };
        let pairs = self.scopes.pairs_at(place).map(|(lane, _)| Spot::Pair(place, lane));
        let group = self.cell(place).and_then(|cell| cell.group).map(Spot::Group);
        let shared = group.into_iter().chain([Spot::Pool]);
        let borne = shared.filter(|&spot| self.scopes.bearers(spot).any(|bearer| bearer == place));
        for spot in pairs.chain(borne).collect::<Vec<_>>() {
            self.install_at(spot, Health::cleared(self.next_step()), now);
        }
        if self.cell_mut(place).is_some_and(|cell| cell.clear_rests(now)) {
            self.changes.note(place);
        }
    }
}
