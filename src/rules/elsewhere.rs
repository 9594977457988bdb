//! The model that the path names: the provider then minds no other, whatever the body says.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::demand::json::Found;
use crate::demand::model_in_path;

/// The model that a path names. Servers may decode a path before they take it apart, and overlook slashes at its end.
pub(super) fn in_path(path: &str) -> Found<'static> {
    let decoded = percent_decode_str(path.trim_end_matches('/')).decode_utf8_lossy();
    match (model_in_path(path), model_in_path(&decoded)) {
        (None, None) => Found::Missing,
        (Some(name), Some(other)) if name == other => Found::Text(Cow::Owned(name.into_owned())),
        _ => Found::Ambiguous,
    }
}
