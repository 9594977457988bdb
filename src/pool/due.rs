//! Under the lock: what rests, in the order in which it comes due, and whom that concerns.

use super::lane::{Lane, LaneId};
use super::ledger::Ledger;
use super::spot::Spot;
use super::tried::Tried;
use crate::clock::Timestamp;
use crate::health::Health;

/// How many of the things that rest are looked at to tell when a request will be served: the first of them nearly always
/// tells.
pub(super) const LOOK: usize = 64;

impl Ledger {
    /// A thing is doing otherwise than it was: puts it where it belongs on the list of what is due some time.
    pub(super) fn reschedule(&mut self, spot: Spot, old: Health, health: Health) {
        let next = self.due_first();
        let was_due = self.unschedule(spot, old);
        if let Some(due) = health.due() {
            match spot {
                Spot::Pair(place, lane) => self.due_pairs.insert((lane, due, place)),
                _ => self.due.insert((due, spot)),
            };
        }
        self.tell_due(spot);
        if self.due_first() < next || (was_due && health.until() < old.until()) {
            // Whoever waits sleeps until the old time; the new one is earlier.
            self.wakers.extend(self.queue.wakers());
        }
    }

    /// Takes a thing off the list of what is due some time. Answers whether it was on it.
    pub(super) fn unschedule(&mut self, spot: Spot, health: Health) -> bool {
        health.due().is_some_and(|due| match spot {
            Spot::Pair(place, lane) => self.due_pairs.remove(&(lane, due, place)),
            _ => self.due.remove(&(due, spot)),
        })
    }

    /// Tells those who read without the lock when the next thing comes due.
    pub(super) fn tell_due(&self, spot: Spot) {
        self.signals.set_next_due(self.due_first(), self.next_probe());
        let lanes = self.roster.lanes.load();
        if let Spot::Pair(_, id) = spot
            && let Some(lane) = lanes.by_id(id)
        {
            lane.set_next_due(self.pairs_due(id).next().map_or(Timestamp::MAX, |(due, _)| due));
        }
        lanes.all().for_each(|lane| lane.deafen(Timestamp::ZERO));
    }

    pub(super) fn due_first(&self) -> Timestamp {
        self.due.first().map_or(Timestamp::MAX, |&(until, _)| until)
    }

    /// When the first thing comes due that a new request which any member serves may probe: not in tiers that it does not need.
    pub(super) fn next_probe(&self) -> Timestamp {
        let Some(serving) = self.roster.serving(None, &Tried::default()) else { return self.due_first() };
        let needed = |&&(_, spot): &&(Timestamp, Spot)| match spot {
            Spot::Key(place) => self.cell(place).is_some_and(|cell| cell.member.tier() <= serving),
            _ => true,
        };
        self.due.iter().find(needed).map_or(Timestamp::MAX, |&(due, _)| due)
    }

    pub(super) fn pairs_due(&self, lane: LaneId) -> impl Iterator<Item = (Timestamp, Spot)> {
        let from = (lane, Timestamp::ZERO, 0)..=(lane, Timestamp::MAX, u32::MAX);
        self.due_pairs.range(from).map(move |&(_, due, place)| (due, Spot::Pair(place, lane)))
    }

    /// What has rested long enough and concerns requests of a lane.
    pub(super) fn due_now(&self, lane: Option<&Lane>, now: Timestamp) -> impl Iterator<Item = Spot> {
        let pairs =
            lane.into_iter().flat_map(move |lane| self.pairs_due(lane.id).take_while(move |&(due, _)| due <= now));
        let general = self.due_for(lane).take_while(move |&(due, _)| due <= now);
        general.chain(pairs).map(|(_, spot)| spot)
    }

    /// What rests, but for keys for one model and keys that a lane has nothing to do with.
    fn due_for(&self, lane: Option<&Lane>) -> impl Iterator<Item = (Timestamp, Spot)> {
        let concerns = move |spot: Spot| match (spot, lane) {
            (Spot::Key(place), Some(lane)) => lane.serves(place),
            _ => true,
        };
        self.due.iter().copied().filter(move |&(_, spot)| concerns(spot))
    }

    /// What rests and concerns requests of a lane, the first to come due of either kind first.
    pub(super) fn due_spots(&self, lane: Option<&Lane>) -> impl Iterator<Item = Spot> {
        let pairs = lane.into_iter().flat_map(|lane| self.pairs_due(lane.id).take(LOOK));
        let general = self.due_for(lane).take(LOOK);
        general.chain(pairs).map(|(_, spot)| spot)
    }

    /// When the next thing comes due after a moment that concerns requests of a lane.
    pub(super) fn due_after(&self, lane: &Lane, now: Timestamp) -> Timestamp {
        let later = |(due, _): &(Timestamp, Spot)| *due > now;
        let general = self.due_for(Some(lane)).find(later);
        let pair = self.pairs_due(lane.id).find(later);
        general.into_iter().chain(pair).map(|(due, _)| due).min().unwrap_or(Timestamp::MAX)
    }
}
