//! Members that have been asked for all that they may be for now, and when they may be asked again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::ledger::Ledger;
use super::renewal::Renewal;
use super::word::Full;
use crate::clock::Timestamp;

/// Who says when a member may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Our own count: it may turn out to be earlier.
    Limits,
    /// The provider.
    Answer,
}

#[derive(Debug, Default)]
pub(super) struct Refills {
    by_time: BTreeSet<(Timestamp, u32)>,
    by_place: HashMap<u32, (Timestamp, Source)>,
}

impl Refills {
    /// The member at a place may be asked again at that time, and not before what was said before.
    pub(super) fn put(&mut self, place: u32, at: Timestamp, source: Source) {
        if self.at(place) < at {
            self.remove(place);
            self.by_place.insert(place, (at, source));
            self.by_time.insert((at, place));
        }
    }

    pub(super) fn remove(&mut self, place: u32) {
        if let Some((at, _)) = self.by_place.remove(&place) {
            self.by_time.remove(&(at, place));
        }
    }

    /// Takes a member off the list that is on it only by our own count. Answers whether it was.
    pub(super) fn forget_predicted(&mut self, place: u32) -> bool {
        let predicted = self.by_place.get(&place).is_some_and(|&(_, source)| source == Source::Limits);
        if predicted {
            self.remove(place);
        }
        predicted
    }

    /// When the first may be asked again.
    pub(super) fn first(&self) -> Timestamp {
        self.by_time.first().map_or(Timestamp::MAX, |&(at, _)| at)
    }

    /// The first that may be asked again by now, which is taken off the list.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<u32> {
        let &(at, place) = self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&(at, place));
        self.by_place.remove(&place);
        Some(place)
    }

    /// When the member at a place may be asked again; zero if it is not on the list.
    pub(super) fn at(&self, place: u32) -> Timestamp {
        self.by_place.get(&place).map_or(Timestamp::ZERO, |&(at, _)| at)
    }

    /// All of them, the first to be asked again first.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> {
        self.by_time.iter().map(|&(_, place)| place)
    }
}

impl Ledger {
    /// The member at a place is not to be asked again before that time.
    pub(super) fn close_until(&mut self, place: u32, ready: Timestamp, source: Source) {
        let Some(cell) = self.cell(place) else { return };
        cell.member.word.set_full(Full::Spent, true);
        self.refills.put(place, ready, source);
        self.tell_refill();
        self.roster.mark(place, false);
    }

    /// Opens the members that can be asked again by now, and begins a new day if it is time.
    pub(super) fn refill_due(&mut self, now: Timestamp) {
        self.renew(now);
        while let Some(place) = self.refills.pop_due(now) {
            self.refill(place, now);
        }
        self.tell_refill();
    }

    /// Tells those who read without the lock when there is something to be done again.
    pub(super) fn tell_refill(&self) {
        let day = self.renewal.as_ref().map_or(Timestamp::MAX, Renewal::next);
        self.signals.set_next_refill(self.refills.first().min(day));
    }

    /// Opens a member that is not on the list any more, or puts it back there.
    pub(super) fn refill(&mut self, place: u32, now: Timestamp) {
        let Some(member) = self.cell(place).map(|cell| Arc::clone(&cell.member)) else { return };
        let ready = member.limiter().map_or(Timestamp::ZERO, |limiter| limiter.ready_at(now));
        if ready > now {
            self.refills.put(place, ready, Source::Limits);
        } else {
            member.word.set_full(Full::Spent, false);
            self.reopen(place, now);
        }
    }

    /// A member has room again. It is for those who wait first.
    pub(super) fn reopen(&mut self, place: u32, now: Timestamp) {
        if self.cell(place).is_some_and(|cell| cell.member.word.is_open()) {
            self.roster.mark(place, true);
        }
        self.hand_out(place, now);
    }
}
