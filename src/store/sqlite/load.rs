//! All records, or some of them, with what has been counted.

use std::cmp::Ordering;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{Connection, OptionalExtension, Row, Rows, Statement};

use super::read::{GONE, KEY, TOTAL, id, record, tombstone, total};
use crate::record::{Change, Record, Tallies};
use crate::store::Loaded;

/// Everything there is. Keys and counts come in the order of their ids, and are joined as they come.
pub(super) fn everything(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut totals = connection.prepare(&format!("{TOTAL} ORDER BY key_id"))?;
    let mut totals = Totals::new(totals.query([])?)?;
    let mut keys = connection.prepare(&format!("{KEY} ORDER BY id"))?;
    let mut rows = keys.query([])?;
    while let Some(row) = rows.next()? {
        let (tallies, whole) = totals.take(row.get_ref(0)?.as_bytes()?)?;
        note(&mut loaded, row, record(row).map(|record| Record { tallies, ..record }), whole);
    }
    let mut gone = connection.prepare(GONE)?;
    let mut rows = gone.query([])?;
    while let Some(row) = rows.next()? {
        note(&mut loaded, row, tombstone(row), true);
    }
    Ok(loaded)
}

fn note(loaded: &mut Loaded, row: &Row<'_>, change: Option<impl Into<Change>>, whole: bool) {
    match (change, id(row)) {
        (Some(change), id) => {
            loaded.changes.push(change.into());
            loaded.miscounted.extend(id.filter(|_| !whole));
        }
        (None, Some(id)) => loaded.unreadable.push(id),
        (None, None) => loaded.nameless += 1,
    }
}

/// What has been counted, in the order of the keys.
struct Totals<'s>(Rows<'s>);

impl<'s> Totals<'s> {
    fn new(mut rows: Rows<'s>) -> rusqlite::Result<Self> {
        rows.advance().map(|()| Self(rows))
    }

    /// What has been counted for the next key, and whether all of it could be read.
    fn take(&mut self, key: &[u8]) -> rusqlite::Result<(Tallies, bool)> {
        let mut found = (Tallies::default(), true);
        while let Some(row) = self.0.get() {
            match row.get_ref(0)?.as_bytes()?.cmp(key) {
                Ordering::Less => {}
                Ordering::Equal => add(&mut found, row),
                Ordering::Greater => break,
            }
            self.0.advance()?;
        }
        Ok(found)
    }
}

fn add((tallies, whole): &mut (Tallies, bool), row: &Row<'_>) {
    let ((replica, tally), readable) = total(row);
    tallies.note(replica, tally);
    *whole &= readable;
}

/// Looks single keys up.
pub(super) struct Find<'c> {
    key: Statement<'c>,
    gone: Statement<'c>,
    totals: Statement<'c>,
}

impl<'c> Find<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            key: connection.prepare(&format!("{KEY} WHERE id = ?1"))?,
            gone: connection.prepare(&format!("{GONE} WHERE id = ?1"))?,
            totals: connection.prepare(&format!("{TOTAL} WHERE key_id = ?1"))?,
        })
    }

    /// What is known of a key, without what has been counted; nothing if it cannot be read.
    pub(super) fn change(&mut self, id: &str) -> rusqlite::Result<Option<Change>> {
        if let Some(found) = self.key.query_row([id], |row| Ok(record(row))).optional()? {
            return Ok(found.map(Change::from));
        }
        let gone = self.gone.query_row([id], |row| Ok(tombstone(row))).optional()?;
        Ok(gone.flatten().map(Change::from))
    }

    /// What has been counted for a key, and whether all of it could be read.
    pub(super) fn totals(&mut self, id: &str) -> rusqlite::Result<(Tallies, bool)> {
        let mut found = (Tallies::default(), true);
        let mut rows = self.totals.query([id])?;
        while let Some(row) = rows.next()? {
            add(&mut found, row);
        }
        Ok(found)
    }

    /// Adds all that there is about a key.
    pub(super) fn load(&mut self, id: &str, loaded: &mut Loaded) -> rusqlite::Result<()> {
        let (tallies, whole) = self.totals(id)?;
        if let Some(row) = self.key.query([id])?.next()? {
            note(loaded, row, record(row).map(|record| Record { tallies, ..record }), whole);
        } else if let Some(row) = self.gone.query([id])?.next()? {
            note(loaded, row, tombstone(row), true);
        }
        Ok(())
    }
}
