//! Limits that are not used up: what an answer that was served says is left of them.

use std::cmp::Reverse;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{limits, span, structured};
use crate::clock::Timestamp;

/// What is left of a key's limits, as an answer says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Of its requests, by the limit that has the fewest left.
    pub requests: Option<Quota>,
    /// Of its tokens, by the limit that has the fewest left, be it of input, of output or of both.
    pub tokens: Option<Quota>,
}

impl Left {
    /// How long to leave a key alone of which so much is left while so many other requests are under way; `None` if there is
    /// enough for one more; at most a year.
    pub(crate) fn wait(&self, others: u32) -> Option<Duration> {
        let requests = self.requests.and_then(|quota| quota.wait(others.into()));
        let tokens = self.tokens.and_then(|quota| quota.wait(0));
        requests.max(tokens)
    }
}

/// No limit takes longer than that to be whole again.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// How much may still be used. Some providers round it: Anthropic to thousands of tokens.
    pub remaining: u64,
    /// How much there is when nothing is used.
    pub limit: Option<u64>,
    /// How long it takes, from the moment the answer came, until all of `limit` is there again.
    ///
    /// Not until one more fits. Most providers of models give it back bit by bit: at a pace of `limit - remaining` per
    /// `reset`. Those that count by the clock give back all of it at that moment, and nothing before.
    pub reset: Option<Duration>,
}

impl Quota {
    /// How long it takes until one more than so many others fits, if that is not now, at the pace that is told.
    fn wait(self, others: u64) -> Option<Duration> {
        let missing = (others + 1).checked_sub(self.remaining).filter(|&missing| missing > 0)?;
        let used = self.limit.map_or(1, |limit| limit.saturating_sub(self.remaining)).max(1);
        // By the clock all of it comes back at once, and never later than that.
        Some(self.reset?.min(LONGEST).mul_f64((missing as f64 / used as f64).min(1.0)))
    }

    /// The one that has fewer left; of two that have as many, the one that takes longer to be whole.
    fn tighter(self, other: Self) -> Self {
        if (self.remaining, Reverse(self.reset)) <= (other.remaining, Reverse(other.reset)) { self } else { other }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Requests,
    Tokens,
}

/// Reads what an answer says is left of the key's limits, `None` when it says nothing.
///
/// For answers that were served; what a refusal asks for is [`read`](super::read). The headers are the same. Nothing is
/// capped, and a number that is too large is the largest. A text that is not exactly of its form is passed over; a limit whose
/// remaining count is not told is none. Limits of other things than requests and tokens are left out.
///
/// Reads an answer that says nothing in some 100 ns, and allocates nothing but for the structured field `RateLimit`.
///
/// ```
/// use http::HeaderMap;
/// use key_commune::clock::Timestamp;
/// use key_commune::hint;
/// use std::time::Duration;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-limit-requests", "60".parse()?);
/// headers.insert("x-ratelimit-remaining-requests", "50".parse()?);
/// headers.insert("x-ratelimit-reset-requests", "10s".parse()?);
///
/// let left = hint::left(&headers, Timestamp::ZERO).unwrap();
/// let requests = left.requests.unwrap();
/// assert_eq!((requests.remaining, requests.limit), (50, Some(60)));
/// assert_eq!(requests.reset, Some(Duration::from_secs(10)));
/// assert_eq!(left.tokens, None);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn left(headers: &HeaderMap, now: Timestamp) -> Option<Left> {
    let counts = headers.iter().filter(|(name, _)| counts(name.as_str()));
    let pairs =
        counts.filter_map(|(name, value)| Some((unit(name.as_str())?, quota(headers, name.as_str(), value, now)?)));
    let mut left = Left::default();
    for (unit, quota) in pairs.chain(structured::left(headers)) {
        let place = if unit == Unit::Requests { &mut left.requests } else { &mut left.tokens };
        *place = Some(place.map_or(quota, |other| other.tighter(quota)));
    }
    (left != Left::default()).then_some(left)
}

/// Whether a header tells a remaining count. Nearly all that do not are told by their length.
fn counts(name: &str) -> bool {
    name.len() >= "ratelimit-remaining".len() && name.contains("remaining") && limits::speaks_of(name, "remaining")
}

/// What a remaining count is of, by its header's name. Where it says nothing, or a span of time only, requests are meant.
fn unit(name: &str) -> Option<Unit> {
    const SPANS: [&str; 6] = ["", "-second", "-minute", "-hour", "-day", "-month"];
    let (before, after) = name.split_once("remaining")?;
    let plain = || ["ratelimit-", "rate-limit-"].iter().any(|end| before.ends_with(end)) && SPANS.contains(&after);
    match name {
        tokens if tokens.contains("token") => Some(Unit::Tokens),
        requests if requests.contains("request") || plain() => Some(Unit::Requests),
        _ => None,
    }
}

fn quota(headers: &HeaderMap, name: &str, value: &HeaderValue, now: Timestamp) -> Option<Quota> {
    let beside = |what| limits::beside(headers, name, "remaining", what).next();
    Some(Quota {
        remaining: span::count(span::text(value)?)?,
        limit: beside("limit").and_then(|text| span::count(text.split([',', ';']).next()?)),
        reset: beside("reset").and_then(|text| span::until(text, now)),
    })
}
