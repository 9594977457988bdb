//! Between the books and a store: what has changed is told as records, and what is remembered is taken over.

use std::sync::Arc;

use super::counted::Counted;
use super::history::History;
use super::ledger::Ledger;
use super::marks::Marks;
use super::shared::Shared;
use super::spot::Spot;
use super::usage::Spending;
use super::{Key, KeyPool};
use crate::clock::Timestamp;
use crate::health::Health;
use crate::record::{Change, Record, Replica};

impl KeyPool {
    /// What has changed since it was last told, at most so many keys, each once and in its present state; to be called
    /// again until there are none. For a store that writes behind the requests.
    #[must_use]
    pub fn drain(&self, most: usize) -> Vec<Change> {
        let now = self.now();
        self.0.with(|ledger| {
            ledger.count_marked(now);
            ledger.tell(self.0.provider.name(), self.0.replica, most)
        })
    }

    /// How many keys [`drain`](Self::drain) would tell of, but for those that were only used.
    pub(crate) fn undrained(&self) -> usize {
        self.0.with(|ledger| ledger.changes.len())
    }

    /// Makes room for these, as far as they may join: where millions do, much would be left over otherwise.
    pub(crate) fn make_room(&self, changes: &[Change]) {
        let provider = self.0.provider.name();
        let ours = changes.iter().filter_map(Change::record).filter(|record| record.provider == provider).count();
        self.0.with(|ledger| {
            let more = ours.min(self.0.max_keys.saturating_sub(ledger.ids.len()));
            ledger.cells.reserve_exact(more);
            ledger.ids.reserve(more, &ledger.cells);
        });
    }

    /// Has every member counted, marked or not.
    pub(crate) fn mark_all(&self) {
        self.0.signals.marks.set_all();
    }

    /// Takes over what a store knows, by the rules of [`record`](crate::record): a key that is new joins, one that was
    /// removed goes, one that changed elsewhere does so here. Nothing of it is told by [`drain`](Self::drain), except
    /// where the pool knows better.
    pub fn merge(&self, changes: impl IntoIterator<Item = Change>) -> Merged {
        let now = self.now();
        // What makes them is not run under the lock.
        let changes: Vec<Change> = changes.into_iter().collect();
        self.0.with(|ledger| {
            let (merged, seated) = Default::default();
            let mut takeover = Takeover { pool: &self.0, ledger, now, merged, seated, left: false };
            for change in changes {
                takeover.take(change);
            }
            takeover.publish()
        })
    }
}

/// What became of the changes that a pool was to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Merged {
    /// Keys that joined.
    pub joined: usize,
    /// Members that changed.
    pub changed: usize,
    /// Members that went.
    pub removed: usize,
    /// Keys that found no seat: the pool is full.
    pub left_out: usize,
    /// Keys of other providers, and keys that are sealed: not for this pool.
    pub foreign: usize,
}

impl std::ops::AddAssign for Merged {
    fn add_assign(&mut self, more: Self) {
        self.joined += more.joined;
        self.changed += more.changed;
        self.removed += more.removed;
        self.left_out += more.left_out;
        self.foreign += more.foreign;
    }
}

impl Ledger {
    /// Brings the tallies of those up to date that were used.
    fn count_marked(&mut self, now: Timestamp) {
        let signals = Arc::clone(&self.signals);
        for mark in signals.marks.take() {
            for place in (mark..self.cells.len()).step_by(Marks::SPAN) {
                let Some(Some(cell)) = self.cells.get_mut(place) else { continue };
                let (changed, unfinished) = cell.count(now);
                if unfinished {
                    signals.marks.set(place as u32);
                }
                if changed {
                    self.changes.note(place as u32);
                }
            }
        }
    }

    fn tell(&mut self, provider: &str, replica: Replica, most: usize) -> Vec<Change> {
        let mut told = Vec::new();
        while told.len() < most {
            let Some(place) = self.changes.next() else { break };
            let Some(cell) = self.cell_mut(place) else { continue };
            cell.history.tell();
            told.push(cell.record(provider, replica).into());
        }
        while told.len() < most {
            let Some(grave) = self.changes.next_gone() else { break };
            told.push(Change::Gone(grave));
        }
        told
    }
}

/// What a store knows comes into the books.
struct Takeover<'a> {
    pool: &'a Arc<Shared>,
    ledger: &'a mut Ledger,
    now: Timestamp,
    merged: Merged,
    seated: Vec<u32>,
    /// Whether a member has left its seat.
    left: bool,
}

