//! What a commune adds: suspicion before a strike, and proof before a clean slate.

use super::{Health, Judge, Reason, State, Step};
use crate::clock::Timestamp;
use crate::outcome::Outcome;

impl Health {
    /// Whether what keeps it from others is a suspicion.
    pub fn is_suspected(&self) -> bool {
        self.suspected
    }

    /// Whether a suspicion has outlived its time without a witness.
    pub fn is_cleared_by_time(&self, now: Timestamp) -> bool {
        self.suspected && now >= self.until
    }

    /// Another caller's request was refused with this key, which may be the fault of either.
    #[must_use]
    pub fn suspected(self, judge: &Judge<'_>) -> Self {
        if self.state != State::Active {
            return self;
        }
        let until = judge.now + judge.penalties.suspects_for();
        let reason = Some(Reason::Outcome(Outcome::Rejected));
        Self { state: State::Suspect, until, changed: judge.next, reason, suspected: true, ..self }
    }

    /// A suspicion ends; what was held against the key before it still is.
    #[must_use]
    pub fn acquitted(self, next: Step) -> Self {
        if !self.suspected {
            return self;
        }
        Self { state: State::Active, until: Timestamp::ZERO, changed: next, suspected: false, ..self }
    }

    /// An answer has begun that only a good key gets: the key serves again, but its strikes stay until the answer has
    /// ended cleanly.
    #[must_use]
    pub fn freed(self, leased: Step, next: Step) -> Self {
        let tried = matches!(self.state, State::Probing | State::Suspect) && leased >= self.changed;
        if !tried {
            return self;
        }
        Self { state: State::Active, until: Timestamp::ZERO, changed: next, suspected: false, ..self }
    }

    /// Something speaks against what laid the key to rest: the next request may try it.
    #[must_use]
    pub fn hastened(self, now: Timestamp, next: Step) -> Self {
        let early = self.state == State::Resting && now < self.until;
        if early { Self { until: now, changed: next, ..self } } else { self }
    }

    /// The key has proved itself: a clean slate, but for the record of its past. Not for one that was taken out of use by
    /// an operator or a tripwire.
    #[must_use]
    pub fn proven(self, leased: Step, next: Step) -> Self {
        let barred = self.state == State::Retired && !matches!(self.reason, Some(Reason::Outcome(_)));
        if barred || self.is_clean() || leased < self.rested {
            return self;
        }
        Self { retirements: self.retirements, ..Self::cleared(next) }
    }
}
