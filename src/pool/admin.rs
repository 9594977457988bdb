//! Keys come, go and are told off by people, while requests run.

use std::sync::Arc;

use super::cell::Cell;
use super::history::History;
use super::ledger::Ledger;
use super::member::Member;
use super::roster::Roster;
use super::shared::Shared;
use super::{Key, KeyPool};
use crate::clock::Timestamp;
use crate::health::{Health, Reason, Step};
use crate::origin::OriginError;
use crate::record::{Tally, Tombstone};
use crate::secret::{KeyId, SecretError};

impl KeyPool {
    /// Adds a key; requests that wait get it at once.
    ///
    /// # Errors
    /// When the pool has it already, or is full.
    pub fn add(&self, key: Key) -> Result<KeyId, PoolError> {
        let mut ids = self.extend([key])?;
        ids.pop().ok_or(PoolError::NoKeys)
    }

    /// Adds keys, all or none of them.
    ///
    /// # Errors
    /// When the pool has one already, one comes twice, or they do not all fit.
    pub fn extend(&self, keys: impl IntoIterator<Item = Key>) -> Result<Vec<KeyId>, PoolError> {
        let name = self.0.provider.name();
        let keys = keys.into_iter().map(|key| (self.0.pepper.id(name, &key.secret), key)).collect();
        let now = self.now();
        self.0.with(|ledger| self.0.join(ledger, keys, now))
    }

    pub(super) fn add_all(&self, keys: impl IntoIterator<Item: Into<String>>) -> Result<(), PoolError> {
        let parse = |(index, text)| Key::new(text).map_err(|error| PoolError::Key { index, error });
        let keys = keys.into_iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(PoolError::NoKeys);
        }
        self.extend(keys).map(drop)
    }

    /// Removes a key. Requests that are being served with it go on; nothing they bring back is held against anybody.
    /// Answers whether there was such a key.
    pub fn remove(&self, id: KeyId) -> bool {
        let now = self.now();
        self.0.with(|ledger| self.0.remove(ledger, id, now))
    }

    /// Takes a key out of use until [`unblock`](Self::unblock). Answers whether there is such a key.
    pub fn disable(&self, id: KeyId) -> bool {
        self.change(id, |health, next, _| health.retired(Reason::Disabled, next))
    }

    /// Rests a key until a moment. Answers whether there is such a key.
    pub fn block(&self, id: KeyId, until: Timestamp) -> bool {
        self.change(id, |health, next, _| health.blocked(until, next))
    }

    /// Gives a key a clean slate, whatever was held against it, for whichever model; and its account, or all keys, if they rest
    /// because this one was refused. Answers whether there is such a key.
    pub fn unblock(&self, id: KeyId) -> bool {
        let now = self.now();
        self.0.with(|ledger| ledger.clear_rests(id, now));
        self.change(id, |_, next, _| Health::cleared(next))
    }

    fn change(&self, id: KeyId, change: impl FnOnce(Health, Step, Timestamp) -> Health) -> bool {
        let now = self.now();
        self.0.with(|ledger| {
            let Some(place) = ledger.place_of(id) else { return false };
            let Some(health) = ledger.cell(place).map(|cell| cell.health) else { return false };
            let changed = change(health, ledger.next_step(), now);
            ledger.install(place, changed, now);
            true
        })
    }
}

impl Shared {
    fn join(
        self: &Arc<Self>,
        ledger: &mut Ledger,
        keys: Vec<(KeyId, Key)>,
        now: Timestamp,
    ) -> Result<Vec<KeyId>, PoolError> {
        self.check(ledger, &keys)?;
        let ids = keys.iter().map(|&(id, _)| id).collect();
        let places: Vec<u32> = keys.into_iter().map(|(id, key)| self.enroll(ledger, id, key, now)).collect();
        self.publish(ledger);
        for place in places {
            ledger.hand_out(place, now);
        }
        Ok(ids)
    }

    fn check(&self, ledger: &Ledger, keys: &[(KeyId, Key)]) -> Result<(), PoolError> {
        if ledger.ids.len() + keys.len() > self.max_keys {
            return Err(PoolError::Full(self.max_keys));
        }
        let mut seen = std::collections::HashSet::new();
        let twice = keys.iter().find(|&&(id, _)| ledger.place_of(id).is_some() || !seen.insert(id));
        twice.map_or(Ok(()), |(_, key)| Err(PoolError::Twice(key.secret.masked())))
    }

