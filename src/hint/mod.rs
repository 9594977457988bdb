//! What a provider said about when to come back: every header, body and wording in use ─▶ [`Hint`].
//!
//! | source | read where | written down in |
//! |---|---|---|
//! | `Retry-After`: seconds or HTTP date | `wait` | [RFC 9110 10.2.3] |
//! | `retry-after-ms`, `x-ms-retry-after-ms` | `wait` | [Azure `OpenAI`] |
//! | `x-ratelimit-reset*` beside `x-ratelimit-remaining*` | `limits` | [`OpenAI`], [Groq], [`OpenRouter`], GitHub, Cerebras |
//! | `anthropic-ratelimit-*-reset` | `limits` | Anthropic's rate limit pages |
//! | `RateLimit-Reset` beside `RateLimit-Remaining` | `limits` | [IETF draft], up to number 07 |
//! | `RateLimit`, `RateLimit-Policy` | `structured` | [IETF draft], number 11 |
//! | fields of a JSON error: `retryDelay`, `quotaResetDelay`, `resets_at`, `retry_after` … | `body` | [Gemini], [`OpenRouter`], Codex |
//! | sentences such as `Please try again in 6m0s` | `prose` | nowhere: as seen |
//!
//! The sources are asked in that order: a wait said outright, then limits that are used up, then the body. The first
//! that asks for more than nothing is believed; a wait of zero (`Retry-After: 0`, a date that has passed) is the answer
//! only when no other source asks for more.
//! A text that is not exactly of its form is passed over, as if it were not there.
//!
//! [RFC 9110 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
//! [Azure `OpenAI`]: https://learn.microsoft.com/en-us/answers/questions/5625878/
//! [`OpenAI`]: https://thoughtbot.com/blog/openai-rate-limits
//! [Groq]: https://console.groq.com/docs/rate-limits.md
//! [`OpenRouter`]: https://openrouter.ai/docs/api_reference/limits
//! [IETF draft]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
//! [Gemini]: https://discuss.ai.google.dev/t/429-errors-despite-waiting-after-retrydelay/96899

mod body;
mod left;
mod limits;
mod prose;
mod span;
mod structured;
mod wait;

use std::time::Duration;

use http::HeaderMap;

use crate::clock::Timestamp;

pub use left::{Left, Quota, left};

/// When to come back, as the provider said it: a prediction, capped by whoever obeys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// How long to wait from the moment the answer came. Not capped.
    pub after: Duration,
}

impl Hint {
    /// The hint to come back after so long.
    ///
    /// ```
    /// use key_commune::hint::Hint;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Hint::after(Duration::from_secs(20)).after, Duration::from_secs(20));
    /// ```
    #[must_use]
    pub const fn after(after: Duration) -> Self {
        Self { after }
    }
}

/// Reads the hint of an answer that refuses (429, 402, 503, 529 …), `None` when it gives none.
///
/// `body` is as much of the body as was read; it may break off anywhere, and at most 64 KiB of it are looked at. `now` is
/// the moment the answer came, which dates are measured from. Nothing is capped, and no number overflows: a wait longer
/// than can be told is the longest that can.
///
/// A limit's reset counts only when the same limit has nothing left, since it tells when the limit is whole again and not
/// when one more request would fit; of several such limits the one that resets last counts. A lone reset that no
/// remaining count goes with counts too.
///
/// ```
/// use http::HeaderMap;
/// use key_commune::clock::Timestamp;
/// use key_commune::hint::{self, Hint};
/// use std::time::Duration;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-remaining-tokens", "0".parse()?);
/// headers.insert("x-ratelimit-reset-tokens", "6m0s".parse()?);
/// assert_eq!(hint::read(&headers, b"", Timestamp::ZERO), Some(Hint::after(Duration::from_secs(360))));
///
/// let body = br#"{"error":{"message":"Rate limit reached. Please try again in 859ms."}}"#;
/// let hint = hint::read(&HeaderMap::new(), body, Timestamp::ZERO);
/// assert_eq!(hint, Some(Hint::after(Duration::from_millis(859))));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn read(headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<Hint> {
    let body = || body::read(body, now);
    settle(std::iter::once_with(|| head(headers, now)).chain(std::iter::once_with(body)).flatten()).map(Hint::after)
}

/// What the headers say.
fn head(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    settle([wait::read, limits::read].into_iter().filter_map(|source| source(headers, now)))
}

/// The first wait that is one, else the zero that somebody said.
fn settle(mut said: impl Iterator<Item = Duration>) -> Option<Duration> {
    let first = said.next()?;
    Some(if first.is_zero() { said.find(|wait| !wait.is_zero()).unwrap_or(first) } else { first })
}
