//! The error object of an answer that refuses: found in a JSON body, in a JSON array, or in a server-sent event.
//!
//! A body comes here as far as it was read, so it may end in the middle of anything: whatever was complete by then is
//! kept. At most [`LIMIT`] bytes are looked at. Nothing here knows a provider; `hint` and `classify` share the finding and
//! draw their own conclusions.

mod salvage;

use std::borrow::Cow;

use serde_json::Value;

/// How much of a body is looked at, in bytes.
pub(crate) const LIMIT: usize = 64 * 1024;

/// Where an error object hides in an answer: nearly everybody, `OpenAI`'s `response.failed` event, Cloudflare.
const PLACES: [&str; 3] = ["/error", "/response/error", "/errors/0"];

/// What an answer says about its failure.
#[derive(Clone, Debug)]
pub(crate) struct ErrorBody {
    /// The inner error object if there is one, else the whole object.
    pub(crate) value: Value,
}

impl ErrorBody {
    /// The error inside a whole object.
    pub(crate) fn within(whole: Value) -> Self {
        let inner = PLACES.iter().filter_map(|place| whole.pointer(place)).find(|value| value.is_object()).cloned();
        Self { value: inner.unwrap_or(whole) }
    }

    /// The provider's word for the error: `code` if it is text, else `status`.
    pub(crate) fn code(&self) -> Option<&str> {
        self.text("code").or_else(|| self.text("status"))
    }

    /// The provider's word for the kind of error: `type`.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.text("type")
    }

    /// The sentence for people: `message`, else an `error` or `detail` that is plain text.
    pub(crate) fn message(&self) -> Option<&str> {
        ["message", "error", "detail"].into_iter().find_map(|name| self.text(name))
    }

    /// Google's list of typed details; empty elsewhere.
    pub(crate) fn details(&self) -> &[Value] {
        self.get("details").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The ids of the quotas that Google says are used up, as in `GenerateRequestsPerDayPerProjectPerModel-FreeTier`.
    pub(crate) fn quota_ids(&self) -> impl Iterator<Item = &str> {
        let violations = self.details().iter().filter_map(|detail| detail.get("violations")?.as_array()).flatten();
        violations.filter_map(|violation| violation.get("quotaId")?.as_str())
    }

    /// A `code` that is a number, most often an HTTP status.
    pub(crate) fn number(&self) -> Option<u64> {
        self.get("code").and_then(Value::as_u64)
    }

    /// A field of the error object.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.value.get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

/// The error object of a body, or the whole object when it holds no error object; `None` when there is no object.
pub(crate) fn parse(body: &[u8]) -> Option<ErrorBody> {
    object(body).map(ErrorBody::within)
}

/// The whole object that a body is or holds: of an array or an event stream the first that tells of an error, else the first.
pub(crate) fn object(body: &[u8]) -> Option<Value> {
    let body = body.get(..LIMIT).unwrap_or(body);
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    match body.first()? {
        b'{' | b'[' => json(body),
        _ => events(body).filter_map(|data| json(data.trim_ascii())).reduce(telling),
    }
}

fn json(text: &[u8]) -> Option<Value> {
    match serde_json::from_slice(text).unwrap_or_else(|_| salvage::salvage(text)) {
        Value::Array(items) => items.into_iter().filter(Value::is_object).reduce(telling),
        value => Some(value).filter(Value::is_object),
    }
}

/// Of two objects the first, unless only the second tells of an error.
fn telling(first: Value, second: Value) -> Value {
    if !tells(&first) && tells(&second) { second } else { first }
}

fn tells(value: &Value) -> bool {
    let typed = value.get("type").and_then(Value::as_str) == Some("error");
    typed || PLACES.iter().filter_map(|place| value.pointer(place)).any(|error| !error.is_null())
}

/// The data of each server-sent event, its lines joined as the standard says.
fn events(body: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let mut lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    std::iter::from_fn(move || {
        let mut data: Option<Cow<'_, [u8]>> = None;
        for line in lines.by_ref() {
            match (line.strip_prefix(b"data:"), &mut data) {
                (Some(more), Some(data)) => data.to_mut().extend_from_slice(more),
                (Some(more), None) => data = Some(Cow::Borrowed(more)),
                (None, Some(_)) if line.is_empty() => break,
                (None, _) => {}
            }
        }
        data
    })
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Option<String> {
        parse(body.as_bytes())?.message().map(str::to_owned)
    }

    #[test]
    fn finds_the_error_wherever_it_sits() {
        for body in [
            r#"{"error":{"message":"m"}}"#,
            r#"{"message":"m"}"#,
            r#"{"error":"m"}"#,
            "\u{feff} {\"detail\":\"m\"}",
            r#"[{"id":1},{"error":{"message":"m"}}]"#,
            r#"{"errors":[{"message":"m"}]}"#,
            "event: error\r\ndata: {\"error\":\r\ndata: {\"message\":\"m\"}}\r\n\r\n",
            ": ping\n\ndata: {\"id\":\"1\"}\n\ndata: {\"type\":\"error\",\"error\":{\"message\":\"m\"}}\n\ndata: [DONE]",
            r#"data: {"type":"response.failed","response":{"error":{"message":"m"}}}"#,
        ] {
            assert_eq!(message(body).as_deref(), Some("m"), "{body}");
        }
    }

    #[test]
    fn keeps_what_was_complete_before_a_break() {
        let whole = r#"{"error":{"code":429,"message":"m","details":[{"a":"b"},{"c":1}],"n":17}}"#;
        for end in 0..whole.len() {
            let error = parse(&whole.as_bytes()[..end]);
            assert_eq!(error.is_some(), end > 0, "{end}");
            let message = error.as_ref().and_then(ErrorBody::message);
            assert_eq!(message.is_some(), end > whole.find(r#","details"#).unwrap() - 1, "{end}");
            let number = error.as_ref().and_then(|error| error.get("n")?.as_u64());
            assert_eq!(number, (end == whole.len() - 1).then_some(17), "{end}");
        }
    }

    #[test]
    fn reads_the_fields() {
        let error = parse(br#"{"error":{"code":502,"status":"UNAVAILABLE","type":"server_error"}}"#).unwrap();
        assert_eq!(
            (error.number(), error.code(), error.kind()),
            (Some(502), Some("UNAVAILABLE"), Some("server_error"))
        );
        assert!(error.details().is_empty());
        let error = parse(br#"{"error":{"details":[{},{"violations":[{"quotaId":"PerDay"},{}]}]}}"#).unwrap();
        assert_eq!(error.quota_ids().collect::<Vec<_>>(), ["PerDay"]);
    }

    #[test]
    fn nothing_is_no_error() {
        for body in ["", "  ", "[]", "[1]", "null", "busy", "data: [DONE]", "\u{1F600}"] {
            assert!(parse(body.as_bytes()).is_none(), "{body}");
        }
        assert!(parse(&b"[".repeat(1_000_000)).is_none());
        assert!(parse(&br#"{"a":"#.repeat(100_000)).is_some());
    }
}
