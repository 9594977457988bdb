use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a model: at most [`Model::LONGEST`] visible ASCII characters (I7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model {
    bytes: [u8; Model::LONGEST],
    length: u8,
}

impl Model {
    /// In bytes.
    pub const LONGEST: usize = 64;

    /// What stands for models that have no name, or are too many to be told apart.
    pub const OTHER: Self = {
        let mut bytes = [0; Self::LONGEST];
        [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]] = *b"other";
        Self { bytes, length: 5 }
    };

    /// A name, unless it is empty, too long, or has a character that does not belong into one.
    ///
    /// ```
    /// use key_commune::usage::Model;
    ///
    /// assert_eq!(Model::new("gpt-4o").unwrap().as_str(), "gpt-4o");
    /// assert_eq!(Model::new("two words"), None);
    /// ```
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; Self::LONGEST];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then_some(Self { bytes, length: name.len() as u8 })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(..self.length.into()).unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
    }
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&name).ok_or_else(|| serde::de::Error::custom("not the name of a model"))
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}