impl Takeover<'_> {
    fn take(&mut self, mut change: Change) {
        if let Change::Put(record) = &mut change {
            record.rests.forget(self.now);
        }
        match self.known(&change) {
            Some((place, known)) => self.update(place, &known, change),
            None => self.learn(change),
        }
    }

    /// A member, as it is to be remembered.
    fn known(&mut self, change: &Change) -> Option<(u32, Record)> {
        let place = self.ledger.place_of(change.id())?;
        let cell = self.ledger.cell_mut(place)?;
        cell.count(self.now);
        if let Some(record) = change.record() {
            cell.resume(record, self.pool.replica, self.now);
        }
        Some((place, cell.record(self.pool.provider.name(), self.pool.replica)))
    }

    fn update(&mut self, place: u32, known: &Record, change: Change) {
        let rank = |record: &Record| (record.generation, record.version);
        let lacks_rests =
            |record: &Record| record.generation == known.generation && known.rests.is_news_to(&record.rests);
        let is_behind = |record: &Record| rank(record) < rank(known) || lacks_rests(record);
        if change.record().is_none_or(is_behind) {
            self.ledger.changes.note(place);
        }
        match Change::from(known.clone()).merge(change) {
            Change::Gone(grave) => {
                self.merged.removed += usize::from(self.ledger.expel(grave.id).is_some());
                self.left = true;
                self.ledger.changes.bury(grave);
            }
            Change::Put(news) if is_same_key(&news, known) => self.adopt(place, known, *news),
            Change::Put(news) => {
                self.ledger.expel(news.id);
                self.left = true;
                self.merged.changed += 1;
                self.seat(*news);
            }
        }
    }

    /// A change of a key that is no member.
    fn learn(&mut self, change: Change) {
        let grave = self.ledger.changes.grave(change.id()).map(Change::from);
        match grave.into_iter().fold(change, Change::merge) {
            Change::Gone(grave) => self.ledger.changes.bury(grave),
            Change::Put(record) => self.merged.joined += usize::from(self.seat(*record)),
        }
    }

    /// Others know better how a member is doing.
    fn adopt(&mut self, place: u32, known: &Record, mut news: Record) {
        let parts = |record: &Record| (record.version, record.condition, record.since);
        let (is_news, rests) = (parts(known) != parts(&news), std::mem::take(&mut news.rests));
        self.merged.changed += usize::from(is_news || rests != known.rests);
        if let Some(cell) = self.ledger.cell_mut(place) {
            cell.history.adopt(&news);
        }
        if is_news {
            self.settle_in(place, news);
        }
        if rests != known.rests {
            self.ledger.recall(place, rests, self.now);
        }
    }

    /// Seats a key as it was remembered.
    fn seat(&mut self, mut record: Record) -> bool {
        let secret = record.secret.plain().filter(|_| record.provider == self.pool.provider.name());
        let full = self.ledger.ids.len() >= self.pool.max_keys;
        let Some(secret) = secret.filter(|_| !full).cloned() else {
            *(if full { &mut self.merged.left_out } else { &mut self.merged.foreign }) += 1;
            return false;
        };
        let (key, replica) = (Key::remembered(secret, &record), self.pool.replica);
        let past = Counted::remembered(&record, replica).unwrap_or_default();
        let place = self.pool.seat(self.ledger, record.id, key, (History::of(&record, replica), &past));
        if let Some(cell) = self.ledger.cell_mut(place) {
            cell.set_spending(Spending::remembered(&record, replica));
        }
        self.ledger.changes.exhume(record.id);
        let rests = std::mem::take(&mut record.rests);
        self.settle_in(place, record);
        self.ledger.recall(place, rests, self.now);
        self.seated.push(place);
        true
    }

    fn settle_in(&mut self, place: u32, record: Record) {
        let health = Health::restored(record.condition, &self.ledger.judge(self.now, 0));
        self.ledger.put(place, health, self.now);
        if let Some(cell) = self.ledger.cell_mut(place) {
            cell.since = record.since;
            cell.remember_strikers(record.strikers);
        }
        self.ledger.renew_late(Spot::Key(place), record.updated, self.now);
    }

    /// Tells everybody who reads without the lock, and who waits.
    fn publish(self) -> Merged {
        if !self.seated.is_empty() || self.left {
            self.pool.publish(self.ledger);
        }
        for place in self.seated {
            self.ledger.hand_out(place, self.now);
        }
        self.merged
    }
}

/// Whether a member can stay and only change.
fn is_same_key(news: &Record, known: &Record) -> bool {
    news.generation == known.generation && Key::are_told_alike(news, known)
}
