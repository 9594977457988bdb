//! Keys from the command line, the environment and a file. What is wrong with one is said with its place, never with
//! its text; all of them are good, or none is taken.

use std::collections::HashMap;
use std::path::Path;

use key_commune::secret::{KeyId, Pepper, Secret};
use zeroize::Zeroizing;

use crate::Problem;
use crate::cli::KeySources;
use crate::entry::Entry;

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

/// The value of an environment variable that an option names.
pub(crate) fn variable(option: &str, name: &str) -> Result<Zeroizing<String>, Problem> {
    match std::env::var(name) {
        Ok(value) => Ok(Zeroizing::new(value)),
        Err(std::env::VarError::NotPresent) => Err(format!("{option}: the environment has no {name}")),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{option}: {name} is not UTF-8")),
    }
}
