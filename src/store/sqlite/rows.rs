//! Records as rows.

use rusqlite::{Connection, Statement, named_params, params};

use super::load::Find;
use crate::clock::Timestamp;
use crate::health::Condition;
use crate::origin::Origin;
use crate::record::{Change, Counts, Kept, Record, Replica, Spent, Tallies, Tally, Tombstone, UsageOfDay};

const PUT: &str = "
    INSERT INTO api_keys (id, provider, origin, key_display, label, state, reason, until_ns, consecutive_throttles,
        consecutive_auth_failures, retirements, since_ns, created_ns, updated_ns, strikers, generation, version, seal,
        is_sealed, secret)
    VALUES (:id, :provider, :origin, :display, :label, :state, :reason, :until, :throttles, :rejections, :retirements,
        :since, :created, :updated, :strikers, :generation, :version, :seal, :is_sealed, :secret)
    ON CONFLICT DO UPDATE SET provider = excluded.provider, origin = excluded.origin,
        key_display = excluded.key_display, label = excluded.label, state = excluded.state, reason = excluded.reason,
        until_ns = excluded.until_ns, consecutive_throttles = excluded.consecutive_throttles,
        consecutive_auth_failures = excluded.consecutive_auth_failures, retirements = excluded.retirements,
        since_ns = excluded.since_ns, created_ns = excluded.created_ns, updated_ns = excluded.updated_ns,
        strikers = excluded.strikers, generation = excluded.generation, version = excluded.version,
        edits = edits + 1, seal = excluded.seal, is_sealed = excluded.is_sealed, secret = excluded.secret";
const PUT_SUCCESS: &str =
    "UPDATE api_keys SET last_success_ns = ?2, edits = edits + 1 WHERE id = ?1 AND last_success_ns < ?2";
const REMOVE: &str = "DELETE FROM api_keys WHERE id = ?1";
const BURY: &str = "INSERT OR REPLACE INTO removed_keys (id, generation, removed_ns) VALUES (?1, ?2, ?3)";
const UNBURY: &str = "DELETE FROM removed_keys WHERE id = ?1";
const TELL: &str = "INSERT INTO news (id) VALUES (?1)";
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

/// Everything that merging changes asks of a database, ready to be asked again and again.
pub(super) struct Merge<'c> {
    /// Whether somebody else is to hear of it.
    tells: bool,
    /// How many keys were removed.
    pub(super) buried: usize,
    find: Find<'c>,
    put: Statement<'c>,
    put_success: Statement<'c>,
    remove: Statement<'c>,
    bury: Statement<'c>,
    unbury: Statement<'c>,
    tell: Statement<'c>,
    drop_total: Statement<'c>,
    put_total: Statement<'c>,
    put_day: Statement<'c>,
    put_usage: Statement<'c>,
}

impl<'c> Merge<'c> {
    pub(super) fn prepare(connection: &'c Connection, tells: bool) -> rusqlite::Result<Self> {
        Ok(Self {
            tells,
            buried: 0,
            find: Find::prepare(connection)?,
            put: connection.prepare(PUT)?,
            put_success: connection.prepare(PUT_SUCCESS)?,
            remove: connection.prepare(REMOVE)?,
            bury: connection.prepare(BURY)?,
            unbury: connection.prepare(UNBURY)?,
            tell: connection.prepare(TELL)?,
            drop_total: connection.prepare(DROP_TOTAL)?,
            put_total: connection.prepare(PUT_TOTAL)?,
            put_day: connection.prepare(PUT_DAY)?,
            put_usage: connection.prepare(PUT_USAGE)?,
        })
    }

    /// Whoever brings news of a key knows better than a row that cannot be read.
    pub(super) fn change(&mut self, mut change: Change) -> rusqlite::Result<()> {
        let (id, (generation, tallies, usage)) = (change.id().to_string(), counted(&mut change));
        let known = self.find.change(&id)?;
        let merged = match known.clone() {
            Some(known) => known.merge(change),
            None => change,
        };
        let is_new = known.as_ref() != Some(&merged);
        match merged {
            Change::Put(record) => {
                if is_new {
                    self.put(&id, &record, known.as_ref())?;
                }
                let is_current = generation == Some(record.generation);
                let counts = is_current && self.count(&id, &tallies)? | self.spend(&id, &usage)?;
                self.tell(&id, is_new || counts)
            }
            Change::Gone(tombstone) if is_new => self.bury(&id, tombstone).and_then(|()| self.tell(&id, true)),
            Change::Gone(_) => Ok(()),
        }
    }

    fn tell(&mut self, id: &str, is_new: bool) -> rusqlite::Result<()> {
        if self.tells && is_new { self.tell.execute([id]).map(drop) } else { Ok(()) }
    }

