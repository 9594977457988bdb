use std::fmt;
use std::str::FromStr;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The key that all others are made of: 32 bytes, written as 64 hexadecimal digits.
///
/// ```
/// use key_commune::store::MasterKey;
///
/// let text = "8f0c".repeat(16);
/// let key: MasterKey = text.parse()?;
/// assert_eq!(format!("{key:?}"), "MasterKey(..)");
/// assert!("short".parse::<MasterKey>().is_err());
/// # Ok::<(), key_commune::store::MasterKeyError>(())
/// ```
#[derive(Clone)]
pub struct MasterKey(pub(super) Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A key of these bytes.
    ///
    /// # Errors
    /// When they are all the same: nobody has drawn them by lot.
    pub fn new(bytes: [u8; 32]) -> Result<Self, MasterKeyError> {
        let bytes = Zeroizing::new(bytes);
        let same = bytes.iter().all(|byte| Some(byte) == bytes.first());
        if same { Err(MasterKeyError::Weak) } else { Ok(Self(bytes)) }
    }
}

impl FromStr for MasterKey {
    type Err = MasterKeyError;

    fn from_str(hex: &str) -> Result<Self, MasterKeyError> {
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(MasterKeyError::Length(hex.len()));
        }
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Self::new(*bytes)
    }
}

fn digit(letter: u8) -> Result<u8, MasterKeyError> {
    let digit = char::from(letter).to_digit(16);
    digit.map(|digit| digit as u8).ok_or(MasterKeyError::Digit)
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Why a text cannot be a master key. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// It has another length.
    #[error("a master key has 64 hexadecimal digits, not {0}")]
    Length(usize),
    /// It has something else in it.
    #[error("a master key has hexadecimal digits only")]
    Digit,
    /// It is one byte again and again.
    #[error("a master key is drawn by lot: try `openssl rand -hex 32`")]
    Weak,
    /// Others may read the file that it is in.
    #[error("others than its owner may read the file of the master key: try `chmod 600`")]
    Exposed,
    /// The file cannot be read, or not be made.
    #[error("the file of the master key: {0}")]
    File(std::io::ErrorKind),
}

/// The name of a master key, made out of it: safe to print, the same wherever the key is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId(pub(super) [u8; 4]);

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingId({self})")
    }
}

/// Master keys: the newest seals, and any of them opens.
///
/// To change the master key while several processes share a store: let all of them have the new key, as an older one;
/// then, one by one, as the newest; then seal the store anew ([`Encrypted::reseal`](super::Encrypted::reseal)); then take
/// the old key away.
#[derive(Clone)]
pub struct KeyRing {
    newest: RingKey,
    older: Vec<RingKey>,
}

impl KeyRing {
    /// A ring with one key.
    #[must_use]
    pub fn new(newest: &MasterKey) -> Self {
        Self { newest: RingKey::new(newest), older: Vec::new() }
    }

    /// The same, with a key that used to seal.
    #[must_use]
    pub fn older(mut self, key: &MasterKey) -> Self {
        self.older.push(RingKey::new(key));
        self
    }

    /// The names of the keys, the newest first.
    pub fn ids(&self) -> impl Iterator<Item = RingId> + '_ {
        self.keys().map(|key| key.id)
    }

    pub(super) fn newest(&self) -> &RingKey {
        &self.newest
    }

    pub(super) fn find(&self, id: RingId) -> Option<&RingKey> {
        self.keys().find(|key| key.id == id)
    }

    fn keys(&self) -> impl Iterator<Item = &RingKey> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// A master key, ready to make keys for single purposes.
#[derive(Clone)]
pub(super) struct RingKey {
    pub(super) id: RingId,
    hkdf: Hkdf<Sha256>,
}

impl RingKey {
    fn new(master: &MasterKey) -> Self {
        let hkdf = Hkdf::new(Some(b"key-commune"), &*master.0);
        let mut id = [0; 4];
        // Only lengths above 8,160 bytes are refused.
        let _ = hkdf.expand(b"ring/1", &mut id);
        Self { id: RingId(id), hkdf }
    }

    /// The key for one purpose, and for one subject of it.
    pub(super) fn derive(&self, purpose: &[u8], subject: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let _ = self.hkdf.expand_multi_info(&[purpose, b"\0", subject], &mut *key);
        key
    }
}
