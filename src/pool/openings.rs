//! Under the lock: who may have a member, how, and when.

use std::sync::Arc;
use std::time::Duration;

use super::cell::Cell;
use super::due::LOOK;
use super::lane::{Lane, Served};
use super::lease::Lease;
use super::ledger::{Ledger, standing};
use super::spot::Spot;
use super::tried::Tried;
use super::wish::{Asked, Wish};
use super::word::Standing;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::{Health, Reason, State};
use crate::outcome::Outcome;
use crate::secret::KeyId;

/// How a request may have a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Open,
    /// As the one that tries whether this works again.
    Probe(Spot),
}

/// How long what may happen any moment is said to take.
const ANY_MOMENT: Duration = Duration::from_secs(1);

impl Ledger {
    /// Who serves the model of a request; `None` if all members do.
    pub(super) fn lane_of(&mut self, wish: &Wish) -> Option<Arc<Lane>> {
        self.known_lane(wish).unwrap_or_else(|model| Some(self.tell_apart(&model)))
    }

    /// The same, if the model has been told apart before; else its name.
    pub(super) fn known_lane(&self, wish: &Wish) -> Result<Option<Arc<Lane>>, Arc<str>> {
        let Some(model) = &wish.model else { return Ok(None) };
        match self.roster.lanes.load().of(model, self.capacity.tells_models_apart()) {
            Served::Anybody => Ok(None),
            Served::By(lane) => Ok(Some(Arc::clone(lane))),
            Served::Unknown => Err(Arc::clone(model)),
        }
    }

    /// What a request for a model meets on its way to the member at a place, from the key to the pool.
    fn spots(&self, cell: &Cell, lane: Option<&Lane>) -> impl Iterator<Item = (Spot, Health)> + use<> {
        let place = cell.member.place;
        let pair = lane.map(|lane| (Spot::Pair(place, lane.id), self.scopes.pair(place, lane.id)));
        let group = cell.group.and_then(|number| Some((Spot::Group(number), self.scopes.group(number)?)));
        let key = Some((Spot::Key(place), cell.health));
        [key, pair, group, Some((Spot::Pool, self.scopes.pool()))].into_iter().flatten()
    }

    /// The member at a place, if the request has not tried it and it serves its model.
    fn candidate(&self, place: u32, asked: &Asked<'_>, lane: Option<&Lane>) -> Option<&Cell> {
        let cell = self.cell(place).filter(|_| !asked.tried.contains(place))?;
        lane.is_none_or(|lane| lane.serves(place)).then_some(cell)
    }

    /// How a request may have the member at a place now.
    pub(super) fn opening(
        &self,
        place: u32,
        asked: &Asked<'_>,
        lane: Option<&Lane>,
        now: Timestamp,
    ) -> Option<Opening> {
        let cell = self.candidate(place, asked, lane)?;
        let mut opening = Opening::Open;
        for (spot, health) in self.spots(cell, lane) {
            if standing(health) != Standing::Closed {
                continue;
            }
            if !may_be_tried(cell, spot, health, asked.wish.caller, now) {
                return None;
            }
            if opening == Opening::Open {
                opening = Opening::Probe(spot);
            }
        }
        self.has_room(cell, asked, lane, now).then_some(opening)
    }

    /// The member at a place, for a request that may have it so.
    pub(super) fn lease(&mut self, place: u32, opening: Opening, wish: Wish, now: Timestamp) -> Option<Lease> {
        match opening {
            Opening::Open => {
                let member = Arc::clone(&self.cell(place)?.member);
                self.enter(&member, &wish, now).then(|| Lease::new(member, self.step(), wish, None))
            }
            Opening::Probe(Spot::Key(place)) if self.clear_by_time(place, now) => {
                self.lease(place, Opening::Open, wish, now)
            }
            Opening::Probe(spot) => self.probe_at(place, spot, wish, now),
        }
    }

    fn probe_at(&mut self, place: u32, spot: Spot, wish: Wish, now: Timestamp) -> Option<Lease> {
        let member = Arc::clone(&self.cell(place)?.member);
        let health = self.health_at(spot)?.probed(&self.judge(now, 0));
        if !self.enter(&member, &wish, now) {
            return None;
        }
        self.install_at(spot, health, now);
        Some(Lease::new(member, health.changed(), wish, Some(spot)))
    }

