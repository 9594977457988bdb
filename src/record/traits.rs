use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::demand::Models;

/// What an operator says about a key, for the pool to choose by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Traits {
    /// For how many keys of weight 1 it counts.
    pub weight: NonZeroU8,
    /// It serves only while no key of a lower tier can.
    pub tier: u8,
    /// The account that it shares its quota with others of.
    pub group: Option<Box<str>>,
    /// The models that it serves; without them, any.
    pub models: Option<Models>,
}

impl Default for Traits {
    fn default() -> Self {
        Self { weight: NonZeroU8::MIN, tier: 0, group: None, models: None }
    }
}
