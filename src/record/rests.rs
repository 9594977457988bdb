use serde::{Deserialize, Serialize};

use super::rest::{Rest, RestOf, is_clear};
use crate::clock::Timestamp;
use crate::health::Condition;

/// What rests beside a key, each thing once.
///
/// ```
/// use key_commune::clock::Timestamp;
/// use key_commune::health::{Condition, State};
/// use key_commune::record::{Rest, RestOf, Rests};
/// use std::time::Duration;
///
/// let at = |seconds| Timestamp::from_unix(Duration::from_secs(seconds));
/// let mut condition = Condition::default();
/// (condition.state, condition.until) = (State::Resting, at(60));
///
/// let mut rests = Rests::default();
/// rests.note(Rest { of: RestOf::Model("gpt-4o".into()), since: at(2), condition });
/// rests.note(Rest { of: RestOf::Model("gpt-4o".into()), since: at(1), condition: Condition::default() });
/// assert_eq!(rests.iter().count(), 1);
/// assert!(!rests.is_clear(), "the later word stands");
/// rests.clear(at(3));
/// assert!(rests.is_clear());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Rest>", into = "Vec<Rest>")]
pub struct Rests(
    /// In the order of what they are of.
    Vec<Rest>,
);

impl Rests {
    /// The most that are remembered of a key: those that changed last, so that any order of merging comes to the same.
    pub const MOST: usize = 32;

    /// Takes note of how a thing was doing.
    pub fn note(&mut self, rest: Rest) {
        if !rest.is_bounded() {
            return;
        }
        match self.find(&rest.of) {
            Ok(at) => self.0.iter_mut().skip(at).take(1).for_each(|known| {
                if known.rank() < rest.rank() {
                    *known = rest.clone();
                }
            }),
            Err(at) => self.0.insert(at, rest),
        }
        if self.0.len() > Self::MOST
            && let Some(least) = (0..self.0.len()).min_by_key(|&at| self.0.get(at).map(Rest::rank))
        {
            self.0.remove(least);
        }
    }

    /// Takes note of what others know.
    pub fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|rest| self.note(rest));
    }

    /// What is known of one thing.
    #[must_use]
    pub fn of(&self, of: &RestOf) -> Option<&Rest> {
        self.find(of).ok().and_then(|at| self.0.get(at))
    }

    /// Holds nothing against anything any more. Answers whether that changes anything.
    pub fn clear(&mut self, now: Timestamp) -> bool {
        let held = self.0.iter_mut().filter(|rest| !rest.is_clear());
        held.map(|rest| rest.revise(Condition::default(), now)).count() > 0
    }

    /// Whether nothing is held against anything.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.0.iter().all(Rest::is_clear)
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rest> {
        self.0.iter()
    }

    /// A thing is in this condition from now on. Answers whether it was in another.
    pub(crate) fn revise(&mut self, of: RestOf, condition: Condition, now: Timestamp) -> bool {
        self.forget(now);
        let mut rest = match self.of(&of) {
            Some(known) => known.clone(),
            None if is_clear(&condition) => return false,
            None => Rest { of, since: Timestamp::ZERO, condition: Condition::default() },
        };
        let before = rest.condition;
        rest.revise(condition, now);
        let is_other = rest.condition != before;
        if is_other {
            self.note(rest);
        }
        is_other
    }

    /// Leaves out what has been over for long enough.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|rest| !rest.is_over(now));
    }

    /// Whether some of it is not known to others.
    pub(crate) fn is_news_to(&self, other: &Self) -> bool {
        self.0.iter().any(|rest| other.of(&rest.of).is_none_or(|known| known.rank() < rest.rank()))
    }

    fn find(&self, of: &RestOf) -> Result<usize, usize> {
        self.0.binary_search_by(|known| known.of.cmp(of))
    }
}

impl FromIterator<Rest> for Rests {
    fn from_iter<I: IntoIterator<Item = Rest>>(rests: I) -> Self {
        let mut all = Self::default();
        rests.into_iter().for_each(|rest| all.note(rest));
        all
    }
}

impl From<Vec<Rest>> for Rests {
    fn from(rests: Vec<Rest>) -> Self {
        rests.into_iter().collect()
    }
}

impl From<Rests> for Vec<Rest> {
    fn from(rests: Rests) -> Self {
        rests.0
    }
}
