use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::ring::{RingId, RingKey};

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

    /// The name that it goes by.
    #[must_use]
    pub fn id(&self) -> RingId {
        RingKey::new(self).id
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
