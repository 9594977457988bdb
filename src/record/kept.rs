use std::fmt;

use bytes::Bytes;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::Secret;

/// A key's text as it is kept: in clear, or sealed. Neither can be printed, and serde writes sealed ones only.
#[derive(Clone, PartialEq, Eq)]
pub enum Kept {
    /// In clear.
    Plain(Secret),
    /// Sealed by a master key: opaque bytes, at most [`Kept::MAX_SEALED`].
    Sealed(Bytes),
}

impl Kept {
    /// The longest sealed form that is read back.
    pub const MAX_SEALED: usize = Secret::MAX_LEN + 64;

    /// The key's text, if it can be read here.
    #[must_use]
    pub fn plain(&self) -> Option<&Secret> {
        match self {
            Self::Plain(secret) => Some(secret),
            Self::Sealed(_) => None,
        }
    }

    /// The sealed bytes, if it is sealed.
    #[must_use]
    pub fn sealed(&self) -> Option<&Bytes> {
        match self {
            Self::Plain(_) => None,
            Self::Sealed(bytes) => Some(bytes),
        }
    }

    fn parts(&self) -> (bool, &[u8]) {
        match self {
            Self::Plain(secret) => (false, secret.expose().as_bytes()),
            Self::Sealed(bytes) => (true, bytes),
        }
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.plain().is_some() { "Plain(..)" } else { "Sealed(..)" })
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(_) => Err(serde::ser::Error::custom("a secret in clear is not serialized")),
            Self::Sealed(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(Sealed).map(|bytes| Self::Sealed(bytes.into()))
    }
}

struct Sealed;

impl<'de> Visitor<'de> for Sealed {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} sealed bytes", Kept::MAX_SEALED)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        if bytes.len() > Kept::MAX_SEALED { Err(E::invalid_length(bytes.len(), &self)) } else { Ok(bytes.to_vec()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            if bytes.len() == Kept::MAX_SEALED {
                return Err(A::Error::invalid_length(bytes.len() + 1, &self));
            }
            bytes.push(byte);
        }
        Ok(bytes)
    }
}
