//! Limits told as pairs of headers: how much is left, and when it is whole again.
//!
//! The names differ by provider and dimension, the pattern does not: beside `x-ratelimit-reset-tokens` stands
//! `x-ratelimit-remaining-tokens`, beside `anthropic-ratelimit-requests-reset` stands `anthropic-ratelimit-requests-remaining`,
//! beside `anthropic-ratelimit-unified-5h-reset` stands `anthropic-ratelimit-unified-5h-status`.

use std::time::Duration;

use http::HeaderMap;

use super::{span, structured};
use crate::clock::Timestamp;

/// How the name of a reset ends that speaks of no dimension.
const PLAIN: [&str; 3] = ["ratelimit-reset", "rate-limit-reset", "ratelimit-unified-reset"];

/// The wait until all limits that are used up are whole again: the longest of theirs.
pub(super) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let resets = headers.iter().filter(|(name, _)| speaks_of(name.as_str(), "reset"));
    let spent = resets.filter(|(name, _)| spent(headers, name.as_str()));
    let waits = spent.filter_map(|(_, value)| span::until(span::text(value)?, now));
    waits.chain(structured::read(headers)).max()
}

fn speaks_of(name: &str, what: &str) -> bool {
    (name.contains("ratelimit") || name.contains("rate-limit")) && name.split('-').any(|part| part == what)
}

/// Whether nothing is left of the limit that a reset belongs to.
fn spent(headers: &HeaderMap, reset: &str) -> bool {
    let beside = |what| beside(headers, reset, what);
    beside("remaining").or_else(|| beside("status")).unwrap_or_else(|| lone(headers, reset))
}

/// What a header beside the reset says; `-1` and other texts that are no answer say nothing.
fn beside(headers: &HeaderMap, reset: &str, what: &str) -> Option<bool> {
    let values = headers.get_all(reset.replacen("reset", what, 1));
    let says = values.iter().filter_map(span::text).filter_map(|text| match text {
        "rejected" => Some(true),
        "allowed" | "allowed_warning" => Some(false),
        number => span::decimal(number).map(|left| left.is_zero()),
    });
    says.reduce(|one, other| one || other)
}

/// Whether a reset speaks of no dimension and no count goes with it: then it can only be meant as a wait.
fn lone(headers: &HeaderMap, reset: &str) -> bool {
    let own = reset.replacen("reset", "remaining", 1);
    let counts = |name: &str| speaks_of(name, "remaining") && name != own;
    PLAIN.iter().any(|plain| reset.ends_with(plain)) && !headers.keys().any(|name| counts(name.as_str()))
}
