//! Changes to the body of a request, made for each attempt once its key is known (I10).
//!
//! Off unless the layer is told of one. A rewrite is there to help, not to guard: what it does not see goes out as it came.

mod drop_fields;
mod edit;
mod strip_prefix;

use std::fmt;

use bytes::Bytes;
use http::request::Parts;

use crate::origin::Origin;
use crate::secret::KeyId;
pub use drop_fields::DropFields;
pub use strip_prefix::StripPrefix;

/// Changes the body that goes out with a key. Implemented for closures.
///
/// It is asked for each attempt anew, with the body as the caller sent it, and before the key is put in. The first attempt
/// waits for the body. Not asked about are bodies that are empty, that did not arrive whole, or that are longer than
/// [`max_replay`](crate::KeyCommuneLayer::max_replay): they go out as they came, and so does the body on which it panics.
/// Whoever must not let such requests pass refuses them by an [`Inspect`](crate::demand::Inspect), which is asked before.
///
/// What a body is routed by is what the caller has sent, not what becomes of it. Digests of a body that was changed
/// are taken out of the head, its length is told anew, and its trailers are left out.
///
/// ```
/// use bytes::Bytes;
/// use http::request::Parts;
/// use key_commune::rewrite::{Attempt, DropFields, Rewrite};
/// use key_commune::{KeyCommuneLayer, KeyPool, Provider};
///
/// # let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789"])?;
/// let strict = DropFields::new(["store", "metadata"]);
/// let layer = KeyCommuneLayer::new(pool).rewrite(move |head: &Parts, body: &[u8], attempt: &Attempt<'_>| -> Option<Bytes> {
///     if attempt.label == Some("strict") { strict.rewrite(head, body, attempt) } else { None }
/// });
/// # Ok::<(), key_commune::pool::PoolError>(())
/// ```
pub trait Rewrite: Send + Sync {
    /// The body to send instead of this one; `None` leaves it as it is. The head is what is about to be sent, without the
    /// key. An encoded body is shown as it is.
    fn rewrite(&self, head: &Parts, body: &[u8], attempt: &Attempt<'_>) -> Option<Bytes>;

    /// Whether the body of a request with this head may have to be changed: others are not waited for. Default: yes.
    fn applies(&self, _head: &Parts) -> bool {
        true
    }
}

impl<F: Fn(&Parts, &[u8], &Attempt<'_>) -> Option<Bytes> + Send + Sync> Rewrite for F {
    fn rewrite(&self, head: &Parts, body: &[u8], attempt: &Attempt<'_>) -> Option<Bytes> {
        self(head, body, attempt)
    }
}

impl fmt::Debug for dyn Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rewrite")
    }
}

/// What an attempt is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The key.
    pub key: KeyId,
    /// The key's name for people.
    pub label: Option<&'a str>,
    /// Where it goes: to the key's own origin, or the pool's.
    pub origin: &'a Origin,
    /// The name of the pool's provider.
    pub provider: &'a str,
}

impl<'a> Attempt<'a> {
    /// An attempt with a key without a label, at a provider that is called `custom`.
    #[must_use]
    pub fn new(key: KeyId, origin: &'a Origin) -> Self {
        Self { key, label: None, origin, provider: "custom" }
    }
}
