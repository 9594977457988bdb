//! What a key may be used for, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// For any request.
    #[default]
    Active,
    /// For none, until its time has come.
    Resting,
    /// For the one request that tries whether it works again.
    Probing,
    /// For its owner, and for one request of a caller who did not accuse it.
    Suspect,
    /// For none, until an operator says otherwise.
    Retired,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Resting => "resting",
            Self::Probing => "probing",
            Self::Suspect => "suspect",
            Self::Retired => "retired",
        })
    }
}

/// Why a key is not simply active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// What an answer said, and for how long, in its own words or by the pool's numbers.
    Outcome(Outcome),
    /// The provider named the time to come back.
    Hinted(Outcome),
    /// An operator switched it off.
    Disabled,
    /// It was sent to another place than it is bound to, by a client that follows redirects.
    Exposed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outcome(outcome) => f.pad(outcome.name()),
            Self::Hinted(outcome) => f.pad(&format!("{outcome}, provider's time")),
            Self::Disabled => f.pad("disabled by operator"),
            Self::Exposed => f.pad("exposed by a redirect"),
        }
    }
}
