//! Anthropic.

use http::{HeaderMap, StatusCode};

use super::table::{self, Hides, Row, Sign};
use super::{Answer, Classify, Peek};
use crate::outcome::{Outcome, Scope, Verdict};

use Outcome::{CallerFault, Failed, Forbidden, Overloaded, QuotaSpent, Rejected, Throttled};
use Scope::{Group, Key, KeyModel};
use Sign::{Begins, Has, In, Kind};

/// Error types: <https://docs.claude.com/en/api/errors>; limits: <https://docs.claude.com/en/api/rate-limits>.
const TABLE: &[Row] = &[
    // An empty purse and a closed account look like the caller's fault: 400 invalid_request_error.
    (&[Kind("invalid_request_error"), Begins("Your credit balance is too low")], QuotaSpent, Group),
    (&[Kind("invalid_request_error"), Begins("You have reached your specified API usage limits")], QuotaSpent, Group),
    (&[Kind("invalid_request_error"), Begins("You have reached your specified workspace API usage")], QuotaSpent, Key),
    (&[Kind("invalid_request_error"), Begins("This organization has been disabled")], Rejected, Key),
    (&[In("details", "error_code", "enforced_spend_limit_reached")], QuotaSpent, Key),
    // A prompt too long for what the account has paid for; shorter ones pass:
    // <https://github.com/router-for-me/CLIProxyAPI/issues/2464>.
    (&[Kind("rate_limit_error"), Begins("Extra usage is required for long context")], CallerFault, KeyModel),
    // The limits hang on model classes; where the message names the model, the others go on.
    (&[Kind("rate_limit_error"), Has("model: ")], Throttled, KeyModel),
    (&[Kind("rate_limit_error")], Throttled, Key),
    (&[Kind("authentication_error")], Rejected, Key),
    (&[Kind("billing_error")], QuotaSpent, Group),
    (&[Kind("permission_error")], Forbidden, Key),
    (&[Kind("overloaded_error")], Overloaded, Key),
    // The rest is here for errors inside a stream, which have no status.
    (&[Kind("api_error")], Failed, Key),
    (&[Kind("timeout_error")], Failed, Key),
    (&[Kind("invalid_request_error")], CallerFault, Key),
    (&[Kind("not_found_error")], CallerFault, Key),
    (&[Kind("conflict_error")], CallerFault, Key),
    (&[Kind("request_too_large")], CallerFault, Key),
];

/// Statuses that mean what they say, whatever stands in the body.
const PLAIN: &[u16] = &[401, 404, 413, 422];

/// Judges Anthropic's answers.
///
/// ```
/// use http::{HeaderMap, HeaderValue, StatusCode, header};
/// use key_commune::classify::{Answer, Anthropic, Classify};
/// use key_commune::clock::Timestamp;
/// use key_commune::outcome::Outcome;
///
/// let body = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
/// let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))]);
/// let answer = Answer { status: StatusCode::OK, headers: &headers, body, now: Timestamp::ZERO };
/// assert_eq!(Anthropic.answer(&answer).outcome, Outcome::Overloaded, "a 200 is not yet a success");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Anthropic;

impl Classify for Anthropic {
    fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek {
        table::peek(status, headers, Hides::Events, PLAIN)
    }

    fn answer(&self, answer: &Answer<'_>) -> Verdict {
        table::judge(self, answer, TABLE)
    }
}
