//! A query parameter, as servers read it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::demand::json::{Found, is_taken_for};

/// The decoded value of the only parameter with this name. A semicolon divides parameters to some servers, brackets
/// make a list of them to others, and not all mind the case.
pub(super) fn find(query: &str, wanted: &str) -> Found<'static> {
    let mut ours = query.split(['&', ';']).filter(|pair| is_read_as(name_of(pair), wanted));
    let (Some(pair), more) = (ours.next(), ours.next()) else { return Found::Missing };
    let is_plain = decode(name_of(pair)).as_deref() == Some(wanted) && query.split('&').any(|whole| whole == pair);
    match decode(pair.split_once('=').unwrap_or_default().1) {
        Some(value) if is_plain && more.is_none() => Found::Text(Cow::Owned(value)),
        _ => Found::Ambiguous,
    }
}

fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

/// Whether some server takes this name, as it was written, for `wanted`.
fn is_read_as(name: &str, wanted: &str) -> bool {
    let name = spaced(name);
    let name = percent_decode_str(&name).decode_utf8_lossy();
    name == wanted || is_taken_for(name.split('[').next().unwrap_or_default().trim(), wanted)
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(&spaced(text)).decode_utf8().ok().map(Cow::into_owned)
}

fn spaced(text: &str) -> String {
    text.replace('+', " ")
}
