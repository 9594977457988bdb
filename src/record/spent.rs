use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Replica;
use crate::usage::{Cost, Model, Usage};

/// What answers have said about tokens and cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spent {
    /// Answers that have told of usage.
    pub calls: u64,
    /// Tokens of the requests.
    pub input: u64,
    /// Tokens of the answers.
    pub output: u64,
    /// The part of the input that was read from a cache.
    pub cached: u64,
    /// What those answers cost that say so.
    pub cost: Cost,
}

impl Spent {
    /// The same and one more answer.
    #[must_use]
    pub(crate) fn and(self, usage: &Usage) -> Self {
        let cost = usage.cost.unwrap_or_default();
        let one = Self { calls: 1, input: usage.input, output: usage.output, cached: usage.cached, cost };
        self.plus(one)
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    pub(super) fn each(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            calls: join(self.calls, other.calls),
            input: join(self.input, other.input),
            output: join(self.output, other.output),
            cached: join(self.cached, other.cached),
            cost: Cost::from_micros(join(self.cost.as_micros(), other.cost.as_micros())),
        }
    }
}

/// What each replica's answers have said, by model, on the last day that any has said something.
///
/// ```
/// use key_commune::record::{Replica, Spent, UsageOfDay};
/// use key_commune::usage::Model;
///
/// let spent = Spent { calls: 1, input: 9, output: 2, ..Spent::default() };
/// let mut usage = UsageOfDay::default();
/// usage.note(20_000, Replica(0), Model::OTHER, spent);
/// usage.note(20_000, Replica(0), Model::OTHER, spent);
/// assert_eq!(usage.iter().collect::<Vec<_>>(), [(Replica(0), Model::OTHER, spent)], "told twice is counted once");
/// usage.note(20_001, Replica(0), Model::OTHER, Spent::default());
/// assert_eq!(usage.day(), 20_001, "of two days the later one is kept");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Told", into = "Told")]
pub struct UsageOfDay {
    day: u32,
    spent: BTreeMap<(Replica, Model), Spent>,
}

impl UsageOfDay {
    /// The most that is remembered of a day: the replicas with the highest numbers, so that any order of merging comes to
    /// the same.
    pub const MOST: usize = 4_096;

    /// Takes note of what a replica's answers have said so far of a model, on a day.
    pub fn note(&mut self, day: u32, replica: Replica, model: Model, spent: Spent) {
        if day > self.day {
            *self = Self { day, ..Self::default() };
        }
        if day == self.day {
            let known = self.spent.entry((replica, model)).or_default();
            *known = known.each(spent, u64::max);
        }
        while self.spent.len() > Self::MOST {
            self.spent.pop_first();
        }
    }

    /// Takes note of what others know.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(replica, model, spent)| self.note(other.day, replica, model, spent));
    }

    /// The day, see [`Timestamp::day`](crate::clock::Timestamp::day).
    #[must_use]
    pub fn day(&self) -> u32 {
        self.day
    }

    /// Replicas, models, and what was spent.
    pub fn iter(&self) -> impl Iterator<Item = (Replica, Model, Spent)> + '_ {
        self.spent.iter().map(|(&(replica, model), &spent)| (replica, model, spent))
    }
}

/// A map whose keys are no texts is not written as one.
#[derive(Serialize, Deserialize)]
struct Told {
    day: u32,
    spent: Vec<(Replica, Model, Spent)>,
}

impl From<Told> for UsageOfDay {
    fn from(told: Told) -> Self {
        let mut usage = Self::default();
        told.spent.into_iter().for_each(|(replica, model, spent)| usage.note(told.day, replica, model, spent));
        usage
    }
}

impl From<UsageOfDay> for Told {
    fn from(usage: UsageOfDay) -> Self {
        Self { day: usage.day, spent: usage.iter().collect() }
    }
}
