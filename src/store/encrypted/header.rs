use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::live_ring::LiveRing;
use super::ring::{KeyRing, RingId, RingKey};
use super::seal::{Closed, Subject, open, seal, sealed_by};
use crate::secret::Pepper;
use crate::store::{ErrorKind, StoreError};

/// What a sealed store says about itself: the pepper, a byte of flags, the keys that are needed if there are any (a byte
/// with their number, and their names), and the guest if there is one. The key that it is sealed by is the one that seals.
#[derive(Clone)]
pub(super) struct Header {
    key: RingKey,
    pepper: Zeroizing<[u8; 32]>,
    /// Keys that have sealed, and not all of it is sealed anew yet.
    needed: Vec<RingId>,
    /// The header that the store outside was given.
    guest: Option<Bytes>,
}

const HAS_GUEST: u8 = 1;
const HAS_NEEDED: u8 = 2;

impl Header {
    pub(super) fn new(key: &RingKey, pepper: Zeroizing<[u8; 32]>) -> Self {
        Self { key: key.clone(), pepper, needed: Vec::new(), guest: None }
    }

    /// The pepper of a store that this key is the first to seal.
    pub(super) fn first_pepper(key: &RingKey) -> Zeroizing<[u8; 32]> {
        key.derive(b"pepper/1", b"")
    }

    pub(super) fn key(&self) -> RingId {
        self.key.id
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

    /// The same, sealed by the newest key of a ring; what was sealed before is not yet. `None` if it is so already.
    pub(super) fn announcing(&self, ring: &KeyRing) -> Option<Self> {
        let newest = ring.newest();
        let mut needed: Vec<_> =
            self.needed.iter().copied().filter(|&id| id != newest.id && id != self.key.id).collect();
        needed.push(self.key.id);
        (newest.id != self.key.id).then(|| Self { key: newest.clone(), needed, ..self.clone() })
    }

    /// The same, once all is sealed by this key. `None` if it is so already, or meanwhile sealed by another one.
    pub(super) fn concluding(&self, key: RingId) -> Option<Self> {
        (self.key.id == key && !self.needed.is_empty()).then(|| Self { needed: Vec::new(), ..self.clone() })
    }

    pub(super) fn seal(&self) -> Result<Bytes, StoreError> {
        let mut text = Zeroizing::new(self.pepper.to_vec());
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        text.push(flag(self.guest.is_some(), HAS_GUEST) | flag(!self.needed.is_empty(), HAS_NEEDED));
        if !self.needed.is_empty() {
            let names = self.needed.iter().take(u8::MAX.into());
            text.push(names.len() as u8);
            text.extend(names.flat_map(|id| id.0));
        }
        text.extend(self.guest.as_deref().unwrap_or_default());
        seal(&self.key, Subject::Header, &text)
    }

    /// Opens a header, if the ring has, or finds, all the keys that are needed for what it stands for.
    pub(super) fn open(ring: &LiveRing, sealed: &[u8]) -> Result<Self, StoreError> {
        let header = Self::read(&ring.knowing(sealed_by(sealed).into_iter()), sealed).map_err(refusal)?;
        let known = ring.knowing(header.needed.iter().copied());
        let missing = header.needed.iter().find(|&&id| known.find(id).is_none());
        missing.map_or(Ok(()), |&id| Err(refusal(Closed::Missing(id)))).map(|()| header)
    }

    fn read(ring: &KeyRing, sealed: &[u8]) -> Result<Self, Closed> {
        let text = open(ring, Subject::Header, sealed)?;
        let key = sealed_by(sealed).and_then(|id| ring.find(id)).ok_or(Closed::Form)?;
        Self::parse(key, &text).ok_or(Closed::Form)
    }

    fn parse(key: &RingKey, text: &[u8]) -> Option<Self> {
        let (&pepper, rest) = text.split_first_chunk()?;
        let (&flags, mut rest) = rest.split_first()?;
        let mut header = Self::new(key, Zeroizing::new(pepper));
        if flags & HAS_NEEDED != 0 {
            let (&count, names) = rest.split_first()?;
            let (names, guest) = names.split_at_checked(4 * usize::from(count))?;
            header.needed = names.as_chunks().0.iter().copied().map(RingId).collect();
            rest = guest;
        }
        header.guest = (flags & HAS_GUEST != 0).then(|| Bytes::copy_from_slice(rest));
        let is_whole = flags <= (HAS_GUEST | HAS_NEEDED) && (header.guest.is_some() || rest.is_empty());
        is_whole.then_some(header)
    }
}

fn refusal(closed: Closed) -> StoreError {
    let kind = if matches!(closed, Closed::Missing(_)) { ErrorKind::WrongKey } else { ErrorKind::Damaged };
    StoreError::new(kind, closed)
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Header(..)")
    }
}
