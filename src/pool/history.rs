//! What a store remembers of a member beside its health: from a record to the books, and back.

use super::cell::Cell;
use super::counted::Counted;
use super::counters::Unserved;
use super::usage::Spending;
use crate::clock::Timestamp;
use crate::record::{Counts, Record, Replica, Tally};
use crate::subnet::Subnet;

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) generation: u32,
    pub(super) version: u64,
    seal: u32,
    pub(super) created: Timestamp,
    updated: Timestamp,
    /// What was counted when somebody last asked. Few of a million keys are used.
    counted: Option<Box<Counted>>,
    /// Calls among them that had not ended.
    open: u32,
    /// Whether a store has been told of the member, or has told of it.
    told: bool,
}

impl History {
    /// A key that joins now, for the first time or again.
    pub(super) fn begin(generation: u32, now: Timestamp) -> Self {
        Self { generation, created: now, updated: now, ..Self::default() }
    }

    pub(super) fn of(record: &Record, replica: Replica) -> Self {
        let &Record { generation, version, seal, created, updated, .. } = record;
        let counted = record.tallies.of(replica).map(|tally| Box::new(tally.into()));
        Self { generation, version, seal, created, updated, counted, open: 0, told: true }
    }

    pub(super) fn revise(&mut self, now: Timestamp) {
        self.version = self.version.saturating_add(1);
        self.updated = now;
    }

    /// Others know better. What was counted here stays.
    pub(super) fn adopt(&mut self, record: &Record) {
        let (counted, open) = (self.counted.take(), self.open);
        *self = Self { counted, open, ..Self::of(record, Replica::default()) };
    }

    pub(super) fn tell(&mut self) {
        self.told = true;
    }

    /// What was counted, for a member whose last call came from there.
    pub(super) fn tally(&self, client: Option<Subnet>) -> Tally {
        self.counted.as_ref().map(|counted| counted.tally(client)).unwrap_or_default()
    }

    /// So many calls more have begun, so many have not ended. Answers how many more are successes.
    fn close(&mut self, begun: i64, in_flight: u32, unserved: u32) -> u64 {
        // One that is counted as unserved may still be counted as in flight.
        let others = i64::from(self.open) + begun - i64::from(unserved);
        let successes = (others - i64::from(in_flight)).max(0);
        self.open = u32::try_from(others - successes).unwrap_or_default();
        successes.cast_unsigned()
    }

    fn advance(&mut self, past: Counts, begun: i64, in_flight: u32, unserved: Unserved) -> Counts {
        Counts {
            calls: past.calls.wrapping_add_signed(begun),
            successes: past.successes + self.close(begun, in_flight, unserved.all),
            throttles: past.throttles + u64::from(unserved.throttles),
            rejections: past.rejections + u64::from(unserved.rejections),
            failures: past.failures + u64::from(unserved.failures),
        }
    }
}

impl Cell {
    /// Brings the tally up to date. Answers whether it has changed, and whether it will because calls have not ended.
    pub(super) fn count(&mut self, now: Timestamp) -> (bool, bool) {
        let (calls, in_flight, unserved) = self.member.take_counts();
        let client = self.member.client();
        let past = self.history.tally(client);
        let begun = calls.wrapping_sub(past.total.calls).cast_signed();
        let total = self.history.advance(past.total, begun, in_flight, unserved);
        if total == past.total {
            return (false, in_flight > 0);
        }
        let counted = Counted::from(past.advanced(total, now, client));
        match &mut self.history.counted {
            Some(known) => **known = counted,
            none => *none = Some(Box::new(counted)),
        }
        (true, in_flight > 0)
    }

    /// A member that no store has been told of may have been counted before.
    pub(super) fn resume(&mut self, record: &Record, replica: Replica, now: Timestamp) {
        let past = Counted::remembered(record, replica)
            .filter(|_| !self.history.told && record.generation == self.history.generation);
        if let Some(past) = past {
            self.member.resume(&past, now);
            let spent = Spending::remembered(record, replica);
            let spending = match (self.take_spending(), spent) {
                (Some(own), Some(spent)) => Some(Box::new(own.after(*spent))),
                (own, spent) => own.or(spent),
            };
            self.set_spending(spending);
            let tally = past.and(self.history.tally(self.member.client()));
            self.history.counted = Some(Box::new(tally.into()));
        }
        self.history.told = true;
    }

    /// The member as it is to be remembered.
    pub(super) fn record(&self, provider: &str, replica: Replica) -> Record {
        let key = &self.member.key;
        let History { generation, version, seal, created, updated, .. } = &self.history;
        let mut record = Record::new(self.member.id, provider, self.member.secret());
        (record.label, record.origin) = (key.labelled().map(str::to_owned), key.own_origin().cloned());
        record.traits = key.own_traits();
        (record.generation, record.version, record.seal) = (*generation, *version, *seal);
        (record.created, record.updated, record.since) = (*created, *updated, self.since);
        (record.condition, record.strikers) = (self.health.condition(), self.strikers().to_vec());
        record.rests = self.rests().cloned().unwrap_or_default();
        if self.history.counted.is_some() {
            record.tallies.note(replica, self.history.tally(self.member.client()));
        }
        if let Some(spending) = self.spending() {
            record.tallies.note(replica, Tally { spent: spending.total(), ..Tally::default() });
            record.usage = spending.told(replica);
        }
        record
    }
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;

    /// Begun, in flight, unserved: what is asked for in this order may end in between.
    #[test]
    fn what_ends_while_it_is_counted_is_counted_once() {
        let ended = |news: &[(i64, u32, u32)]| {
            let mut history = History::default();
            news.iter().map(|&(begun, in_flight, unserved)| history.close(begun, in_flight, unserved)).sum::<u64>()
        };
        assert_eq!(ended(&[(5, 0, 0)]), 5);
        assert_eq!(ended(&[(5, 2, 1), (0, 2, 0), (0, 0, 0)]), 4);
        assert_eq!(ended(&[(5, 2, 1), (3, 0, 2)]), 5);
        assert_eq!(ended(&[(1, 1, 1), (0, 0, 0)]), 0, "it was in flight, then it had failed");
        assert_eq!(ended(&[(1, 1, 0), (-1, 0, 0), (1, 0, 1)]), 0, "it had entered, then it had not");
    }
}
