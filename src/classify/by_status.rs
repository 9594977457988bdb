//! The default table: what a status says when nothing else is known.

use http::{HeaderMap, StatusCode};

use super::table::{self, Hides};
use super::{Answer, Classify, Peek};
use crate::outcome::{Outcome, Verdict};

/// Judges by status and hint alone, for a provider whose error bodies nobody knows.
///
/// | status | outcome |
/// |---|---|
/// | 2xx | [`Accepted`](Outcome::Accepted), unless the first event of its stream is an error |
/// | 401 | [`Rejected`](Outcome::Rejected) |
/// | 402 | [`QuotaSpent`](Outcome::QuotaSpent) |
/// | 403 | [`Forbidden`](Outcome::Forbidden) |
/// | 429 | [`Throttled`](Outcome::Throttled) |
/// | 503 with a hint, 529 | [`Overloaded`](Outcome::Overloaded) |
/// | other 5xx and above | [`Failed`](Outcome::Failed) |
/// | everything else | [`CallerFault`](Outcome::CallerFault) |
///
/// "Everything else" holds two surprises. 408, 409 and 425 are the caller's: they speak of this one request, and no
/// other key would change that. And 1xx and 3xx are too: a redirect says nothing about a key, so it must neither clear
/// its strikes nor add one, and it goes to the caller as it came, which is just how a caller's fault is treated.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use key_commune::classify::{Answer, ByStatus, Classify};
/// use key_commune::clock::Timestamp;
/// use key_commune::outcome::Outcome;
///
/// let headers = HeaderMap::new();
/// let answer = |status| Answer { status, headers: &headers, body: b"", now: Timestamp::ZERO };
/// let judge = |status| ByStatus.answer(&answer(status)).outcome;
/// assert_eq!(judge(StatusCode::UNAUTHORIZED), Outcome::Rejected);
/// assert_eq!(judge(StatusCode::NOT_FOUND), Outcome::CallerFault);
/// assert_eq!(judge(StatusCode::SERVICE_UNAVAILABLE), Outcome::Failed, "it does not say when to come back");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ByStatus;

impl Classify for ByStatus {
    /// Refusals that pass for a time: their bodies may hold the hint.
    fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek {
        match status.as_u16() {
            402 | 429 | 503 | 529 => Peek::Body,
            _ if status.is_success() => table::success(headers, Hides::Events),
            _ => Peek::Nothing,
        }
    }

    fn answer(&self, answer: &Answer<'_>) -> Verdict {
        table::judge(self, answer, &[])
    }
}

/// What `status` says, knowing only whether a hint came with it.
pub(super) fn outcome(status: StatusCode, hinted: bool) -> Outcome {
    match status.as_u16() {
        200..=299 => Outcome::Accepted,
        401 => Outcome::Rejected,
        402 => Outcome::QuotaSpent,
        403 => Outcome::Forbidden,
        429 => Outcome::Throttled,
        503 if hinted => Outcome::Overloaded,
        529 => Outcome::Overloaded,
        500.. => Outcome::Failed,
        _ => Outcome::CallerFault,
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_tells_a_busy_service_from_a_broken_one() {
        assert_eq!(outcome(StatusCode::SERVICE_UNAVAILABLE, true), Outcome::Overloaded);
        assert_eq!(outcome(StatusCode::SERVICE_UNAVAILABLE, false), Outcome::Failed);
        assert_eq!(outcome(StatusCode::INTERNAL_SERVER_ERROR, true), Outcome::Failed);
    }
}
