//! The outage guard (I15): when many keys fail alike and none succeeds, it is not the keys.
//!
//! Failures that no hint explains go into a journal with the health that the key had before. A success clears it: what
//! failed before stands. When a request has tried all it may and still failed, the journal is read: at least three
//! distinct keys, and more than half of those used of late, failed alike: an outage. Their penalties are taken back,
//! nobody is struck until a key succeeds, and new requests try once.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::health::{Health, Step};
use crate::outcome::Outcome;

/// The fewest keys that can make an outage.
const FEWEST: usize = 3;
/// How long a failure is held against the service rather than the key.
const WINDOW: Duration = Duration::from_secs(60);

/// A failure that may turn out not to be the key's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    pub(super) before: Health,
    /// The step that the failure made, or the one it found.
    pub(super) step: Step,
    pub(super) at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    failures: HashMap<u32, Failure>,
    /// Old ones are left out when there are so many: each is looked at a few times at most, however many fail.
    most: usize,
    outage: bool,
}

impl Journal {
    pub(super) fn is_outage(&self) -> bool {
        self.outage
    }

    pub(super) fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// A key failed. Its oldest health counts: that is what it goes back to.
    pub(super) fn note(&mut self, place: u32, failure: Failure) {
        if self.failures.len() >= self.most {
            self.forget_old(failure.at);
            self.most = (self.failures.len() * 2).max(FEWEST);
        }
        let before = self.failures.get(&place).map_or(failure.before, |old| old.before);
        self.failures.insert(place, Failure { before, ..failure });
    }

    fn forget_old(&mut self, now: Timestamp) {
        self.failures.retain(|_, old| now - old.at <= WINDOW);
    }

    /// A key succeeded: what failed before stands, and what was an outage is over.
    pub(super) fn succeeded(&mut self) {
        self.failures.clear();
        self.outage = false;
    }

    /// Reads the journal, `used` being how many distinct keys were used of late. If there is an outage, these are the
    /// failures to take back.
    pub(super) fn trip(&mut self, used: u32, now: Timestamp) -> Option<Vec<(u32, Failure)>> {
        self.forget_old(now);
        let alike = self.most_alike()?;
        let count = self.failures.values().filter(|failure| failure.outcome == alike).count();
        if self.outage || count < FEWEST || count * 2 <= used as usize {
            return None;
        }
        self.outage = true;
        Some(self.failures.drain().filter(|(_, failure)| failure.outcome == alike).collect())
    }

    fn most_alike(&self) -> Option<Outcome> {
        let mut counts: HashMap<Outcome, usize> = HashMap::new();
        for failure in self.failures.values() {
            *counts.entry(failure.outcome).or_default() += 1;
        }
        counts.into_iter().max_by_key(|&(_, count)| count).map(|(outcome, _)| outcome)
    }
}
