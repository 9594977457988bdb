//! How the calls with a member ended, over restarts: what did not succeed is counted as it ends, and everything else that
//! has ended is a success, so that a success costs nothing.

use crate::outcome::Outcome;
use crate::record::Counts;
use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Counters {
    /// Calls of former processes.
    before: AtomicU64,
    throttles: AtomicU64,
    rejections: AtomicU64,
    failures: AtomicU64,
    /// All calls that ended and were no successes, those above among them.
    unserved: AtomicU64,
}

impl Counters {
    /// Goes on from what is remembered.
    pub(super) fn new(past: Counts) -> Self {
        let zero = || AtomicU64::new(0);
        let counters =
            Self { before: zero(), throttles: zero(), rejections: zero(), failures: zero(), unserved: zero() };
        counters.add(past);
        counters
    }

    /// Counts on top of what is remembered, which is heard of only now.
    pub(super) fn add(&self, past: Counts) {
        let unserved = past.calls.saturating_sub(past.successes);
        let pairs = [
            (&self.before, past.calls),
            (&self.throttles, past.throttles),
            (&self.rejections, past.rejections),
            (&self.failures, past.failures),
            (&self.unserved, unserved),
        ];
        for (count, past) in pairs {
            count.fetch_add(past, Ordering::Relaxed);
        }
    }

    /// Calls of former processes.
    pub(super) fn before(&self) -> u64 {
        self.before.load(Ordering::Relaxed)
    }

    /// A call ends otherwise than in a success. Before its lease leaves the member: else it would pass for one.
    pub(super) fn note(&self, outcome: Outcome) {
        let kind = match outcome {
            Outcome::Throttled | Outcome::QuotaSpent => Some(&self.throttles),
            Outcome::Rejected => Some(&self.rejections),
            Outcome::Forbidden | Outcome::Overloaded | Outcome::Failed | Outcome::Unreachable => Some(&self.failures),
            Outcome::Accepted => return,
            Outcome::CallerFault | Outcome::Aborted => None,
        };
        for count in [Some(&self.unserved), kind].into_iter().flatten() {
            count.fetch_add(1, Ordering::Release);
        }
    }

    /// Everything so far, with so many calls of this process, of which some have not ended.
    pub(super) fn read(&self, calls: u64, in_flight: u64) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Acquire);
        let calls = self.before().saturating_add(calls);
        Counts {
            calls,
            successes: calls.saturating_sub(in_flight).saturating_sub(read(&self.unserved)),
            throttles: read(&self.throttles),
            rejections: read(&self.rejections),
            failures: read(&self.failures),
        }
    }
}
