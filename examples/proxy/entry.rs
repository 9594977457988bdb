//! A key in a line of a file, with what is said about it.

use std::collections::HashSet;

use key_commune::pool::Key;
use key_commune::secret::Secret;

use crate::said::Said;
use crate::{Problem, words};

/// A key as it stands in a file.
pub(crate) struct Entry {
    pub(crate) secret: Secret,
    pub(crate) said: Said,
}

impl Entry {
    /// `KEY [NAME=VALUE]…`, or `None` of a comment or a blank line.
    pub(crate) fn read(line: &[u8], allow_http: &[String]) -> Result<Option<Self>, Problem> {
        // Some editors begin a file with a byte order mark.
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (text, words) = words::split(line)?;
        let mut entry = Self::from(Secret::new(text.as_str()).map_err(|error| error.to_string())?);
        let mut names = HashSet::new();
        for word in &words {
            let (name, value) = word.split_once('=').unwrap_or_default();
            entry.said.set(name, value, allow_http)?;
            if !names.insert(name) {
                return Err(format!("{name}= is given twice"));
            }
        }
        Ok(Some(entry))
    }
}

impl From<Secret> for Entry {
    fn from(secret: Secret) -> Self {
        Self { secret, said: Said::default() }
    }
}

impl From<Entry> for Key {
    fn from(Entry { secret, said: Said { label, origin, traits } }: Entry) -> Self {
        let key = label.iter().fold(Self::from(secret), |key, label| key.label(label));
        origin.into_iter().fold(key, Self::origin).traits(traits)
    }
}