    /// Ends a suspicion that nobody has borne out in its time. Answers whether there was one.
    pub(super) fn clear_by_time(&mut self, place: u32, now: Timestamp) -> bool {
        let Some(health) = self.cell(place).map(|cell| cell.health) else { return false };
        let over = health.is_cleared_by_time(now);
        if over {
            self.install(place, health.acquitted(self.next_step()), now);
        }
        over
    }

    /// A lease on what has rested long enough, or needs a witness, if this request may probe it: by way of one of the
    /// members at `only` these places, if any are given, and of no tier behind the one that serves it.
    pub(super) fn probe(&mut self, asked: &Asked<'_>, now: Timestamp, only: Option<&[u32]>) -> Option<Lease> {
        let lane = self.lane_of(asked.wish);
        let lane = lane.as_deref();
        let serving = self.roster.serving(lane, asked.tried).unwrap_or(u8::MAX);
        let due = self.due_now(lane, now).flat_map(|spot| self.ways_to(spot));
        let wanted = |&place: &u32| {
            only.is_none_or(|only| only.contains(&place))
                && self.cell(place).is_some_and(|cell| cell.member.tier() <= serving)
        };
        let opening = |place| Some((place, self.opening(place, asked, lane, now)?));
        let found = due.filter(wanted).find_map(opening);
        if found.is_none()
            && let Some(lane) = lane
            && !self.is_due_for(lane, serving, now)
        {
            lane.deafen(self.due_after(lane, now));
        }
        let (place, opening) = found?;
        self.lease(place, opening, asked.wish.clone(), now)
    }

    /// Whether some request of a lane, of which this tier serves, may probe something that is due.
    fn is_due_for(&self, lane: &Lane, serving: u8, now: Timestamp) -> bool {
        let mut due = self.due_now(Some(lane), now).flat_map(|spot| self.ways_to(spot));
        due.any(|place| lane.serves(place) && self.cell(place).is_some_and(|cell| cell.member.tier() <= serving))
    }

    /// A lease on any open member that was not tried, without asking the strategy.
    pub(super) fn any_open(&mut self, asked: &Asked<'_>, now: Timestamp) -> Option<Lease> {
        let lane = self.lane_of(asked.wish);
        let open = self.roster.each_open(lane.as_deref(), asked.tried).take(LOOK);
        let opening = |place| Some((place, self.opening(place, asked, lane.as_deref(), now)?));
        let (place, opening) = { open }.find_map(opening)?;
        self.lease(place, opening, asked.wish.clone(), now)
    }

    /// A lease on any member that a request may have now: what is open comes before what has to be tried.
    pub(super) fn any(&mut self, asked: &Asked<'_>, now: Timestamp) -> Option<Lease> {
        self.any_open(asked, now).or_else(|| self.probe(asked, now, None))
    }

    /// A lease on a member that is free or, if it is not, on another of its account.
    pub(super) fn lease_like(&mut self, id: KeyId, asked: &Asked<'_>, now: Timestamp) -> Option<Lease> {
        let lane = self.lane_of(asked.wish);
        let place = self.place_of(id)?;
        let group = self.cell(place)?.group;
        let others = group.into_iter().flat_map(|number| self.scopes.places(number));
        let free = |&place: &u32| self.opening(place, asked, lane.as_deref(), now) == Some(Opening::Open);
        let place = std::iter::once(place).chain(others).find(free)?;
        self.lease(place, Opening::Open, asked.wish.clone(), now)
    }

    /// Whether a member that was not tried can serve now.
    pub(super) fn has_untried(&mut self, asked: &Asked<'_>, now: Timestamp) -> bool {
        let lane = self.lane_of(asked.wish);
        let lane = lane.as_deref();
        let open = self.roster.each_open(lane, asked.tried).take(LOOK);
        let due = self.due_now(lane, now).flat_map(|spot| self.ways_to(spot)).filter(|_| !asked.tried.has_probed());
        open.chain(due).any(|place| self.opening(place, asked, lane, now).is_some())
    }

    /// Whether another request for the same would find a member.
    pub(super) fn has_open(&mut self, wish: &Wish, now: Timestamp) -> bool {
        let lane = self.lane_of(wish);
        let asked = Asked { wish, tried: &Tried::default() };
        let mut open = self.roster.each_open(lane.as_deref(), asked.tried).take(LOOK);
        open.any(|place| self.opening(place, &asked, lane.as_deref(), now) == Some(Opening::Open))
    }

