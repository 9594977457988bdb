//! Headers that say outright how long to wait.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::span;
use crate::clock::Timestamp;

/// The same in milliseconds. Who sends one of these sends it because `Retry-After` is too coarse, so they come first.
const MILLIS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];

/// The longest wait that a valid header asks for, zero when its date has passed.
///
/// RFC 9110 10.2.3 knows whole seconds and HTTP dates; fractions of seconds are taken too because they are sent.
pub(super) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let millis = MILLIS.iter().flat_map(|name| values(headers, name)).filter_map(span::decimal).max();
    let seconds = || {
        let values = values(headers, RETRY_AFTER.as_str());
        values.filter_map(|text| span::decimal(text).or_else(|| span::until_http_date(text, now))).max()
    };
    super::settle(millis.map(|millis| millis / 1_000).into_iter().chain(std::iter::once_with(seconds).flatten()))
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(span::text)
}
