//! How the calls with a member ended, since it was last asked: what did not succeed is counted as it ends, and everything
//! else that has ended is a success, so that a success costs nothing. The books hold what was counted before.

use crate::outcome::Outcome;
use crate::sync::{AtomicU32, Ordering};

/// 32 bits are enough: a keeper asks twenty times a second.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    throttles: AtomicU32,
    rejections: AtomicU32,
    failures: AtomicU32,
    /// All calls that ended and were no successes, those above among them.
    all: AtomicU32,
}

/// Calls that have ended and were no successes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unserved {
    pub(super) throttles: u32,
    pub(super) rejections: u32,
    pub(super) failures: u32,
    /// Those above and all others.
    pub(super) all: u32,
}

impl Counters {
    /// A call ends otherwise than in a success. Before its lease leaves the member: else it would pass for one.
    pub(super) fn note(&self, outcome: Outcome) {
        let kind = match outcome {
            Outcome::Throttled | Outcome::QuotaSpent => Some(&self.throttles),
            Outcome::Rejected => Some(&self.rejections),
            Outcome::Forbidden | Outcome::Overloaded | Outcome::Failed | Outcome::Unreachable => Some(&self.failures),
            Outcome::Accepted => return,
            Outcome::CallerFault | Outcome::Aborted => None,
        };
        for count in [Some(&self.all), kind].into_iter().flatten() {
            count.fetch_add(1, Ordering::Release);
        }
    }

    /// Those since this was last asked.
    pub(super) fn take(&self) -> Unserved {
        let take = |count: &AtomicU32| count.swap(0, Ordering::Acquire);
        Unserved {
            throttles: take(&self.throttles),
            rejections: take(&self.rejections),
            failures: take(&self.failures),
            all: take(&self.all),
        }
    }
}
