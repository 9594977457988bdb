//! A key's text, and the name it goes by.
//!
//! A [`Secret`] cannot be printed: its `Debug` shows `Secret(..)`, it has no `Display`, and its bytes are wiped when the
//! last holder lets go. Wherever a key must be named (logs, snapshots, stores) its [`KeyId`] stands for it.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The text of a key: 1 to 4096 bytes, each from 0x21 to 0x7E.
///
/// Cloning shares the bytes. They are wiped from memory when the last clone is dropped; copies that an HTTP client
/// makes while it sends them cannot be.
///
/// ```
/// use key_commune::secret::Secret;
///
/// let secret: Secret = "sk-test-0123456789abcdefghijklmnopqrst".parse()?;
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert_eq!(secret.masked(), "sk-t..qrst");
/// # Ok::<(), key_commune::secret::SecretError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The word that most providers want before a key, and the key: what goes into a header needs no copy of it.
    credentials: Bytes,
}

/// What stands before a key in `Authorization` (RFC 6750, 2.1).
const SCHEME: &[u8] = b"Bearer ";

impl Secret {
    /// The longest key, in bytes.
    pub const MAX_LEN: usize = 4096;

    /// Takes the text of a key, wiping the buffer it came in once it is no longer needed.
    ///
    /// # Errors
    /// When the text is empty, too long, or holds a byte outside 0x21 to 0x7E (blanks, control and non-ASCII bytes).
    pub fn new(text: impl Into<String>) -> Result<Self, SecretError> {
        Zeroizing::new(text.into()).parse()
    }

    /// The text itself. Handle with care: what prints it, leaks it.
    #[must_use]
    pub fn expose(&self) -> &str {
        let text = self.credentials.get(SCHEME.len()..).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// The bytes of the text, shared, with the scheme before it or without.
    pub(crate) fn share(&self, with_scheme: bool) -> Bytes {
        if with_scheme { self.credentials.clone() } else { self.credentials.slice(SCHEME.len()..) }
    }

    /// A form that a person can recognise and nobody can use: first and last four characters of a key of 16 or more,
    /// two and two from 8 on, and nothing of a shorter one.
    #[must_use]
    pub fn masked(&self) -> String {
        let text = self.expose();
        let shown = match text.len() {
            16.. => 4,
            8.. => 2,
            _ => 0,
        };
        format!("{}..{}", &text[..shown], &text[text.len() - shown..])
    }
}

impl std::str::FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        match text.bytes().position(|byte| !byte.is_ascii_graphic()) {
            _ if text.is_empty() => Err(SecretError::Empty),
            _ if text.len() > Self::MAX_LEN => Err(SecretError::TooLong(text.len())),
            Some(position) => Err(SecretError::Byte { position }),
            None => Ok(Self { credentials: wiped([SCHEME, text.as_bytes()].concat()) }),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Lends a wiped-on-drop buffer to [`Bytes`], so that header values can share it without copying.
struct Owner(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Shares `text` as bytes that are wiped when the last holder lets go.
pub(crate) fn wiped(text: Vec<u8>) -> Bytes {
    Bytes::from_owner(Owner(Zeroizing::new(text)))
}

/// Why a text cannot be a key. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// There is no text.
    #[error("the key is empty")]
    Empty,
    /// There are more bytes than [`Secret::MAX_LEN`].
    #[error("the key has {0} bytes; at most {max} are allowed", max = Secret::MAX_LEN)]
    TooLong(usize),
    /// A byte is outside 0x21 to 0x7E.
    #[error("the key has a blank, a control character or a non-ASCII character at byte {position}")]
    Byte {
        /// Where it stands, counted from 0.
        position: usize,
    },
}

/// What makes key ids of one pool differ from those of every other: 32 secret bytes.
#[derive(Clone)]
pub struct Pepper {
    ids: Hmac<Sha256>,
    sessions: Hmac<Sha256>,
    responses: Hmac<Sha256>,
}

impl Pepper {
    /// A pepper from known bytes, so that ids stay the same over restarts.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        // HMAC fills a short key up with zeros. Filled up here, it has the one length that cannot be refused.
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(&*Zeroizing::new(bytes)).for_each(|(to, from)| *to = *from);
        let mac = |purpose: &[u8]| {
            let mut mac = Hmac::new((&*block).into());
            mac.update(purpose);
            mac
        };
        Self {
            ids: mac(b"key-commune/id/1\0"),
            sessions: mac(b"key-commune/session/1\0"),
            responses: mac(b"key-commune/response/1\0"),
        }
    }

    /// A fresh pepper: ids made with it mean nothing after the process ends.
    #[must_use]
    pub fn random() -> Self {
        Self::new(rand::random())
    }

    /// The id of a key of `provider`.
    #[must_use]
    pub fn id(&self, provider: &str, secret: &Secret) -> KeyId {
        let mut mac = self.ids.clone();
        mac.update(provider.as_bytes());
        mac.update(b"\0");
        mac.update(secret.expose().as_bytes());
        let digest = mac.finalize().into_bytes();
        KeyId(digest.first_chunk().copied().unwrap_or_default())
    }

    /// A number for a session. Without the pepper nobody can find sessions whose numbers have something in common.
    pub(crate) fn session(&self, id: &str) -> u64 {
        number(&self.sessions, id)
    }

    /// A number for a response. Without the pepper nobody can make two responses have the same.
    pub(crate) fn response(&self, id: &str) -> u64 {
        number(&self.responses, id)
    }
}

fn number(mac: &Hmac<Sha256>, id: &str) -> u64 {
    let digest = mac.clone().chain_update(id).finalize().into_bytes();
    u64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

/// The name of a key: the first 128 bits of HMAC-SHA-256 over provider and key, keyed with the pool's [`Pepper`].
///
/// Safe to log and to store: without the pepper nobody can test a guess against it. Prints as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// All of its bits, each as good as drawn by lot to whoever does not know the pepper.
    pub(crate) const fn bits(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.bits())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl std::str::FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(hex: &str) -> Result<Self, KeyIdError> {
        let digits = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(hex, 16).ok().filter(|_| digits);
        number.map(|number| Self(number.to_be_bytes())).ok_or(KeyIdError(()))
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id has 32 hexadecimal digits")]
pub struct KeyIdError(());