    /// Whether no member serves the model of a request, or each has been told so by the provider.
    pub(super) fn is_unserved(&mut self, wish: &Wish) -> bool {
        let Some(lane) = self.lane_of(wish) else { return false };
        let forbidden = Some(Reason::Outcome(Outcome::Forbidden));
        let pairs = self.scopes.pairs_of(lane.id).filter(|(_, health)| health.reason() == forbidden);
        lane.count == pairs.filter(|(_, health)| standing(*health) == Standing::Closed).count()
    }

    /// When such a request may have a member that is not free now, if it takes its turn behind those who wait; `None` if
    /// none is to come free.
    pub(super) fn soonest(&mut self, asked: &Asked<'_>, now: Timestamp) -> Option<Timestamp> {
        let lane = self.lane_of(asked.wish);
        let lane = lane.as_deref();
        let free = self.not_free(lane).filter_map(|place| self.free_at(place, asked, lane, now)).min();
        free.map(|soonest| soonest.max(now) + self.time_for_queue(lane))
    }

    /// The members that may be waited for: those that rest, those that have been asked for all they may, and one that would be
    /// open but for what the pool as a whole may be asked for.
    pub(super) fn not_free(&self, lane: Option<&Lane>) -> impl Iterator<Item = u32> {
        let resting = self.due_spots(lane).flat_map(|spot| self.ways_to(spot)).take(LOOK);
        let spent = self.refills.places().filter(move |&place| lane.is_none_or(|lane| lane.serves(place))).take(LOOK);
        let busy = self.signals.is_limited.then(|| self.busy(lane)).into_iter().flatten();
        resting.chain(spent).chain(busy)
    }

    /// Members that serve as many requests as they may, and one that would be open.
    fn busy(&self, lane: Option<&Lane>) -> impl Iterator<Item = u32> {
        let cells = self.cells.iter().flatten().filter(|cell| cell.member.word.is_well());
        let serving =
            cells.map(|cell| cell.member.place).filter(move |&place| lane.is_none_or(|lane| lane.serves(place)));
        serving.take(LOOK)
    }

    /// When a request may have the member at a place, if that is not free now. What is being probed, or serves as many as it
    /// may, may be free any moment: a second.
    pub(super) fn free_at(
        &self,
        place: u32,
        asked: &Asked<'_>,
        lane: Option<&Lane>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let cell = self.candidate(place, asked, lane)?;
        let mut free = self.room_at(cell, asked, now).max(self.refills.at(place));
        for (_, health) in self.spots(cell, lane) {
            free = free.max(self.expected(health, now)?);
        }
        let busy = self.is_crowded(cell) || lane.is_some_and(|lane| self.is_pair_busy(place, lane.id));
        Some(if busy { free.max(now + ANY_MOMENT) } else { free })
    }

    /// When what rests will do so no more; `None` if it never will by itself.
    fn expected(&self, health: Health, now: Timestamp) -> Option<Timestamp> {
        match health.state() {
            State::Active => Some(Timestamp::ZERO),
            State::Probing => Some(health.until().min(now + ANY_MOMENT)),
            State::Resting => Some(self.renewal.as_ref().map_or(health.until(), |day| day.end_of(health))),
            State::Suspect => Some(health.until()),
            State::Retired => None,
        }
    }

    /// The members by way of which a thing can be probed.
    pub(super) fn ways_to(&self, spot: Spot) -> impl Iterator<Item = u32> {
        let (one, group) = match spot {
            Spot::Key(place) | Spot::Pair(place, _) => (Some(place), None),
            Spot::Group(number) => (None, Some(number)),
            Spot::Pool => (self.roster.any_open(None, &Tried::default()), None),
        };
        let group = group.into_iter().flat_map(|number| self.scopes.places(number));
        one.into_iter().chain(group)
    }
}

/// Whether a request on behalf of `caller` may try whether something that is closed works.
fn may_be_tried(cell: &Cell, spot: Spot, health: Health, caller: Option<Caller>, now: Timestamp) -> bool {
    match health.state() {
        State::Suspect => matches!(spot, Spot::Key(_)) && cell.may_be_tried_by(caller, now),
        _ => health.is_due(now),
    }
}
