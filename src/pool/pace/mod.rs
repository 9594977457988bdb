//! How often a key may be asked, as its refusals have shown: for limits that nobody has told.
//!
//! A refused key begins a little more slowly than it was refused at and climbs back to that, in minutes, and then beyond, ever
//! faster. So it finds out by refusals, but few of them, when it may have more: one in eight minutes while all are wanted,
//! none while fewer are.
//!
//! How much more slowly? If it was held to its pace for a minute: at the pace of a minute ago, which it was not refused for, as
//! hardly a provider looks back farther. Else it was refused for what it had been asked before, and goes on at what it
//! was served in the minute that ends with its rest, which is all that a window allows.
//!
//! A request that comes later than it might shows nothing, and does not count.
//!
//! Kept for those keys alone that have been refused, or of which an answer said that nothing is left; under the pool's lock.

mod climb;
mod minute;

use std::collections::HashMap;
use std::time::Duration;

use super::ledger::Ledger;
use super::member::Member;
use super::refills::Source;
use crate::clock::Timestamp;
use climb::Pace;
use minute::MINUTE;

/// A key that may be asked more often than that need not be closed in between.
const TICK: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<u32, Pace>);

impl Paces {
    pub(super) fn forget(&mut self, place: u32) {
        self.0.remove(&place);
    }

    /// How many requests per second the keys serve together of which a pace is known, and how many keys that are. A guess
    /// foretells nothing.
    pub(super) fn per_second(&self) -> (f64, usize) {
        let known = self.0.values().filter(|pace| pace.is_known);
        known.fold((0.0, 0), |(sum, count), pace| (sum + pace.per_second(), count + 1))
    }
}

impl Ledger {
    /// A key was refused for being asked too often: it rests for so long or, if it was one of many requests that were under
    /// way at once, not for this one. A rest of more than a minute is of a longer span, all of which may come at once.
    pub(super) fn learn_pace(&mut self, member: &Member, rest: Option<Duration>, now: Timestamp) {
        let known = self.paces.0.get_mut(&member.place);
        match (known, rest) {
            (_, Some(rest)) if rest > MINUTE => {}
            (Some(pace), Some(rest)) => {
                pace.take_back();
                pace.refused(rest, now);
            }
            (Some(pace), None) => pace.take_back(),
            (None, rest) => self.guess_pace(member, rest.unwrap_or_default(), now),
        }
    }

    /// Holds a key to the pace at which it has been asked so far.
    fn guess_pace(&mut self, member: &Member, rest: Duration, now: Timestamp) {
        let asked = member.uses().saturating_sub(1);
        let age = self.cell(member.place).map_or(Duration::ZERO, |cell| now - cell.history.created);
        self.paces.0.insert(member.place, Pace::guessed(asked, age, rest, now));
        member.word.set_paced(true);
    }

    /// The provider says that nothing is left of a key for so long. That may be meant for all of its limit, while some of it comes
    /// back at once: a key that can be held to a pace is left alone only until the next request is due.
    pub(super) fn heed_pace(&mut self, member: &Member, wait: Duration, now: Timestamp) {
        self.guess_pace(member, Duration::ZERO, now);
        let known = self.paces.0.get(&member.place).filter(|pace| pace.is_known);
        let due = known.map_or(wait, |pace| pace.interval().min(wait));
        self.close_until(member.place, now + due, Source::Answer);
    }

    /// A key that is held to a pace has been asked: not again before it is time.
    pub(super) fn keep_pace(&mut self, member: &Member, now: Timestamp) {
        let Some(pace) = self.paces.0.get_mut(&member.place) else { return };
        pace.asked(now);
        // Those who wait would all come at once.
        if pace.is_free() && self.queue.count() == 0 {
            self.paces.forget(member.place);
            member.word.set_paced(false);
        } else if pace.interval() >= TICK {
            let due = now + pace.interval();
            self.close_until(member.place, due, Source::Answer);
        }
    }
}
