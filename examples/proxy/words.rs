//! A key's line as words: blanks part them, and quotes and backslashes do what they do in a shell.

use std::borrow::Cow;

use shlex::{Shlex, try_quote};
use zeroize::Zeroizing;

use crate::Problem;

const QUOTES: [char; 2] = ['\'', '"'];

/// A key and the words after it. The key is as it stands, unless it begins with a quote: nobody escapes one.
pub(crate) fn split(line: &str) -> Result<(Zeroizing<String>, Vec<String>), Problem> {
    let end = if line.starts_with(QUOTES) { Some(0) } else { line.find(char::is_whitespace) };
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let mut words = Shlex::new(rest);
    let key = if key.is_empty() { words.next().unwrap_or_default() } else { key.to_owned() };
    let key = Zeroizing::new(key);
    let rest = words.by_ref().collect();
    if words.had_error { Err("the line ends inside quotes, or with a backslash".into()) } else { Ok((key, rest)) }
}

/// A key, at the beginning of a line.
pub(crate) fn key(text: &str) -> Cow<'_, str> {
    if text.starts_with(QUOTES) || text.starts_with('#') { quoted(text) } else { text.into() }
}

/// What stands behind `NAME=`.
pub(crate) fn value(text: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| !letter.is_whitespace() && letter != '\\' && !QUOTES.contains(&letter);
    if text.chars().all(is_plain) { text.into() } else { quoted(text) }
}

/// Text from a database, fit for a terminal: what that takes for an order is no letter.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// There is no NUL in it, which could not be.
fn quoted(text: &str) -> Cow<'_, str> {
    try_quote(text).unwrap_or_default()
}
