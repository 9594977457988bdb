//! What stands for the name of a session or a response.

use std::fmt;

use sha2::{Digest, Sha256};

/// The name of a session or a response, as 128 bits of its SHA-256: it is only ever compared, and equal names have equal
/// ids. What callers call their sessions, often their users, goes no further than this.
///
/// ```
/// use key_commune::demand::{Demand, Id};
///
/// assert_eq!(Demand::default().session("chat-17").session_id(), Some(Id::of("chat-17")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id([u8; 16]);

impl Id {
    /// What stands for this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self::digest(Sha256::new_with_prefix(name))
    }

    /// What stands for a session that has no name.
    pub(super) fn of_prompt(model: Option<&str>, prompt: &[u8]) -> Self {
        let model = model.unwrap_or_default().as_bytes();
        Self::digest(
            Sha256::new_with_prefix((model.len() as u64).to_be_bytes()).chain_update(model).chain_update(prompt),
        )
    }

    fn digest(hash: Sha256) -> Self {
        Self(hash.finalize().first_chunk().copied().unwrap_or_default())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}
