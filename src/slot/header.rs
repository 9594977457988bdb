//! Credentials in a header: `Authorization: Bearer <key>` (RFC 6750, 2.1), or the bare key in a header of its own.

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Slot, SlotError};
use crate::secret::Secret;

/// `Authorization: Bearer <key>`. The word `Bearer` is read in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bearer;

impl Slot for Bearer {
    fn value(&self, secret: &Secret) -> HeaderValue {
        secret.value(true)
    }

    fn take(&self, head: &mut Parts) -> Result<Option<Secret>, SlotError> {
        let Some(value) = take_one(&mut head.headers, &AUTHORIZATION)? else { return Ok(None) };
        read_key(after_scheme(value.as_bytes()).ok_or(SlotError::Scheme)?).map(Some)
    }

    fn put(&self, head: &mut Parts, value: &HeaderValue) {
        head.headers.insert(AUTHORIZATION, value.clone());
    }
}

/// The bare key in a header of its own, such as `x-api-key`.
///
/// ```
/// use http::{HeaderName, Request};
/// use key_commune::slot::{Header, Slot};
///
/// let slot = Header(HeaderName::from_static("x-api-key"));
/// let (mut head, ()) = Request::get("/").header("X-Api-Key", "sk-caller").body(())?.into_parts();
/// assert_eq!(slot.take(&mut head)?, Some("sk-caller".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header(pub HeaderName);

/// The headers that clients put bare keys into, if not into `Authorization`: whatever API their library was made for.
pub static KEY_HEADERS: [Header; 3] = [
    Header(HeaderName::from_static("x-api-key")),
    Header(HeaderName::from_static("api-key")),
    Header(HeaderName::from_static("x-goog-api-key")),
];

impl Slot for Header {
    fn value(&self, secret: &Secret) -> HeaderValue {
        secret.value(false)
    }

    fn take(&self, head: &mut Parts) -> Result<Option<Secret>, SlotError> {
        let Some(value) = take_one(&mut head.headers, &self.0)? else { return Ok(None) };
        read_key(value.as_bytes().trim_ascii()).map(Some)
    }

    fn put(&self, head: &mut Parts, value: &HeaderValue) {
        head.headers.insert(&self.0, value.clone());
    }
}

/// Removes all values of a header and returns the only one.
fn take_one(headers: &mut HeaderMap, name: &HeaderName) -> Result<Option<HeaderValue>, SlotError> {
    let mut values = headers.get_all(name).iter();
    if values.next().is_none() {
        return Ok(None);
    }
    let several = values.next().is_some();
    let value = headers.remove(name);
    if several { Err(SlotError::Several) } else { Ok(value) }
}

fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Some(value);
    }
    let (scheme, key) = value.split_at(value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len()));
    scheme.eq_ignore_ascii_case(b"bearer").then(|| key.trim_ascii_start())
}

/// Headers are lists to whoever joins or splits them, so a comma or a quote may mean more than one credential.
fn read_key(text: &[u8]) -> Result<Secret, SlotError> {
    if text.is_empty() {
        return Err(SlotError::Empty);
    }
    if memchr::memchr2(b',', b'"', text).is_some() || text.len() > Secret::MAX_LEN {
        return Err(SlotError::Token);
    }
    let text = std::str::from_utf8(text).map_err(|_| SlotError::Token)?;
    text.parse().map_err(|_| SlotError::Token)
}
