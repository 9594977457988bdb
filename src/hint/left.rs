//! Limits that are not used up: how much is left of them, as an answer says it that has been served.

use std::time::Duration;

use http::HeaderMap;

use crate::clock::Timestamp;

/// What is left of a key's limits, as an answer says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Of its requests.
    pub requests: Option<Quota>,
    /// Of its tokens.
    pub tokens: Option<Quota>,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// How much may still be used. Some providers round it: Anthropic to thousands of tokens.
    pub remaining: u64,
    /// How much there is when nothing is used.
    pub limit: Option<u64>,
    /// How long it takes, from the moment the answer came, until there is again as much as `limit`.
    ///
    /// Not when one more fits: OpenAI, Groq and Anthropic give it back bit by bit, at a pace of `limit - remaining`
    /// per `reset`. Providers that count by the clock give all of it back at that moment, and nothing before.
    pub reset: Option<Duration>,
}

/// Reads what an answer says is left, `None` when it says nothing.
#[must_use]
pub fn left(headers: &HeaderMap, now: Timestamp) -> Option<Left> {
    let _ = (headers, now);
    None
}
