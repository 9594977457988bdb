//! Where in a request a credential sits.
//!
//! A [`Slot`] takes the caller's credential out and puts the leased one in. Taking removes every occurrence, however it
//! is spelt and whether it can be read or not; putting leaves exactly one, marked sensitive (I2).

mod header;
mod query;

use std::fmt;

use http::HeaderValue;
use http::request::Parts;

use crate::secret::Secret;

pub use header::{Bearer, Header, KEY_HEADERS};
pub use query::Query;
pub(crate) use query::{is_same_name, remove};

/// A place for one credential.
///
/// ```
/// use http::{Request, header::AUTHORIZATION};
/// use key_commune::slot::{Bearer, Slot};
///
/// let (mut head, ()) = Request::get("/v1/models").header(AUTHORIZATION, "bearer sk-caller").body(())?.into_parts();
/// let presented = Bearer.take(&mut head)?;
/// assert_eq!(presented, Some("sk-caller".parse()?));
/// assert!(head.headers.is_empty());
///
/// let value = Bearer.value(&"sk-leased".parse()?);
/// Bearer.put(&mut head, &value);
/// assert_eq!(head.headers[AUTHORIZATION], "Bearer sk-leased");
/// assert_eq!(format!("{:?}", head.headers[AUTHORIZATION]), "Sensitive");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Slot: fmt::Debug + Send + Sync {
    /// The text that [`put`](Self::put) writes for a key. Made once per key: sensitive, over a buffer that is wiped
    /// when the last clone is dropped, cloned without an allocation.
    fn value(&self, secret: &Secret) -> HeaderValue;

    /// Removes every credential in this place and tells the caller's, if there was one.
    ///
    /// # Errors
    /// When there were several, or one that is not a single key. They are removed all the same.
    fn take(&self, head: &mut Parts) -> Result<Option<Secret>, SlotError>;

    /// Writes a text made by [`value`](Self::value), in place of whatever is there.
    fn put(&self, head: &mut Parts, value: &HeaderValue);
}

/// Why what a caller presented is no credential. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// There is more than one.
    #[error("the request carries more than one credential")]
    Several,
    /// It does not say `Bearer` first.
    #[error("the credential does not have the form `Bearer <key>`")]
    Scheme,
    /// There is nothing in it.
    #[error("the credential is empty")]
    Empty,
    /// It is too long, a list, in quotes, or holds blanks, control or non-ASCII characters.
    #[error("the credential is not a single key")]
    Token,
}
