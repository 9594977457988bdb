//! What a provider said about when to come back.

use std::time::Duration;

use http::HeaderMap;

use crate::clock::Timestamp;

/// When to come back, as the provider said it: a prediction, capped by whoever obeys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// How long to wait from the moment the answer came. Not capped.
    pub after: Duration,
}

/// Reads the hint of an answer that refuses.
#[must_use]
pub fn read(_headers: &HeaderMap, _body: &[u8], _now: Timestamp) -> Option<Hint> {
    None
}
