//! How a key is doing, as a state machine without a clock, a lock or chance of its own.
//!
//! ```text
//!              a fault of the key          its rest is over
//!   Active ──────────────────────▶ Resting ───────────────▶ Probing ── a fault of the key ──▶ Resting
//!      ▲                            ▲    │                    │ │
//!      │                            └────┼── permit back ─────┘ │            Retired: the last rung of a ladder,
//!      └── unblocked by an operator ─────┴────── a success ─────┘                     or an operator's word
//! ```
//!
//! In a commune a refusal that another caller met makes a key Suspect before it is believed: for a minute it serves
//! its owner and one more witness, whose answer decides; without a witness it is Active again.
//!
//! Every transition takes the next *step*, a number that counts up over the whole pool and that every lease carries. A
//! failure counts only if its lease is not older than the key's last transition (I6), so that however many requests
//! were in flight when a key failed, it is struck once. A success ends a rest only if its lease was given after the rest
//! began (I5). Rests only ever get longer: `until` is the later of the old and the new one (I5).

mod condition;
mod penalties;
mod state;
mod suspicion;
#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::outcome::{Fault, Outcome, Verdict};
pub use condition::Condition;
pub use penalties::{Ladder, Penalties};
pub use state::{Reason, State};

/// Number of a transition, counting up over the whole pool.
pub type Step = u64;

/// How one key is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Health {
    state: State,
    until: Timestamp,
    throttles: u32,
    rejections: u32,
    changed: Step,
    rested: Step,
    reason: Option<Reason>,
    /// Whether what keeps it from others is a suspicion, not a strike: while Suspect, and while a witness tries it.
    suspected: bool,
    retirements: u32,
}

/// What an outcome is judged by: the rules, the moment, the step that a transition would take, and a number drawn at
/// random for whatever needs one.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// The pool's numbers.
    pub penalties: &'a Penalties,
    /// The present.
    pub now: Timestamp,
    /// The step of the next transition.
    pub next: Step,
    /// Any number, evenly drawn.
    pub draw: u64,
    /// Whether a failure is one more strike. If not, it rests the key as its last strike did (I22).
    pub counts: bool,
}

impl Health {
    /// What the key may be used for.
    pub fn state(&self) -> State {
        self.state
    }

    /// When a resting key may be probed, a probe's patience or a suspicion ends; zero otherwise.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// When a request may try the key out: a suspect waits for a witness from the beginning.
    pub fn due(&self) -> Option<Timestamp> {
        match self.state {
            State::Resting | State::Probing => Some(self.until),
            State::Suspect => Some(Timestamp::ZERO),
            State::Active | State::Retired => None,
        }
    }

    /// Whether it is out of use.
    pub fn is_retired(&self) -> bool {
        self.state == State::Retired
    }

    /// How often it was retired by its answers.
    pub fn retirements(&self) -> u32 {
        self.retirements
    }

    /// Strikes in a row: for being throttled, and for being rejected.
    pub fn strikes(&self) -> (u32, u32) {
        (self.throttles, self.rejections)
    }

    /// Why it is not simply active, or the last thing it was struck for.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The step of the last transition.
    pub fn changed(&self) -> Step {
        self.changed
    }

    /// Whether a success would change anything.
    pub fn is_clean(&self) -> bool {
        self.state == State::Active && self.strikes() == (0, 0)
    }

