//! Who may come in: with a proxy key, those who present it; without one, everybody.

use http::request::Parts;
use key_commune::secret::{KeyId, Pepper, Secret};
use key_commune::slot::{Bearer, Header, KEY_HEADERS, Slot};

use crate::Problem;
use crate::keys::variable;

/// What is known from documentation is no secret.
const DEFAULTS: [&str; 9] =
    ["changeme", "change-me", "change_me", "example", "password", "placeholder", "verysecret", "your-", "your_"];

/// The shortest proxy key.
const SHORTEST: usize = 16;

/// Fewer different characters are a pattern.
const FEWEST: usize = 6;

#[derive(Debug)]
pub(crate) struct Door(Option<Lock>);

#[derive(Debug)]
struct Lock {
    pepper: Pepper,
    key: KeyId,
}

impl Door {
    /// A door with the key in this environment variable, or an open one.
    pub(crate) fn read(name: Option<&str>) -> Result<Self, Problem> {
        let Some(name) = name else { return Ok(Self(None)) };
        let text = variable("--proxy-key-env", name)?;
        let key = Secret::new(text.as_str()).map_err(|error| format!("--proxy-key-env {name}: {error}"))?;
        check(&key).map_err(|problem| format!("--proxy-key-env {name}: {problem}"))?;
        let pepper = Pepper::random();
        Ok(Self(Some(Lock { key: pepper.id("", &key), pepper })))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a request may come in. Its credentials are looked at, and taken out.
    pub(crate) fn admits(&self, head: &mut Parts) -> bool {
        self.0
            .as_ref()
            .is_none_or(|lock| lock.fits(&Bearer, head) || KEY_HEADERS.iter().any(|slot| lock.fits_in(slot, head)))
    }
}

impl Lock {
    fn fits_in(&self, slot: &Header, head: &mut Parts) -> bool {
        head.headers.contains_key(&slot.0) && self.fits(slot, head)
    }

    /// Compares keyed hashes: how long that takes says nothing about the key.
    fn fits(&self, slot: &dyn Slot, head: &mut Parts) -> bool {
        let presented = slot.take(head).ok().flatten();
        presented.is_some_and(|presented| self.pepper.id("", &presented) == self.key)
    }
}

fn check(key: &Secret) -> Result<(), Problem> {
    let text = key.expose();
    let lower = text.to_ascii_lowercase();
    let different = (0..=u8::MAX).filter(|byte| text.as_bytes().contains(byte)).count();
    if text.len() < SHORTEST {
        Err(format!("the proxy key has {} characters; it needs {SHORTEST} or more", text.len()))
    } else if DEFAULTS.iter().any(|known| lower.contains(known)) || different < FEWEST {
        Err("the proxy key is easy to guess; make one with `openssl rand -hex 24`".into())
    } else {
        Ok(())
    }
}
