//! Keys from the command line, the environment and a file. What is wrong with one is said with its place, never with
//! its text; all of them are good, or none is taken.

use std::collections::HashMap;
use std::path::Path;

use key_commune::Origin;
use key_commune::pool::Key;
use key_commune::secret::{KeyId, Pepper, Secret};
use zeroize::Zeroizing;

use crate::cli::KeySources;
use crate::{Problem, row};

/// Whether the options name a place to look for keys.
pub(crate) fn are_given(options: &KeySources) -> bool {
    !options.texts.is_empty() || options.file.is_some() || options.environment.is_some()
}

/// Every key that the options name.
pub(crate) fn read(options: &KeySources, allow_http: &[String]) -> Result<Vec<Entry>, Problem> {
    let mut ring = Ring { allow_http, pepper: Pepper::random(), places: HashMap::new(), keys: Vec::new() };
    for (index, text) in options.texts.iter().enumerate() {
        ring.add(format!("--key number {}", index + 1), text)?;
    }
    if let Some(name) = &options.environment {
        ring.read_environment(name)?;
    }
    if let Some(path) = &options.file {
        ring.read_file(path)?;
    }
    Ok(ring.keys)
}

struct Ring<'a> {
    allow_http: &'a [String],
    pepper: Pepper,
    /// Where each key stands first.
    places: HashMap<KeyId, String>,
    keys: Vec<Entry>,
}

impl Ring<'_> {
    fn read_environment(&mut self, name: &str) -> Result<(), Problem> {
        let value = variable("--keys-env", name)?;
        for (index, text) in value.split(',').map(str::trim).enumerate().filter(|_| !value.trim().is_empty()) {
            self.add(format!("{name}, key {}", index + 1), text)?;
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Problem> {
        let file = path.display();
        let content = std::fs::read(path).map_err(|error| format!("--keys-file {file}: {error}"))?;
        let content = Zeroizing::new(content);
        for (index, line) in content.split(|&byte| byte == b'\n').enumerate() {
            let place = format!("{file}:{}", index + 1);
            if let Some(entry) = Entry::read(line, self.allow_http).map_err(|problem| format!("{place}: {problem}"))? {
                self.take(place, entry)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, place: String, text: &str) -> Result<(), Problem> {
        let secret = Secret::new(text).map_err(|error| format!("{place}: {error}"))?;
        self.take(place, secret.into())
    }

    fn take(&mut self, place: String, entry: Entry) -> Result<(), Problem> {
        let id = self.pepper.id("", &entry.secret);
        if let Some(first) = self.places.get(&id) {
            return Err(format!("{place}: the key {} is given twice, first as {first}", entry.secret.masked()));
        }
        self.places.insert(id, place);
        self.keys.push(entry);
        Ok(())
    }
}

/// A key as it stands in a file.
pub(crate) struct Entry {
    pub(crate) secret: Secret,
    pub(crate) label: Option<String>,
    pub(crate) origin: Option<Origin>,
}

impl Entry {
    /// `KEY [label=NAME] [base_url=URL]`, or `None` of a comment or a blank line.
    pub(crate) fn read(line: &[u8], allow_http: &[String]) -> Result<Option<Self>, Problem> {
        // Some editors begin a file with a byte order mark.
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let Some(text) = words.next() else { return Ok(None) };
        let mut entry = Self::from(Secret::new(text).map_err(|error| error.to_string())?);
        words.try_for_each(|word| entry.set(word, allow_http)).map(|()| Some(entry))
    }

    fn set(&mut self, word: &str, allow_http: &[String]) -> Result<(), Problem> {
        match word.split_once('=') {
            Some(("label", label)) if label.len() > Key::MAX_LABEL || label.contains(char::is_control) => {
                return Err(format!("a label has up to {} bytes and no control characters", Key::MAX_LABEL));
            }
            Some(("label", label)) => self.label = Some(label.into()),
            Some(("base_url", url)) => self.origin = Some(row::origin(url, allow_http)?),
            _ => return Err("only label= and base_url= may follow a key".into()),
        }
        Ok(())
    }
}

impl From<Secret> for Entry {
    fn from(secret: Secret) -> Self {
        Self { secret, label: None, origin: None }
    }
}

impl From<Entry> for Key {
    fn from(Entry { secret, label, origin }: Entry) -> Self {
        let key = Self::from(secret);
        let key = label.iter().fold(key, |key, label| key.label(label));
        origin.into_iter().fold(key, Self::origin)
    }
}

/// The value of an environment variable that an option names.
pub(crate) fn variable(option: &str, name: &str) -> Result<Zeroizing<String>, Problem> {
    match std::env::var(name) {
        Ok(value) => Ok(Zeroizing::new(value)),
        Err(std::env::VarError::NotPresent) => Err(format!("{option}: the environment has no {name}")),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{option}: {name} is not UTF-8")),
    }
}
