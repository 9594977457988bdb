//! What has been counted, as rows.

use rusqlite::{CachedStatement, Connection, params};

use crate::clock::Timestamp;
use crate::record::{Counts, Replica, Spent, Tallies, Tally, UsageOfDay};

const PUT_SUCCESS: &str =
    "UPDATE api_keys SET last_success_ns = ?2, edits = edits + 1 WHERE id = ?1 AND last_success_ns < ?2";
const DROP_TOTAL: &str = "DELETE FROM totals WHERE key_id = ?1 AND replica = ?2";
const PUT_TOTAL: &str = "
    INSERT OR REPLACE INTO totals (key_id, replica, call_count, success_count, throttle_count, rejection_count,
        failure_count, last_day, last_day_call_count, last_day_success_count, last_day_throttle_count,
        last_day_rejection_count, last_day_failure_count, last_success_ns, last_client_ns, last_client_subnet,
        usage_count, input_tokens, output_tokens, cached_tokens, cost_micros)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";
const PUT_USAGE: &str = "
    INSERT INTO usage (key_id, day, replica, model, call_count, input_tokens, output_tokens, cached_tokens, cost_micros)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT DO UPDATE SET call_count = max(call_count, excluded.call_count),
        input_tokens = max(input_tokens, excluded.input_tokens),
        output_tokens = max(output_tokens, excluded.output_tokens),
        cached_tokens = max(cached_tokens, excluded.cached_tokens),
        cost_micros = max(cost_micros, excluded.cost_micros)";
/// A date has four digits for its year, as long as dates are compared as texts.
const PUT_DAY: &str = "
    INSERT INTO daily_stats (key_id, replica, date, call_count, success_count, throttle_count, rejection_count,
        failure_count, last_client_subnet)
    VALUES (?1, ?2, date(min(?3, 2932896) * 86400, 'unixepoch'), ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT DO UPDATE SET call_count = max(call_count, excluded.call_count),
        success_count = max(success_count, excluded.success_count),
        throttle_count = max(throttle_count, excluded.throttle_count),
        rejection_count = max(rejection_count, excluded.rejection_count),
        failure_count = max(failure_count, excluded.failure_count),
        last_client_subnet = coalesce(excluded.last_client_subnet, last_client_subnet)";

/// Writes what has been counted, in all and by day.
pub(super) struct Counters<'c> {
    put_success: CachedStatement<'c>,
    drop_total: CachedStatement<'c>,
    put_total: CachedStatement<'c>,
    put_day: CachedStatement<'c>,
    put_usage: CachedStatement<'c>,
}

impl<'c> Counters<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            put_success: connection.prepare_cached(PUT_SUCCESS)?,
            drop_total: connection.prepare_cached(DROP_TOTAL)?,
            put_total: connection.prepare_cached(PUT_TOTAL)?,
            put_day: connection.prepare_cached(PUT_DAY)?,
            put_usage: connection.prepare_cached(PUT_USAGE)?,
        })
    }

    /// Answers whether anything of it is new.
    pub(super) fn merge(&mut self, id: &str, known: &Tallies, tallies: &Tallies) -> rusqlite::Result<bool> {
        let mut merged = known.clone();
        merged.merge(tallies);
        for (replica, tally) in merged.iter().filter(|new| known.iter().all(|known| known != *new)) {
            self.put_total(id, replica, &tally)?;
        }
        // Each under its own day: a day that is yet to come, of a clock that was wrong, hides none.
        for (replica, tally) in tallies.iter().filter(|new| known.iter().all(|known| known != *new)) {
            self.put_day(id, replica, &tally)?;
        }
        for (replica, _) in known.iter().filter(|(known, _)| merged.iter().all(|(kept, _)| kept != *known)) {
            self.drop_total.execute(params![id, replica.0.cast_signed()])?;
        }
        let success = merged.sum().last_success;
        if success > known.sum().last_success {
            self.put_success.execute(params![id, from_time(success)])?;
        }
        Ok(merged != *known)
    }

    /// Answers whether anything of it is new.
    pub(super) fn spend(&mut self, id: &str, usage: &UsageOfDay) -> rusqlite::Result<bool> {
        let mut is_new = false;
        for (Replica(replica), model, spent) in usage.iter() {
            let [calls, input, output, cached, cost] = columns(spent);
            let replica = replica.cast_signed();
            let row = params![id, usage.day(), replica, model.as_str(), calls, input, output, cached, cost];
            is_new |= self.put_usage.execute(row)? > 0;
        }
        Ok(is_new)
    }

    fn put_total(&mut self, id: &str, Replica(replica): Replica, tally: &Tally) -> rusqlite::Result<()> {
        let replica = replica.cast_signed();
        let [calls, done, throttled, rejected, failed] = tally.total.all().map(count);
        let [last_calls, last_done, last_throttled, last_rejected, last_failed] = tally.today.all().map(count);
        let (at, subnet) = tally.last_client.map(|(at, subnet)| (from_time(at), subnet.to_string())).unzip();
        let [spent_calls, input, output, cached, cost] = columns(tally.spent);
        let row = self.put_total.execute(params![
            id,
            replica,
            calls,
            done,
            throttled,
            rejected,
            failed,
            tally.day,
            last_calls,
            last_done,
            last_throttled,
            last_rejected,
            last_failed,
            from_time(tally.last_success),
            at,
            subnet,
            spent_calls,
            input,
            output,
            cached,
            cost,
        ]);
        row.map(drop)
    }

    fn put_day(&mut self, id: &str, Replica(replica): Replica, tally: &Tally) -> rusqlite::Result<()> {
        if tally.today == Counts::default() {
            return Ok(());
        }
        let [last_calls, last_done, last_throttled, last_rejected, last_failed] = tally.today.all().map(count);
        let subnet = tally.last_client.map(|(_, subnet)| subnet.to_string());
        let replica = replica.cast_signed();
        let today =
            params![id, replica, tally.day, last_calls, last_done, last_throttled, last_rejected, last_failed, subnet];
        self.put_day.execute(today).map(drop)
    }
}

fn columns(Spent { calls, input, output, cached, cost }: Spent) -> [i64; 5] {
    [calls, input, output, cached, cost.as_micros()].map(count)
}

/// The last number that SQLite has stands for the last moment, the one before it for all that it cannot tell.
pub(super) fn from_time(time: Timestamp) -> i64 {
    let nanos = i64::try_from(time.nanos()).unwrap_or(i64::MAX);
    if time == Timestamp::MAX { i64::MAX } else { nanos.min(i64::MAX - 1) }
}

pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
