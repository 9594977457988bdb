//! Under the lock: what comes free is handed to those who wait, first come first served (I14).

use super::lease::Lease;
use super::ledger::{Ledger, standing};
use super::openings::Opening;
use super::spot::Spot;
use super::tried::Tried;
use super::wish::{Asked, Wish};
use super::word::Standing;
use crate::clock::Timestamp;
use std::task::Waker;

impl Ledger {
    /// Gives a member that can serve to those who wait, first come first served: an open one to all who have not tried
    /// it, one whose rest is over to the first (I14, I16).
    pub(super) fn hand_out(&mut self, place: u32, now: Timestamp) {
        while let Some((ticket, wish, opening)) = self.first_waiting_for(place, now) {
            let Some(lease) = self.lease(place, opening, wish, now) else { return };
            self.give(ticket, lease);
        }
    }

    /// Hands a lease over.
    fn give(&mut self, ticket: u64, lease: Lease) {
        match self.queue.give(ticket, lease) {
            Ok(waker) => self.wakers.extend(waker),
            Err(lease) => self.returned.push(*lease),
        }
    }

    fn first_waiting_for(&self, place: u32, now: Timestamp) -> Option<(u64, Wish, Opening)> {
        let cell = self.cell(place)?;
        let rests = standing(cell.health) == Standing::Closed && cell.health.due().is_none_or(|due| due > now);
        if rests || self.refills.at(place) > now || self.is_crowded(cell) {
            return None;
        }
        self.queue.waiting().find_map(|(ticket, asked)| {
            let lane = self.known_lane(asked.wish).ok()?;
            let opening = self.opening(place, &asked, lane.as_deref(), now)?;
            Some((ticket, asked.wish.clone(), opening))
        })
    }

    /// Whether somebody would have a key if the pool as a whole had room.
    pub(super) fn somebody_waits_for_pool(&self) -> bool {
        self.queue.waiting().any(|(_, asked)| {
            self.known_lane(asked.wish).is_ok_and(|lane| self.roster.any_open(lane.as_deref(), asked.tried).is_some())
        })
    }

    /// Hands out what serves by way of a thing that rests no more, or that has come due.
    pub(super) fn hand_out_at(&mut self, spot: Spot, now: Timestamp) {
        match spot {
            Spot::Key(place) | Spot::Pair(place, _) => self.hand_out(place, now),
            Spot::Group(_) | Spot::Pool => self.serve_queue(now),
        }
    }

    /// Gives everybody who waits what there is.
    pub(super) fn serve_queue(&mut self, now: Timestamp) {
        if self.capacity.is_shut(now) {
            return;
        }
        let waiting: Vec<_> = self.queue.waiting().map(|(ticket, asked)| (ticket, asked.kept())).collect();
        for (ticket, (wish, tried)) in waiting {
            let asked = Asked { wish: &wish, tried: &tried };
            let Some(lease) = self.any(&asked, now) else { continue };
            self.give(ticket, lease);
        }
    }

    /// Hands out what has come due, as far as somebody who waits can have it.
    fn hand_out_due(&mut self, asked: &Asked<'_>, now: Timestamp) {
        let lane = self.lane_of(asked.wish);
        let lane = lane.as_deref();
        let can_have = |&spot: &Spot| self.ways_to(spot).any(|place| self.opening(place, asked, lane, now).is_some());
        let due: Vec<Spot> = self.due_now(lane, now).filter(can_have).take(Tried::MOST + 1).collect();
        for spot in due {
            self.hand_out_at(spot, now);
        }
    }

    /// Joins the queue, unless it is full. Between the checkout that failed and this a key may have come free: then it is
    /// handed over at once.
    pub(super) fn join_queue(&mut self, asked: &Asked<'_>, now: Timestamp) -> Option<u64> {
        let ticket = self.queue.join(asked)?;
        if let Some(lease) = self.any(asked, now) {
            self.give(ticket, lease);
        }
        Some(ticket)
    }

    /// When somebody who waits should look again, or `None` if a lease lies ready. Of those who wait for the same, only
    /// the first looks at the clock; the others are woken when they have become the first.
    pub(super) fn look(&mut self, ticket: u64, waker: &Waker, now: Timestamp) -> Option<Timestamp> {
        let (wish, tried) = self.queue.asked(ticket)?.kept();
        self.refill_due(now);
        let asked = Asked { wish: &wish, tried: &tried };
        self.hand_out_due(&asked, now);
        if !self.queue.look(ticket, waker)? {
            return Some(Timestamp::MAX);
        }
        // Of an open key there may be enough now: of its tokens, or of what the pool may be asked for.
        if self.signals.is_limited
            && let Some(lease) = self.any_open(&asked, now)
        {
            self.give(ticket, lease);
            return None;
        }
        let lane = self.lane_of(&wish);
        let lane = lane.as_deref();
        let is_busy = |place: &u32| self.cell(*place).is_none_or(|cell| self.is_crowded(cell));
        let free = self.not_free(lane).filter(|place| !is_busy(place));
        let later = free.filter_map(|place| self.free_at(place, &asked, lane, now)).filter(|&free| free > now);
        Some(later.min().unwrap_or(Timestamp::MAX))
    }
}
