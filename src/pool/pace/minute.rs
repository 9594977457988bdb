//! How often a key was served in the last minute: what most providers count by.

use std::time::Duration;

use crate::clock::Timestamp;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// A minute, and a little more.
const SECONDS: u64 = 64;

/// Counts by seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Minute {
    counts: [f32; SECONDS as usize],
    /// The last of them, and since when it is counted.
    second: u64,
    begun: Timestamp,
}

impl Minute {
    /// So many requests that came in that time, nobody knows when.
    pub(super) fn spread(asked: u64, age: Duration, now: Timestamp) -> Self {
        let begun = Timestamp::from_nanos(now.nanos().saturating_sub(nanos(age)));
        let mut minute = Self { counts: [0.0; SECONDS as usize], second: second(now), begun };
        let each = asked as f64 / age.as_secs_f64().max(1.0);
        let spread = second(now).min(second(begun) + 1).max(second(now).saturating_sub(SECONDS - 1))..=second(now);
        for second in spread {
            *minute.at(second) = each as f32;
        }
        minute
    }

    pub(super) fn note(&mut self, now: Timestamp) {
        self.pass_to(now);
        *self.at(self.second) += 1.0;
    }

    /// The last one was none.
    pub(super) fn take_back(&mut self) {
        let seconds = (self.second.saturating_sub(SECONDS - 1)..=self.second).rev();
        let last = { seconds }.find(|&second| *self.at(second) > 0.0);
        if let Some(second) = last {
            *self.at(second) -= 1.0;
        }
    }

    /// The time per request, of those in the minute that ends at `end`, after which nothing came.
    pub(super) fn interval(&mut self, now: Timestamp, end: Timestamp) -> Duration {
        self.pass_to(now);
        let from = self.begun.max(Timestamp::from_nanos(end.nanos().saturating_sub(nanos(MINUTE))));
        let part = 1.0 - (from - Timestamp::from_unix(Duration::from_secs(second(from)))).as_secs_f64();
        let whole: f64 = (second(from) + 1..=self.second).map(|second| f64::from(*self.at(second))).sum();
        let first = f64::from(*self.at(second(from))) * part;
        (end - from).div_f64((whole + first).max(0.5))
    }

    fn pass_to(&mut self, now: Timestamp) {
        let (last, now) = (self.second, second(now).max(self.second));
        for second in (last + 1).max(now.saturating_sub(SECONDS - 1))..=now {
            *self.at(second) = 0.0;
        }
        self.second = now;
    }

    #[expect(clippy::indexing_slicing, reason = "the rest of a division by its length")]
    fn at(&mut self, second: u64) -> &mut f32 {
        &mut self.counts[(second % SECONDS) as usize]
    }
}

fn second(moment: Timestamp) -> u64 {
    moment.nanos() / 1_000_000_000
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
