//! Bodies that say when to come back: fields of a JSON error, else its sentence.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Number, Value};

use super::{prose, span};
use crate::clock::Timestamp;
use crate::error_body::{self, ErrorBody};

type Source = fn(&ErrorBody, Timestamp) -> Option<Duration>;

/// Fields that name the reset of the very quota that is used up.
const RESETS: [Source; 2] = [resets_in, resets_at];

/// Fields and sentences that only ask for a pause, the exact ones first.
const PAUSES: [Source; 4] = [retry_delay, mirrored_headers, retry_after, sentence];

/// What a body says, whole or cut off.
pub(super) fn read(body: &[u8], now: Timestamp) -> Option<Duration> {
    let body = body.get(..error_body::LIMIT).unwrap_or(body);
    let Some(whole) = error_body::object(body) else { return prose::read(&String::from_utf8_lossy(body)) };
    let layers = layers(whole);
    let pauses = if layers.iter().any(daily) { &[] } else { PAUSES.as_slice() };
    let sources = RESETS.iter().chain(pauses);
    super::settle(sources.flat_map(|source| layers.iter().filter_map(|layer| source(layer, now))))
        .or_else(|| if pauses.is_empty() { None } else { unfinished(body, &layers) })
}

/// The objects that may speak: the body, the error in it, and an upstream's error that a relay put into that as text.
fn layers(whole: Value) -> Vec<ErrorBody> {
    let outer = ErrorBody { value: whole.clone() };
    let error = ErrorBody::within(whole);
    let raw = error.value.pointer("/metadata/raw").and_then(Value::as_str);
    let relayed = raw.into_iter().chain(error.message()).filter_map(|text| {
        let json = text.get(text.find(['{', '['])?..)?;
        error_body::parse(json.as_bytes())
    });
    let relayed: Vec<_> = relayed.collect();
    [outer, error].into_iter().chain(relayed).collect()
}

/// Whether a quota of the day is used up.
///
/// Gemini then still asks for a pause of some seconds, which is not to be believed. The quota comes back at midnight
/// Pacific time, but that takes a time zone database to compute: no hint, so that the caller's own rest for a spent quota
/// applies.
fn daily(error: &ErrorBody) -> bool {
    error.quota_ids().any(|id| id.contains("PerDay"))
}

/// `quotaResetDelay` of `google.rpc.ErrorInfo`, `resets_in_seconds` of Codex.
fn resets_in(error: &ErrorBody, _now: Timestamp) -> Option<Duration> {
    let delays = metadata(error, "quotaResetDelay").filter_map(length).max();
    delays.or_else(|| length(error.get("resets_in_seconds")?))
}

/// `quotaResetTimeStamp` of `google.rpc.ErrorInfo` (RFC 3339), `resets_at` of Codex (seconds since the Unix epoch).
fn resets_at(error: &ErrorBody, now: Timestamp) -> Option<Duration> {
    let moments = metadata(error, "quotaResetTimeStamp").filter_map(|value| until(value, now)).max();
    moments.or_else(|| until(error.get("resets_at")?, now))
}

fn metadata<'a>(error: &'a ErrorBody, name: &'a str) -> impl Iterator<Item = &'a Value> {
    error.details().iter().filter_map(move |detail| detail.get("metadata")?.get(name))
}

/// `retryDelay` of `google.rpc.RetryInfo`: `"34.5s"`, or a message of seconds and nanos.
fn retry_delay(error: &ErrorBody, _now: Timestamp) -> Option<Duration> {
    error.details().iter().filter_map(|detail| length(detail.get("retryDelay")?)).max()
}

/// `error.metadata.headers` of `OpenRouter`: the headers of the answer once more, or those of the provider behind it.
fn mirrored_headers(error: &ErrorBody, now: Timestamp) -> Option<Duration> {
    let mirrored = error.value.pointer("/metadata/headers")?.as_object()?;
    let headers = mirrored.iter().filter_map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(text).ok()?))
    });
    super::head(&headers.collect::<HeaderMap>(), now)
}

/// `retry_after`, in the error or beside it.
fn retry_after(error: &ErrorBody, _now: Timestamp) -> Option<Duration> {
    length(error.get("retry_after")?)
}

fn sentence(error: &ErrorBody, _now: Timestamp) -> Option<Duration> {
    prose::read(error.message()?)
}

/// The text of a body that broke off before its sentence was complete, without the word that may have lost its end.
fn unfinished(body: &[u8], layers: &[ErrorBody]) -> Option<Duration> {
    if layers.iter().any(|layer| layer.message().is_some()) {
        return None;
    }
    prose::read(String::from_utf8_lossy(body).rsplit_once(char::is_whitespace)?.0)
}

/// A length of time: a number of seconds, the same or a duration as text, or `{"seconds":"34","nanos":500000000}`.
fn length(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(seconds) => number(seconds),
        Value::String(text) => span::length(text),
        Value::Object(parts) => {
            let nanos = parts.get("nanos").and_then(Value::as_u64).unwrap_or_default();
            Some(whole(parts.get("seconds")?)?.saturating_add(Duration::from_nanos(nanos)))
        }
        _ => None,
    }
}

fn until(value: &Value, now: Timestamp) -> Option<Duration> {
    match value {
        Value::Number(moment) => Some(span::until_number(number(moment)?, now)),
        Value::String(text) => span::until(text, now),
        _ => None,
    }
}

fn whole(seconds: &Value) -> Option<Duration> {
    seconds.as_str().map_or_else(|| seconds.as_u64().map(Duration::from_secs), span::decimal)
}

fn number(seconds: &Number) -> Option<Duration> {
    let fraction = || {
        let seconds = seconds.as_f64().filter(|seconds| *seconds >= 0.0)?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    };
    seconds.as_u64().map(Duration::from_secs).or_else(fraction)
}
