//! How often a key may be asked, as its refusals have shown: for limits that nobody has told.
//!
//! Between two refusals a key has served as many requests as its limit allowed in that time, rests included. At that pace
//! it goes on, and faster with every request: little at first, by as much as the measure may be wrong, then ever more. So it
//! finds out by refusals, but few of them, when it may have more: about one call in two hundred while all are wanted, none
//! while fewer are. After its first refusal it begins with a guess, and soon leaves it behind.
//!
//! Kept for the keys that have been refused alone, under the pool's lock.

use std::collections::HashMap;
use std::time::Duration;

use super::ledger::Ledger;
use super::member::Member;
use super::refills::Source;
use crate::clock::Timestamp;

/// From so many requests on, what a key has served between its first two refusals is believed.
const FEWEST: u64 = 4;
/// Later so many are wanted, or a minute, which is what most providers count by.
const ENOUGH: u64 = 64;
const MINUTE: Duration = Duration::from_secs(60);
/// By how much a key is slowed down at a time: where it was asked less often than it might be, a refusal tells less.
const BRAKE: f64 = 1.25;
/// Faster than this by the pace that was learned, a key is held to none any more.
const FREE: f64 = 4.0;
/// A key that was served more slowly than so many times the rest that it was told has not been asked as often as it may be.
const SLOW: f64 = 1.5;
/// In so many requests the excess doubles, for a pace that is no guess.
const KNOWN: f64 = 64.0;
/// The slowest guess.
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<u32, Pace>);

/// What is known of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The refusal that is counted from: when it was, how often the key had been asked by then, and how often it has been
    /// refused since.
    refused: Timestamp,
    asked: u64,
    refusals: u64,
    /// How often it had been asked at the last one.
    last: u64,
    /// How long it takes until it may be asked again, as was last seen.
    interval: Duration,
    /// By how much that is too slow, on purpose or not, and in how many requests as much is added again.
    excess: f64,
    doubling: f64,
}

impl Pace {
    /// The first refusal: nothing is known but how often it was asked so far.
    fn guessed(interval: Duration, asked: u64, now: Timestamp) -> Self {
        Self { excess: 0.25, doubling: 8.0, ..Self::seen(interval.min(SECOND), asked, now) }
    }

    /// What has been seen.
    fn seen(interval: Duration, asked: u64, now: Timestamp) -> Self {
        Self { refused: now, asked, refusals: 0, last: asked, interval, excess: 0.002, doubling: KNOWN }
    }

    /// What another refusal tells that came with a rest of so long. Right after a pause a key may be refused though it has
    /// hardly been asked: then the rest tells more.
    fn refused(&mut self, asked: u64, rest: Duration, now: Timestamp) {
        let served = asked.saturating_sub(self.asked).saturating_sub(self.refusals);
        let (guessed, span) = (self.doubling < KNOWN, now - self.refused);
        self.last = asked;
        if served < FEWEST || !(guessed || served >= ENOUGH || span >= MINUTE) {
            // Too little to learn from: it goes on to count.
            return;
        }
        let seen = span.div_f64(served as f64);
        let slow = !rest.is_zero() && seen > rest.mul_f64(SLOW);
        let slowest = if guessed { Duration::MAX } else { self.interval.mul_f64(BRAKE) };
        let interval = if slow { rest } else { seen }.min(slowest);
        // It is wrong by about half a request.
        let excess = (0.5 / served as f64).max(0.002);
        *self = Self { excess, ..Self::seen(interval, asked, now) };
    }

    /// The time until the next request, `None` if there is no limit any more that is worth keeping.
    fn interval(&self, asked: u64) -> Option<Duration> {
        let since = asked.saturating_sub(self.last) as f64;
        let haste = 1.0 + self.excess * (since / self.doubling).exp2();
        (haste < FREE).then(|| self.interval.div_f64(haste))
    }
}

impl Paces {
    pub(super) fn forget(&mut self, place: u32) {
        self.0.remove(&place);
    }

    /// How many requests per second the keys serve together of which a pace is known, and how many keys that are. A guess
    /// foretells nothing.
    pub(super) fn per_second(&self) -> (f64, usize) {
        let known = self.0.values().filter(|pace| pace.doubling >= KNOWN);
        known.fold((0.0, 0), |(sum, count), pace| (sum + pace.interval.as_secs_f64().recip(), count + 1))
    }
}

impl Ledger {
    /// A key was refused for being asked too often: it rests for so long or, if it was one of many requests that were under
    /// way at once, not for this one.
    pub(super) fn learn_pace(&mut self, member: &Member, rest: Option<Duration>, now: Timestamp) {
        let pace = self.guess_pace(member, now);
        pace.refusals += 1;
        if let Some(rest) = rest {
            pace.refused(member.uses(), rest, now);
        }
    }

    /// Holds a key to the pace at which it has been asked so far, if it is held to none.
    pub(super) fn guess_pace(&mut self, member: &Member, now: Timestamp) -> &mut Pace {
        let asked = member.uses();
        let age = self.cell(member.place).map_or(Duration::ZERO, |cell| now - cell.history.created);
        member.word.set_paced(true);
        let guess = || Pace::guessed(age.div_f64(asked.max(1) as f64), asked, now);
        self.paces.0.entry(member.place).or_insert_with(guess)
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
