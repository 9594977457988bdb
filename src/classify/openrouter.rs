//! `OpenRouter`, which stands between its callers and other providers, and says whose refusal it passes on.

use http::{HeaderMap, StatusCode};

use super::table::{self, Hides, Row, Sign};
use super::{Answer, Classify, Peek};
use crate::outcome::{Outcome, Scope, Verdict};

use Outcome::{Overloaded, QuotaSpent, Throttled};
use Scope::{Key, KeyModel};
use Sign::{Begins, In, Status};

/// Errors: <https://openrouter.ai/docs/api_reference/errors-and-debugging>; limits:
/// <https://openrouter.ai/docs/api_reference/limits>.
const TABLE: &[Row] = &[
    // A 402 that passes by itself: what is on its way would cost more than the balance.
    (&[Status(402), In("metadata", "limit_source", "openrouter_in_flight_budget")], Throttled, Key),
    // Its 403 means that the input was flagged, but for these: a budget of the key or its workspace is spent.
    (&[Status(403), In("metadata", "limit_source", "openrouter_key_limit")], QuotaSpent, Key),
    (&[Status(403), In("metadata", "limit_source", "openrouter_guardrail_budget")], QuotaSpent, Key),
    (&[Status(403), In("metadata", "limit_source", "openrouter_workspace_budget")], QuotaSpent, Key),
    (&[Status(403), Begins("Key limit exceeded")], QuotaSpent, Key),
    // The account's own key at that provider is throttled: another account's is not.
    (&[Status(429), In("metadata", "is_byok", "true")], Throttled, KeyModel),
    // "… is temporarily rate-limited upstream": OpenRouter's own account at that provider is full, for all its callers.
    // No key is to blame and none should rest, but a member with a key of its own there may get through.
    (&[Status(429), In("metadata", "provider_name", "")], Overloaded, Key),
    // Free models have a purse of their own; those that cost money go on.
    (&[Status(429), Begins("Rate limit exceeded: free-models-per-day")], QuotaSpent, KeyModel),
    (&[Status(429), Begins("Rate limit exceeded: free-models-per-min")], Throttled, KeyModel),
    (&[Status(429), Begins("Rate limit exceeded: limit_rpm/")], Throttled, KeyModel),
];

/// Statuses that mean what they say, whatever stands in the body.
const PLAIN: &[u16] = &[401, 404, 413, 422];

/// Judges `OpenRouter`'s answers, which often hide an error in a 200.
///
/// ```
/// use http::{HeaderMap, HeaderValue, StatusCode, header};
/// use key_commune::classify::{Answer, Classify, OpenRouter};
/// use key_commune::clock::Timestamp;
/// use key_commune::outcome::Outcome;
///
/// let body = br#"{"error":{"code":429,"message":"Rate limit exceeded"},"user_id":"user_1"}"#;
/// let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
/// let answer = Answer { status: StatusCode::OK, headers: &headers, body, now: Timestamp::ZERO };
/// assert_eq!(OpenRouter.answer(&answer).outcome, Outcome::Throttled);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenRouter;

impl Classify for OpenRouter {
    fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek {
        table::peek(status, headers, Hides::EventsAndJson, PLAIN)
    }

    fn answer(&self, answer: &Answer<'_>) -> Verdict {
        table::judge(self, answer, TABLE)
    }
}
