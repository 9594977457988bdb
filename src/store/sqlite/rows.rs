//! Records as rows.

use rusqlite::{Connection, OptionalExtension, Statement, named_params, params};

use super::read::{record, tombstone, total};
use crate::clock::Timestamp;
use crate::health::Condition;
use crate::origin::Origin;
use crate::record::{Change, Kept, Record, Replica, Tally, Tombstone};
use crate::secret::KeyId;

const FIND: &str = "SELECT * FROM api_keys WHERE id = ?1";
const FIND_GONE: &str = "SELECT * FROM removed_keys WHERE id = ?1";
const FIND_TOTALS: &str = "SELECT replica, tally FROM totals WHERE key_id = ?1";
const PUT: &str = "
    INSERT INTO api_keys (id, provider, origin, key_display, label, state, reason, until_ns, consecutive_throttles,
        consecutive_auth_failures, retirements, since_ns, created_ns, updated_ns, last_success_ns, strikers, generation,
        version, seal, is_sealed, secret)
    VALUES (:id, :provider, :origin, :display, :label, :state, :reason, :until, :throttles, :rejections, :retirements,
        :since, :created, :updated, :success, :strikers, :generation, :version, :seal, :is_sealed, :secret)
    ON CONFLICT DO UPDATE SET provider = excluded.provider, origin = excluded.origin,
        key_display = excluded.key_display, label = excluded.label, state = excluded.state, reason = excluded.reason,
        until_ns = excluded.until_ns, consecutive_throttles = excluded.consecutive_throttles,
        consecutive_auth_failures = excluded.consecutive_auth_failures, retirements = excluded.retirements,
        since_ns = excluded.since_ns, created_ns = excluded.created_ns, updated_ns = excluded.updated_ns,
        last_success_ns = excluded.last_success_ns, strikers = excluded.strikers, generation = excluded.generation,
        version = excluded.version, seal = excluded.seal, is_sealed = excluded.is_sealed, secret = excluded.secret";
const REMOVE: &str = "DELETE FROM api_keys WHERE id = ?1";
const BURY: &str = "INSERT OR REPLACE INTO removed_keys (id, generation, removed_ns) VALUES (?1, ?2, ?3)";
const UNBURY: &str = "DELETE FROM removed_keys WHERE id = ?1";
const CLEAR_TOTALS: &str = "DELETE FROM totals WHERE key_id = ?1";
const PUT_TOTAL: &str = "
    INSERT INTO totals (key_id, replica, call_count, success_count, throttle_count, rejection_count, failure_count,
        last_client_subnet, tally)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const PUT_DAY: &str = "
    INSERT INTO daily_stats (key_id, replica, call_count, success_count, throttle_count, rejection_count,
        failure_count, last_client_subnet, date)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, date(?9 * 86400, 'unixepoch'))
    ON CONFLICT DO UPDATE SET call_count = max(call_count, excluded.call_count),
        success_count = max(success_count, excluded.success_count),
        throttle_count = max(throttle_count, excluded.throttle_count),
        rejection_count = max(rejection_count, excluded.rejection_count),
        failure_count = max(failure_count, excluded.failure_count),
        last_client_subnet = coalesce(excluded.last_client_subnet, last_client_subnet)";

/// Everything that merging changes asks of a database, ready to be asked again and again.
pub(super) struct Rows<'c> {
    find: Statement<'c>,
    find_gone: Statement<'c>,
    find_totals: Statement<'c>,
    put: Statement<'c>,
    remove: Statement<'c>,
    bury: Statement<'c>,
    unbury: Statement<'c>,
    clear_totals: Statement<'c>,
    put_total: Statement<'c>,
    put_day: Statement<'c>,
}

