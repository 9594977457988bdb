//! Which paths have one meaning only, and how a path is moved from one base to another (I1).
//!
//! Servers disagree about `..`, `%2f` and `\`, and some decode twice. A path that one reader finds inside the base
//! path and another outside would carry a key to a place nobody allowed, so such a path is refused, never repaired.

use std::borrow::Cow;

use bytes::Bytes;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode;

use super::PathError;

/// Checks that a path, with or without a query, means the same to every reader.
///
/// The path begins with exactly one slash, is ASCII without blanks and control bytes, and has no dot segments,
/// backslashes or further slashes: neither as it stands, nor decoded once, nor decoded twice (RFC 3986, 3.3 and 5.2.4).
/// The query may say anything, but for blanks, control bytes and `#`.
///
/// ```
/// use key_commune::origin::{PathError, check_path};
///
/// assert_eq!(check_path("/v1/models/a%20b?q=../x"), Ok(()));
/// assert_eq!(check_path("/v1/%252e%252e/admin"), Err(PathError::DotSegment));
/// assert_eq!(check_path("//evil.example/v1"), Err(PathError::DoubleSlash));
/// ```
///
/// # Errors
/// The first rule that the path breaks.
pub fn check_path(target: &str) -> Result<(), PathError> {
    if is_plain(target) {
        return Ok(());
    }
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    if !path.starts_with('/') {
        return Err(PathError::NotRooted);
    }
    if path.starts_with("//") {
        return Err(PathError::DoubleSlash);
    }
    if target.contains('#') {
        return Err(PathError::Fragment);
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) || query.bytes().any(is_blank) {
        return Err(PathError::Byte);
    }
    check_triplets(path)?;
    check_views(path.as_bytes())
}

/// Nearly every target: letters, digits and a few marks that stand for themselves, and no segment that is empty or begins
/// with a dot. Nobody can read it in another way, so it takes one look.
fn is_plain(target: &str) -> bool {
    let mut last = 0;
    let fits = |byte: u8| {
        let before = std::mem::replace(&mut last, byte);
        let begins_badly = before == b'/' && matches!(byte, b'/' | b'.');
        byte.is_ascii_alphanumeric() || (matches!(byte, b'/' | b'.' | b'-' | b'_' | b':') && !begins_badly)
    };
    target.starts_with('/') && target.bytes().all(fits)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_control()
}

fn check_triplets(path: &str) -> Result<(), PathError> {
    let is_triplet = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if path.split('%').skip(1).all(is_triplet) { Ok(()) } else { Err(PathError::Encoding) }
}

fn check_views(path: &[u8]) -> Result<(), PathError> {
    let slashes = count_slashes(path);
    check_view(path, slashes)?;
    let Cow::Owned(once) = Cow::from(percent_decode(path)) else { return Ok(()) };
    check_view(&once, slashes)?;
    let Cow::Owned(twice) = Cow::from(percent_decode(&once)) else { return Ok(()) };
    check_view(&twice, slashes)
}

fn check_view(path: &[u8], slashes: usize) -> Result<(), PathError> {
    if path.contains(&b'\\') || count_slashes(path) != slashes {
        return Err(PathError::Separator);
    }
    if path.iter().any(u8::is_ascii_control) {
        return Err(PathError::Byte);
    }
    // Overlong forms of `.` and `/` are not UTF-8.
    if std::str::from_utf8(path).is_err() {
        return Err(PathError::Encoding);
    }
    if path.split(|&byte| byte == b'/').any(is_dot_segment) { Err(PathError::DotSegment) } else { Ok(()) }
}

fn count_slashes(path: &[u8]) -> usize {
    memchr::memchr_iter(b'/', path).count()
}

/// Java servers cut path parameters off before they resolve dots: `/..;x/` is `/../` to them.
fn is_dot_segment(segment: &[u8]) -> bool {
    matches!(segment.split(|&byte| byte == b';').next(), Some(b"." | b".."))
}

/// Whether `path` is `base` or lies under it, by whole segments.
pub(super) fn is_under(base: &str, path: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Moves `target` from under one base path to under another. What the new base ends with and the rest begins with
/// is written once. Costs no allocation when the path stays as it is.
pub(super) fn move_under(target: &PathAndQuery, from: &str, to: &str) -> Result<PathAndQuery, PathError> {
    check_path(target.as_str())?;
    let rest = target.as_str().strip_prefix(from).ok_or(PathError::Outside)?;
    let shared = overlap(to, rest);
    if from == to || (from.is_empty() && shared == to.len()) {
        return Ok(target.clone());
    }
    parse_checked(join(to, &rest[shared..]))
}

/// The length of the longest end of `base` that `target` begins with, by whole segments.
fn overlap(base: &str, target: &str) -> usize {
    let path = target.split('?').next().unwrap_or_default();
    let ends = base.match_indices('/').map(|(at, _)| &base[at..]);
    ends.into_iter().find(|end| is_under(end, path)).map_or(0, str::len)
}

fn join(base: &str, rest: &str) -> String {
    let root = if base.is_empty() && !rest.starts_with('/') { "/" } else { "" };
    [root, base, rest].concat()
}

/// What was cut off may have left two slashes at the start, so the outcome is checked as well.
fn parse_checked(target: String) -> Result<PathAndQuery, PathError> {
    check_path(&target)?;
    PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| PathError::TooLong)
}
