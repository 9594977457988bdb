use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::demand::Demand;
use crate::health::{Condition, State};

/// What rests beside a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestOf {
    /// The key for one model.
    Model(Box<str>),
    /// The keys of an account, by the name of their group.
    Group(Box<str>),
    /// All keys of the provider.
    Pool,
}

/// How something beside a key is doing that the key was refused for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rest {
    /// What it is.
    pub of: RestOf,
    /// When that last changed: of two that speak of the same, the later one stands.
    pub since: Timestamp,
    /// How it is doing. One that no longer rests keeps the end that its rest would have had.
    pub condition: Condition,
}

impl Rest {
    /// So long after its end it is still known how often in a row it was refused.
    const REMEMBERED: Duration = Duration::from_secs(86_400);

    /// Whether nothing is held against it.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        is_clear(&self.condition)
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.since.max(self.condition.until) + Self::REMEMBERED
    }

    pub(super) fn rank(&self) -> (Timestamp, Condition) {
        (self.since, self.condition)
    }

    pub(super) fn is_bounded(&self) -> bool {
        match &self.of {
            RestOf::Model(name) | RestOf::Group(name) => name.len() <= Demand::MAX_LEN,
            RestOf::Pool => true,
        }
    }

    /// Whoever remembers the former condition does not undo this one, even if his clock is ahead.
    pub(super) fn revise(&mut self, condition: Condition, now: Timestamp) {
        let until = if condition.state == State::Active { self.condition.until } else { condition.until };
        self.since = now.max(self.since + Duration::from_nanos(1));
        self.condition = Condition { until, ..condition };
    }
}

pub(super) fn is_clear(condition: &Condition) -> bool {
    condition.state == State::Active && (condition.throttles, condition.rejections) == (0, 0)
}
