//! What an answer said: with its status, or inside a 200.

use memchr::memmem;
use serde_json::Value;

use super::sse::{self, Event};
use super::{Answer, Peek};
use crate::error_body::{self, ErrorBody};

/// Where an error stands in a 200: nearly everybody's, `OpenAI`'s `response.failed`, `OpenRouter`'s broken-off choice.
const PLACES: [&str; 3] = ["/error", "/response/error", "/choices/0/error"];

/// An answer as the tables look at it.
pub(super) struct Said<'a> {
    /// Its status, or the one that an error inside a 200 gives itself; 500 if that gives none.
    pub(super) status: u16,
    /// As much of its body as its classifier asked for.
    pub(super) body: &'a [u8],
    /// The error it tells of.
    pub(super) error: Option<ErrorBody>,
}

impl<'a> Said<'a> {
    pub(super) fn read(answer: &Answer<'a>, peek: Peek) -> Self {
        let body = if peek == Peek::Nothing { b"" } else { answer.body };
        if !answer.status.is_success() {
            return Self { status: answer.status.as_u16(), body, error: error_body::parse(body) };
        }
        let event = match peek {
            Peek::Event => sse::first(body),
            Peek::Body => Some(Event { name: b"", data: body.into() }),
            Peek::Nothing => None,
        };
        let accepted = || Self { status: answer.status.as_u16(), body, error: None };
        event.and_then(|event| Self::in_band(&event, body)).unwrap_or_else(accepted)
    }

    fn in_band(event: &Event<'_>, body: &'a [u8]) -> Option<Self> {
        let named = event.name == b"error";
        // Nearly every first event is good: look for the word before building a tree.
        if !named && memmem::find(&event.data, b"\"error\"").is_none() {
            return None;
        }
        let error = error_body::object(&event.data).and_then(|whole| told(whole, named));
        let status = error.as_ref().and_then(number).unwrap_or(500);
        (named || error.is_some()).then_some(Self { status, body, error })
    }
}

/// The error that an object tells of. One that is `certain` to tell of an error may itself be it.
fn told(whole: Value, certain: bool) -> Option<ErrorBody> {
    let inner = PLACES.iter().filter_map(|place| whole.pointer(place)).find(|value| speaks(value));
    let certain = certain || whole.get("type").and_then(Value::as_str) == Some("error");
    match inner {
        Some(error) if error.is_object() => Some(ErrorBody { value: error.clone() }),
        Some(_) => Some(ErrorBody { value: whole }),
        None => certain.then_some(ErrorBody { value: whole }),
    }
}

fn speaks(error: &Value) -> bool {
    match error {
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => false,
    }
}

fn number(error: &ErrorBody) -> Option<u16> {
    let number = error.number().or_else(|| error.code()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}
