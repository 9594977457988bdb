use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Spent;
use crate::clock::Timestamp;
use crate::subnet::Subnet;

/// A process that counts by itself. The same number after a restart, else its counts would be read twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Replica(pub u64);

/// How often something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Requests sent with the key.
    pub calls: u64,
    /// Those that the provider did.
    pub successes: u64,
    /// Those that it throttled.
    pub throttles: u64,
    /// Those that it rejected the key for.
    pub rejections: u64,
    /// Those that failed otherwise.
    pub failures: u64,
}

impl Counts {
    /// Calls, successes, throttles, rejections and failures.
    #[must_use]
    pub fn all(self) -> [u64; 5] {
        [self.calls, self.successes, self.throttles, self.rejections, self.failures]
    }

    /// The opposite of [`all`](Self::all).
    pub(crate) fn from_all([calls, successes, throttles, rejections, failures]: [u64; 5]) -> Self {
        Self { calls, successes, throttles, rejections, failures }
    }

    fn each(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            calls: join(self.calls, other.calls),
            successes: join(self.successes, other.successes),
            throttles: join(self.throttles, other.throttles),
            rejections: join(self.rejections, other.rejections),
            failures: join(self.failures, other.failures),
        }
    }
}

/// What one replica has counted, or all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tally {
    /// Since the key joined.
    pub total: Counts,
    /// The day of [`today`](Self::today), see [`Timestamp::day`].
    pub day: u32,
    /// On the last day that anything was counted.
    pub today: Counts,
    /// When the key last served a request.
    pub last_success: Timestamp,
    /// When it last served one whose origin is known, and where that came from.
    pub last_client: Option<(Timestamp, Subnet)>,
    /// What its answers have said about tokens and cost since it joined.
    pub spent: Spent,
}

impl Tally {
    /// The same once so much has been counted in all, as of now. `client` is where the last call came from.
    pub(crate) fn advanced(self, total: Counts, now: Timestamp, client: Option<Subnet>) -> Self {
        let more = total.each(self.total, u64::saturating_sub);
        let today = if self.day == now.day() { self.today } else { Counts::default() };
        Self {
            total,
            day: now.day(),
            today: today.each(more, u64::saturating_add),
            last_success: if more.successes > 0 { now } else { self.last_success },
            last_client: client.filter(|_| more.calls > 0).map(|client| (now, client)).or(self.last_client),
            spent: self.spent,
        }
    }

    /// Both together.
    pub(crate) fn and(self, later: Self) -> Self {
        self.each(later, u64::saturating_add)
    }

    /// What was counted before the day of [`today`](Self::today).
    pub(crate) fn before_today(&self) -> Counts {
        self.total.each(self.today, u64::saturating_sub)
    }

    /// Joins two, counts by `join`. Of two days only the later one is kept.
    fn each(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        let today = match self.day.cmp(&other.day) {
            std::cmp::Ordering::Less => other.today,
            std::cmp::Ordering::Equal => self.today.each(other.today, &join),
            std::cmp::Ordering::Greater => self.today,
        };
        Self {
            total: self.total.each(other.total, &join),
            day: self.day.max(other.day),
            today,
            last_success: self.last_success.max(other.last_success),
            last_client: self.last_client.max(other.last_client),
            spent: self.spent.each(other.spent, &join),
        }
    }
}

/// What each replica has counted.
///
/// ```
/// use key_commune::record::{Replica, Tallies, Tally};
///
/// let mut tally = Tally::default();
/// tally.total.calls = 2;
/// let mut tallies = Tallies::default();
/// tallies.note(Replica(1), tally);
/// tallies.note(Replica(1), tally);
/// tallies.note(Replica(2), tally);
/// assert_eq!(tallies.sum().total.calls, 4, "told twice is counted once");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Replica, Tally>", into = "BTreeMap<Replica, Tally>")]
pub struct Tallies(
    /// In the order of the replicas. Mostly there is one, where a tree makes room for eleven: 1.5 KiB for each key.
    Vec<(Replica, Tally)>,
);

impl From<Tallies> for BTreeMap<Replica, Tally> {
    fn from(tallies: Tallies) -> Self {
        tallies.0.into_iter().collect()
    }
}

impl From<BTreeMap<Replica, Tally>> for Tallies {
    fn from(tallies: BTreeMap<Replica, Tally>) -> Self {
        tallies.into_iter().collect()
    }
}

impl FromIterator<(Replica, Tally)> for Tallies {
    fn from_iter<I: IntoIterator<Item = (Replica, Tally)>>(tallies: I) -> Self {
        let mut all = Self::default();
        tallies.into_iter().for_each(|(replica, tally)| all.note(replica, tally));
        all
    }
}

impl Tallies {
    /// The most replicas that are remembered: those with the highest numbers, so that any order of merging comes to the
    /// same ones.
    pub const MOST: usize = 256;

    /// Takes note of what a replica has counted so far.
    pub fn note(&mut self, replica: Replica, tally: Tally) {
        match self.0.binary_search_by_key(&replica, |&(known, _)| known) {
            Ok(at) => self.0.iter_mut().skip(at).take(1).for_each(|(_, known)| *known = known.each(tally, u64::max)),
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (replica, tally));
            }
        }
        let excess = self.0.len().saturating_sub(Self::MOST);
        self.0.drain(..excess);
    }

    /// Takes note of what others know.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(replica, tally)| self.note(replica, tally));
    }

    /// What one replica has counted.
    #[must_use]
    pub fn of(&self, replica: Replica) -> Option<Tally> {
        self.iter().find(|&(known, _)| known == replica).map(|(_, tally)| tally)
    }

    /// What has been counted in all.
    #[must_use]
    pub fn sum(&self) -> Tally {
        self.0.iter().fold(Tally::default(), |sum, &(_, tally)| sum.and(tally))
    }

    /// What each replica has counted, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Replica, Tally)> + '_ {
        self.0.iter().copied()
    }
}
