//! Limits told as pairs of headers: how much is left, and when it is whole again.
//!
//! The names differ by provider and dimension, the pattern does not: beside `x-ratelimit-reset-tokens` stands
//! `x-ratelimit-remaining-tokens`, beside `anthropic-ratelimit-requests-reset` stands `anthropic-ratelimit-requests-remaining`,
//! beside `anthropic-ratelimit-unified-5h-reset` stands `anthropic-ratelimit-unified-5h-status`.

use std::io::Write;
use std::time::Duration;

use http::HeaderMap;

use super::{span, structured};
use crate::clock::Timestamp;

/// The longest name of a header taken, in bytes. The longest real one has 42.
const MAX_NAME: usize = 96;

/// How the name of a reset ends that speaks of no dimension.
const PLAIN: [&str; 3] = ["ratelimit-reset", "rate-limit-reset", "ratelimit-unified-reset"];

/// The wait until all limits that are used up are whole again: the longest of theirs.
pub(super) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let resets = headers.iter().filter(|(name, _)| speaks_of(name.as_str(), "reset"));
    let spent = resets.filter(|(name, _)| spent(headers, name.as_str()));
    let waits = spent.filter_map(|(_, value)| span::until(span::text(value)?, now));
    waits.chain(structured::read(headers)).max()
}

pub(super) fn speaks_of(name: &str, what: &str) -> bool {
    (name.contains("ratelimit") || name.contains("rate-limit")) && name.split('-').any(|part| part == what)
}

/// Whether nothing is left of the limit that a reset belongs to.
fn spent(headers: &HeaderMap, reset: &str) -> bool {
    let says = |what| beside(headers, reset, "reset", what).filter_map(is_spent).reduce(|one, other| one || other);
    says("remaining").or_else(|| says("status")).unwrap_or_else(|| lone(headers, reset))
}

/// Whether nothing is left, as a count or a status tells it; `-1` and other texts that are no answer say nothing.
fn is_spent(text: &str) -> Option<bool> {
    match text {
        "rejected" => Some(true),
        "allowed" | "allowed_warning" => Some(false),
        number => span::decimal(number).map(|left| left.is_zero()),
    }
}

/// The texts of the header that is named as this one, with `other` in place of `own`.
pub(super) fn beside<'a>(headers: &'a HeaderMap, name: &str, own: &str, other: &str) -> impl Iterator<Item = &'a str> {
    let mut buffer = [0; MAX_NAME];
    let values = renamed(&mut buffer, name, own, other).map(|name| headers.get_all(name));
    values.into_iter().flatten().filter_map(span::text)
}

/// The name in a buffer: this is done for every answer, and shall not allocate.
fn renamed<'a>(buffer: &'a mut [u8; MAX_NAME], name: &str, own: &str, other: &str) -> Option<&'a str> {
    let (before, after) = name.split_once(own)?;
    let mut free = buffer.as_mut_slice();
    [before, other, after].iter().try_for_each(|part| free.write_all(part.as_bytes())).ok()?;
    let unused = free.len();
    str::from_utf8(buffer.get(..MAX_NAME - unused)?).ok()
}

/// Whether a reset speaks of no dimension and no count goes with it: then it can only be meant as a wait.
fn lone(headers: &HeaderMap, reset: &str) -> bool {
    let own = reset.replacen("reset", "remaining", 1);
    let counts = |name: &str| speaks_of(name, "remaining") && name != own;
    PLAIN.iter().any(|plain| reset.ends_with(plain)) && !headers.keys().any(|name| counts(name.as_str()))
}
