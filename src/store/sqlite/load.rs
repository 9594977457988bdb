//! All records, or some of them, with what has been counted.

use std::cmp::Ordering;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Rows, params};

use super::read::{GONE, KEY, TOTAL, USAGE, id, record, tombstone, total, usage};
use crate::record::{Change, Record, Tallies, UsageOfDay};
use crate::store::Loaded;

/// Everything there is. Keys and counts come in the order of their ids, and are joined as they come.
pub(super) fn everything(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut totals = connection.prepare(&format!("{TOTAL} ORDER BY key_id"))?;
    let mut totals = Joined::new(totals.query([])?)?;
    let mut usages = connection.prepare(&format!("{USAGE} ORDER BY key_id, day"))?;
    let mut usages = Joined::new(usages.query([])?)?;
    let mut keys = connection.prepare(&format!("{KEY} ORDER BY id"))?;
    let mut rows = keys.query([])?;
    while let Some(row) = rows.next()? {
        let mut counted = Counted::default();
        let id = row.get_ref(0)?.as_bytes()?;
        totals.each(id, |row| counted.add(row))?;
        usages.each(id, |row| counted.spend(row))?;
        counted.note(&mut loaded, row);
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

/// Rows of another table, in the order of the keys that they are about.
struct Joined<'s>(Rows<'s>);

impl<'s> Joined<'s> {
    fn new(mut rows: Rows<'s>) -> rusqlite::Result<Self> {
        rows.advance().map(|()| Self(rows))
    }

    /// Reads all that there are about the next key.
    fn each(&mut self, key: &[u8], mut read: impl FnMut(&Row<'_>)) -> rusqlite::Result<()> {
        while let Some(row) = self.0.get() {
            match row.get_ref(0)?.as_bytes()?.cmp(key) {
                Ordering::Less => {}
                Ordering::Equal => read(row),
                Ordering::Greater => break,
            }
            self.0.advance()?;
        }
        Ok(())
    }
}

/// What has been counted for a key.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) tallies: Tallies,
    usage: UsageOfDay,
    /// Whether some of it could not be read.
    damaged: bool,
}

impl Counted {
    fn add(&mut self, row: &Row<'_>) {
        let ((replica, tally), readable) = total(row);
        self.tallies.note(replica, tally);
        self.damaged |= !readable;
    }

    fn spend(&mut self, row: &Row<'_>) {
        self.damaged |= !usage(row, &mut self.usage);
    }

    /// Adds the key of a row, with what has been counted for it.
    fn note(self, loaded: &mut Loaded, row: &Row<'_>) {
        let Self { tallies, usage, damaged } = self;
        note(loaded, row, record(row).map(|record| Record { tallies, usage, ..record }), !damaged);
    }
}

/// Looks single keys up.
pub(super) struct Find<'c> {
    key: CachedStatement<'c>,
    gone: CachedStatement<'c>,
    totals: CachedStatement<'c>,
    usage: CachedStatement<'c>,
}

impl<'c> Find<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            key: connection.prepare_cached(&format!("{KEY} WHERE id = ?1"))?,
            gone: connection.prepare_cached(&format!("{GONE} WHERE id = ?1"))?,
            totals: connection.prepare_cached(&format!("{TOTAL} WHERE key_id = ?1"))?,
            usage: connection.prepare_cached(&format!("{USAGE} WHERE key_id = ?1 ORDER BY day DESC LIMIT ?2"))?,
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

    /// What has been counted for a key.
    pub(super) fn totals(&mut self, id: &str) -> rusqlite::Result<Counted> {
        let mut found = Counted::default();
        let mut rows = self.totals.query([id])?;
        while let Some(row) = rows.next()? {
            found.add(row);
        }
        Ok(found)
    }

    /// Adds all that there is about a key.
    pub(super) fn load(&mut self, id: &str, loaded: &mut Loaded) -> rusqlite::Result<()> {
        let mut counted = self.totals(id)?;
        let mut rows = self.usage.query(params![id, UsageOfDay::MOST as u32])?;
        while let Some(row) = rows.next()? {
            counted.spend(row);
        }
        if let Some(row) = self.key.query([id])?.next()? {
            counted.note(loaded, row);
        } else if let Some(row) = self.gone.query([id])?.next()? {
            note(loaded, row, tombstone(row), true);
        }
        Ok(())
    }
}
