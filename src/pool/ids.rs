//! Where keys stand, by their ids. Only the places are kept, since the books hold the ids: 10 bytes for each key where a map
//! of both takes 44.

use hashbrown::HashTable;

use super::cell::Cell;
use crate::secret::KeyId;

#[derive(Debug, Default)]
pub(super) struct Ids(HashTable<u32>);

impl Ids {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where the key stands in these books, of all whose keys were put in.
    pub(super) fn find(&self, id: KeyId, cells: &[Option<Cell>]) -> Option<u32> {
        self.0.find(hash(id), |&place| id_at(cells, place) == Some(id)).copied()
    }

    /// A key has come that was not there before.
    pub(super) fn insert(&mut self, id: KeyId, place: u32, cells: &[Option<Cell>]) {
        self.0.insert_unique(hash(id), place, |&place| id_at(cells, place).map_or(0, hash));
    }

    /// A key has gone.
    pub(super) fn remove(&mut self, id: KeyId, place: u32) {
        if let Ok(entry) = self.0.find_entry(hash(id), |&other| other == place) {
            entry.remove();
        }
    }

    /// So many more are about to come.
    pub(super) fn reserve(&mut self, more: usize, cells: &[Option<Cell>]) {
        self.0.reserve(more, |&place| id_at(cells, place).map_or(0, hash));
    }
}

fn id_at(cells: &[Option<Cell>], place: u32) -> Option<KeyId> {
    cells.get(place as usize)?.as_ref().map(|cell| cell.member.id)
}

/// Nobody can choose the bits of an id, so they need no hashing.
fn hash(id: KeyId) -> u64 {
    id.bits() as u64
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use crate::secret::Secret;
    use crate::{KeyPool, Provider};

    #[test]
    fn finds_every_key_that_is_there_and_no_other() {
        let pool = KeyPool::builder(Provider::OPENAI).build().unwrap();
        let texts = || (0..1_000).map(|number| format!("sk-test-{number:04}"));
        let id = |text: &String| pool.0.pepper.id("openai", &text.parse::<Secret>().unwrap());
        let check = |are_there: &dyn Fn(usize) -> bool| {
            pool.0.with(|ledger| {
                for (number, id) in texts().map(|text| id(&text)).enumerate() {
                    let found = ledger.place_of(id).map(|place| ledger.cell(place).unwrap().member.id);
                    assert_eq!(found, are_there(number).then_some(id));
                }
                assert_eq!(ledger.ids.len(), (0..1_000).filter(|&number| are_there(number)).count());
            });
        };
        check(&|_| false);
        pool.add_all(texts()).unwrap();
        check(&|_| true);
        texts().step_by(3).for_each(|text| assert!(pool.remove(id(&text))));
        check(&|number| number % 3 > 0);
        pool.add_all(texts().step_by(3)).unwrap();
        check(&|_| true);
    }
}
