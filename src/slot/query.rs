//! Credentials in the query, and the removal of query parameters.
//!
//! A parameter's name is compared as a server would read it: percent-decoded, and in any case. `?k%65y=` and `?KEY=`
//! are `?key=` (I2).

use std::borrow::Cow;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::{Slot, SlotError};
use crate::secret::{Secret, sensitive, wiped};

/// Everything but the characters that mean themselves everywhere (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A parameter of the query, such as `?key=`. Prefer a header where the provider takes one: URLs end up in logs.
///
/// ```
/// use http::Request;
/// use key_commune::slot::{Query, Slot};
///
/// let slot = Query("key".into());
/// let (mut head, ()) = Request::get("/models?alt=sse&KEY=caller").body(())?.into_parts();
/// assert_eq!(slot.take(&mut head)?, Some("caller".parse()?));
/// slot.put(&mut head, &slot.value(&"AIza/1".parse()?));
/// assert_eq!(head.uri, "/models?alt=sse&key=AIza%2F1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(pub Cow<'static, str>);

impl Slot for Query {
    fn value(&self, secret: &Secret) -> HeaderValue {
        let mut text = Vec::with_capacity(3 * secret.expose().len());
        for piece in percent_encode(secret.expose().as_bytes(), RESERVED) {
            text.extend_from_slice(piece.as_bytes());
        }
        sensitive(wiped(text))
    }

    fn take(&self, head: &mut Parts) -> Result<Option<Secret>, SlotError> {
        let is_ours = |name: &str| is_same_name(name, &self.0);
        let presented = read_one(head.uri.query().unwrap_or_default(), is_ours);
        remove(&mut head.uri, is_ours);
        presented
    }

    fn put(&self, head: &mut Parts, value: &HeaderValue) {
        rewrite(&mut head.uri, |name| is_same_name(name, &self.0), Some((&self.0, value)));
    }
}

/// Whether a parameter's name, as it was written, is `wanted` to a server.
pub(crate) fn is_same_name(name: &str, wanted: &str) -> bool {
    let lower = |byte: u8| byte.to_ascii_lowercase();
    percent_decode_str(name).map(lower).eq(wanted.bytes().map(lower))
}

/// Removes the parameters whose name, as it was written, is `doomed`. Costs nothing when there are none.
pub(crate) fn remove(uri: &mut Uri, doomed: impl Fn(&str) -> bool) {
    if pairs(uri.query().unwrap_or_default()).any(|pair| doomed(name_of(pair))) {
        rewrite(uri, doomed, None);
    }
}

fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

fn read_one(query: &str, is_ours: impl Fn(&str) -> bool) -> Result<Option<Secret>, SlotError> {
    let mut ours = pairs(query).filter(|pair| is_ours(name_of(pair)));
    let Some(pair) = ours.next() else { return Ok(None) };
    if ours.next().is_some() {
        return Err(SlotError::Several);
    }
    let (_, value) = pair.split_once('=').unwrap_or_default();
    let mut key = Vec::with_capacity(value.len());
    key.extend(percent_decode_str(value));
    let key = String::from_utf8(key).map_err(|_| SlotError::Token)?;
    Secret::new(key).map(Some).map_err(|_| SlotError::Token)
}

/// Writes the query anew, into a buffer that is wiped after use, since it may hold a key.
fn rewrite(uri: &mut Uri, doomed: impl Fn(&str) -> bool, added: Option<(&str, &HeaderValue)>) {
    let query = uri.query().unwrap_or_default();
    let spare = added.map_or(0, |(name, value)| 3 * name.len() + value.len() + 2);
    let mut text = Vec::with_capacity(uri.path().len() + query.len() + spare + 1);
    text.extend_from_slice(uri.path().as_bytes());
    let mut mark = b'?';
    for pair in pairs(query).filter(|pair| !doomed(name_of(pair))) {
        push(&mut text, &mut mark, [pair.as_bytes()]);
    }
    if let Some((name, value)) = added {
        let name: Cow<'_, str> = percent_encode(name.as_bytes(), RESERVED).into();
        push(&mut text, &mut mark, [name.as_bytes(), b"=", value.as_bytes()]);
    }
    set_path_and_query(uri, text);
}

fn push<const N: usize>(text: &mut Vec<u8>, mark: &mut u8, pieces: [&[u8]; N]) {
    text.push(std::mem::replace(mark, b'&'));
    for piece in pieces {
        text.extend_from_slice(piece);
    }
}

/// Leaves the URI without a host, so that it cannot be sent, should the new query be too long for it.
fn set_path_and_query(uri: &mut Uri, text: Vec<u8>) {
    let mut parts = std::mem::take(uri).into_parts();
    let Ok(target) = PathAndQuery::from_maybe_shared(wiped(text)) else { return };
    parts.path_and_query = Some(target);
    *uri = Uri::from_parts(parts).unwrap_or_default();
}
