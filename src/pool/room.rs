//! Who has room for a request: members are closed when they have none left, and opened again.

use super::cell::Cell;
use super::lane::{Lane, LaneId};
use super::lease::Lease;
use super::ledger::Ledger;
use super::member::Member;
use super::refills::Source;
use super::shared::Shared;
use super::wish::{Asked, Wish};
use super::word::Full;
use crate::clock::Timestamp;
use std::sync::Arc;
use std::time::Duration;

impl Shared {
    /// Whether a member that has been entered has room for the request. If not, the request leaves it.
    #[inline(never)]
    pub(super) fn let_in(&self, member: &Arc<Member>, in_flight: u32, wish: &Wish, now: Timestamp) -> bool {
        let capacity = &self.capacity;
        match capacity.take(member, in_flight, wish.tokens, now) {
            Ok(ready)
                if ready <= now
                    && !capacity.tells_models_apart()
                    && !capacity.is_crowded(in_flight)
                    && !member.word.is_paced() =>
            {
                true
            }
            taken => self.with(|ledger| {
                let fits = ledger.note_entry(member, taken, wish, now);
                if !fits && capacity.limits_pool() {
                    // What it seemed to take while it looked may be what somebody waits for.
                    ledger.serve_queue(now);
                }
                fits
            }),
        }
    }

    /// A lease ends: what it has taken up is free again.
    #[cold]
    pub(super) fn vacate(&self, lease: &Lease, now: Timestamp) {
        let tokens = lease.wish.tokens;
        if lease.was_sent() {
            self.capacity.charge(&lease.member, tokens, lease.tokens_used(), now);
        } else {
            self.capacity.refund(&lease.member, tokens, (lease.sent_at().unwrap_or(now), now));
        }
        let is_awaited = lease.member.word.is_spent() || self.signals.has_waiting();
        if self.capacity.tells_models_apart() || self.capacity.limits_pool() || is_awaited {
            self.with(|ledger| ledger.vacate(lease, now));
        }
    }

    /// The provider says that nothing is left of a key for so long.
    #[cold]
    pub(super) fn avoid(&self, member: &Arc<Member>, wait: Duration, now: Timestamp) {
        self.with(|ledger| {
            let wait = wait.min(ledger.penalties.longest_hint());
            // What has been learned of a key is nearer to the truth than a rest that may be meant for all of it.
            let applies = ledger.health_of(member).is_some() && !member.word.is_paced();
            if applies && !wait.is_zero() {
                if self.learns_pace {
                    ledger.heed_pace(member, wait, now);
                } else {
                    ledger.close_until(member.place, now + wait, Source::Answer);
                }
            }
        });
    }

    /// Whether somebody waits for room in the pool as a whole, which this request would take.
    #[inline(never)]
    pub(super) fn must_queue(&self) -> bool {
        self.capacity.limits_pool()
            && self.signals.has_waiting()
            && self.with(|ledger| ledger.somebody_waits_for_pool())
    }

    /// One request less: somebody may have waited for that.
    #[cold]
    pub(super) fn give_room(&self, place: u32, now: Timestamp) {
        self.with(|ledger| ledger.give_room(place, now));
    }

    /// Opens the members that can be asked again.
    #[cold]
    pub(super) fn refill(&self, now: Timestamp) {
        self.with(|ledger| ledger.refill_due(now));
    }
}

impl Ledger {
    /// A member was entered, and something of its room is used up, or there was none. Answers whether the request may have
    /// it; if not, it leaves the member.
    fn note_entry(
        &mut self,
        member: &Arc<Member>,
        taken: Result<Timestamp, Timestamp>,
        wish: &Wish,
        now: Timestamp,
    ) -> bool {
        let mut fits = taken.is_ok();
        if fits && !self.occupy_pair(member.place, wish) {
            self.capacity.refund(member, wish.tokens, (now, now));
            fits = false;
        }
        if !fits {
            self.leave(member, now);
        }
        let (Ok(ready) | Err(ready)) = taken;
        self.close_if_full(member, ready, now);
        if fits && member.word.is_paced() {
            self.keep_pace(member, now);
        }
        fits
    }

    fn leave(&mut self, member: &Arc<Member>, now: Timestamp) {
        if member.word.undo() {
            self.give_room(member.place, now);
        }
    }

