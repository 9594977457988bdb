//! How long each outcome rests a key, and how many of them retire it.

use std::time::Duration;

use super::{Health, Reason};
use crate::hint::Hint;
use crate::outcome::{Outcome, Scope, Verdict};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The numbers a pool punishes by. The default obeys hints, caps them, spreads rests that nobody asked for ("full
/// jitter"), and retires a key at its fourth rejection in a row.
///
/// ```
/// use key_commune::health::{Ladder, Penalties};
/// use std::time::Duration;
///
/// let strict = Penalties::default().rejected(Ladder::steps([Duration::from_secs(86_400)]).retires_at(3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Penalties {
    throttled: Ladder,
    rejected: Ladder,
    quota_spent: Ladder,
    forbidden: Ladder,
    by_model: bool,
    lockout: Option<Lockout>,
    hints: bool,
    hints_strike: bool,
    hint_cap: Duration,
    quota_cap: Duration,
    jitter: bool,
    probe_patience: Duration,
    suspicion: Duration,
}

impl Default for Penalties {
    fn default() -> Self {
        Self {
            throttled: Ladder::doubling(MINUTE, HOUR),
            rejected: Ladder::steps([MINUTE, HOUR, DAY]).retires_at(4),
            quota_spent: Ladder::steps([HOUR]),
            forbidden: Ladder::doubling(HOUR, DAY),
            by_model: false,
            lockout: None,
            hints: true,
            hints_strike: true,
            hint_cap: HOUR,
            quota_cap: DAY,
            jitter: true,
            probe_patience: Duration::from_secs(30),
            suspicion: MINUTE,
        }
    }
}

impl Penalties {
    /// Rests for [`Outcome::Throttled`] without a hint. Default: 1 min, doubling, at most 1 h, never retires.
    #[must_use]
    pub fn throttled(mut self, ladder: Ladder) -> Self {
        self.throttled = ladder;
        self
    }

    /// Rests for [`Outcome::Rejected`]. Default: 1 min, 1 h, 24 h; the fourth in a row retires.
    #[must_use]
    pub fn rejected(mut self, ladder: Ladder) -> Self {
        self.rejected = ladder;
        self
    }

    /// Rests for [`Outcome::QuotaSpent`] without a hint. Default: 1 h each.
    #[must_use]
    pub fn quota_spent(mut self, ladder: Ladder) -> Self {
        self.quota_spent = ladder;
        self
    }

    /// Rests for [`Outcome::Forbidden`], of a key for the one model that it may not use. Default: 1 h, doubling, at most
    /// 24 h.
    #[must_use]
    pub fn forbidden(mut self, ladder: Ladder) -> Self {
        self.forbidden = ladder;
        self
    }

    /// Whether a throttle and a spent quota rest a key for the requested model alone, even where the provider does not say
    /// so: for providers that count by model. Default: no.
    #[must_use]
    pub fn by_model(mut self, alone: bool) -> Self {
        self.by_model = alone;
        self
    }

    /// Rests a key for `rest` once it has come to the last step of its ladder for so many models. Default: never.
    #[must_use]
    pub fn lockout(mut self, models: usize, rest: Duration) -> Self {
        self.lockout = Some(Lockout { models, rest });
        self
    }

    /// Whether hints are obeyed. Default: yes.
    #[must_use]
    pub fn hints(mut self, obeyed: bool) -> Self {
        self.hints = obeyed;
        self
    }

    /// Whether a failure whose rest a hint tells is a strike, so that the next one without a hint rests the key for longer.
    /// Default: yes.
    #[must_use]
    pub fn hints_strike(mut self, strikes: bool) -> Self {
        self.hints_strike = strikes;
        self
    }

    /// The longest rest that a hint can ask for when the key is throttled. Default: 1 h.
    #[must_use]
    pub fn hint_cap(mut self, longest: Duration) -> Self {
        self.hint_cap = longest;
        self
    }

    /// The longest rest that a hint can ask for when the key's quota is spent. Default: 24 h.
    #[must_use]
    pub fn quota_cap(mut self, longest: Duration) -> Self {
        self.quota_cap = longest;
        self
    }

    /// Whether a rest that no hint asked for is drawn evenly from nothing to its full length, so that keys that failed
    /// together do not come back together. Default: yes.
    #[must_use]
    pub fn jitter(mut self, spread: bool) -> Self {
        self.jitter = spread;
        self
    }

    /// How long a probe may stay silent before another request may probe. Default: 30 s.
    #[must_use]
    pub fn probe_patience(mut self, longest: Duration) -> Self {
        self.probe_patience = longest;
        self
    }

    /// How long a key of a commune stays suspect without a witness, at most a minute. Default: a minute.
    #[must_use]
    pub fn suspicion(mut self, longest: Duration) -> Self {
        self.suspicion = longest.min(MINUTE);
        self
    }

    pub(super) fn suspects_for(&self) -> Duration {
        self.suspicion
    }

    pub(crate) fn patience(&self) -> Duration {
        self.probe_patience
    }

    pub(crate) fn longest_hint(&self) -> Duration {
        if self.hints { self.hint_cap } else { Duration::ZERO }
    }

