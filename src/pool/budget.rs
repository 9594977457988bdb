//! The retry budget (I23): repeats that the provider may have processed, or that rest nobody, stay under a fifth of the
//! requests plus ten per second, so that no outage is made worse by those who try again.
//!
//! The numbers are those of Finagle's and linkerd's retry budgets. The bucket is filled only when somebody wants to draw
//! from it, from the count of requests since the last time: requests that succeed pay nothing for it.

use crate::clock::Timestamp;

/// Repeats earned by one request.
const PER_REQUEST: f64 = 0.2;
/// Repeats earned by one second.
const PER_SECOND: f64 = 10.0;
/// The most that can be saved up: ten seconds' worth.
const MOST: f64 = 100.0;

#[derive(Debug, Default)]
pub(super) struct Budget {
    balance: f64,
    requests: u64,
    at: Timestamp,
}

impl Budget {
    /// Takes one repeat out of the budget, if it has one, `requests` having been made in all by `now`. A count that falls
    /// back earns nothing until it has caught up.
    pub(super) fn draw(&mut self, requests: u64, now: Timestamp) -> bool {
        let earned = requests.saturating_sub(self.requests) as f64 * PER_REQUEST;
        // A pool's first draw finds what one second earns.
        let waited = if self.at == Timestamp::ZERO { 1.0 } else { (now - self.at).as_secs_f64() };
        self.balance = (self.balance + earned + waited * PER_SECOND).min(MOST);
        (self.requests, self.at) = (self.requests.max(requests), now);
        let enough = self.balance >= 1.0;
        if enough {
            self.balance -= 1.0;
        }
        enough
    }
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_storm_is_held_to_a_fifth_and_ten_a_second() {
        let mut budget = Budget::default();
        let start = Timestamp::ZERO + Duration::from_secs(1_000);
        let (mut requests, mut repeats) = (0_u64, 0_u64);
        for millisecond in 0..60_000_u64 {
            requests += 1;
            repeats += u64::from(budget.draw(requests, start + Duration::from_millis(millisecond)));
        }
        assert!(repeats <= requests / 5 + 10 * 61, "{repeats} repeats of {requests} requests");
        assert!(repeats >= requests / 5, "{repeats} repeats of {requests} requests");
    }

    #[test]
    fn a_count_that_falls_back_earns_nothing_twice() {
        let mut budget = Budget { at: Timestamp::ZERO + Duration::from_secs(1), ..Budget::default() };
        let now = budget.at;
        let drawn = [100, 0, 100].map(|requests| (0..30).filter(|_| budget.draw(requests, now)).count());
        assert_eq!(drawn, [20, 0, 0]);
    }
}