    /// Closes a member that can be asked again only later, or only once it serves fewer.
    fn close_if_full(&mut self, member: &Arc<Member>, ready: Timestamp, now: Timestamp) {
        if self.health_of(member).is_none() {
            return;
        }
        if ready > now {
            self.close_until(member.place, ready, Source::Limits);
        }
        if self.capacity.each.concurrent.is_some() {
            // In this order: who leaves before has counted itself out, and who leaves after sees that somebody may wait.
            let in_flight = member.word.set_full(Full::Busy, true);
            if self.capacity.is_crowded(in_flight) {
                self.roster.mark(member.place, false);
            } else {
                member.word.set_full(Full::Busy, false);
            }
        }
    }

    fn give_room(&mut self, place: u32, now: Timestamp) {
        let Some(cell) = self.cell(place) else { return };
        let (in_flight, _) = cell.member.word.counts();
        if !self.capacity.is_crowded(in_flight) {
            cell.member.word.set_full(Full::Busy, false);
            self.reopen(place, now);
        }
    }

    /// Counts a request in under the lock, if the member has room for it.
    pub(super) fn enter(&mut self, member: &Arc<Member>, wish: &Wish, now: Timestamp) -> bool {
        let in_flight = member.word.admit();
        if !self.signals.is_limited && !member.word.is_paced() {
            return true;
        }
        let taken = self.capacity.take(member, in_flight, wish.tokens, now);
        self.note_entry(member, taken, wish, now)
    }

    /// Whether a member has room for a request.
    pub(super) fn has_room(&self, cell: &Cell, asked: &Asked<'_>, lane: Option<&Lane>, now: Timestamp) -> bool {
        if self.refills.at(cell.member.place) > now {
            return false;
        }
        if !self.signals.is_limited {
            return true;
        }
        let crowded = self.is_crowded(cell) || lane.is_some_and(|lane| self.is_pair_busy(cell.member.place, lane.id));
        !crowded && self.room_at(cell, asked, now) <= now
    }

    /// Whether a member, or the pool, serves as many requests as it may.
    pub(super) fn is_crowded(&self, cell: &Cell) -> bool {
        self.capacity.is_crowded(cell.member.word.counts().0) || self.capacity.is_full()
    }

    /// When the limits in time let a member be asked for such a request.
    pub(super) fn room_at(&self, cell: &Cell, asked: &Asked<'_>, now: Timestamp) -> Timestamp {
        let tokens = asked.wish.tokens;
        let own = cell.member.limiter().map_or(Timestamp::ZERO, |limiter| limiter.ready_for(tokens, now));
        own.max(self.capacity.ready_for(tokens, now))
    }

    /// How long those who wait take until it is the next one's turn.
    pub(super) fn time_for_queue(&self, lane: Option<&Lane>) -> Duration {
        let members = lane.map_or(self.ids.len(), |lane| lane.count);
        let told = self.capacity.per_second(members.saturating_sub(self.resting()).max(1), self.queue.tokens());
        let (learned, paced) = self.paces.per_second();
        // Keys that are held to no pace serve any number.
        let learned = if paced >= members { learned } else { f64::INFINITY };
        let seconds = self.queue.count() as f64 / told.min(learned);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn vacate(&mut self, lease: &Lease, now: Timestamp) {
        let place = lease.member.place;
        if self.health_of(&lease.member).is_some()
            && let Some(lane) = lease.wish.model.as_ref().and_then(|model| self.lane_named(model))
            && self.scopes.vacate(place, lane)
        {
            self.mark_pair(place, lane);
        }
        if self.refills.forget_predicted(place) {
            self.refill(place, now);
            self.tell_refill();
        } else {
            // It may have used fewer tokens than were expected, or was the one too many for its model.
            self.hand_out(place, now);
        }
        if self.capacity.limits_pool() {
            self.serve_queue(now);
        }
    }

    /// Counts a request in for its model, if the member has room for that.
    fn occupy_pair(&mut self, place: u32, wish: &Wish) -> bool {
        let Some(model) = wish.model.as_ref().filter(|_| self.capacity.tells_models_apart()) else { return true };
        let lane = self.tell_apart(model).id;
        let fits = !self.is_pair_busy(place, lane);
        if fits {
            self.scopes.occupy(place, lane);
            self.mark_pair(place, lane);
        }
        fits
    }

    /// Whether a member serves as many requests for one model as it may.
    pub(super) fn is_pair_busy(&self, place: u32, lane: LaneId) -> bool {
        self.capacity.each.concurrent_per_model.is_some_and(|most| self.scopes.busy(place, lane) >= most)
    }
}
