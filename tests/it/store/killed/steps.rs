//! What a store is told until it is killed: each step the same whenever it is taken, and harmless when it is taken twice.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use key_commune::clock::Timestamp;
use key_commune::health::State;
use key_commune::record::{Change, Record, Replica, Tally, Tombstone};
use key_commune::secret::KeyId;
use key_commune::store::{KeyRing, MasterKey};

use super::super::record;

/// Steps of a round through all kinds of them.
const KINDS: usize = 8;
/// Keys that join in each.
const SIZE: usize = 12;

pub(super) enum Step {
    Write(Vec<Change>),
    Header(Bytes),
    /// All is sealed anew by the master key with this number.
    Master(usize),
}

pub(super) fn step(number: usize) -> Step {
    let cycle = number / KINDS;
    let key = |place: usize| cycle * SIZE + place;
    match number % KINDS {
        0 => Step::Write((0..SIZE).map(|place| record(key(place)).into()).chain(leaving(cycle)).collect()),
        1 => Step::Write(vec![revised(key(0), 1).into()]),
        2 => Step::Write(vec![gone(key(1), 0)]),
        3 => Step::Write(vec![rejoined(key(1)).into()]),
        4 => Step::Header(format!("header {cycle}").into()),
        5 => Step::Write((2..SIZE).map(|place| revised(key(place), 2).into()).collect()),
        6 => Step::Master(cycle + 1),
        _ => Step::Write(vec![gone(key(3), 0), revised(key(2), 3).into()]),
    }
}

/// Master keys that were changed before this step.
pub(super) fn masters(number: usize) -> usize {
    (number + 1) / KINDS
}

pub(super) fn master(number: usize) -> MasterKey {
    format!("{number:04x}8f0c").repeat(8).parse().unwrap()
}

/// The ring of a process that takes this step, and finds the next key.
pub(super) fn ring(number: usize) -> KeyRing {
    let masters = masters(number);
    KeyRing::new(&master(masters)).source(move |_| Some(master(masters + 1)))
}

fn leaving(cycle: usize) -> impl Iterator<Item = Change> {
    let keys = cycle.saturating_sub(2) * SIZE..cycle.saturating_sub(1) * SIZE;
    keys.map(|key| gone(key, u32::from(key % SIZE == 1)))
}

fn gone(key: usize, generation: u32) -> Change {
    Tombstone { id: record(key).id, generation, at: Timestamp::ZERO }.into()
}

fn rejoined(key: usize) -> Record {
    let mut record = record(key);
    record.generation = 1;
    record
}

fn revised(key: usize, version: u64) -> Record {
    let mut record = record(key);
    record.version = version;
    record.condition.state = State::Resting;
    record.condition.until = Timestamp::from_unix(Duration::from_secs(1_700_000_000 + version));
    let mut tally = Tally::default();
    tally.total.calls = version * 10;
    record.tallies.note(Replica(version % 2), tally);
    record
}

/// What is known after some steps.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct World {
    pub(super) known: BTreeMap<KeyId, Change>,
    pub(super) header: Option<Bytes>,
}

impl World {
    /// How often something was sealed anew is nobody's business.
    pub(super) fn new(changes: Vec<Change>, header: Option<Bytes>) -> Self {
        let count = changes.len();
        let known: BTreeMap<_, _> = changes.into_iter().map(|change| (change.id(), unsealed(change))).collect();
        assert_eq!(known.len(), count, "no key twice");
        Self { known, header }
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Write(changes) => changes.into_iter().for_each(|change| self.merge(change)),
            Step::Header(header) => self.header = Some(header),
            Step::Master(_) => {}
        }
    }

    fn merge(&mut self, change: Change) {
        let known = self.known.remove(&change.id());
        let merged = known.map_or(change.clone(), |known| known.merge(change));
        self.known.insert(merged.id(), merged);
    }
}

fn unsealed(mut change: Change) -> Change {
    if let Change::Put(record) = &mut change {
        record.seal = 0;
    }
    change
}
