//! Rows as records. Whatever a row holds, it is parsed or told to be unreadable.

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{Connection, Row};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use crate::clock::Timestamp;
use crate::health::{Condition, State};
use crate::origin::Origin;
use crate::record::{Change, Kept, Record, Replica, Tallies, Tally, Tombstone};
use crate::secret::{KeyId, Secret};
use crate::store::Loaded;

/// Everything there is.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut totals = all_totals(connection)?;
    let mut keys = connection.prepare("SELECT * FROM api_keys")?;
    let mut rows = keys.query([])?;
    while let Some(row) = rows.next()? {
        let with_totals = |mut record: Record| {
            record.tallies = totals.remove(&record.id).unwrap_or_default();
            record
        };
        note(&mut loaded, row, record(row).map(with_totals));
    }
    let mut gone = connection.prepare("SELECT * FROM removed_keys")?;
    let mut rows = gone.query([])?;
    while let Some(row) = rows.next()? {
        note(&mut loaded, row, tombstone(row));
    }
    Ok(loaded)
}

fn note(loaded: &mut Loaded, row: &Row<'_>, change: Option<impl Into<Change>>) {
    match (change, id(row)) {
        (Some(change), _) => loaded.changes.push(change.into()),
        (None, Some(id)) => loaded.unreadable.push(id),
        (None, None) => loaded.nameless += 1,
    }
}

fn all_totals(connection: &Connection) -> rusqlite::Result<HashMap<KeyId, Tallies>> {
    let mut all = HashMap::<KeyId, Tallies>::new();
    let mut totals = connection.prepare("SELECT replica, tally, key_id FROM totals")?;
    let mut rows = totals.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(2)?.as_str().ok().and_then(|id| id.parse().ok());
        if let (Some(id), Some((replica, tally))) = (id, total(row)) {
            all.entry(id).or_default().note(replica, tally);
        }
    }
    Ok(all)
}

/// `None` if anything in it is not what it must be.
pub(super) fn record(row: &Row<'_>) -> Option<Record> {
    let secret = row.get_ref("secret").ok()?.as_blob().ok()?;
    let secret = if row.get("is_sealed").ok()? {
        Kept::Sealed(Bytes::copy_from_slice(secret))
    } else {
        Kept::Plain(Secret::new(std::str::from_utf8(secret).ok()?).ok()?)
    };
    let origin = row.get::<_, Option<String>>("origin").ok()?;
    Some(Record {
        id: id(row)?,
        provider: row.get("provider").ok()?,
        origin: origin.map(|origin| Origin::plain(&origin)).transpose().ok()?,
        display: row.get("key_display").ok()?,
        label: row.get("label").ok()?,
        generation: row.get("generation").ok()?,
        version: row.get::<_, i64>("version").ok()?.try_into().ok()?,
        seal: row.get("seal").ok()?,
        condition: condition(row)?,
        since: time(row, "since_ns")?,
        strikers: serde_json::from_str(row.get_ref("strikers").ok()?.as_str().ok()?).ok()?,
        created: time(row, "created_ns")?,
        updated: time(row, "updated_ns")?,
        tallies: Tallies::default(),
        secret,
    })
}

fn condition(row: &Row<'_>) -> Option<Condition> {
    let state: StrDeserializer<'_, Error> = row.get_ref("state").ok()?.as_str().ok()?.into_deserializer();
    let reason = row.get_ref("reason").ok()?.as_str_or_null().ok()?;
    Some(Condition {
        until: time(row, "until_ns")?,
        state: State::deserialize(state).ok()?,
        reason: reason.map(serde_json::from_str).transpose().ok()?,
        throttles: row.get("consecutive_throttles").ok()?,
        rejections: row.get("consecutive_auth_failures").ok()?,
        retirements: row.get("retirements").ok()?,
    })
}

pub(super) fn tombstone(row: &Row<'_>) -> Option<Tombstone> {
    Some(Tombstone { id: id(row)?, generation: row.get("generation").ok()?, at: time(row, "removed_ns")? })
}

pub(super) fn total(row: &Row<'_>) -> Option<(Replica, Tally)> {
    let tally = serde_json::from_str(row.get_ref(1).ok()?.as_str().ok()?).ok()?;
    Some((Replica(row.get::<_, i64>(0).ok()?.cast_unsigned()), tally))
}

fn id(row: &Row<'_>) -> Option<KeyId> {
    row.get_ref("id").ok()?.as_str().ok()?.parse().ok()
}

fn time(row: &Row<'_>, column: &str) -> Option<Timestamp> {
    let nanos: i64 = row.get(column).ok()?;
    if nanos == i64::MAX { Some(Timestamp::MAX) } else { nanos.try_into().ok().map(Timestamp::from_nanos) }
}
