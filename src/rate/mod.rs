//! How often somebody may ask: the generic cell rate algorithm (GCRA), for one caller and for a crowd of strangers.
//!
//! GCRA keeps a single number: the theoretical arrival time, TAT, which is when the next request would come if all came
//! evenly spaced. A request is admitted while that lies less than a burst ahead of now, and moves it on by one interval;
//! a request that is refused moves nothing, so asking too often makes nobody wait longer. One number fits into one
//! atomic: [`Gate`] holds that of a known caller, [`Crowd`] those of any number of strangers in fixed memory.

mod crowd;
mod gate;
#[cfg(all(test, key_commune_loom))]
mod models;

use std::time::Duration;

use crate::clock::Timestamp;

pub use crowd::Crowd;
pub use gate::Gate;

/// One request per interval, and some of them at once after a pause.
///
/// ```
/// use key_commune::clock::Timestamp;
/// use key_commune::rate::Rate;
/// use std::time::Duration;
///
/// let rate = Rate::new(Duration::from_secs(2));
/// let now = Timestamp::from_unix(Duration::from_secs(1_000));
///
/// let next = rate.admit(Timestamp::ZERO, now).unwrap();
/// assert_eq!(rate.admit(next, now), Err(Duration::from_secs(2)));
/// assert!(rate.admit(next, now + Duration::from_secs(2)).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In nanoseconds, as is `reach`: half the size of a `Duration`, for rates are kept by the million.
    interval: u64,
    /// How far ahead of now the theoretical arrival time may lie behind a request that is admitted.
    reach: u64,
}

impl Rate {
    /// One request per `interval`, counted from start to start. An interval of zero limits nothing.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        let interval = nanos(interval);
        Self { interval, reach: interval }
    }

    /// `count` requests per `span`: all of them at once after a pause, else evenly spaced. A count of 0 admits nobody.
    #[must_use]
    pub fn per(count: u32, span: Duration) -> Self {
        Self::new(span / count.max(1)).burst(count)
    }

    /// How many requests are admitted at once after a pause. Default: 1; 0 admits nobody.
    #[must_use]
    pub const fn burst(mut self, requests: u32) -> Self {
        self.reach = self.interval.saturating_mul(requests as u64);
        self
    }

    /// Makes up for requests that come late by no more than this, and admits none at once.
    pub(crate) const fn slack(mut self, late: Duration) -> Self {
        self.reach = self.interval.saturating_add(nanos(late));
        self
    }

    pub(crate) const fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Admits a request that comes `now`, and answers the next theoretical arrival time in place of `tat`. Who was never
    /// here before has that of [`Timestamp::ZERO`].
    ///
    /// # Errors
    /// When the request comes too early: how long to wait before the next try. A wait that would not end before
    /// [`Timestamp::MAX`] never ends.
    pub fn admit(self, tat: Timestamp, now: Timestamp) -> Result<Timestamp, Duration> {
        let next = Timestamp::from_nanos(tat.max(now).nanos().saturating_add(self.interval));
        let ahead = next - now;
        // Time saturates there: a limit that reached so far would stand still, and admit everything.
        if next == Timestamp::MAX {
            return Err(ahead);
        }
        let wait = ahead.saturating_sub(Duration::from_nanos(self.reach));
        if wait.is_zero() { Ok(next) } else { Err(wait) }
    }

    /// When the next request is admitted: a moment that has passed if that is now, [`Timestamp::MAX`] if it is never.
    pub(crate) fn ready(self, tat: Timestamp) -> Timestamp {
        let next = tat.nanos().saturating_add(self.interval);
        let never = next == u64::MAX || self.interval > self.reach;
        if never { Timestamp::MAX } else { Timestamp::from_nanos(next.saturating_sub(self.reach)) }
    }
}

const fn nanos(length: Duration) -> u64 {
    Timestamp::from_unix(length).nanos()
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;

    /// Only this file sees the parts; `tests/it/rate.rs` has the behaviour.
    #[test]
    fn a_count_per_span_is_an_interval_and_a_burst() {
        assert_eq!(Rate::per(30, Duration::from_secs(60)), Rate::new(Duration::from_secs(2)).burst(30));
        assert_eq!(Rate::per(1, Duration::from_secs(2)), Rate::new(Duration::from_secs(2)));
        assert_eq!(Rate::per(0, Duration::from_secs(2)), Rate::new(Duration::from_secs(2)).burst(0));
    }
}
