use std::collections::{BTreeSet, HashMap};

use super::Tombstone;
use crate::clock::Timestamp;
use crate::secret::KeyId;

/// The keys that were removed, as many as are remembered (I19): far more than others have not heard of yet.
#[derive(Debug, Default)]
pub(crate) struct Graves {
    gone: HashMap<KeyId, Tombstone>,
    ages: BTreeSet<(Timestamp, KeyId)>,
}

impl Graves {
    /// The most that are remembered.
    pub(crate) const MOST: usize = 1 << 16;

    /// What is left of a key.
    pub(crate) fn find(&self, id: KeyId) -> Option<Tombstone> {
        self.gone.get(&id).copied()
    }

    /// What is left of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Tombstone> + '_ {
        self.gone.values().copied()
    }

    /// Puts what is left of a key in the place of what was. Answers which key is forgotten for it: the one that was
    /// removed first of all.
    pub(crate) fn bury(&mut self, tombstone: Tombstone) -> Option<KeyId> {
        self.exhume(tombstone.id);
        self.ages.insert((tombstone.at, tombstone.id));
        self.gone.insert(tombstone.id, tombstone);
        let oldest = self.ages.first().filter(|_| self.gone.len() > Self::MOST).map(|&(_, id)| id)?;
        self.exhume(oldest).map(|grave| grave.id)
    }

    /// The key is back, or nobody need know of it any more.
    pub(crate) fn exhume(&mut self, id: KeyId) -> Option<Tombstone> {
        let grave = self.gone.remove(&id)?;
        self.ages.remove(&(grave.at, id));
        Some(grave)
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    fn grave(number: usize, second: u64) -> Tombstone {
        let at = Timestamp::from_unix(std::time::Duration::from_secs(second));
        Tombstone { generation: 0, at, id: format!("{number:032x}").parse().unwrap() }
    }

    #[test]
    fn the_oldest_is_forgotten_whichever_came_last() {
        let mut graves = Graves::default();
        for number in 0..Graves::MOST {
            assert_eq!(graves.bury(grave(number, 1_000 + number as u64)), None);
        }
        assert_eq!(graves.bury(grave(0, 9_000_000)), None, "it is the same key");
        assert_eq!(graves.bury(grave(Graves::MOST, 9_000_000)), Some(grave(1, 0).id));
        assert_eq!(graves.bury(grave(1, 1)), Some(grave(1, 0).id), "it is the oldest itself");
        assert_eq!(graves.exhume(grave(2, 0).id), Some(grave(2, 1_002)));
        assert_eq!((graves.find(grave(2, 0).id), graves.iter().count()), (None, Graves::MOST - 1));
        assert_eq!(graves.bury(grave(2, 1)), None, "there is room again");
    }
}
