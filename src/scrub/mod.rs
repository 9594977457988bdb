//! Masks every echo of a key in what a provider answers.
//!
//! A debugging endpoint, an error message or a careless proxy may send back the key that a request carried. Who asked
//! must not read it when the key is somebody else's. A [`Scrubber`] knows the forms in which a key travels and writes
//! as many `*` over each (`#` or blanks if the key itself has a `*`: a mask must never complete an echo); a [`Stream`]
//! does so in a body that comes in pieces.
//!
//! The rules it keeps:
//!
//! - Bytes out equal bytes in, one for one, and no form is left among them, however forms overlap or chunks are cut:
//!   every byte that belongs to an occurrence of any form is masked, and no other.
//! - Only a tail that may begin a form is held back. No form holds a blank or a line break, so an event stream, whose
//!   events end in blank lines, is never delayed. What holds no echo passes on without a copy.
//! - Only forms of at least [`MIN_FORM`] bytes are searched: a shorter one turns up in honest text by chance, and
//!   masking each would shred it. A key of one to seven bytes therefore passes as it is, and is still masked where it
//!   comes in a form of eight.
//!
//! Searched are the key as it is and
//!
//! - percent-encoded: every byte, all but letters and digits, and as RFC 3986, `encodeURIComponent` and HTML forms do;
//! - in hexadecimal;
//! - escaped for JSON: as little as can be, with `\/`, as Go and .NET do, and every byte as `\u00XX`;
//! - in Base64, standard and URL-safe, wherever it starts in the encoded text, so also behind `Bearer `. The characters
//!   at either end that depend on its neighbours too stay as they are; each tells at most four bits of the key.
//!
//! Hexadecimal digits may be lower or upper case throughout. Not found are a key that is cut in two (ask for no
//! `Range`) or broken into lines, compressed (ask for `identity`), mixed from several forms, or encoded twice.

mod forms;
mod search;
mod shifts;
mod stream;

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

use self::search::{Echoes, Index};
use crate::secret::Secret;

pub use self::stream::Stream;

/// Forms of a key that are shorter than this are not searched.
pub const MIN_FORM: usize = 8;

/// Knows the forms of one key. Cloning shares them; they are wiped when the last clone is dropped.
///
/// It takes some microseconds to make and keeps several kilobytes, so make one per answer instead of keeping one per
/// key.
///
/// ```
/// use http::HeaderValue;
/// use key_commune::secret::Secret;
/// use key_commune::scrub::Scrubber;
///
/// let secret: Secret = "sk-0123456789".parse()?;
/// let scrubber = Scrubber::new(&secret);
///
/// let echo = HeaderValue::from_static("Bearer sk-0123456789!");
/// assert_eq!(scrubber.value(&echo).unwrap(), "Bearer *************!");
/// assert_eq!(scrubber.value(&HeaderValue::from_static("text/plain")), None);
/// # Ok::<(), key_commune::secret::SecretError>(())
/// ```
#[derive(Clone)]
pub struct Scrubber(Arc<Index>);

impl Scrubber {
    /// Works out the forms of `secret`.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(Arc::new(Index::new(secret.expose().as_bytes())))
    }

    /// The same, masking every part of the key too: any [`MIN_FORM`] bytes in a row, as in `sk-proj-AbCdEfGh***wXyZ`, but
    /// not the beginning that all keys of a provider share. It takes longer to make, and keeps a little more of each
    /// chunk back.
    ///
    /// ```
    /// # use http::HeaderValue;
    /// # use key_commune::{secret::Secret, scrub::Scrubber};
    /// let secret: Secret = "sk-proj-4mKtN8aUeJ5fQ1iB6oVy".parse()?;
    /// let echo = HeaderValue::from_static("bad key sk-proj-4mKtN8aU***6oVy");
    /// assert_eq!(Scrubber::strict(&secret).value(&echo).unwrap(), "bad key sk-proj-***********6oVy");
    /// # Ok::<(), key_commune::secret::SecretError>(())
    /// ```
    #[must_use]
    pub fn strict(secret: &Secret) -> Self {
        Self(Arc::new(Index::with_parts(secret.expose().as_bytes())))
    }

    /// The value with its echoes masked, or nothing if it has none. A sensitive value stays sensitive.
    #[must_use]
    pub fn value(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let bytes = value.as_bytes();
        let found = self.0.scan(bytes, bytes.len(), false);
        if found.echoes.is_empty() {
            return None;
        }
        let masked = self.mask(Bytes::copy_from_slice(bytes), &found.echoes);
        // Masks are legal in a value, so this cannot fail; if it did, an empty value would be better than an echo.
        let mut masked = HeaderValue::from_maybe_shared(masked).unwrap_or(HeaderValue::from_static(""));
        masked.set_sensitive(value.is_sensitive());
        Some(masked)
    }

    /// Masks the echoes in the values of headers or trailers, and says whether there were any.
    ///
    /// ```
    /// # use http::HeaderMap;
    /// # use key_commune::{secret::Secret, scrub::Scrubber};
    /// let secret: Secret = "sk-0123456789".parse()?;
    /// let mut headers = HeaderMap::new();
    /// headers.insert("x-echo", "key=sk-0123456789".parse()?);
    ///
    /// assert!(Scrubber::new(&secret).headers(&mut headers));
    /// assert_eq!(headers["x-echo"], "key=*************");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn headers(&self, headers: &mut HeaderMap) -> bool {
        let mut echoed = false;
        for value in headers.values_mut() {
            if let Some(masked) = self.value(value) {
                *value = masked;
                echoed = true;
            }
        }
        echoed
    }

    /// Writes the mask over the echoes that begin in `text`; copies only if there is one and `text` is shared.
    fn mask(&self, text: Bytes, echoes: &Echoes) -> Bytes {
        if echoes.before(text.len()).next().is_none() {
            return text;
        }
        let mut text = BytesMut::from(text);
        for echo in echoes.before(text.len()) {
            if let Some(echo) = text.get_mut(echo) {
                echo.fill(self.0.mask);
            }
        }
        text.freeze()
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrubber(..)")
    }
}
