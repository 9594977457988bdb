//! How many of a count belong to the present day (UTC), told from what the count was when the day began.

use crate::clock::Timestamp;
use crate::sync::{AtomicU64, Ordering};

/// A day's number, of 16 bits, and the count before it, of 48.
#[derive(Debug)]
pub(crate) struct Today(AtomicU64);

const COUNT: u64 = (1 << 48) - 1;

impl Today {
    /// So many were counted before the given day.
    pub(crate) fn new(day: u32, before: u64) -> Self {
        Self(AtomicU64::new(packed(day, before)))
    }

    /// The count goes on from another number, of which so many were before the given day.
    pub(crate) fn begin(&self, day: u32, before: u64) {
        self.0.store(packed(day, before), Ordering::Relaxed);
    }

    /// What of `count` belongs to the day of `now`. The first to ask begins the day: what was counted since midnight is
    /// lost, so somebody should ask in good time.
    pub(crate) fn part_of(&self, count: u64, now: Timestamp) -> u64 {
        let (today, known) = (u64::from(now.day() & 0xFFFF), self.0.load(Ordering::Relaxed));
        if known >> 48 == today {
            return count.saturating_sub(known & COUNT);
        }
        let _ = self.0.compare_exchange(known, packed(now.day(), count), Ordering::Relaxed, Ordering::Relaxed);
        0
    }
}

fn packed(day: u32, before: u64) -> u64 {
    u64::from(day & 0xFFFF) << 48 | before & COUNT
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_day_begins_with_the_first_question() {
        let today = Today::new(0, 0);
        let at = |hours: u64| Timestamp::from_unix(Duration::from_secs(hours * 3_600));
        let asked = [(26, 7, 0), (27, 9, 2), (47, 10, 3), (48, 12, 0), (49, 12, 0), (49, 15, 3), (1_000, 15, 0)];
        for (hour, count, expected) in asked {
            assert_eq!(today.part_of(count, at(hour)), expected, "{hour}");
        }
    }
}
