//! Rows as records. Whatever a row holds, it is parsed or told to be unreadable.

use std::num::NonZeroU8;

use bytes::Bytes;
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use crate::clock::Timestamp;
use crate::health::{Condition, State};
use crate::origin::Origin;
use crate::record::{Counts, Kept, Record, Replica, Rests, Spent, Tallies, Tally, Tombstone, Traits, UsageOfDay};
use crate::secret::{KeyId, Secret};
use crate::subnet::Subnet;
use crate::usage::{Cost, Model};

/// What [`record`] reads, in its order.
pub(super) const KEY: &str =
    "SELECT id, provider, origin, key_display, label, weight, tier, quota_group, models, generation, version,
    seal, until_ns, state, reason, consecutive_throttles, consecutive_auth_failures, retirements, since_ns, strikers, rests, created_ns, updated_ns,
    is_sealed, secret FROM api_keys";
/// What [`tombstone`] reads.
pub(super) const GONE: &str = "SELECT id, generation, removed_ns FROM removed_keys";
/// What [`total`] reads.
pub(super) const TOTAL: &str = "SELECT key_id, replica, call_count, success_count, throttle_count, rejection_count,
    failure_count, last_day, last_day_call_count, last_day_success_count, last_day_throttle_count,
    last_day_rejection_count, last_day_failure_count, last_success_ns, last_client_ns, last_client_subnet,
    usage_count, input_tokens, output_tokens, cached_tokens, cost_micros FROM totals";
/// What [`usage`] reads.
pub(super) const USAGE: &str = "SELECT key_id, day, replica, model, call_count, input_tokens, output_tokens,
    cached_tokens, cost_micros FROM usage";

/// `None` if anything in it is not what it must be.
pub(super) fn record(row: &Row<'_>) -> Option<Record> {
    let mut cells = Cells::of(row);
    Some(Record {
        id: cells.id()?,
        provider: cells.next()?,
        origin: cells.text().ok()?.map(Origin::plain).transpose().ok()?,
        display: cells.next()?,
        label: cells.next()?,
        traits: cells.traits()?,
        generation: cells.next()?,
        version: cells.count()?,
        seal: cells.next()?,
        condition: cells.condition()?,
        since: cells.time()?,
        strikers: serde_json::from_str(cells.text().ok()??).ok()?,
        rests: cells.rests()?,
        created: cells.time()?,
        updated: cells.time()?,
        tallies: Tallies::default(),
        usage: UsageOfDay::default(),
        secret: cells.kept()?,
    })
}

pub(super) fn tombstone(row: &Row<'_>) -> Option<Tombstone> {
    let mut cells = Cells::of(row);
    Some(Tombstone { id: cells.id()?, generation: cells.next()?, at: cells.time()? })
}

/// What one replica has counted, and whether that is all of it: what cannot be read was not counted.
pub(super) fn total(row: &Row<'_>) -> ((Replica, Tally), bool) {
    let mut cells = Cells { at: 1, ..Cells::of(row) };
    let replica = Replica(cells.mend(Cells::next::<i64>).cast_unsigned());
    let tally = Tally {
        total: cells.counts(),
        day: cells.mend(Cells::next),
        today: cells.counts(),
        last_success: cells.mend(Cells::time),
        last_client: cells.mend(|cells| cells.client().ok()),
        spent: cells.spent(),
    };
    ((replica, tally), !cells.damaged)
}

/// Takes note of what was spent, and whether that could be read.
pub(super) fn usage(row: &Row<'_>, usage: &mut UsageOfDay) -> bool {
    let mut cells = Cells { at: 1, ..Cells::of(row) };
    let (day, replica) = (cells.mend(Cells::next), Replica(cells.mend(Cells::next::<i64>).cast_unsigned()));
    let model = cells.text().ok().flatten().and_then(Model::new);
    let spent = cells.spent();
    if let Some(model) = model.filter(|_| !cells.damaged) {
        usage.note(day, replica, model, spent);
    }
    model.is_some() && !cells.damaged
}

/// The key that a row is about.
pub(super) fn id(row: &Row<'_>) -> Option<KeyId> {
    Cells::of(row).id()
}

/// A row from left to right: to find a column by its name is dearer than to read it.
struct Cells<'r> {
    row: &'r Row<'r>,
    at: usize,
    damaged: bool,
}

impl<'r> Cells<'r> {
    fn of(row: &'r Row<'r>) -> Self {
        Self { row, at: 0, damaged: false }
    }

    fn next<T: FromSql>(&mut self) -> Option<T> {
        T::column_result(self.value()?).ok()
    }

    fn value(&mut self) -> Option<ValueRef<'r>> {
        self.at += 1;
        self.row.get_ref(self.at - 1).ok()
    }

    /// Reads what a record can do without.
    fn mend<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> T {
        let value = read(self);
        self.damaged |= value.is_none();
        value.unwrap_or_default()
    }

    fn text(&mut self) -> FromSqlResult<Option<&'r str>> {
        self.value().ok_or(FromSqlError::InvalidType)?.as_str_or_null()
    }

    fn id(&mut self) -> Option<KeyId> {
        self.text().ok()??.parse().ok()
    }

    fn count(&mut self) -> Option<u64> {
        self.next::<i64>()?.try_into().ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        let nanos = self.count()?;
        Some(if nanos == i64::MAX as u64 { Timestamp::MAX } else { Timestamp::from_nanos(nanos) })
    }

    fn counts(&mut self) -> Counts {
        Counts {
            calls: self.mend(Self::count),
            successes: self.mend(Self::count),
            throttles: self.mend(Self::count),
            rejections: self.mend(Self::count),
            failures: self.mend(Self::count),
        }
    }

    fn spent(&mut self) -> Spent {
        Spent {
            calls: self.mend(Self::count),
            input: self.mend(Self::count),
            output: self.mend(Self::count),
            cached: self.mend(Self::count),
            cost: Cost::from_micros(self.mend(Self::count)),
        }
    }

    fn client(&mut self) -> FromSqlResult<Option<(Timestamp, Subnet)>> {
        let (time, subnet) = (self.time(), self.text());
        let client = |subnet: &str| time.zip(subnet.parse().ok()).ok_or(FromSqlError::InvalidType);
        subnet?.map(client).transpose()
    }

    fn condition(&mut self) -> Option<Condition> {
        let until = self.time()?;
        let state: StrDeserializer<'_, Error> = self.text().ok()??.into_deserializer();
        Some(Condition {
            until,
            state: State::deserialize(state).ok()?,
            reason: self.text().ok()?.map(serde_json::from_str).transpose().ok()?,
            throttles: self.next()?,
            rejections: self.next()?,
            retirements: self.next()?,
        })
    }

    fn traits(&mut self) -> Option<Traits> {
        Some(Traits {
            weight: NonZeroU8::new(self.next()?)?,
            tier: self.next()?,
            group: self.text().ok()?.map(Box::from),
            models: self.text().ok()?.map(str::parse).transpose().ok()?,
        })
    }

    fn rests(&mut self) -> Option<Rests> {
        self.text().ok()?.map_or_else(|| Some(Rests::default()), |text| serde_json::from_str(text).ok())
    }

    fn kept(&mut self) -> Option<Kept> {
        let is_sealed = self.next()?;
        let secret = self.value()?.as_blob().ok()?;
        if is_sealed {
            return Some(Kept::Sealed(Bytes::copy_from_slice(secret)));
        }
        Secret::new(std::str::from_utf8(secret).ok()?).ok().map(Kept::Plain)
    }
}
