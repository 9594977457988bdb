//! A key's text, and the name it goes by.
//!
//! A [`Secret`] cannot be printed: its `Debug` shows `Secret(..)`, it has no `Display`, and its bytes are wiped when the
//! last holder lets go. Wherever a key must be named (logs, snapshots, stores) its [`KeyId`] stands for it.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
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
#[derive(Clone)]
pub struct Secret {
    /// The key, mostly behind the word that most providers want before it: what goes into a header needs no copy of it.
    credentials: HeaderValue,
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
        std::str::from_utf8(self.text()).unwrap_or_default()
    }

    fn text(&self) -> &[u8] {
        let credentials = self.credentials.as_bytes();
        credentials.strip_prefix(SCHEME).unwrap_or(credentials)
    }

    /// The text for a header, with the scheme before it or without.
    pub(crate) fn value(&self, with_scheme: bool) -> HeaderValue {
        let is_as_wanted = with_scheme == self.credentials.as_bytes().starts_with(SCHEME);
        let scheme = if with_scheme { SCHEME } else { b"" };
        if is_as_wanted { self.credentials.clone() } else { exactly([scheme, self.text()]) }
    }

    /// The key in a value that is known to hold one, as [`value`](Self::value) makes it.
    pub(crate) fn held_by(value: &HeaderValue) -> Self {
        let mut credentials = value.clone();
        credentials.set_sensitive(true);
        Self { credentials }
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
            None => Ok(Self { credentials: exactly([SCHEME, text.as_bytes()]) }),
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Shares `text` as bytes that are wiped when the last holder lets go.
pub(crate) fn wiped(text: Vec<u8>) -> Bytes {
    Bytes::from_owner(Zeroizing::new(text))
}

/// A sensitive header value of these parts, in no more room than they need.
fn exactly(parts: [&[u8]; 2]) -> HeaderValue {
    // As long as it has room for, so that nothing is left behind where it was.
    sensitive(Bytes::from_owner(Zeroizing::new(parts.concat().into_boxed_slice())))
}

/// A sensitive header value. Secrets hold nothing that a header value may not.
pub(crate) fn sensitive(text: Bytes) -> HeaderValue {
    let value = HeaderValue::from_maybe_shared(text);
    let mut value = value.unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
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
    pub(crate) fn session(&self, id: &[u8]) -> u64 {
        number(&self.sessions, id)
    }

    /// A number for a response. Without the pepper nobody can make two responses have the same.
    pub(crate) fn response(&self, id: &[u8]) -> u64 {
        number(&self.responses, id)
    }
}

fn number(mac: &Hmac<Sha256>, id: &[u8]) -> u64 {
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
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        let mut id = [0; 16];
        if pairs.len() != id.len() || !rest.is_empty() {
            return Err(KeyIdError(()));
        }
        // A number of 128 bits takes six times as long, and a store has millions of ids.
        let digit = |letter: u8| char::from(letter).to_digit(16).map(|digit| digit as u8).ok_or(KeyIdError(()));
        for (byte, &[high, low]) in id.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Ok(Self(id))
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

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_the_scheme_before_it_and_without() {
        let secret: Secret = "sk-test-0123456789".parse().unwrap();
        for with_scheme in [true, false] {
            let value = secret.value(with_scheme);
            let held = Secret::held_by(&value);
            assert_eq!(value, if with_scheme { "Bearer sk-test-0123456789" } else { "sk-test-0123456789" });
            assert_eq!((&held, held.expose()), (&secret, "sk-test-0123456789"));
            assert!([true, false].iter().all(|&with_scheme| held.value(with_scheme) == secret.value(with_scheme)));
            assert!([&value, &held.value(true), &held.value(false)].iter().all(|value| value.is_sensitive()));
            assert_eq!(held.value(with_scheme).as_bytes().as_ptr(), value.as_bytes().as_ptr(), "no copy");
        }
        assert_ne!(secret, "sk-test-0123456788".parse().unwrap());
    }

    #[test]
    fn an_id_has_32_hexadecimal_digits_and_nothing_else() {
        let id = Pepper::new([7; 32]).id("openai", &"sk-test-0123456789".parse().unwrap());
        let text = id.to_string();
        assert_eq!((text.parse(), text.to_uppercase().parse()), (Ok(id), Ok(id)));
        let plus = format!("{}+{}", &text[..16], &text[17..]);
        let umlaut = format!("{}\u{fc}{}", &text[..15], &text[17..]);
        for wrong in ["", &text[1..], &format!("{text}0"), &plus, &umlaut, &format!("+{}", &text[1..])] {
            assert_eq!(wrong.parse::<KeyId>(), Err(KeyIdError(())), "{wrong}");
        }
    }
}
