use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::ring::{KeyRing, RingKey};
use super::seal::{Closed, Subject, open, seal};
use crate::secret::Pepper;
use crate::store::{ErrorKind, StoreError};

/// What a sealed store says about itself: the pepper, one byte that is 1 if there is a guest, and the guest.
#[derive(Clone)]
pub(super) struct Header {
    pepper: Zeroizing<[u8; 32]>,
    /// The header that the store outside was given.
    guest: Option<Bytes>,
}

impl Header {
    pub(super) fn new(key: &RingKey) -> Self {
        Self { pepper: key.derive(b"pepper/1", b""), guest: None }
    }

    pub(super) fn pepper(&self) -> Pepper {
        Pepper::new(*self.pepper)
    }

    pub(super) fn guest(&self) -> Option<&Bytes> {
        self.guest.as_ref()
    }

    /// The same, with another guest.
    pub(super) fn hosting(&self, guest: &Bytes) -> Self {
        Self { guest: Some(guest.clone()), ..self.clone() }
    }

    pub(super) fn seal(&self, key: &RingKey) -> Result<Bytes, StoreError> {
        let guest = self.guest.as_deref();
        let text = [&*self.pepper, [u8::from(guest.is_some())].as_slice(), guest.unwrap_or_default()].concat();
        seal(key, Subject::Header, &Zeroizing::new(text))
    }

    pub(super) fn open(ring: &KeyRing, sealed: &[u8]) -> Result<Self, StoreError> {
        let text = open(ring, Subject::Header, sealed).map_err(|closed| {
            let kind = if matches!(closed, Closed::Missing(_)) { ErrorKind::WrongKey } else { ErrorKind::Damaged };
            StoreError::new(kind, closed)
        })?;
        Self::read(&text).ok_or_else(|| StoreError::new(ErrorKind::Damaged, Closed::Form))
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (&pepper, rest) = text.split_first_chunk()?;
        let guest = match rest.split_first()? {
            (0, []) => None,
            (1, guest) => Some(Bytes::copy_from_slice(guest)),
            _ => return None,
        };
        Some(Self { pepper: Zeroizing::new(pepper), guest })
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Header(..)")
    }
}
