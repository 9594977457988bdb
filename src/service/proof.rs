//! What of an answer proves a key (I17): an API's own answer, not any page that says 200.

use http::{StatusCode, header, response};

use crate::error_body;

/// Whether an answer can prove a key, as far as its head and what was `seen` of its body tell. It must still end cleanly.
pub(super) fn is_proof(head: &response::Parts, seen: &[u8]) -> bool {
    let has_body = !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    // A cache answers whoever asks.
    let is_fresh = !head.headers.contains_key(header::AGE);
    has_body && is_fresh && (is_events(head) || is_json(head) && is_result(seen))
}

/// Whether the body is JSON.
pub(super) fn is_json(head: &response::Parts) -> bool {
    let kind = essence(head);
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

/// Whether it is an event stream.
pub(super) fn is_events(head: &response::Parts) -> bool {
    essence(head).eq_ignore_ascii_case("text/event-stream")
}

fn essence(head: &response::Parts) -> &str {
    let value = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split(';').next()).unwrap_or_default().trim()
}

/// Whether a JSON body is an object that does not say on its top level that there was an error.
fn is_result(seen: &[u8]) -> bool {
    let failed = |body: serde_json::Value| body.get("error").is_some_and(|error| !error.is_null());
    error_body::object(seen).is_some_and(|body| !failed(body))
}
