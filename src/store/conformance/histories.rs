//! Changes by lot: the same ones for the same seed.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::{Condition, Reason, State};
use crate::origin::Origin;
use crate::outcome::Outcome;
use crate::record::{Change, Record, Replica, Rest, RestOf, Spent, Tally, Tombstone, Traits, UsageOfDay};
use crate::secret::{Pepper, Secret};
use crate::usage::{Cost, Model};

pub(super) struct History(Xoshiro256PlusPlus);

impl History {
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A change of one of so many keys.
    pub(super) fn any(&mut self, keys: u64) -> Change {
        let key = self.0.random_range(0..keys);
        if self.0.random_ratio(1, 8) { self.removal(key) } else { self.change(key) }
    }

    /// Few values of everything that decides, so that there are many draws.
    pub(super) fn change(&mut self, key: u64) -> Change {
        let mut record = record(key);
        record.generation = self.0.random_range(0..3);
        record.version = self.0.random_range(0..4);
        record.seal = self.0.random_range(0..3);
        record.label = self.maybe().then(|| format!("label {}; --", self.0.random_range(0..3)));
        record.origin = self.maybe().then(|| Origin::plain("http://10.0.0.5:8080/v1").ok()).flatten();
        record.traits = self.traits();
        record.condition = self.condition();
        record.since = self.time();
        record.strikers = (0..self.0.random_range(0..3)).map(Caller).collect();
        record.rests = (0..self.0.random_range(0..3)).filter_map(|_| self.rest()).collect();
        record.created = self.time();
        record.updated = self.time();
        record.tallies = (0..self.0.random_range(0..3)).map(|replica| (Replica(replica), self.tally())).collect();
        record.usage = self.usage();
        record.into()
    }

    pub(super) fn shuffle(&mut self, changes: &mut [Change]) {
        changes.shuffle(&mut self.0);
    }

    fn removal(&mut self, key: u64) -> Change {
        Tombstone { id: record(key).id, generation: self.0.random_range(0..3), at: self.time() }.into()
    }

    fn condition(&mut self) -> Condition {
        let states = [State::Active, State::Resting, State::Probing, State::Suspect, State::Retired];
        let reasons = [Reason::Outcome(Outcome::Throttled), Reason::Hinted(Outcome::QuotaSpent), Reason::Disabled];
        Condition {
            until: self.time(),
            state: self.one(&states).unwrap_or_default(),
            reason: if self.maybe() { self.one(&reasons) } else { None },
            throttles: self.0.random_range(0..3),
            rejections: self.0.random_range(0..3),
            retirements: self.0.random_range(0..3),
        }
    }

    fn rest(&mut self) -> Option<Rest> {
        let model = self.one(&["gpt-4o", "o'3\"; --"])?;
        let of = self.one(&[0, 1, 2]).map(|kind| match kind {
            0 => RestOf::Model(model.into()),
            1 => RestOf::Group(model.into()),
            _ => RestOf::Pool,
        });
        Some(Rest { of: of?, since: self.time(), condition: self.condition() })
    }

    fn traits(&mut self) -> Traits {
        let mut traits = Traits { tier: self.0.random_range(0..3), ..Traits::default() };
        traits.weight = self.one(&[NonZeroU8::MIN, NonZeroU8::MAX]).unwrap_or(NonZeroU8::MIN);
        traits.group = self.one(&["acct-a", "acct b'; --"]).filter(|_| self.maybe()).map(Box::from);
        traits.models = self.one(&["gpt-4,gpt-4o*,others", "org/o'3\"?,*"]).and_then(|models| models.parse().ok());
        traits.models = traits.models.filter(|_| self.maybe());
        traits
    }

    fn tally(&mut self) -> Tally {
        let mut tally = Tally { day: self.0.random_range(0..3), ..Tally::default() };
        for counts in [&mut tally.total, &mut tally.today] {
            let all = [&mut counts.calls, &mut counts.successes, &mut counts.throttles];
            let others = [&mut counts.rejections, &mut counts.failures];
            all.into_iter().chain(others).for_each(|count| *count = self.0.random_range(0..9));
        }
        tally.last_success = self.time();
        let client = std::net::IpAddr::from([192, 0, self.0.random(), 1]);
        tally.last_client = self.maybe().then(|| (self.time(), client.into()));
        tally.spent = self.spent();
        tally
    }

    fn usage(&mut self) -> UsageOfDay {
        let (mut usage, day) = (UsageOfDay::default(), self.0.random_range(0..3));
        for _ in 0..self.0.random_range(0..3) {
            let model = self.one(&["gpt-4o", "claude; --"]).and_then(Model::new).unwrap_or(Model::OTHER);
            usage.note(day, Replica(self.0.random_range(0..3)), model, self.spent());
        }
        usage
    }

    fn spent(&mut self) -> Spent {
        let mut some = || self.0.random_range(0..9);
        let (calls, input, output, cached) = (some(), some(), some(), some());
        Spent { calls, input, output, cached, cost: Cost::from_micros(some()) }
    }

    fn one<T: Copy>(&mut self, values: &[T]) -> Option<T> {
        values.get(self.0.random_range(0..values.len())).copied()
    }

    fn time(&mut self) -> Timestamp {
        let times = [0, 1, 1_700_000_000_123_456_789, u64::MAX];
        self.one(&times).map_or(Timestamp::ZERO, |nanos| Timestamp::ZERO + Duration::from_nanos(nanos))
    }

    fn maybe(&mut self) -> bool {
        self.0.random()
    }
}

fn record(key: u64) -> Record {
    let Ok(secret) = Secret::new(format!("sk-conformance-{key:08}-'\"%;--")) else { unreachable!("no blanks") };
    Record::new(Pepper::new([7; 32]).id("openai", &secret), "openai", secret)
}

/// What changes come to, each key once.
pub(super) fn merged(changes: Vec<Change>) -> Vec<Change> {
    let mut all = BTreeMap::new();
    for change in changes {
        let id = change.id();
        let merged = match all.remove(&id) {
            Some(known) => Change::merge(known, change),
            None => change,
        };
        all.insert(id, merged);
    }
    all.into_values().collect()
}
