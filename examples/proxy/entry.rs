//! A key in a line of a file, with what is said about it: read, and written so that it can be read again.

use std::collections::HashSet;
use std::fmt;

use key_commune::Origin;
use key_commune::demand::ModelsError;
use key_commune::pool::Key;
use key_commune::record::{Record, Traits};
use key_commune::secret::Secret;

use crate::{Problem, row};

/// A key as it stands in a file.
pub(crate) struct Entry {
    pub(crate) secret: Secret,
    pub(crate) label: Option<String>,
    pub(crate) origin: Option<Origin>,
    pub(crate) traits: Traits,
}

impl Entry {
    /// `KEY [NAME=VALUE]…`, or `None` of a comment or a blank line.
    pub(crate) fn read(line: &[u8], allow_http: &[String]) -> Result<Option<Self>, Problem> {
        // Some editors begin a file with a byte order mark.
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let Some(text) = words.next() else { return Ok(None) };
        let mut entry = Self::from(Secret::new(text).map_err(|error| error.to_string())?);
        let mut names = HashSet::new();
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            entry.set(name, value, allow_http)?;
            if !names.insert(name) {
                return Err(format!("{name}= is given twice"));
            }
        }
        Ok(Some(entry))
    }

    /// What has an unknown name may be a key: it is not shown.
    fn set(&mut self, name: &str, value: &str, allow_http: &[String]) -> Result<(), Problem> {
        let Self { label, origin, traits, .. } = self;
        match name {
            "label" => *label = Some(text("label", value)?.into()),
            "models" => traits.models = Some(value.parse().map_err(|error: ModelsError| format!("models=: {error}"))?),
            "weight" => traits.weight = value.parse().map_err(|_| "a weight is a whole number from 1 to 255")?,
            "tier" => traits.tier = value.parse().map_err(|_| "a tier is a whole number from 0 to 255")?,
            "group" => traits.group = Some(text("group", value)?.into()),
            "base_url" => *origin = Some(row::origin(value, allow_http)?),
            _ => return Err("only label=, models=, weight=, tier=, group= and base_url= may follow a key".into()),
        }
        Ok(())
    }
}

fn text<'a>(what: &str, value: &'a str) -> Result<&'a str, Problem> {
    if value.is_empty() || value.len() > Key::MAX_LABEL || value.contains(char::is_control) {
        return Err(format!("a {what} has 1 to {} bytes and no control characters", Key::MAX_LABEL));
    }
    Ok(value)
}

impl From<Secret> for Entry {
    fn from(secret: Secret) -> Self {
        Self { secret, label: None, origin: None, traits: Traits::default() }
    }
}

impl From<Entry> for Key {
    fn from(Entry { secret, label, origin, traits }: Entry) -> Self {
        let key = label.iter().fold(Self::from(secret), |key, label| key.label(label));
        origin.into_iter().fold(key, Self::origin).traits(traits)
    }
}

/// What follows the key in its line.
pub(crate) struct Said<'a>(pub(crate) &'a Record);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { label, origin, traits, .. } = self.0;
        write_text(f, "label", label.as_deref())?;
        Chosen(traits).fmt(f)?;
        origin.iter().try_for_each(|origin| write!(f, " base_url={origin}"))
    }
}

/// The part of it that the pool chooses by.
pub(crate) struct Chosen<'a>(pub(crate) &'a Traits);

impl fmt::Display for Chosen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Traits { weight, tier, group, models, .. } = self.0;
        models.iter().try_for_each(|models| write!(f, " models={models}"))?;
        (weight.get() != 1).then(|| write!(f, " weight={weight}")).transpose()?;
        (*tier != 0).then(|| write!(f, " tier={tier}")).transpose()?;
        write_text(f, "group", group.as_deref())
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, name: &str, text: Option<&str>) -> fmt::Result {
    let text = text.map(word).unwrap_or_default();
    if text.is_empty() { Ok(()) } else { write!(f, " {name}={text}") }
}

/// Blanks end a word of a line, and what a terminal takes for an order is no letter.
fn word(text: &str) -> String {
    let mend = |letter: char| match letter {
        _ if letter.is_whitespace() => '_',
        _ if letter.is_control() => '?',
        _ => letter,
    };
    text.chars().map(mend).collect()
}
