//! Which key gave which response: what follows a response must go to the key that knows it.
//!
//! Bounded in number, in two generations: when the younger is full it becomes the older, and what was the older is
//! forgotten. 16 bytes of a key's id and 8 that stand for the response's make an entry, and the tables have room for
//! growth: the default of 65,536 entries takes 3.2 MiB at most, and none that is not used takes any.

use std::collections::HashMap;

use super::member::Member;
use super::shared::Shared;
use crate::demand::{Demand, Id};
use crate::secret::KeyId;
use crate::sync::{Mutex, lock};

/// How many responses are remembered unless a pool is built for another number.
pub(super) const MOST: usize = 1 << 16;

pub(super) struct Affinity {
    /// How many of each generation.
    most: usize,
    owners: Mutex<Owners>,
}

#[derive(Default)]
struct Owners {
    young: HashMap<u64, KeyId>,
    old: HashMap<u64, KeyId>,
}

impl Affinity {
    /// Remembers so many, rounded up to an even number.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.div_ceil(2), owners: Mutex::default() }
    }

    /// The key with this id gave the response that this number stands for.
    pub(super) fn remember(&self, response: u64, key: KeyId) {
        if self.most == 0 {
            return;
        }
        let mut owners = lock(&self.owners);
        if owners.young.len() == self.most && !owners.young.contains_key(&response) {
            owners.age();
        }
        owners.young.insert(response, key);
    }

    /// Which key gave a response, if that is still known.
    pub(super) fn owner(&self, response: u64) -> Option<KeyId> {
        let owners = lock(&self.owners);
        owners.young.get(&response).or_else(|| owners.old.get(&response)).copied()
    }
}

impl Owners {
    /// What the tables have taken stays taken, so that they never grow again.
    fn age(&mut self) {
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
    }
}

impl Shared {
    /// Which key gave the response that a request follows. The key may be gone.
    pub(super) fn owner_of_response(&self, demand: &Demand) -> Option<KeyId> {
        self.affinity.owner(self.pepper.response(demand.previous_response_id()?.as_bytes()))
    }

    /// Remembers what a key has given: not in a commune, where nobody may follow what another has asked.
    pub(super) fn note_response(&self, id: &str, member: &Member) {
        if self.commune.is_none() {
            self.affinity.remember(self.pepper.response(Id::of(id).as_bytes()), member.id);
        }
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> KeyId {
        format!("{number:032x}").parse().unwrap()
    }

    #[test]
    fn the_latest_are_known_and_the_oldest_forgotten_first() {
        let affinity = Affinity::new(4);
        (0..5).for_each(|number| affinity.remember(number, key(number)));
        assert_eq!(
            [0, 1, 2, 3, 4].map(|number| affinity.owner(number)),
            [None, None, Some(key(2)), Some(key(3)), Some(key(4))]
        );
        affinity.remember(4, key(7));
        affinity.remember(3, key(8));
        assert_eq!([2, 3, 4].map(|number| affinity.owner(number)), [Some(key(2)), Some(key(8)), Some(key(7))]);
    }

    #[test]
    fn none_are_remembered_where_none_may_be() {
        let affinity = Affinity::new(0);
        affinity.remember(1, key(1));
        assert_eq!(affinity.owner(1), None);
    }

    #[test]
    fn i19_a_flood_takes_the_memory_that_the_docs_say() {
        let affinity = Affinity::new(MOST);
        (0..3 * MOST as u64).for_each(|number| affinity.remember(number, key(number)));
        let owners = lock(&affinity.owners);
        // A table fills seven eighths of its places, of which each takes an entry and a byte.
        let places = |table: &HashMap<u64, KeyId>| (table.capacity() * 8).div_ceil(7).next_power_of_two();
        let bytes = (places(&owners.young) + places(&owners.old)) * (size_of::<(u64, KeyId)>() + 1);
        assert!(bytes <= (32 << 20) / 10 && owners.young.len() + owners.old.len() <= MOST, "{bytes}");
    }

    proptest! {
        #[test]
        fn i19_there_are_never_more_than_so_many(most in 0..9_usize, told in prop::collection::vec(0..20_u64, 0..100)) {
            let affinity = Affinity::new(most);
            for (at, &response) in told.iter().enumerate() {
                affinity.remember(response, key(at as u64));
                let owners = lock(&affinity.owners);
                prop_assert!(owners.young.len() + owners.old.len() <= most.next_multiple_of(2));
            }
            // As many as half of them are known for sure, with what was told last.
            let mut last: Vec<u64> = Vec::new();
            for (at, &response) in told.iter().enumerate().rev() {
                if !last.contains(&response) && last.len() < most.div_ceil(2) {
                    last.push(response);
                    prop_assert_eq!(affinity.owner(response), Some(key(at as u64)));
                }
            }
        }
    }
}
