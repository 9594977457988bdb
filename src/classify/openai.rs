//! `OpenAI`, and the many that answer in its words: Groq, Mistral, `DeepSeek`, xAI, Together, Azure.

use http::{HeaderMap, StatusCode};

use super::table::{self, Hides, Row, Sign};
use super::{Answer, Classify, Peek};
use crate::outcome::{Outcome, Scope, Verdict};

use Outcome::{CallerFault, Forbidden, Overloaded, QuotaSpent, Rejected, Throttled};
use Scope::{Group, Key, KeyModel};
use Sign::{AnyCode, Begins, Code, Has, Kind, Status};

/// Codes: <https://platform.openai.com/docs/guides/error-codes>; spend limits:
/// <https://developers.openai.com/api/docs/guides/spend-limits>.
const TABLE: &[Row] = &[
    // The account selector in the caller's own header does not fit the key; the key is good. A pool that strips such
    // headers never sees these.
    (&[Code("mismatched_organization")], Forbidden, Key),
    (&[Code("invalid_organization")], Forbidden, Key),
    // 401, of all things, for a restricted key that lacks a scope: good for everything else.
    (&[Begins("You have insufficient permissions for this operation")], Forbidden, Key),
    (&[Code("unsupported_country_region_territory")], Forbidden, Key),
    (&[Code("invalid_api_key")], Rejected, Key),
    (&[Code("account_deactivated")], Rejected, Key),
    (&[Code("access_terminated")], Rejected, Key),
    (&[Code("no_organization")], Rejected, Key),
    // The provider's own words for "this key may not use this model" and "there is no such model" are the same.
    (&[Code("model_not_found"), Has("does not exist or you do not have access to it")], Forbidden, KeyModel),
    (&[Code("model_not_found"), Has("does not have access to")], Forbidden, KeyModel),
    (&[Begins("Your organization must be verified to use the model")], Forbidden, KeyModel),
    // Kind before code: the code names which purse is empty, and new ones come. It is the account's, whichever key is used.
    (&[Kind("insufficient_quota")], QuotaSpent, Group),
    (&[Code("insufficient_quota")], QuotaSpent, Group),
    (&[Code("credit_balance_exhausted")], QuotaSpent, Group),
    (&[Code("organization_spend_limit_exceeded")], QuotaSpent, Group),
    (&[Code("project_spend_limit_exceeded")], QuotaSpent, Group),
    (&[Code("organization_usage_limit_exceeded")], QuotaSpent, Group),
    (&[Code("billing_hard_limit_reached")], QuotaSpent, Group),
    (&[Code("billing_not_active")], QuotaSpent, Group),
    // "Rate limit reached for gpt-4o in organization org-… on tokens per min": counted for each model by itself.
    (&[Code("rate_limit_exceeded"), Begins("Rate limit reached for "), Has(" in organization ")], Throttled, KeyModel),
    // More than a minute allows, however long one waits: <https://github.com/continuedev/continue/issues/10602>. A key
    // of another organisation may be allowed more.
    (&[Code("rate_limit_exceeded"), Begins("Request too large for ")], CallerFault, KeyModel),
    // As 429 it means this key's own rush, as 503 everybody's.
    (&[Status(429), Code("slow_down")], Throttled, Key),
    (&[Code("rate_limit_exceeded")], Throttled, Key),
    (&[Code("slow_down")], Overloaded, Key),
    (&[Code("server_is_overloaded")], Overloaded, Key),
    (&[Kind("overloaded_error")], Overloaded, Key),
    (&[Status(503), Begins("The engine is currently overloaded")], Overloaded, Key),
    (&[Status(503), Begins("That model is currently overloaded")], Overloaded, Key),
    // Groq: <https://console.groq.com/docs/errors>, <https://console.groq.com/docs/spend-limits>
    (&[Status(498)], Overloaded, Key),
    (&[Code("organization_restricted")], Rejected, Key),
    (&[Code("blocked_api_access")], QuotaSpent, Key),
    // xAI answers 400 to a wrong key, and plain text where others have an object:
    // <https://docs.x.ai/docs/guides/debugging>
    (&[Begins("Incorrect API key provided")], Rejected, Key),
    (&[Begins("Your team "), Has("used all available credits")], QuotaSpent, Group),
    // Mistral: <https://docs.mistral.ai/api/>
    (&[Kind("service_tier_capacity_exceeded")], Throttled, KeyModel),
    // Errors inside a stream, which have no status.
    (&[Status(500), Kind("invalid_request_error")], CallerFault, Key),
    (&[Status(500), AnyCode(FAULTS)], CallerFault, Key),
];

/// What Responses fail with by their callers' fault:
/// <https://learn.microsoft.com/en-us/dotnet/api/azure.ai.agentserver.contracts.generated.openai.responseerrorcode>.
const FAULTS: &[&str] = &[
    "context_length_exceeded",
    "empty_image_file",
    "failed_to_download_image",
    "image_content_policy_violation",
    "image_file_not_found",
    "image_file_too_large",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "invalid_base64_image",
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_prompt",
    "unsupported_image_media_type",
];

/// Statuses that mean what they say, whatever stands in the body.
const PLAIN: &[u16] = &[413, 422];

/// Judges `OpenAI`'s answers, and those of the providers that use its words.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use key_commune::classify::{Answer, Classify, OpenAi};
/// use key_commune::clock::Timestamp;
/// use key_commune::outcome::Outcome;
///
/// let body = br#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota",
///                 "param":null,"code":"insufficient_quota"}}"#;
/// let headers = HeaderMap::new();
/// let answer = Answer { status: StatusCode::TOO_MANY_REQUESTS, headers: &headers, body, now: Timestamp::ZERO };
/// assert_eq!(OpenAi.answer(&answer).outcome, Outcome::QuotaSpent, "waiting a minute would not help");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAi;

impl Classify for OpenAi {
    fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek {
        table::peek(status, headers, Hides::Events, PLAIN)
    }

    fn answer(&self, answer: &Answer<'_>) -> Verdict {
        table::judge(self, answer, TABLE)
    }
}
