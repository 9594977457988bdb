//! What an operator says about a key: in its line of a file, or to `proxy keys set`.

use std::fmt;

use key_commune::Origin;
use key_commune::demand::{Models, ModelsError};
use key_commune::pool::Key;
use key_commune::record::{Record, Traits};

use crate::{Problem, row, words};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) label: Option<String>,
    pub(crate) origin: Option<Origin>,
    pub(crate) traits: Traits,
}

impl Said {
    pub(crate) fn of(record: &Record) -> Self {
        let Record { label, origin, traits, .. } = record.clone();
        Self { label, origin, traits }
    }

    pub(crate) fn put_into(self, record: &mut Record) {
        (record.label, record.origin, record.traits) = (self.label, self.origin, self.traits);
    }

    /// What has an unknown name may be a key: it is not shown.
    pub(crate) fn set(&mut self, name: &str, value: &str, allow_http: &[String]) -> Result<(), Problem> {
        let Self { label, origin, traits } = self;
        match name {
            "label" => *label = Some(text("label", value)?.into()),
            "models" => traits.models = Some(value.parse().map_err(|error: ModelsError| format!("models: {error}"))?),
            "weight" => traits.weight = value.parse().map_err(|_| "a weight is a whole number from 1 to 255")?,
            "tier" => traits.tier = value.parse().map_err(|_| "a tier is a whole number from 0 to 255")?,
            "group" => traits.group = Some(text("group", value)?.into()),
            "base_url" => *origin = Some(row::origin(value, allow_http)?),
            _ => return Err("only label=, models=, weight=, tier=, group= and base_url= may follow a key, with their values right behind".into()),
        }
        Ok(())
    }

    /// As if it had never been said.
    pub(crate) fn unset(&mut self, name: &str) {
        let none = Self::default();
        match name {
            "label" => self.label = none.label,
            "models" => self.traits.models = none.traits.models,
            "weight" => self.traits.weight = none.traits.weight,
            "tier" => self.traits.tier = none.traits.tier,
            "group" => self.traits.group = none.traits.group,
            "base_url" => self.origin = none.origin,
            _ => {}
        }
    }
}

fn text<'a>(what: &str, value: &'a str) -> Result<&'a str, Problem> {
    if value.is_empty() || value.len() > Key::MAX_LABEL || value.contains(char::is_control) {
        return Err(format!("a {what} has 1 to {} bytes and no control characters", Key::MAX_LABEL));
    }
    Ok(value)
}

/// As it follows the key in its line.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, "label", self.label.as_deref())?;
        Chosen(&self.traits).fmt(f)?;
        write_text(f, "base_url", self.origin.as_ref().map(Origin::to_string).as_deref())
    }
}

/// The part of it that the pool chooses by.
pub(crate) struct Chosen<'a>(pub(crate) &'a Traits);

impl fmt::Display for Chosen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Traits { weight, tier, group, models, .. } = self.0;
        write_text(f, "models", models.as_ref().map(Models::as_str))?;
        (weight.get() != 1).then(|| write!(f, " weight={weight}")).transpose()?;
        (*tier != 0).then(|| write!(f, " tier={tier}")).transpose()?;
        write_text(f, "group", group.as_deref())
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, name: &str, text: Option<&str>) -> fmt::Result {
    let text = text.map(words::plain).unwrap_or_default();
    if text.is_empty() { Ok(()) } else { write!(f, " {name}={}", words::value(&text)) }
}