    fn put(&mut self, id: &str, record: &Record, known: Option<&Change>) -> rusqlite::Result<()> {
        let before = known.and_then(Change::record).map(|known| known.generation);
        // What an earlier generation has counted goes with it.
        if before.is_some_and(|before| before != record.generation) {
            self.remove.execute([id])?;
        }
        self.insert(id, record)?;
        if before == Some(record.generation) { Ok(()) } else { self.unbury.execute([id]).map(drop) }
    }

    fn insert(&mut self, id: &str, record: &Record) -> rusqlite::Result<()> {
        let Condition { until, state, reason, throttles, rejections, retirements } = record.condition;
        let (is_sealed, secret) = match &record.secret {
            Kept::Plain(secret) => (false, secret.expose().as_bytes()),
            Kept::Sealed(sealed) => (true, &sealed[..]),
        };
        let row = named_params! {
            ":id": id, ":provider": record.provider, ":origin": record.origin.as_ref().map(Origin::to_string),
            ":display": record.display, ":label": record.label, ":state": state.to_string(),
            ":reason": reason.map(|reason| json(&reason)), ":until": from_time(until), ":throttles": throttles,
            ":rejections": rejections, ":retirements": retirements, ":since": from_time(record.since),
            ":created": from_time(record.created), ":updated": from_time(record.updated),
            ":strikers": json(&record.strikers), ":generation": record.generation, ":version": count(record.version),
            ":seal": record.seal, ":is_sealed": is_sealed, ":secret": secret,
        };
        self.put.execute(row).map(drop)
    }

    /// Answers whether anything of it is new.
    fn count(&mut self, id: &str, tallies: &Tallies) -> rusqlite::Result<bool> {
        if tallies.iter().next().is_none() {
            return Ok(false);
        }
        let known = self.find.totals(id)?.tallies;
        let mut merged = known.clone();
        merged.merge(tallies);
        for (replica, tally) in merged.iter().filter(|new| known.iter().all(|known| known != *new)) {
            self.put_tally(id, replica, &tally)?;
        }
        for (replica, _) in known.iter().filter(|(known, _)| merged.iter().all(|(kept, _)| kept != *known)) {
            self.drop_total.execute(params![id, replica.0.cast_signed()])?;
        }
        let success = merged.sum().last_success;
        if success > known.sum().last_success {
            self.put_success.execute(params![id, from_time(success)])?;
        }
        Ok(merged != known)
    }

    fn put_tally(&mut self, id: &str, Replica(replica): Replica, tally: &Tally) -> rusqlite::Result<()> {
        let replica = replica.cast_signed();
        let [calls, done, throttled, rejected, failed] = tally.total.all().map(count);
        let [last_calls, last_done, last_throttled, last_rejected, last_failed] = tally.today.all().map(count);
        let (at, subnet) = tally.last_client.map(|(at, subnet)| (from_time(at), subnet.to_string())).unzip();
        let [spent_calls, input, output, cached, cost] = columns(tally.spent);
        self.put_total.execute(params![
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
        ])?;
        if tally.today == Counts::default() {
            return Ok(());
        }
        let today =
            params![id, replica, tally.day, last_calls, last_done, last_throttled, last_rejected, last_failed, subnet];
        self.put_day.execute(today).map(drop)
    }

    /// Answers whether anything of it is new.
    fn spend(&mut self, id: &str, usage: &UsageOfDay) -> rusqlite::Result<bool> {
        let mut is_new = false;
        for (Replica(replica), model, spent) in usage.iter() {
            let [calls, input, output, cached, cost] = columns(spent);
            let replica = replica.cast_signed();
            let row = params![id, usage.day(), replica, model.as_str(), calls, input, output, cached, cost];
            is_new |= self.put_usage.execute(row)? > 0;
        }
        Ok(is_new)
    }

    /// The trigger does the rest, but does not know when it was.
    fn bury(&mut self, id: &str, Tombstone { generation, at, .. }: Tombstone) -> rusqlite::Result<()> {
        self.buried += 1;
        self.remove.execute([id])?;
        self.bury.execute(params![id, generation, from_time(at)]).map(drop)
    }
}

/// What a change says about counts, taken out of it.
fn counted(change: &mut Change) -> (Option<u32>, Tallies, UsageOfDay) {
    let Change::Put(record) = change else { return Default::default() };
    (Some(record.generation), std::mem::take(&mut record.tallies), std::mem::take(&mut record.usage))
}

fn columns(Spent { calls, input, output, cached, cost }: Spent) -> [i64; 5] {
    [calls, input, output, cached, cost.as_micros()].map(count)
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
