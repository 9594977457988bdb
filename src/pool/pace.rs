//! How often a key may be asked, as its refusals have shown: for limits that nobody has told.
//!
//! Between two refusals a key has served as many requests as its limit allowed in that time, rests included. At that pace
//! it goes on, and faster with every request: little at first, by as much as the measure may be wrong, then ever more. So it
//! finds out by refusals, but few of them, when it may have more: about one call in two hundred while all are wanted, none
//! while fewer are.
//!
//! Kept for the keys that have been refused alone, under the pool's lock.

use std::collections::HashMap;
use std::time::Duration;

use super::ledger::Ledger;
use super::member::Member;
use super::refills::Source;
use crate::clock::Timestamp;

/// From so many requests on, what a key has served between two refusals is believed.
const FEWEST: u64 = 4;
/// A measure is wrong by about half a request: the pace is too fast by as much at first, on purpose, and at least by this.
const EXCESS: f64 = 0.002;
/// The number of requests in which the excess doubles.
const DOUBLING: f64 = 64.0;
/// Faster than this by the pace that was learned, a key is not limited any more.
const FREE: f64 = 4.0;

#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<u32, Pace>);

/// What is known of one key.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// When it was refused last, and how often it had been asked by then.
    refused: Timestamp,
    asked: u64,
    /// How often it has been refused since.
    refusals: u64,
    /// How long it takes until it may be asked again, as was last seen, and by how much that may be too slow.
    interval: Option<(Duration, f64)>,
}

impl Pace {
    fn new(asked: u64, now: Timestamp) -> Self {
        Self { refused: now, asked, refusals: 0, interval: None }
    }

    /// What another refusal tells that came with a rest of so long. Right after a pause a key may be refused though it has
    /// hardly been asked: then the rest tells more.
    fn refused(&mut self, asked: u64, rest: Duration, now: Timestamp) {
        let served = self.served(asked);
        if served < FEWEST {
            // Too few to learn from: it goes on to count.
            return;
        }
        let seen = (now - self.refused).div_f64(served as f64);
        let slow = !rest.is_zero() && seen > rest.mul_f64(SLOW);
        let interval = if slow { rest } else { seen };
        let excess = (0.5 / served as f64).max(EXCESS);
        *self = Self { interval: Some((interval, excess)), ..Self::new(asked, now) };
    }

    fn served(&self, asked: u64) -> u64 {
        asked.saturating_sub(self.asked).saturating_sub(self.refusals)
    }

    /// The time until the next request, `None` if there is no limit any more that is worth keeping.
    fn interval(&self, asked: u64) -> Option<Duration> {
        let (interval, excess) = self.interval?;
        let haste = 1.0 + excess * (self.served(asked) as f64 / DOUBLING).exp2();
        (haste < FREE).then(|| interval.div_f64(haste))
    }
}

/// A key that was served more slowly than so many times the rest that it was told has not been asked as often as it may be.
const SLOW: f64 = 1.5;

impl Paces {
    pub(super) fn forget(&mut self, place: u32) {
        self.0.remove(&place);
    }

    /// How many requests per second the keys serve together that are held to a pace, and how many keys that are.
    pub(super) fn per_second(&self) -> (f64, usize) {
        let intervals = self.0.values().filter_map(|pace| pace.interval);
        intervals.fold((0.0, 0), |(sum, count), (interval, _)| (sum + interval.as_secs_f64().recip(), count + 1))
    }
}

impl Ledger {
    /// A key was refused for being asked too often: it rests for so long or, if it was one of many requests that were under
    /// way at once, not for this one.
    pub(super) fn learn_pace(&mut self, member: &Member, rest: Option<Duration>, now: Timestamp) {
        let pace = self.paces.0.entry(member.place).or_insert_with(|| Pace::new(member.uses(), now));
        pace.refusals += 1;
        if let Some(rest) = rest {
            pace.refused(member.uses(), rest, now);
        }
        member.word.set_paced(pace.interval.is_some());
    }

    /// A key that is held to a pace has been asked: not again before it is time.
    pub(super) fn keep_pace(&mut self, member: &Member, now: Timestamp) {
        let Some(pace) = self.paces.0.get(&member.place) else { return };
        if let Some(interval) = pace.interval(member.uses()) {
            self.close_until(member.place, now + interval, Source::Answer);
        } else {
            self.paces.forget(member.place);
            member.word.set_paced(false);
        }
    }
}