impl<'c> Rows<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            find: connection.prepare(FIND)?,
            find_gone: connection.prepare(FIND_GONE)?,
            find_totals: connection.prepare(FIND_TOTALS)?,
            put: connection.prepare(PUT)?,
            remove: connection.prepare(REMOVE)?,
            bury: connection.prepare(BURY)?,
            unbury: connection.prepare(UNBURY)?,
            clear_totals: connection.prepare(CLEAR_TOTALS)?,
            put_total: connection.prepare(PUT_TOTAL)?,
            put_day: connection.prepare(PUT_DAY)?,
        })
    }

    /// Whoever brings news of a key knows better than a row that cannot be read.
    pub(super) fn merge(&mut self, change: &Change) -> rusqlite::Result<()> {
        let known = self.find(change.id())?;
        let merged = match known.clone() {
            Some(known) => known.merge(change.clone()),
            None => change.clone(),
        };
        match &merged {
            merged if Some(merged) == known.as_ref() => Ok(()),
            Change::Put(record) => self.put(record),
            Change::Gone(tombstone) => self.bury(*tombstone),
        }
    }

    fn find(&mut self, id: KeyId) -> rusqlite::Result<Option<Change>> {
        let id = id.to_string();
        if let Some(found) = self.find.query_row([&id], |row| Ok(record(row))).optional()? {
            let Some(mut record) = found else { return Ok(None) };
            let totals = self.find_totals.query_map([&id], |row| Ok(total(row)))?;
            record.tallies = totals.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
            return Ok(Some(record.into()));
        }
        let gone = self.find_gone.query_row([&id], |row| Ok(tombstone(row))).optional()?;
        Ok(gone.flatten().map(Change::from))
    }

    fn put(&mut self, record: &Record) -> rusqlite::Result<()> {
        let id = record.id.to_string();
        let Condition { until, state, reason, throttles, rejections, retirements } = record.condition;
        let (is_sealed, secret) = match &record.secret {
            Kept::Plain(secret) => (false, secret.expose().as_bytes()),
            Kept::Sealed(sealed) => (true, &sealed[..]),
        };
        self.put.execute(named_params! {
            ":id": id, ":provider": record.provider, ":origin": record.origin.as_ref().map(Origin::to_string),
            ":display": record.display, ":label": record.label, ":state": state.to_string(),
            ":reason": reason.map(|reason| json(&reason)), ":until": from_time(until), ":throttles": throttles,
            ":rejections": rejections, ":retirements": retirements, ":since": from_time(record.since),
            ":created": from_time(record.created), ":updated": from_time(record.updated),
            ":success": from_time(record.tallies.sum().last_success), ":strikers": json(&record.strikers),
            ":generation": record.generation, ":version": count(record.version), ":seal": record.seal,
            ":is_sealed": is_sealed, ":secret": secret,
        })?;
        self.unbury.execute([&id])?;
        self.clear_totals.execute([&id])?;
        record.tallies.iter().try_for_each(|(replica, tally)| self.count(&id, replica, &tally))
    }

    fn count(&mut self, id: &str, Replica(replica): Replica, tally: &Tally) -> rusqlite::Result<()> {
        let replica = replica.cast_signed();
        let client = tally.last_client.map(|(_, subnet)| subnet.to_string());
        let [calls, done, throttled, rejected, failed] = tally.total.all().map(count);
        let total = params![id, replica, calls, done, throttled, rejected, failed, client, json(tally)];
        self.put_total.execute(total)?;
        let [calls, done, throttled, rejected, failed] = tally.today.all().map(count);
        let today = params![id, replica, calls, done, throttled, rejected, failed, client, tally.day];
        self.put_day.execute(today).map(drop)
    }

    /// The trigger does the rest, but does not know when it was.
    fn bury(&mut self, Tombstone { id, generation, at }: Tombstone) -> rusqlite::Result<()> {
        self.remove.execute([id.to_string()])?;
        self.bury.execute(params![id.to_string(), generation, from_time(at)]).map(drop)
    }
}

/// The last number that SQLite has stands for the last moment, the one before it for all that it cannot tell.
fn from_time(time: Timestamp) -> i64 {
    let nanos = i64::try_from(time.nanos()).unwrap_or(i64::MAX);
    if time == Timestamp::MAX { i64::MAX } else { nanos.min(i64::MAX - 1) }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
