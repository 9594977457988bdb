//! Records as rows.

use rusqlite::{CachedStatement, Connection, named_params, params};

use super::counters::{Counters, count, from_time};
use super::load::Find;
use crate::demand::Models;
use crate::health::Condition;
use crate::origin::Origin;
use crate::record::{Change, Kept, Record, Tallies, Tombstone, Traits, UsageOfDay};

const PUT: &str = "
    INSERT INTO api_keys (id, provider, origin, key_display, label, weight, tier, quota_group, models, state, reason,
        until_ns, consecutive_throttles, consecutive_auth_failures, retirements, since_ns, created_ns, updated_ns, strikers,
        rests, generation, version, edits, seal, is_sealed, secret)
    VALUES (:id, :provider, :origin, :display, :label, :weight, :tier, :group, :models, :state, :reason,
        :until, :throttles, :rejections, :retirements, :since, :created, :updated, :strikers, :rests, :generation, :version, -1, :seal,
        :is_sealed, :secret)
    ON CONFLICT DO UPDATE SET provider = excluded.provider, origin = excluded.origin,
        key_display = excluded.key_display, label = excluded.label, weight = excluded.weight, tier = excluded.tier,
        quota_group = excluded.quota_group, models = excluded.models, state = excluded.state,
        reason = excluded.reason, until_ns = excluded.until_ns, consecutive_throttles = excluded.consecutive_throttles,
        consecutive_auth_failures = excluded.consecutive_auth_failures, retirements = excluded.retirements,
        since_ns = excluded.since_ns, created_ns = excluded.created_ns, updated_ns = excluded.updated_ns,
        strikers = excluded.strikers, rests = excluded.rests, generation = excluded.generation, version = excluded.version,
        edits = edits + 1, seal = excluded.seal, is_sealed = excluded.is_sealed, secret = excluded.secret";
const REMOVE: &str = "DELETE FROM api_keys WHERE id = ?1";
const BURY: &str = "INSERT OR REPLACE INTO removed_keys (id, generation, removed_ns) VALUES (?1, ?2, ?3)";
const UNBURY: &str = "DELETE FROM removed_keys WHERE id = ?1";
const TELL: &str = "INSERT INTO news (id) VALUES (?1)";
/// Everything that merging changes asks of a database, ready to be asked again and again.
pub(super) struct Merge<'c> {
    /// Whether somebody else is to hear of it.
    tells: bool,
    /// How many keys were removed.
    pub(super) buried: usize,
    find: Find<'c>,
    put: CachedStatement<'c>,
    remove: CachedStatement<'c>,
    bury: CachedStatement<'c>,
    unbury: CachedStatement<'c>,
    tell: CachedStatement<'c>,
    counters: Counters<'c>,
}

impl<'c> Merge<'c> {
    pub(super) fn prepare(connection: &'c Connection, tells: bool) -> rusqlite::Result<Self> {
        Ok(Self {
            tells,
            buried: 0,
            find: Find::prepare(connection)?,
            put: connection.prepare_cached(PUT)?,
            remove: connection.prepare_cached(REMOVE)?,
            bury: connection.prepare_cached(BURY)?,
            unbury: connection.prepare_cached(UNBURY)?,
            tell: connection.prepare_cached(TELL)?,
            counters: Counters::prepare(connection)?,
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
                let counts = is_current && self.count(&id, &tallies)? | self.counters.spend(&id, &usage)?;
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
        let Traits { weight, tier, group, models } = &record.traits;
        let (is_sealed, secret) = match &record.secret {
            Kept::Plain(secret) => (false, secret.expose().as_bytes()),
            Kept::Sealed(sealed) => (true, &sealed[..]),
        };
        let row = named_params! {
            ":id": id, ":provider": record.provider, ":origin": record.origin.as_ref().map(Origin::to_string),
            ":display": record.display, ":label": record.label, ":weight": weight.get(), ":tier": tier, ":group": group,
            ":models": models.as_ref().map(Models::as_str), ":state": state.to_string(),
            ":reason": reason.map(|reason| json(&reason)), ":until": from_time(until), ":throttles": throttles,
            ":rejections": rejections, ":retirements": retirements, ":since": from_time(record.since),
            ":created": from_time(record.created), ":updated": from_time(record.updated),
            ":strikers": json(&record.strikers), ":rests": (!record.rests.is_empty()).then(|| json(&record.rests)), ":generation": record.generation, ":version": count(record.version),
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
        self.counters.merge(id, &known, tallies)
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

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
