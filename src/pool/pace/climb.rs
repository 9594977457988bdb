//! The pace of one key: how slow it is begun with, and how it climbs to what was refused, and beyond.

use std::time::Duration;

use super::minute::{MINUTE, Minute};
use crate::clock::Timestamp;

/// By how much a pace is at least begun below one that was refused.
const LEAST: f64 = 0.004;
/// In how many minutes it climbs back: the longer, the less there is to climb.
const FLAT: (f64, f64) = (4.0, 8.0);
const SLOPE: f64 = 0.04;
/// What was served in a minute is no measure of a limit for less: so much of the way back is climbed in one.
const DOUBT: f64 = 1.5;
/// A guess climbs by so much, or more if it was drawn from few requests, in as many as it was drawn from, and by twice that in
/// a quarter of them.
const GUESS: f64 = 0.05;
const QUARTER: f64 = 4.0;
const FEWEST: f64 = 8.0;
/// Faster than this by the pace that was learned, a key is held to none any more.
const FREE: f64 = 16.0;
/// After so long in which it was not asked at its pace, that is forgotten: at worst one refusal is met again.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// A request that comes after so many intervals, or more, does not show whether the pace is too fast.
const IDLE: f64 = 1.25;
/// So late it may be on account of timers and clocks.
const SLACK: Duration = Duration::from_millis(10);
/// After so many minutes at its pace, a key has been refused for that pace, and not for what it had been asked before.
const STEADY: f64 = 0.8;
/// So many minutes ago its pace was not too fast.
const AGO: f64 = 1.25;
/// A rest in whole seconds is longer than it had to be, by so much in the mean.
const ROUNDED: Duration = Duration::from_millis(500);
/// The slowest guess, and the fastest pace.
const SECOND: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_micros(1);

/// What is known of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    minute: Minute,
    /// When it was asked last, or its rest ends.
    last: Timestamp,
    /// When it was asked at its pace last, or refused.
    tested: Timestamp,
    /// How long it takes until it may be asked again, to begin with.
    start: Duration,
    /// How often it was asked at its pace since.
    climbed: f64,
    /// By how much it is then faster after so many requests; from there on that doubles in so many.
    excess: f64,
    flat: f64,
    doubling: f64,
    /// Whether it is more than a guess.
    pub(super) is_known: bool,
}

impl Pace {
    /// Nothing is known but how often the key was asked in all its time, which ends with a rest.
    pub(super) fn guessed(asked: u64, age: Duration, rest: Duration, now: Timestamp) -> Self {
        let minute = Minute::spread(asked, age, now);
        let is_known = asked as f64 >= FEWEST;
        // What a key rests after a few requests is the provider's wish, and says little about how many it would have served.
        let rested = if is_known { rest.saturating_sub(ROUNDED) } else { Duration::ZERO };
        let seen = (age + rested).div_f64((asked as f64).max(0.5));
        let start = seen.clamp(SHORTEST, SECOND);
        let flat = FEWEST.max(per_minute(start).min(asked as f64));
        let doubling = FEWEST.max(flat / QUARTER);
        let excess = GUESS.max((asked as f64 + 1.0).recip());
        Self { minute, last: now + rest, tested: now, start, climbed: 0.0, excess, flat, doubling, is_known }
    }

    pub(super) fn asked(&mut self, now: Timestamp) {
        self.minute.note(now);
        if now - self.last <= self.interval().mul_f64(IDLE) + SLACK {
            self.climbed += 1.0;
            self.tested = now;
        }
        self.last = now;
    }

    /// A request was refused, among many at once.
    pub(super) fn take_back(&mut self) {
        self.minute.take_back();
    }

    /// What a refusal tells that came with a rest of so long.
    pub(super) fn refused(&mut self, rest: Duration, now: Timestamp) {
        let fast = self.interval();
        let steady = self.climbed >= per_minute(fast) * STEADY;
        let slow = if steady {
            self.start.div_f64(self.haste(self.climbed - AGO * per_minute(fast)))
        } else {
            let seen = self.minute.interval(now, now + rest.saturating_sub(ROUNDED));
            seen.min(self.start.max(fast * 2))
        };
        self.start = slow.max(fast.mul_f64(1.0 + LEAST));
        let excess = self.start.div_duration_f64(fast) - 1.0;
        self.excess = if steady { excess } else { LEAST.max(excess / DOUBT) };
        let minutes = if steady { (SLOPE * FLAT.1 / excess).clamp(FLAT.0, FLAT.1) } else { 1.0 };
        self.doubling = FEWEST.max(per_minute(self.start));
        self.flat = self.doubling * minutes;
        (self.climbed, self.last, self.tested, self.is_known) = (0.0, now + rest, now, true);
    }

    /// The time until the next request.
    pub(super) fn interval(&self) -> Duration {
        self.start.div_f64(self.haste(self.climbed)).max(SHORTEST)
    }

    /// Whether there is no limit any more that is worth keeping.
    pub(super) fn is_free(&self) -> bool {
        self.haste(self.climbed) >= FREE || self.last - self.tested >= FORGOTTEN
    }

    /// How many requests per second it is sure to serve.
    pub(super) fn per_second(&self) -> f64 {
        self.start.as_secs_f64().recip()
    }

    fn haste(&self, climbed: f64) -> f64 {
        let beyond = (climbed - self.flat) / self.doubling;
        let climb = if beyond > 0.0 { beyond.exp2() } else { climbed.max(0.0) / self.flat };
        1.0 + self.excess * climb
    }
}

fn per_minute(interval: Duration) -> f64 {
    MINUTE.div_duration_f64(interval)
}