    /// Whether a request may probe it now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Resting | State::Probing) && now >= self.until
    }

    /// The health after a verdict on a request whose lease was given at step `leased`. Equal to the old one if the
    /// verdict changes nothing.
    #[must_use]
    pub fn judged(self, verdict: &Verdict, leased: Step, judge: &Judge<'_>) -> Self {
        match (verdict.outcome, verdict.fault()) {
            _ if self.state == State::Retired => self,
            (Outcome::Accepted, _) => self.succeeded(leased, judge),
            (outcome, Some(Fault::Key)) if leased >= self.changed => self.struck(outcome, verdict, judge),
            (outcome, Some(Fault::Key)) => self.extended(outcome, verdict, judge),
            _ => self.released(leased, judge),
        }
    }

    /// A probe begins. A witness's takes no longer than the suspicion lasts.
    #[must_use]
    pub fn probed(self, judge: &Judge<'_>) -> Self {
        let until = if self.suspected { self.until } else { judge.now + judge.penalties.patience() };
        Self { state: State::Probing, until, changed: judge.next, ..self }
    }

    /// An operator, or a tripwire, takes the key out of use.
    #[must_use]
    pub fn retired(self, reason: Reason, next: Step) -> Self {
        let retirements = self.retirements.saturating_add(u32::from(matches!(reason, Reason::Outcome(_))));
        Self {
            state: State::Retired,
            until: Timestamp::ZERO,
            changed: next,
            rested: next,
            reason: Some(reason),
            suspected: false,
            retirements,
            ..self
        }
    }

    /// An operator rests the key.
    #[must_use]
    pub fn blocked(self, until: Timestamp, next: Step) -> Self {
        let reason = Some(Reason::Disabled);
        Self { state: State::Resting, until, changed: next, rested: next, reason, suspected: false, ..self }
    }

    /// The key rests for all models because it failed for too many of them.
    #[must_use]
    pub(crate) fn locked_out(self, until: Timestamp, next: Step) -> Self {
        let reason = Some(Reason::Outcome(Outcome::Throttled));
        Self { state: State::Resting, until, changed: next, rested: next, reason, suspected: false, ..self }
    }

    /// A new day: strikes are forgotten, and so is a rest that comes of them. One whose end the provider has named goes on, as
    /// does what an operator or a tripwire has done.
    #[must_use]
    pub fn renewed(self, next: Step) -> Self {
        match (self.state, self.reason) {
            (State::Active | State::Resting | State::Probing, Some(Reason::Outcome(_))) => {
                Self { retirements: self.retirements, ..Self::cleared(next) }
            }
            (State::Active | State::Resting | State::Probing, Some(Reason::Hinted(_))) => {
                Self { throttles: 0, rejections: 0, ..self }
            }
            _ => self,
        }
    }

    /// A clean slate.
    #[must_use]
    pub fn cleared(next: Step) -> Self {
        Self { changed: next, ..Self::default() }
    }

    /// The same health as `before`, put back at step `next`: nothing that was leased earlier counts against it.
    #[must_use]
    pub fn rolled_back(before: Self, next: Step) -> Self {
        Self { changed: next, ..before }
    }

    fn succeeded(self, leased: Step, judge: &Judge<'_>) -> Self {
        match self.state {
            State::Active if self.is_clean() || leased < self.changed => self,
            State::Active => Self { throttles: 0, rejections: 0, reason: None, ..self },
            _ if leased > self.rested => self.proven(leased, judge.next),
            _ => self,
        }
    }

    fn struck(self, outcome: Outcome, verdict: &Verdict, judge: &Judge<'_>) -> Self {
        let Some(ladder) = judge.penalties.ladder(outcome) else { return self.released(self.changed, judge) };
        let mut next = Self { changed: judge.next, rested: judge.next, suspected: false, ..self };
        let hinted = judge.penalties.hinted(outcome, verdict.hint);
        let is_strike = hinted.is_none() || judge.penalties.do_hints_strike();
        let strikes = if is_strike { next.count(outcome, judge.counts) } else { 0 };
        if ladder.retires(strikes) {
            return next.retired(Reason::Outcome(outcome), judge.next);
        }
        let rest = hinted.unwrap_or_else(|| judge.penalties.spread(ladder.rest(strikes), judge.draw));
        next.reason = Some(if hinted.is_some() { Reason::Hinted(outcome) } else { Reason::Outcome(outcome) });
        next.rest(rest, judge.now)
    }

    /// Only a success ends a rest early, so a probe that fails starts from its own end, not from its patience.
    fn rest(self, rest: Duration, now: Timestamp) -> Self {
        let old = if self.state == State::Resting { self.until } else { Timestamp::ZERO };
        if rest.is_zero() && self.state == State::Active {
            return self;
        }
        Self { state: State::Resting, until: old.max(now + rest), ..self }
    }

    /// One more strike in a row of the kind, if it counts; the first one always does. How many that makes.
    fn count(&mut self, outcome: Outcome, counts: bool) -> u32 {
        let strikes = if outcome == Outcome::Rejected { &mut self.rejections } else { &mut self.throttles };
        *strikes = strikes.saturating_add(u32::from(counts || *strikes == 0));
        *strikes
    }

    /// A straggler strikes nobody, but a provider's word about the time still holds.
    fn extended(self, outcome: Outcome, verdict: &Verdict, judge: &Judge<'_>) -> Self {
        match judge.penalties.hinted(outcome, verdict.hint) {
            Some(rest) if self.state == State::Resting => Self { until: self.until.max(judge.now + rest), ..self },
            _ => self,
        }
    }

    /// Something that says nothing about the key: a probe gives its permit back, and the next request may try.
    pub(crate) fn released(self, leased: Step, judge: &Judge<'_>) -> Self {
        match self.state {
            State::Probing if leased != self.changed => self,
            State::Probing if self.suspected => Self { state: State::Suspect, changed: judge.next, ..self },
            State::Probing => Self { state: State::Resting, until: judge.now, changed: judge.next, ..self },
            _ => self,
        }
    }
}
