//! Keys come into the store: each as a whole, or not at all.

use std::collections::{BTreeSet, HashMap, HashSet};

use key_commune::pool::Commune;
use key_commune::provider::Provider;
use key_commune::record::{Change, Record, Tombstone};
use key_commune::secret::KeyId;
use key_commune::store::Store;

use super::predecessor::History;
use super::session::{Session, told};
use super::summary::Summary;
use crate::Problem;
use crate::entry::Entry;

/// Keys that are written at once.
const BATCH: usize = 1_000;

/// Where keys come from. An error is the end of it.
pub(super) trait Source: Iterator<Item = Result<Item, Problem>> {}

impl<I: Iterator<Item = Result<Item, Problem>>> Source for I {}

/// A line or a row.
pub(super) struct Item {
    pub(super) place: String,
    /// How much was read with it, for the progress.
    pub(super) read: u64,
    pub(super) found: Result<Option<Candidate>, Problem>,
}

/// What may become a key of the store.
pub(super) struct Candidate {
    pub(super) entry: Entry,
    pub(super) history: Option<History>,
}

impl From<Entry> for Candidate {
    fn from(entry: Entry) -> Self {
        Self { entry, history: None }
    }
}

pub(super) struct Intake<'a> {
    session: &'a Session,
    provider: String,
    /// Those that the store has, and those that came since.
    present: HashSet<KeyId>,
    taken: HashSet<KeyId>,
    removed: HashMap<KeyId, Tombstone>,
    room: usize,
    batch: Vec<Change>,
    keys: usize,
    pub(super) summary: Summary,
}

impl<'a> Intake<'a> {
    pub(super) async fn new(
        session: &'a Session,
        row: Option<Provider>,
        max_keys: Option<u32>,
    ) -> Result<Self, Problem> {
        let loaded = session.load().await?;
        let live: Vec<_> = loaded.changes.iter().filter_map(Change::record).collect();
        let row = row.unwrap_or_else(|| usual(&live));
        let present: HashSet<_> = live.iter().map(|record| record.id).chain(loaded.unreadable).collect();
        let removed = loaded.changes.iter().filter_map(tombstone).map(|gone| (gone.id, gone)).collect();
        let room = max_keys.map_or(usize::MAX, |most| (most as usize).saturating_sub(present.len()));
        Ok(Self {
            session,
            provider: row.name().to_owned(),
            present,
            taken: HashSet::new(),
            removed,
            room,
            batch: Vec::new(),
            keys: 0,
            summary: Summary::new(&row),
        })
    }

    pub(super) async fn take(&mut self, item: Item) -> Result<(), Problem> {
        match item.found {
            Ok(Some(candidate)) => self.judge(&item.place, candidate),
            Ok(None) => {}
            Err(problem) => self.summary.refuse(&item.place, &problem),
        }
        if self.keys >= BATCH { self.write().await } else { Ok(()) }
    }

    pub(super) async fn finish(mut self) -> Result<Summary, Problem> {
        self.write().await.map(|()| self.summary)
    }

    fn judge(&mut self, place: &str, Candidate { entry, history }: Candidate) {
        let length = entry.secret.expose().len();
        let lengths = Commune::KEY_LENGTHS;
        if !lengths.contains(&length) {
            let problem = format!("the key has {length} characters, not {} to {}", lengths.start(), lengths.end());
            return self.summary.refuse(place, &problem);
        }
        let id = self.session.vault.pepper().id(&self.provider, &entry.secret);
        if self.present.contains(&id) {
            self.summary.present += 1;
        } else if self.taken.contains(&id) {
            self.summary.repeated += 1;
        } else if self.taken.len() >= self.room {
            self.summary.left_out += 1;
        } else {
            self.put(id, entry, history);
        }
    }

    fn put(&mut self, id: KeyId, entry: Entry, history: Option<History>) {
        let mut record = Record::new(id, &self.provider, entry.secret);
        entry.said.put_into(&mut record);
        let record = record.joined(self.removed.get(&id).copied(), self.session.now());
        match history {
            Some(history) => self.batch.extend(history.told(record, self.session.now()).into_iter().map(Change::from)),
            None => self.batch.push(record.into()),
        }
        self.taken.insert(id);
        self.keys += 1;
    }

    async fn write(&mut self) -> Result<(), Problem> {
        let vault = &self.session.vault;
        vault.write(std::mem::take(&mut self.batch)).await.map_err(told)?;
        vault.flush().await.map_err(told)?;
        self.summary.added += std::mem::take(&mut self.keys);
        Ok(())
    }
}

/// The provider of all keys that are there, if it is one, else `custom`.
fn usual(live: &[&Record]) -> Provider {
    let mut providers: BTreeSet<_> = live.iter().map(|record| record.provider.as_str()).collect();
    let one = providers.pop_first().filter(|_| providers.is_empty());
    one.and_then(Provider::by_name).unwrap_or(Provider::CUSTOM)
}

fn tombstone(change: &Change) -> Option<Tombstone> {
    match change {
        Change::Gone(tombstone) => Some(*tombstone),
        Change::Put(_) => None,
    }
}
