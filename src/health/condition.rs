//! How a key is doing, as it is remembered: what outlives the process, and what other replicas can use.
//!
//! Steps are not in it: they count the transitions of one process. Nor are suspicions believed for longer than that, for
//! nobody remembers who accused.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Health, Judge, Reason, State};
use crate::clock::Timestamp;

/// How a key is doing, as plain data. Any values are allowed: [`Health::restored`] makes sense of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Condition {
    /// When it may serve again: the end of a rest, of a probe's patience or of a suspicion, [`Timestamp::MAX`] for a
    /// retired key, zero for one that serves.
    pub until: Timestamp,
    /// What it may be used for. Never [`State::Probing`] if it comes from [`Health::condition`]: a probe is its process's.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// Throttles in a row.
    pub throttles: u32,
    /// Rejections in a row.
    pub rejections: u32,
    /// How often its answers have retired it.
    pub retirements: u32,
}

impl Health {
    /// What is to be remembered.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let (throttles, rejections) = self.strikes();
        let state = match self.state {
            State::Probing if self.suspected => State::Suspect,
            State::Probing => State::Resting,
            other => other,
        };
        let until = if state == State::Retired { Timestamp::MAX } else { self.until };
        Condition { until, state, reason: self.reason, throttles, rejections, retirements: self.retirements }
    }

    /// A key as it was remembered, at the step that `judge` has for it. A deadline farther away than these rules ever
    /// rest a key comes from a clock that was wrong, or is a lie: it is clamped, unless an operator has set it.
    #[must_use]
    pub fn restored(past: Condition, judge: &Judge<'_>) -> Self {
        let Condition { throttles, rejections, retirements, reason, .. } = past;
        let (state, until) = match past.state {
            State::Active | State::Suspect => (State::Active, Timestamp::ZERO),
            State::Resting | State::Probing => (State::Resting, past.until.min(latest(reason, judge))),
            State::Retired => (State::Retired, Timestamp::ZERO),
        };
        Self {
            state,
            until,
            throttles,
            rejections,
            changed: judge.next,
            rested: judge.next,
            reason,
            suspected: false,
            retirements,
        }
    }
}

fn latest(reason: Option<Reason>, judge: &Judge<'_>) -> Timestamp {
    let longest = if reason == Some(Reason::Disabled) { Duration::MAX } else { judge.penalties.longest() };
    judge.now + longest
}
