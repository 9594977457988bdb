//! Which models somebody serves.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wildmatch::WildMatch;

/// Which models a key serves, as a list with commas: exact names, patterns, in which `*` stands for any text and `?` for
/// one character, and `others`, which stands for every model that no key of the pool names. Upper and lower case differ.
///
/// ```
/// use key_commune::demand::Models;
///
/// let models: Models = "o3,gpt-4o*,others".parse()?;
/// assert!(models.names("o3") && models.names("gpt-4o-mini") && !models.names("o1"));
/// assert!(models.others());
/// assert_eq!(models.to_string(), "o3,gpt-4o*,others");
/// # Ok::<(), key_commune::demand::ModelsError>(())
/// ```
///
/// Cloning shares the list.
#[derive(Clone)]
pub struct Models(Arc<List>);

struct List {
    text: Box<str>,
    patterns: Box<[WildMatch]>,
    others: bool,
}

/// What stands for every model that no key names.
const OTHERS: &str = "others";

impl Models {
    /// The most names in a list.
    pub const MAX_NAMES: usize = 256;

    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 256;

    /// Whether the list has this model, by its name or by a pattern.
    #[must_use]
    pub fn names(&self, model: &str) -> bool {
        let by_name = model != OTHERS && self.as_str().split(',').any(|name| name == model);
        by_name || self.0.patterns.iter().any(|pattern| pattern.matches(model))
    }

    /// Whether the list has every model that no key names.
    #[must_use]
    pub fn others(&self) -> bool {
        self.0.others
    }

    /// The list as it is written, each name once.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl FromStr for Models {
    type Err = ModelsError;

    fn from_str(text: &str) -> Result<Self, ModelsError> {
        let mut names: Vec<_> = text.split(',').take(Self::MAX_NAMES + 1).collect();
        if names.len() > Self::MAX_NAMES {
            return Err(ModelsError::TooMany);
        }
        names.iter().copied().try_for_each(check)?;
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(*name));
        let patterns = names.iter().filter(|name| name.contains(['*', '?'])).map(|name| WildMatch::new(name));
        let (patterns, others) = (patterns.collect(), names.contains(&OTHERS));
        Ok(Self(Arc::new(List { text: names.join(",").into(), patterns, others })))
    }
}

fn check(name: &str) -> Result<(), ModelsError> {
    match name.len() {
        0 => Err(ModelsError::Empty),
        1..=Models::MAX_LEN if name.contains(|letter: char| letter.is_control() || letter.is_whitespace()) => {
            Err(ModelsError::Character)
        }
        1..=Models::MAX_LEN => Ok(()),
        bytes => Err(ModelsError::TooLong(bytes)),
    }
}

/// Why a text is no list of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// Nothing stands before, after or between commas.
    #[error("the name of a model is empty")]
    Empty,
    /// A name has more bytes than [`Models::MAX_LEN`].
    #[error("the name of a model has {0} bytes; at most {max} are allowed", max = Models::MAX_LEN)]
    TooLong(usize),
    /// There are more names than [`Models::MAX_NAMES`].
    #[error("there are more than {max} models", max = Models::MAX_NAMES)]
    TooMany,
    /// A name has white space or a control character.
    #[error("the name of a model has white space or a control character")]
    Character,
}

impl fmt::Display for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Models({self})")
    }
}

impl PartialEq for Models {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for Models {}

impl PartialOrd for Models {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Models {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Models {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Serialize for Models {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Models {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
