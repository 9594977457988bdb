//! Keys from the command line, the environment and a file. What is wrong with one is said with its place, never with
//! its text; all of them are good, or none is taken.

use std::collections::HashMap;
use std::path::Path;

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
pub(crate) fn read(options: &KeySources, allow_http: &[String]) -> Result<Vec<Key>, Problem> {
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
    keys: Vec<Key>,
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
            match std::str::from_utf8(line) {
                Ok(line) => self.read_line(&place, line)?,
                Err(_) => return Err(format!("{place}: the line is not UTF-8")),
            }
        }
        Ok(())
    }

    /// `KEY [label=NAME] [base_url=URL]`, a comment, or nothing.
    fn read_line(&mut self, place: &str, line: &str) -> Result<(), Problem> {
        let mut words = line.split_whitespace();
        let Some(text) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(()) };
        let key = self.add(place.to_owned(), text)?;
        for word in words.take_while(|word| !word.starts_with('#')) {
            self.set(key, word).map_err(|problem| format!("{place}: {problem}"))?;
        }
        Ok(())
    }

    fn set(&mut self, key: usize, word: &str) -> Result<(), Problem> {
        let Some(key) = self.keys.get_mut(key) else { return Ok(()) };
        let changed = match word.split_once('=') {
            Some(("label", label)) => key.clone().label(label),
            Some(("base_url", url)) => key.clone().origin(row::origin(url, self.allow_http)?),
            _ => return Err("only label= and base_url= may follow a key".into()),
        };
        *key = changed;
        Ok(())
    }

    /// Takes a key and tells its index.
    fn add(&mut self, place: String, text: &str) -> Result<usize, Problem> {
        let secret = Secret::new(text).map_err(|error| format!("{place}: {error}"))?;
        let id = self.pepper.id("", &secret);
        if let Some(first) = self.places.get(&id) {
            return Err(format!("{place}: the key {} is given twice, first as {first}", secret.masked()));
        }
        self.places.insert(id, place);
        self.keys.push(Key::from(secret));
        Ok(self.keys.len() - 1)
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