    /// A key joins. One that was removed begins anew.
    fn enroll(self: &Arc<Self>, ledger: &mut Ledger, id: KeyId, key: Key, now: Timestamp) -> u32 {
        let generation = ledger.changes.exhume(id).map_or(0, Tombstone::next);
        let place = self.seat(ledger, id, key, (History::begin(generation, now), &Tally::default()));
        ledger.changes.note(place);
        place
    }

    /// Gives a key the lowest free place, with what was counted for it.
    pub(super) fn seat(
        self: &Arc<Self>,
        ledger: &mut Ledger,
        id: KeyId,
        key: Key,
        (history, past): (History, &Tally),
    ) -> u32 {
        let place = ledger.free.pop_first().unwrap_or(ledger.cells.len() as u32);
        let member = Arc::new(Member::new(place as usize, id, key, past, self));
        member.catch_up(ledger.roster.level(member.tier()));
        let group = member.key.group_name().map(|name| ledger.scopes.enter(name, place));
        let cell = Some(Cell::new(member, history, group, ledger.step()));
        match ledger.cells.get_mut(place as usize) {
            Some(free) => *free = cell,
            None => ledger.cells.push(cell),
        }
        ledger.ids.insert(id, place, &ledger.cells);
        place
    }

    /// A key that has proved itself joins, unless the pool is full of keys that work.
    pub(super) fn admit(self: &Arc<Self>, ledger: &mut Ledger, stranger: &Member, now: Timestamp) {
        if ledger.place_of(stranger.id).is_some() || !self.has_room(ledger, now) {
            return;
        }
        let place = self.enroll(ledger, stranger.id, stranger.key(), now);
        if let Some((own, past)) = ledger.cell(place).and_then(|cell| cell.member.extras()).zip(stranger.extras()) {
            own.gate.raise(past.gate.tat());
        }
        self.publish(ledger);
        ledger.hand_out(place, now);
    }

    /// Whether there is a seat, or one that a retired key can be sent away from.
    fn has_room(&self, ledger: &mut Ledger, now: Timestamp) -> bool {
        if ledger.ids.len() < self.max_keys {
            return true;
        }
        let retired =
            |cell: &&Cell| matches!(cell.health.reason(), Some(Reason::Outcome(_))) && cell.health.is_retired();
        let longest = ledger.cells.iter().flatten().filter(retired).min_by_key(|cell| cell.since);
        longest.map(|cell| cell.member.id).is_some_and(|id| self.remove(ledger, id, now))
    }

    fn remove(&self, ledger: &mut Ledger, id: KeyId, now: Timestamp) -> bool {
        let Some(cell) = ledger.expel(id) else { return false };
        let tombstone = Tombstone { generation: cell.history.generation, at: now, id };
        ledger.changes.removed(cell.member.place, tombstone);
        self.publish(ledger);
        true
    }

    /// Makes a new roster out of the books, for those who read without the lock.
    pub(super) fn publish(&self, ledger: &mut Ledger) {
        let member = |cell: &Option<Cell>| cell.as_ref().map(|cell| Arc::clone(&cell.member));
        let mut roster = Roster::new(ledger.cells.iter().map(member).collect());
        if self.commune.is_some() {
            roster = roster.indexed(&self.keyed);
        }
        let roster = Arc::new(roster);
        ledger.replace(&roster);
        self.roster.store(roster);
    }
}

/// Why keys cannot be put into a pool. Never holds a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// There is no key.
    #[error("a pool needs at least one key")]
    NoKeys,
    /// A text cannot be a key.
    #[error("key {number} cannot be used: {error}", number = index + 1)]
    Key {
        /// Which one, counted from 0.
        index: usize,
        /// Why.
        error: SecretError,
    },
    /// A key comes twice, or is in the pool already; in its masked form.
    #[error("the key {0} is in the pool already")]
    Twice(String),
    /// The provider has no base URL of its own, and was not given one.
    #[error("the provider {0} needs a base URL")]
    NoBase(&'static str),
    /// The provider's base URL is not one that keys may be sent to.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The pool takes no more than this many keys.
    #[error("the pool takes at most {0} keys")]
    Full(usize),
}
