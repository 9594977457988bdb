//! What a store remembers of a member beside its health: from a record to the books, and back.

use super::cell::Cell;
use super::usage::Spending;
use crate::clock::Timestamp;
use crate::record::{Counts, Record, Replica, Tally};
use crate::secret::Secret;
use crate::subnet::Subnet;

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) generation: u32,
    pub(super) version: u64,
    seal: u32,
    pub(super) created: Timestamp,
    updated: Timestamp,
    /// What was counted when somebody last asked. Few of a million keys are used.
    tally: Option<Box<Counted>>,
    /// Whether a store has been told of the member, or has told of it.
    told: bool,
}

/// A [`Tally`] in little room, without what was spent, which is kept where it is counted.
#[derive(Clone, Debug)]
struct Counted {
    total: Counts,
    today: [u32; 5],
    day: u32,
    last_success: Timestamp,
    last_client: Option<(Timestamp, Subnet)>,
}

impl From<Tally> for Counted {
    fn from(tally: Tally) -> Self {
        let Tally { total, day, last_success, last_client, .. } = tally;
        let today = tally.today.all().map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        Self { total, today, day, last_success, last_client }
    }
}

impl From<&Counted> for Tally {
    fn from(counted: &Counted) -> Self {
        let &Counted { total, day, last_success, last_client, .. } = counted;
        let today = Counts::from_all(counted.today.map(u64::from));
        Self { total, day, today, last_success, last_client, ..Self::default() }
    }
}

impl History {
    /// A key that joins now, for the first time or again.
    pub(super) fn begin(generation: u32, now: Timestamp) -> Self {
        Self { generation, created: now, updated: now, ..Self::default() }
    }

    pub(super) fn of(record: &Record, replica: Replica) -> Self {
        let &Record { generation, version, seal, created, updated, .. } = record;
        let tally = record.tallies.of(replica).map(|tally| Box::new(tally.into()));
        Self { generation, version, seal, created, updated, tally, told: true }
    }

    pub(super) fn revise(&mut self, now: Timestamp) {
        self.version = self.version.saturating_add(1);
        self.updated = now;
    }

    /// Others know better. What was counted here stays.
    pub(super) fn adopt(&mut self, record: &Record) {
        *self = Self { tally: self.tally.take(), ..Self::of(record, Replica::default()) };
    }

    pub(super) fn tell(&mut self) {
        self.told = true;
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.as_deref().map(Tally::from).unwrap_or_default()
    }
}

impl Cell {
    /// Brings the tally up to date. Answers whether it has changed, and whether it will because calls have not ended.
    pub(super) fn count(&mut self, now: Timestamp) -> (bool, bool) {
        let (total, in_flight) = self.member.take_counts();
        let past = self.history.tally();
        if total == past.total {
            return (false, in_flight > 0);
        }
        let tally = past.advanced(total, now, self.member.client());
        match &mut self.history.tally {
            Some(counted) => **counted = tally.into(),
            none => *none = Some(Box::new(tally.into())),
        }
        (true, in_flight > 0)
    }

    /// A member that no store has been told of may have been counted before.
    pub(super) fn resume(&mut self, record: &Record, replica: Replica, now: Timestamp) {
        let past =
            record.tallies.of(replica).filter(|_| !self.history.told && record.generation == self.history.generation);
        if let Some(past) = past {
            self.member.resume(&past, now);
            let spent = Spending::remembered(record, replica);
            self.spending = match (self.spending.take(), spent) {
                (Some(own), Some(spent)) => Some(Box::new(own.after(*spent))),
                (own, spent) => own.or(spent),
            };
            self.history.tally = Some(Box::new(past.and(self.history.tally()).into()));
        }
        self.history.told = true;
    }

    /// The member as it is to be remembered.
    pub(super) fn record(&self, provider: &str, replica: Replica) -> Record {
        let key = &self.member.key;
        let History { generation, version, seal, created, updated, tally, .. } = &self.history;
        let mut record = Record::new(self.member.id, provider, Secret::clone(&key.secret));
        (record.label, record.origin) = (key.labelled().map(str::to_owned), key.own_origin().cloned());
        record.traits = key.own_traits();
        (record.generation, record.version, record.seal) = (*generation, *version, *seal);
        (record.created, record.updated, record.since) = (*created, *updated, self.since);
        (record.condition, record.strikers) = (self.health.condition(), self.strikers().to_vec());
        if let Some(counted) = tally {
            record.tallies.note(replica, Tally::from(&**counted));
        }
        if let Some(spending) = &self.spending {
            record.tallies.note(replica, Tally { spent: spending.total(), ..Tally::default() });
            record.usage = spending.told(replica);
        }
        record
    }
}
