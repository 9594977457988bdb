//! Gemini, which answers in the words of every Google API.

use http::{HeaderMap, StatusCode};

use super::table::{self, Hides, Row, Sign};
use super::{Answer, Classify, Peek};
use crate::outcome::{Outcome, Scope, Verdict};

use Outcome::{Overloaded, QuotaSpent, Rejected, Throttled};
use Scope::{Group, Key, KeyModel};
use Sign::{Begins, Code, Has, Quota, Reason};

/// Reasons: <https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto>; quotas:
/// <https://ai.google.dev/gemini-api/docs/rate-limits>; overload:
/// <https://ai.google.dev/gemini-api/docs/troubleshooting>.
const TABLE: &[Row] = &[
    // A wrong, deleted or expired key is a 400.
    (&[Reason("API_KEY_INVALID")], Rejected, Key),
    (&[Code("INVALID_ARGUMENT"), Begins("API key not valid")], Rejected, Key),
    (&[Code("INVALID_ARGUMENT"), Begins("API key expired")], Rejected, Key),
    (&[Code("PERMISSION_DENIED"), Begins("Your API key was reported as leaked")], Rejected, Key),
    // The project behind the key cannot use this API from here, whoever asks and whatever for.
    (&[Reason("SERVICE_DISABLED")], Rejected, Key),
    (&[Reason("CONSUMER_SUSPENDED")], Rejected, Key),
    (&[Reason("CONSUMER_INVALID")], Rejected, Key),
    (&[Reason("API_KEY_SERVICE_BLOCKED")], Rejected, Key),
    (&[Reason("API_KEY_HTTP_REFERRER_BLOCKED")], Rejected, Key),
    (&[Reason("API_KEY_IP_ADDRESS_BLOCKED")], Rejected, Key),
    (&[Reason("API_KEY_ANDROID_APP_BLOCKED")], Rejected, Key),
    (&[Reason("API_KEY_IOS_APP_BLOCKED")], Rejected, Key),
    (&[Code("PERMISSION_DENIED"), Begins("Permission denied: Consumer "), Has("has been suspended")], Rejected, Key),
    (&[Reason("BILLING_DISABLED")], QuotaSpent, Key),
    // Quotas belong to the project, so all of its keys share them; those of one model leave its others. The day's comes
    // first: an answer may name several (<https://github.com/google-gemini/gemini-cli/issues/8437>).
    (&[Code("RESOURCE_EXHAUSTED"), Quota(&["PerDay", "PerModel"])], QuotaSpent, KeyModel),
    (&[Code("RESOURCE_EXHAUSTED"), Quota(&["PerDay", "PerBaseModel"])], QuotaSpent, KeyModel),
    (&[Code("RESOURCE_EXHAUSTED"), Quota(&["PerDay"])], QuotaSpent, Group),
    (&[Code("RESOURCE_EXHAUSTED"), Quota(&["PerModel"])], Throttled, KeyModel),
    (&[Code("RESOURCE_EXHAUSTED"), Quota(&["PerBaseModel"])], Throttled, KeyModel),
    (&[Code("RESOURCE_EXHAUSTED"), Quota(&["PerProject"])], Throttled, Group),
    (&[Code("RESOURCE_EXHAUSTED")], Throttled, Key),
    // UNAVAILABLE alone may mean a broken connection behind the front; these sentences say that nothing was done.
    (&[Code("UNAVAILABLE"), Has("overloaded")], Overloaded, Key),
    (&[Code("UNAVAILABLE"), Has("high demand")], Overloaded, Key),
];

/// Statuses that mean what they say, whatever stands in the body.
const PLAIN: &[u16] = &[401, 404, 413, 422];

/// Judges Gemini's answers.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use key_commune::classify::{Answer, Classify, Gemini};
/// use key_commune::clock::Timestamp;
/// use key_commune::outcome::Outcome;
///
/// let body = br#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.",
///                 "status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",
///                 "reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;
/// let headers = HeaderMap::new();
/// let answer = Answer { status: StatusCode::BAD_REQUEST, headers: &headers, body, now: Timestamp::ZERO };
/// assert_eq!(Gemini.answer(&answer).outcome, Outcome::Rejected, "the one 400 that is the key's fault");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Gemini;

impl Classify for Gemini {
    fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek {
        table::peek(status, headers, Hides::Events, PLAIN)
    }

    fn answer(&self, answer: &Answer<'_>) -> Verdict {
        table::judge(self, answer, TABLE)
    }
}
