//! How every dialect judges: its own table first, top row first; the status last.

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::by_status;
use super::said::Said;
use super::{Answer, Classify, Peek};
use crate::hint::{self, Hint};
use crate::outcome::{Outcome, Scope, Verdict};

/// When all of these signs are there, the answer means this.
pub(super) type Row = (&'static [Sign], Outcome, Scope);

/// Something to look for in an answer. Letter case is ignored in codes, kinds and beginnings.
///
/// Messages quote what the caller wrote, so a row must not hang on words that a caller could put there: `Begins` is
/// the provider's own beginning, and `Has` stands only beside a sign of another kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// The status, or the one that an error inside a 200 gives itself; 500 if that gives none.
    Status(u16),
    /// The error's code, or a status in words.
    Code(&'static str),
    /// One of these as the error's code.
    AnyCode(&'static [&'static str]),
    /// The error's type.
    Kind(&'static str),
    /// How its message begins.
    Begins(&'static str),
    /// What its message holds.
    Has(&'static str),
    /// A member of one of the error's members, with this text; an empty text means any.
    In(&'static str, &'static str, &'static str),
    /// The `reason` of one of Google's details.
    Reason(&'static str),
    /// What the `quotaId` of one of Google's quota violations holds, all of it.
    Quota(&'static [&'static str]),
}

impl Sign {
    fn is_in(self, said: &Said<'_>) -> bool {
        let Some(error) = &said.error else { return matches!(self, Self::Status(status) if said.status == status) };
        let same = |text: Option<&str>, word: &str| text.is_some_and(|text| text.eq_ignore_ascii_case(word));
        match self {
            Self::Status(status) => said.status == status,
            Self::Code(code) => same(error.code(), code),
            Self::AnyCode(codes) => codes.iter().any(|code| same(error.code(), code)),
            Self::Kind(kind) => same(error.kind(), kind),
            Self::Begins(words) => same(error.message().and_then(|text| text.get(..words.len())), words),
            Self::Has(words) => error.message().is_some_and(|text| text.contains(words)),
            Self::In(outer, inner, text) => {
                error.get(outer).and_then(|outer| outer.get(inner)).is_some_and(|value| is(value, text))
            }
            Self::Reason(reason) => error.details().iter().any(|detail| same(text(detail, "reason"), reason)),
            Self::Quota(parts) => error.quota_ids().any(|id| parts.iter().all(|part| id.contains(part))),
        }
    }
}

fn is(value: &Value, text: &str) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => text.is_empty() || text == if *truth { "true" } else { "false" },
        value => text.is_empty() || value.as_str() == Some(text),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// Where a provider may hide an error inside a 2xx.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hides {
    /// In the first event of a stream.
    Events,
    /// There, or in a JSON body.
    EventsAndJson,
}

/// How much of a 2xx must be seen.
pub(super) fn success(headers: &HeaderMap, hides: Hides) -> Peek {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let is = |name: &[u8]| kind.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    match hides {
        _ if is(b"text/event-stream") => Peek::Event,
        Hides::EventsAndJson if is(b"application/json") => Peek::Body,
        _ => Peek::Nothing,
    }
}

/// How much of an answer a dialect must see: of a refusal everything, unless its status is one of `plain`.
pub(super) fn peek(status: StatusCode, headers: &HeaderMap, hides: Hides, plain: &[u16]) -> Peek {
    match status.as_u16() {
        200..=299 => success(headers, hides),
        code @ 400.. if !plain.contains(&code) => Peek::Body,
        _ => Peek::Nothing,
    }
}

/// What an answer says. Only what the classifier asked to see counts, however much came.
pub(super) fn judge(by: &dyn Classify, answer: &Answer<'_>, table: &[Row]) -> Verdict {
    let said = Said::read(answer, by.peek(answer.status, answer.headers));
    let Ok(status) = StatusCode::from_u16(said.status) else { return Verdict::new(Outcome::Failed) };
    if status.is_success() {
        return Verdict::new(Outcome::Accepted);
    }
    let hint = hint::read(answer.headers, said.body, answer.now);
    let row = table.iter().find(|(signs, ..)| signs.iter().all(|sign| sign.is_in(&said)));
    let (outcome, scope) =
        row.map_or_else(|| (by_status::outcome(status, hint.is_some()), Scope::Key), |row| (row.1, row.2));
    verdict(outcome, scope, hint)
}

fn verdict(outcome: Outcome, scope: Scope, hint: Option<Hint>) -> Verdict {
    let verdict = Verdict::new(outcome).scope(scope);
    match outcome {
        Outcome::Throttled | Outcome::QuotaSpent | Outcome::Overloaded | Outcome::Failed => verdict.hint(hint),
        // A model that this key may not use, or not for so much, was never asked, so another key may be.
        Outcome::Forbidden | Outcome::CallerFault if scope == Scope::KeyModel => verdict.unprocessed(),
        _ => verdict,
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_hint_goes_with_what_passes_by_itself() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let hint = hint::read(&headers, b"", crate::clock::Timestamp::ZERO);
        for outcome in [Outcome::Throttled, Outcome::QuotaSpent, Outcome::Overloaded, Outcome::Failed] {
            assert_eq!(verdict(outcome, Scope::Key, hint).hint, hint);
        }
        for outcome in [Outcome::Rejected, Outcome::Forbidden, Outcome::CallerFault] {
            assert_eq!(verdict(outcome, Scope::Key, hint), Verdict::new(outcome));
        }
        assert!(hint.is_none_or(|hint| hint.after == Duration::from_secs(7)));
    }

    #[test]
    fn a_model_that_a_key_may_not_use_was_never_asked() {
        for outcome in [Outcome::Forbidden, Outcome::CallerFault] {
            assert!(!verdict(outcome, Scope::KeyModel, None).processed);
            assert!(verdict(outcome, Scope::Key, None).processed);
        }
    }
}
