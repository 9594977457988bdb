//! What an answer says about a key, whose fault it was, and what a limit hangs on.
//!
//! Status codes, headers and provider wordings are turned into these few meanings in `classify`;
//! everything after that acts on the meaning alone.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hint::Hint;

/// What an answer says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The provider did what was asked. Clears the key's strikes.
    Accepted,
    /// The provider does not know the key, or no longer.
    Rejected,
    /// Too many requests for now.
    Throttled,
    /// The key's money or its quota for the day is gone.
    QuotaSpent,
    /// The key is good, and may not do this.
    Forbidden,
    /// The service is too busy for anybody, and says that it did not process the request.
    Overloaded,
    /// The service failed; it may have processed the request.
    Failed,
    /// No answer came.
    Unreachable,
    /// The request itself is wrong. One that asks only for more than this key may have is
    /// [unprocessed](Verdict::unprocessed): up to two other keys are asked, and none rests.
    CallerFault,
    /// The caller went away before the answer came.
    Aborted,
}

impl Outcome {
    /// Whose fault an outcome is when nothing more is known.
    #[must_use]
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Accepted | Self::Aborted => None,
            Self::Rejected | Self::Throttled | Self::QuotaSpent => Some(Fault::Key),
            Self::Forbidden | Self::CallerFault => Some(Fault::Caller),
            Self::Overloaded | Self::Failed => Some(Fault::Service),
            Self::Unreachable => Some(Fault::Network),
        }
    }

    /// The word for it in tables, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Throttled => "throttled",
            Self::QuotaSpent => "quota spent",
            Self::Forbidden => "forbidden",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::CallerFault => "caller fault",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whose fault a failure was. Only the key's own faults cost it anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The key's: another key may do better.
    Key,
    /// The caller's: no key would do better.
    Caller,
    /// The provider's.
    Service,
    /// The way to the provider.
    Network,
}

/// What a limit hangs on, and so what must rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One key.
    Key,
    /// One key for one model; its other models go on.
    KeyModel,
    /// All keys of one account or project.
    Group,
    /// Every key: the limit hangs on our address, or on the service.
    Pool,
}

/// An outcome with what the provider said beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// What the answer says about the key.
    pub outcome: Outcome,
    /// What it says it about.
    pub scope: Scope,
    /// When to come back, if the provider said so.
    pub hint: Option<Hint>,
    /// Whether the request may have been processed. A request that may have been is not sent again unasked.
    pub processed: bool,
}

impl Verdict {
    /// A verdict on the key itself, without a hint; `processed` as the outcome usually means it.
    ///
    /// ```
    /// use key_commune::outcome::{Outcome, Scope, Verdict};
    ///
    /// let verdict = Verdict::new(Outcome::Throttled);
    /// assert_eq!(verdict.scope, Scope::Key);
    /// assert!(!verdict.processed);
    /// assert!(Verdict::new(Outcome::Unreachable).processed, "nobody knows, so it may have been");
    /// ```
    #[must_use]
    pub const fn new(outcome: Outcome) -> Self {
        use Outcome::{Overloaded, QuotaSpent, Rejected, Throttled};
        let processed = !matches!(outcome, Rejected | Throttled | QuotaSpent | Overloaded);
        Self { outcome, scope: Scope::Key, hint: None, processed }
    }

    /// The same about another scope.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The same with what the provider said about when to come back.
    #[must_use]
    pub const fn hint(mut self, hint: Option<Hint>) -> Self {
        self.hint = hint;
        self
    }

    /// The same, known never to have been processed.
    #[must_use]
    pub const fn unprocessed(mut self) -> Self {
        self.processed = false;
        self
    }

    /// Whose fault it was: a failure that the provider pins on the key and a model is the key's.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        match (self.outcome, self.scope) {
            (Outcome::Forbidden, Scope::KeyModel) => Some(Fault::Key),
            (outcome, _) => outcome.fault(),
        }
    }
}
