//! Lengths and points of time as text. No form is read but those named here.

use std::time::Duration;

use http::HeaderValue;
use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;

use crate::clock::Timestamp;

/// The longest text taken for a time, in bytes. The longest real one, an HTTP date, has 33.
pub(super) const MAX_LEN: usize = 64;

/// A bare number below this is a length, one above it a date: 35 days, against the year 1970.
const LONGEST_DELTA: Duration = Duration::from_secs(3_000_000);

/// A date from this number on counts milliseconds: as seconds it would be in the year 5138, as milliseconds it is 1973.
const FIRST_MILLIS: Duration = Duration::from_secs(100_000_000_000);

/// The text of a header value, without the blanks around it.
pub(super) fn text(value: &HeaderValue) -> Option<&str> {
    if value.len() > MAX_LEN { None } else { value.to_str().ok().map(str::trim_ascii) }
}

/// Digits, maybe a point and more digits: seconds. Unlike Rust's own parsers no sign, exponent or `inf`.
pub(super) fn decimal(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    count(fraction)?;
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some(Duration::new(count(whole)?, nanos))
}

/// Digits only.
pub(super) fn count(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Numbers with units: `1s`, `2m59.56s`, `156h14m36.75s`, `1 day 2 hours`. A day has 24 hours here.
pub(super) fn units(text: &str) -> Option<Duration> {
    static PARSER: SpanParser = SpanParser::new();
    // The parser also takes a sign, `5s ago` and times of day.
    if text.len() > MAX_LEN || !text.starts_with(|first: char| first.is_ascii_digit()) || text.contains(':') {
        return None;
    }
    let seconds = text.strip_suffix('s').and_then(decimal);
    seconds.or_else(|| PARSER.parse_unsigned_duration(text).ok()).or_else(|| {
        let span = PARSER.parse_span(text).ok()?;
        span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
    })
}

/// A length of time: bare seconds, or numbers with units.
pub(super) fn length(text: &str) -> Option<Duration> {
    decimal(text).or_else(|| units(text))
}

/// The time from now to a moment given as a number (see [`until_number`]), a length of time, RFC 3339 or an HTTP date.
pub(super) fn until(text: &str, now: Timestamp) -> Option<Duration> {
    if text.len() > MAX_LEN {
        return None;
    }
    // A date tells its form by its first character, and a parser that fails costs more than one that does not.
    let dated = if text.starts_with(|first: char| first.is_ascii_digit()) { until_rfc3339 } else { until_http_date };
    let number = decimal(text).map(|number| until_number(number, now));
    number.or_else(|| units(text)).or_else(|| dated(text, now))
}

/// The time from now to a moment given as a number, by its size: seconds from now, or seconds or milliseconds since the
/// Unix epoch.
pub(super) fn until_number(number: Duration, now: Timestamp) -> Duration {
    match number {
        delta if delta < LONGEST_DELTA => delta,
        seconds if seconds < FIRST_MILLIS => Timestamp::from_unix(seconds) - now,
        millis => Timestamp::from_unix(millis / 1_000) - now,
    }
}

/// The time from now to an HTTP date in any of its three forms; zero when it has passed.
pub(super) fn until_http_date(text: &str, now: Timestamp) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since_unix = date.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Some(Timestamp::from_unix(since_unix) - now)
}

fn until_rfc3339(text: &str, now: Timestamp) -> Option<Duration> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    let since_unix = moment.as_duration().try_into().unwrap_or_default();
    Some(Timestamp::from_unix(since_unix) - now)
}
