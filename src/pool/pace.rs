//! How often a key may be asked, as its refusals have shown: for limits that nobody has told.
//!
//! Between two refusals a key has served as many requests as its limit allowed in that time, rests included. At that pace
//! it goes on, a little faster with every request, so that it finds out by refusals, but few of them, when it may have more:
//! about one call in a hundred while all are wanted, none while fewer are.
//!
//! Kept for the keys that have been refused alone, under the pool's lock.

use std::collections::HashMap;
use std::time::Duration;

use super::ledger::Ledger;
use super::member::Member;
use super::refills::Source;
use crate::clock::Timestamp;

/// From so many requests on, what a key has served between two refusals is believed.
const FEWEST: u64 = 8;
/// By how much the pace is too fast at first, on purpose.
const EXCESS: f64 = 0.004;
/// The number of requests in which the excess doubles.
const DOUBLING: f64 = 64.0;
/// Faster than this by the pace that was learned, a key is not limited any more.
const FREE: f64 = 4.0;

#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<u32, Pace>);

/// What is known of one key.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// When it was refused last, and how many requests it had served by then.
    refused: Timestamp,
    served: u64,
    /// How long it takes until it may be asked again.
    interval: Option<Duration>,
}

impl Pace {
    /// What another refusal tells.
    fn refused(self, served: u64, now: Timestamp) -> Self {
        let between = served.saturating_sub(self.served);
        if between < FEWEST {
            // Too short a time to learn from: it goes on to count.
            return self;
        }
        let seen = (now - self.refused).div_f64(between as f64);
        // Half of what was believed before: one measure is off by a request or so.
        let interval = self.interval.map_or(seen, |known| (seen + known) / 2);
        Self { refused: now, served, interval: Some(interval) }
    }

    /// The time until the next request, `None` if there is no limit any more that is worth keeping.
    fn interval(&self, served: u64) -> Option<Duration> {
        let doublings = served.saturating_sub(self.served) as f64 / DOUBLING;
        let haste = 1.0 + EXCESS * doublings.exp2();
        self.interval.filter(|_| haste < FREE).map(|interval| interval.div_f64(haste))
    }
}

impl Paces {
    pub(super) fn forget(&mut self, place: u32) {
        self.0.remove(&place);
    }

    /// How many requests per second the keys serve together that are held to a pace, and how many keys that are.
    pub(super) fn per_second(&self) -> (f64, usize) {
        let intervals = self.0.values().filter_map(|pace| pace.interval);
        intervals.fold((0.0, 0), |(sum, count), interval| (sum + interval.as_secs_f64().recip(), count + 1))
    }
}

impl Ledger {
    /// A key was refused for being asked too often.
    pub(super) fn learn_pace(&mut self, member: &Member, now: Timestamp) {
        let served = member.served();
        let first = Pace { refused: now, served, interval: None };
        let pace = self.paces.0.entry(member.place).or_insert(first);
        *pace = pace.refused(served, now);
        member.word.set_paced(pace.interval.is_some());
    }

    /// A key that is held to a pace has been asked: not again before it is time.
    pub(super) fn keep_pace(&mut self, member: &Member, now: Timestamp) {
        let Some(pace) = self.paces.0.get(&member.place) else { return };
        if let Some(interval) = pace.interval(member.served()) {
            self.close_until(member.place, now + interval, Source::Answer);
        } else {
            self.paces.forget(member.place);
            member.word.set_paced(false);
        }
    }
}
