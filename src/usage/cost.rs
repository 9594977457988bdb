use std::fmt;

use serde::{Deserialize, Serialize};

/// Money, in millionths of a US dollar.
///
/// ```
/// use key_commune::usage::Cost;
///
/// assert_eq!(Cost::from_micros(1_250_000).to_string(), "$1.250000");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cost(u64);

impl Cost {
    /// So many millionths of a dollar.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// In millionths of a dollar.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The sum, or the most there can be.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
