//! One member under its [`Limits`] in time: a request is taken from all of them, or from none.
//!
//! Each limit is one word, so no lock is needed to change one. Several are taken one after the other, and given back
//! when a later one refuses. In between others may be refused who would have fitted; nobody is ever admitted who did not.

mod bucket;
#[cfg(all(test, key_commune_loom))]
mod models;
#[cfg(all(test, not(key_commune_loom)))]
mod tests;

use std::time::Duration;

use super::limits::Limits;
use crate::clock::Timestamp;
use crate::rate::{Gate, Rate};
use bucket::Bucket;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The part of a span by which requests may come late without a loss.
const LATE: u32 = 256;

#[derive(Debug)]
pub(super) struct Limiter {
    cells: Box<[Cell]>,
    bucket: Option<Box<Bucket>>,
}

impl Limiter {
    /// `None` if nothing is limited in time.
    pub(super) fn new(limits: &Limits) -> Option<Self> {
        let paced = |limit: Option<u32>, span| Some(Cell::new(pace(limit?, span, limits.burst), false));
        let daily = limits.per_day.map(|limit| Cell::new(Rate::per(limit, DAY), true));
        let barred = (limits.tokens_per_minute == Some(0)).then(|| Cell::new(Rate::new(MINUTE).burst(0), false));
        let cells = [paced(limits.per_second, SECOND), paced(limits.per_minute, MINUTE), daily, barred];
        let cells: Box<[Cell]> = cells.into_iter().flatten().collect();
        let bucket = limits.tokens_per_minute.filter(|&limit| limit > 0).map(|limit| Box::new(Bucket::new(limit)));
        (!cells.is_empty() || bucket.is_some()).then_some(Self { cells, bucket })
    }

    /// Takes a request that is estimated to use so many tokens, and answers when the next one can come: now, if that has
    /// passed.
    ///
    /// Must be followed by either [`refund`](Self::refund) or [`charge`](Self::charge), with the same `tokens`.
    ///
    /// # Errors
    /// When it does not fit: when to come back, if all goes as it was estimated. [`Timestamp::MAX`] is never.
    pub(super) fn take(&self, tokens: u64, now: Timestamp) -> Result<Timestamp, Timestamp> {
        let ready = self.ready_for(tokens, now);
        if ready > now {
            return Err(ready);
        }
        self.bucket.as_ref().map_or(Ok(()), |bucket| bucket.reserve(tokens, now))?;
        for (taken, cell) in self.cells.iter().enumerate() {
            if let Err(ready) = cell.take(now) {
                self.cells.iter().take(taken).for_each(|cell| cell.put_back(now, now));
                self.release(tokens);
                return Err(ready);
            }
        }
        Ok(self.ready_at(now))
    }

    /// Gives back a request that was taken at the moment `at` and never sent.
    pub(super) fn refund(&self, tokens: u64, at: Timestamp, now: Timestamp) {
        self.cells.iter().for_each(|cell| cell.put_back(at, now));
        self.release(tokens);
    }

    /// Settles a request that was taken for so many `tokens`, and has `used` others.
    pub(super) fn charge(&self, tokens: u64, used: u64, now: Timestamp) {
        if let Some(bucket) = &self.bucket {
            bucket.settle(tokens, used, now);
        }
    }

    /// When one more request can come that uses next to nothing.
    pub(super) fn ready_at(&self, now: Timestamp) -> Timestamp {
        self.ready_for(0, now)
    }

    /// When one more request can come that uses so many tokens.
    pub(super) fn ready_for(&self, tokens: u64, now: Timestamp) -> Timestamp {
        let bucket = self.bucket.iter().map(|bucket| bucket.ready_for(tokens, now));
        self.cells.iter().map(Cell::ready).chain(bucket).max().unwrap_or_default()
    }

    /// How many requests per second it sustains that use so many tokens each.
    pub(super) fn per_second(&self, tokens: u64) -> f64 {
        let bucket = self.bucket.iter().map(|bucket| bucket.per_second(tokens));
        self.cells.iter().map(Cell::per_second).chain(bucket).fold(f64::INFINITY, f64::min)
    }

    fn release(&self, tokens: u64) {
        if let Some(bucket) = &self.bucket {
            bucket.release(tokens);
        }
    }
}

/// `limit` requests per `span`, evenly.
///
/// With a slack, spans are taken to be longer by it. Then even one that begins with a request that is early by all the slack
/// ends before one too many.
fn pace(limit: u32, span: Duration, burst: Option<u32>) -> Rate {
    let late = if burst.is_none() { span / LATE } else { Duration::ZERO };
    // Rounded up: an interval that is too short by a nanosecond lets one too many in.
    let interval = (span + late).as_nanos().div_ceil(u128::from(limit.max(1)));
    let rate = Rate::new(Duration::from_nanos(interval as u64));
    match burst {
        _ if limit == 0 => rate.burst(0),
        None => rate.slack(late),
        Some(burst) => rate.burst(burst.min(limit - 1) + 1),
    }
}

/// A limit of requests.
#[derive(Debug)]
struct Cell {
    gate: Gate,
    rate: Rate,
    /// Counts by the calendar: time stands still from one midnight to the next.
    daily: bool,
}

impl Cell {
    fn new(rate: Rate, daily: bool) -> Self {
        Self { gate: Gate::default(), rate, daily }
    }

    fn take(&self, now: Timestamp) -> Result<(), Timestamp> {
        let now = self.begin(now);
        self.gate.admit(self.rate, now).map_err(|wait| self.end(now + wait))
    }

    fn put_back(&self, at: Timestamp, now: Timestamp) {
        self.gate.put_back(self.rate, self.begin(at), self.begin(now));
    }

    fn ready(&self) -> Timestamp {
        self.end(self.rate.ready(self.gate.tat()))
    }

    fn per_second(&self) -> f64 {
        let never = self.rate.ready(Timestamp::ZERO) == Timestamp::MAX;
        if never { 0.0 } else { self.rate.interval().as_secs_f64().recip() }
    }

    /// The beginning of the step of time that a moment is in.
    fn begin(&self, moment: Timestamp) -> Timestamp {
        if self.daily { Timestamp::from_unix(DAY * moment.day()) } else { moment }
    }

    /// The first beginning of a step from this moment on.
    fn end(&self, moment: Timestamp) -> Timestamp {
        let begin = self.begin(moment);
        if begin == moment { moment } else { begin + DAY }
    }
}