    pub(super) fn do_hints_strike(&self) -> bool {
        self.hints_strike
    }

    /// What a verdict strikes by these rules.
    pub(crate) fn scope(&self, verdict: &Verdict) -> Scope {
        let limit = matches!(verdict.outcome, Outcome::Throttled | Outcome::QuotaSpent);
        if self.by_model && limit && matches!(verdict.scope, Scope::Key | Scope::Group) {
            Scope::KeyModel
        } else {
            verdict.scope
        }
    }

    pub(crate) fn lockout_rule(&self) -> Option<Lockout> {
        self.lockout
    }

    /// Whether a key has come to the last step of the ladder for what it was struck for.
    pub(crate) fn is_at_end(&self, health: &Health) -> bool {
        let Some(Reason::Outcome(outcome)) = health.reason() else { return false };
        let (throttles, rejections) = health.strikes();
        let strikes = if outcome == Outcome::Rejected { rejections } else { throttles };
        self.ladder(outcome).is_some_and(|ladder| ladder.is_at_end(strikes))
    }

    /// The longest rest that these rules can come to.
    pub(super) fn longest(&self) -> Duration {
        let ladders = [&self.throttled, &self.rejected, &self.quota_spent, &self.forbidden].map(Ladder::longest);
        let others = [self.hint_cap, self.quota_cap, self.probe_patience];
        ladders.into_iter().chain(others).max().unwrap_or_default()
    }

    /// The ladder of an outcome that is a key's fault; none if these rules let it pass.
    pub(super) fn ladder(&self, outcome: Outcome) -> Option<&Ladder> {
        let ladder = match outcome {
            Outcome::Throttled => &self.throttled,
            Outcome::Rejected => &self.rejected,
            Outcome::QuotaSpent => &self.quota_spent,
            Outcome::Forbidden => &self.forbidden,
            _ => return None,
        };
        Some(ladder).filter(|ladder| !ladder.is_empty())
    }

    /// The rest that a hint asks for, capped (I7), if hints are obeyed.
    pub(super) fn hinted(&self, outcome: Outcome, hint: Option<Hint>) -> Option<Duration> {
        let cap = if outcome == Outcome::QuotaSpent { self.quota_cap } else { self.hint_cap };
        hint.filter(|_| self.hints).map(|hint| hint.after.min(cap))
    }

    /// `rest`, or the part of it that `draw` picks: a share of it in 2^64 steps, never less than a second of it.
    pub(super) fn spread(&self, rest: Duration, draw: u64) -> Duration {
        if !self.jitter {
            return rest;
        }
        let share = rest.mul_f64(draw as f64 / u64::MAX as f64);
        share.max(Duration::from_secs(1)).min(rest)
    }
}

/// How many models at the end of their ladders rest a key, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lockout {
    pub(crate) models: usize,
    pub(crate) rest: Duration,
}

/// Rests for the first, second, third … strike in a row, and the strike that retires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    rests: Rests,
    retires_at: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rests {
    Doubling { first: Duration, cap: Duration },
    Steps(Box<[Duration]>),
}

impl Ladder {
    /// `first`, then twice as long each time, at most `cap`.
    #[must_use]
    pub fn doubling(first: Duration, cap: Duration) -> Self {
        Self { rests: Rests::Doubling { first, cap }, retires_at: None }
    }

    /// These rests in turn; the last one repeats. No steps at all: the outcome costs a key nothing.
    #[must_use]
    pub fn steps(rests: impl Into<Box<[Duration]>>) -> Self {
        Self { rests: Rests::Steps(rests.into()), retires_at: None }
    }

    /// The same, retiring the key at the `strike`th in a row, counted from 1.
    #[must_use]
    pub fn retires_at(mut self, strike: u32) -> Self {
        self.retires_at = Some(strike);
        self
    }

    fn is_empty(&self) -> bool {
        self.retires_at.is_none() && matches!(&self.rests, Rests::Steps(rests) if rests.is_empty())
    }

    fn longest(&self) -> Duration {
        match &self.rests {
            Rests::Doubling { cap, .. } => *cap,
            Rests::Steps(rests) => rests.iter().max().copied().unwrap_or_default(),
        }
    }

    /// Whether more strikes than so many make no rest longer.
    fn is_at_end(&self, strike: u32) -> bool {
        match &self.rests {
            Rests::Doubling { cap, .. } => self.rest(strike) >= *cap,
            Rests::Steps(rests) => strike as usize >= rests.len(),
        }
    }

    pub(super) fn retires(&self, strike: u32) -> bool {
        self.retires_at.is_some_and(|at| strike >= at)
    }

    /// The rest for the `strike`th strike in a row, counted from 1.
    pub(super) fn rest(&self, strike: u32) -> Duration {
        let before = strike.saturating_sub(1);
        match &self.rests {
            Rests::Doubling { first, cap } => first.saturating_mul(1 << before.min(30)).min(*cap),
            Rests::Steps(rests) => rests.get(before as usize).or(rests.last()).copied().unwrap_or_default(),
        }
    }
}
