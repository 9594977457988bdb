//! Checkout: the best key for a request. Where nothing is special about the request or the pool, a few loads tell so.

use std::sync::Arc;

use super::Exhausted;
use super::lane::{Lane, Served};
use super::lease::Lease;
use super::ledger::Ledger;
use super::member::Member;
use super::roster::Roster;
use super::shared::Shared;
use super::strategy::Strategy;
use super::tried::Tried;
use super::view::{Question, View};
use super::wish::{Asked, Wish};
use crate::clock::Timestamp;
use crate::demand::Demand;
use crate::health::Step;
use crate::select::better_of_two;

/// How often a strategy is asked again because the member it chose has just closed, before any open one will do.
const ASKS: usize = 3;

impl Shared {
    /// A lease for a request, if a key can serve it now.
    #[inline]
    pub(super) fn checkout(&self, demand: &Demand, tried: &mut Tried, now: Timestamp) -> Result<Lease, Exhausted> {
        tried.begin(self.signals.mood.in_outage());
        let due = self.signals.is_due(now);
        if due {
            self.refill_if_due(now);
        }
        if self.signals.is_limited && self.must_queue() {
            return Err(self.exhausted(demand, Some(tried), now));
        }
        if demand.previous_response_id().is_some()
            && let Some(lease) = self.follow(demand, tried, now)
        {
            return Ok(lease);
        }
        let roster = self.roster.load();
        let apart = || roster.has_lanes() || self.capacity.tells_models_apart();
        let lane = demand.shared_model().filter(|_| apart()).and_then(|model| self.lane(&roster, model));
        let lane = lane.as_deref();
        let due = lane.map_or(due, |lane| lane.is_due(self.signals.next_due(), now));
        if due && let Some(lease) = self.probe((&roster, lane), demand, tried, now) {
            return Ok(lease);
        }
        if let Some((member, step)) = self.select((&roster, lane), demand, tried, now) {
            let mut lease = Lease::new(member, step, Wish::of(demand), None);
            lease.begin(tried, now);
            return Ok(lease);
        }
        self.any(demand, tried, now).ok_or_else(|| self.exhausted(demand, Some(tried), now))
    }

    /// Opens the members that can be asked again.
    #[cold]
    fn refill_if_due(&self, now: Timestamp) {
        if self.signals.is_refill_due(now) {
            self.refill(now);
        }
    }

    /// Who serves a model, if not all members do.
    #[inline(never)]
    fn lane(&self, roster: &Roster, model: &Arc<str>) -> Option<Arc<Lane>> {
        match roster.lanes.load().of(model, self.capacity.tells_models_apart()) {
            Served::Anybody => None,
            Served::By(lane) => Some(Arc::clone(lane)),
            Served::Unknown => self.with(|ledger| Some(ledger.tell_apart(model))),
        }
    }

    /// A member that has been entered, and the step for its lease.
    #[inline]
    fn select(
        &self,
        (roster, lane): (&Roster, Option<&Lane>),
        demand: &Demand,
        tried: &Tried,
        now: Timestamp,
    ) -> Option<(Arc<Member>, Step)> {
        if tried.is_full() || self.signals.mood.is_pool_closed() {
            return None;
        }
        let mut random = if tried.count() == 0 { self.random.draw() } else { self.random.draw_other() };
        for _ in 0..ASKS {
            let member = self.choose(Question { roster, lane, tried, demand, pool: self, now, random })?;
            // In this order: see the module of `Word`.
            let step = self.signals.step();
            match member.word.enter() {
                Ok((in_flight, paced))
                    if !(self.signals.is_limited || paced) || self.lets_in(member, in_flight, demand, now) =>
                {
                    return Some((Arc::clone(member), step));
                }
                Err(true) => self.give_room(member.place, now),
                _ => {}
            }
            random = self.random.draw_other();
        }
        None
    }

    #[inline(never)]
    fn lets_in(&self, member: &Arc<Member>, in_flight: u32, demand: &Demand, now: Timestamp) -> bool {
        self.let_in(member, in_flight, &Wish::of(demand), now)
    }

    /// A member to take: without a detour where all members are equal, and the strategy is the default.
    #[inline]
    fn choose<'a>(&self, question: Question<'a>) -> Option<&'a Arc<Member>> {
        let roster = question.roster;
        if question.lane.is_some() || !roster.tiers.is_empty() || !matches!(self.strategy, Strategy::TwoChoices) {
            // A copy: so the question itself need not be in memory.
            return self.ask(&Question { ..question });
        }
        roster.member(better_of_two(&View::new(roster, &roster.open, &question))?)
    }

    #[inline(never)]
    fn ask<'a>(&self, question: &Question<'a>) -> Option<&'a Arc<Member>> {
        let place = self.strategy.choose(question).filter(|&place| !question.tried.contains(place))?;
        // The lane may be of a roster that is newer than ours.
        let serves = question.lane.is_none_or(|lane| lane.serves(place));
        question.roster.member(place as usize).filter(|_| serves)
    }

    /// A lease on what has rested long enough, if that is what has come due.
    #[cold]
    fn probe(
        &self,
        (roster, lane): (&Roster, Option<&Lane>),
        demand: &Demand,
        tried: &mut Tried,
        now: Timestamp,
    ) -> Option<Lease> {
        if tried.has_probed() || (lane.is_none() && now < self.signals.next_probe()) {
            return None;
        }
        let homes = self.strategy.homes(&Question { roster, lane, tried, demand, pool: self, now, random: 0 });
        let is_open = |&home: &u32| self.is_open(roster, lane, home);
        if homes.as_ref().is_some_and(|homes| homes.iter().all(is_open)) {
            return None;
        }
        self.lease_by(demand, tried, now, |ledger, asked| ledger.probe(asked, now, homes.as_deref()))
    }

    /// The key that gave the response which a request follows or, of its account, another; if one is free.
    #[cold]
    fn follow(&self, demand: &Demand, tried: &mut Tried, now: Timestamp) -> Option<Lease> {
        let owner = self.owner_of_response(demand)?;
        self.lease_by(demand, tried, now, |ledger, asked| ledger.lease_like(owner, asked, now))
    }

    /// Whether there is no reason to probe the member at a place.
    fn is_open(&self, roster: &Roster, lane: Option<&Lane>, place: u32) -> bool {
        let member_is_open = roster.member(place as usize).is_none_or(|member| member.word.is_open());
        member_is_open && !lane.is_some_and(|lane| lane.is_closed(place)) && !self.signals.mood.is_pool_closed()
    }

    /// The strategy found nothing, or nothing that was still open: under the lock the books are exact.
    #[cold]
    fn any(&self, demand: &Demand, tried: &mut Tried, now: Timestamp) -> Option<Lease> {
        if tried.is_full() {
            return None;
        }
        self.lease_by(demand, tried, now, |ledger, asked| ledger.any(asked, now))
    }

    /// What the books give to a request.
    fn lease_by(
        &self,
        demand: &Demand,
        tried: &mut Tried,
        now: Timestamp,
        give: impl FnOnce(&mut Ledger, &Asked<'_>) -> Option<Lease>,
    ) -> Option<Lease> {
        let wish = Wish::of(demand);
        let mut lease = self.with(|ledger| give(ledger, &Asked { wish: &wish, tried }))?;
        lease.begin(tried, now);
        Some(lease)
    }
}
