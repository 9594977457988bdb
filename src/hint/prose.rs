//! Sentences that say when to come back: a known phrase, and the length of time that follows it.

use std::sync::LazyLock;
use std::time::Duration;

use aho_corasick::{AhoCorasick, MatchKind};

use super::span;

/// What stands before a length of time, in lower case.
const PHRASES: [&str; 18] = [
    "try again in",
    "try again after",
    "again in",
    "again after",
    "retry in",
    "retry after",
    "retry-after",
    "retry_after",
    "retrying in",
    "wait",
    "reset in",
    "resets in",
    "reset after",
    "resets after",
    "available in",
    "available again in",
    "retrydelay",
    "quotaresetdelay",
];

/// Words that may stand between the phrase and the length of time.
const FILLERS: [&str; 4] = ["for ", "about ", "approximately ", "at least "];

/// How many phrases are followed up in one text.
const MAX_PHRASES: usize = 32;

static FINDER: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(PHRASES).ok());

/// The first length of time that a text asks to wait. A number without a unit means seconds.
pub(super) fn read(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase().replace(" and ", " ");
    let mut phrases = FINDER.as_ref()?.find_iter(&text).take(MAX_PHRASES);
    phrases.find_map(|phrase| after(text.get(phrase.end()..)?))
}

/// The length of time that a text begins with.
fn after(text: &str) -> Option<Duration> {
    let blank = |text: char| text.is_whitespace() || matches!(text, ':' | '=' | '"' | '\'' | '`' | '~' | '\\');
    let text = text.trim_start_matches(blank);
    let text = FILLERS.iter().find_map(|filler| text.strip_prefix(filler)).unwrap_or(text);
    if text.starts_with(|first: char| first.is_ascii_digit()) { with_units(text).or_else(|| bare(text)) } else { None }
}

/// The longest beginning that ends with a word and reads as numbers with units.
fn with_units(text: &str) -> Option<Duration> {
    let window = text.char_indices().map_while(|(at, char)| (at < span::MAX_LEN).then_some((at, char)));
    let chars: Vec<_> = window.collect();
    let ends = chars.iter().filter(|(at, char)| {
        let end = at + char.len_utf8();
        char.is_alphabetic() && !text.get(end..).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
    });
    let mut ends = ends.rev().map(|(at, char)| at + char.len_utf8());
    ends.find_map(|end| span::units(text.get(..end)?))
}

/// A number that no word follows: `retry after 5`, but not `retry after 5 attempts`.
fn bare(text: &str) -> Option<Duration> {
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    let closes = |char: char| matches!(char, ',' | ';' | ')' | ']' | '}' | '"' | '\'' | '`' | '!' | '?' | '\\' | '.');
    let rest = rest.trim_start();
    let ends = rest.is_empty() || rest.starts_with(closes) || number.ends_with('.');
    if ends { span::decimal(number.trim_end_matches('.')) } else { None }
}
