use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::demand::Models;

/// By what a pool chooses a key, as an operator says: see the setters of [`Key`](../pool/struct.Key.html).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Traits {
    /// How many keys of weight 1 it counts for.
    pub weight: NonZeroU8,
    /// It serves only while no key of a lower tier can.
    pub tier: u8,
    /// The account that it belongs to: what is counted by account, the keys of a group share.
    pub group: Option<Box<str>>,
    /// The models that it serves; without them, any.
    pub models: Option<Models>,
}

impl Default for Traits {
    fn default() -> Self {
        Self { weight: NonZeroU8::MIN, tier: 0, group: None, models: None }
    }
}
