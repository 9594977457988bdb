use serde::{Deserialize, Serialize};

use super::Record;
use crate::clock::Timestamp;
use crate::secret::KeyId;

/// What a store is told about one key, and what it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The key is new, or something about it is.
    Put(Box<Record>),
    /// The key was removed.
    Gone(Tombstone),
}

/// What is left of a key that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tombstone {
    /// The generation that it ends, and all before it.
    pub generation: u32,
    /// When the key was removed.
    pub at: Timestamp,
    /// The name of the key.
    pub id: KeyId,
}

impl Tombstone {
    /// The generation of a key that joins again.
    #[must_use]
    pub fn next(self) -> u32 {
        self.generation.saturating_add(1)
    }
}

impl Change {
    /// The key that it is about.
    #[must_use]
    pub fn id(&self) -> KeyId {
        match self {
            Self::Put(record) => record.id,
            Self::Gone(tombstone) => tombstone.id,
        }
    }

    /// The record, unless the key was removed.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Put(record) => Some(record),
            Self::Gone(_) => None,
        }
    }

    /// What two changes of the same key come to: the same in any order, and under repetition (I20).
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Put(one), Self::Put(two)) if one.generation == two.generation => {
                Self::Put(Box::new(one.merge(*two)))
            }
            (one, other) if one.rank() < other.rank() => other,
            (one, _) => one,
        }
    }

    /// But for two records of one generation, the higher one stands. Two removals differ in their times at most.
    fn rank(&self) -> (u32, Option<Timestamp>) {
        match self {
            Self::Put(record) => (record.generation, None),
            Self::Gone(tombstone) => (tombstone.generation, Some(tombstone.at)),
        }
    }
}

impl From<Record> for Change {
    fn from(record: Record) -> Self {
        Self::Put(Box::new(record))
    }
}

impl From<Tombstone> for Change {
    fn from(tombstone: Tombstone) -> Self {
        Self::Gone(tombstone)
    }
}
