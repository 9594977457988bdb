//! One rule: a value and the pattern that it must match.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::RuleError;
use crate::demand::json::Found;

/// Why a request is refused, for its caller.
pub(super) type Reason = Box<str>;

/// The most memory that a compiled pattern may take, in bytes, and as much again while it matches.
const LARGEST: usize = 1 << 20;
/// How much of a value is shown, in characters.
const SHOWN: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Path,
    Query,
    Body,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Body => "body-json",
        })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) name: Box<str>,
    pattern: Regex,
}

impl Rule {
    pub(super) fn new(kind: Kind, name: &str, pattern: &str) -> Result<Self, RuleError> {
        let compiled = RegexBuilder::new(pattern).size_limit(LARGEST).dfa_size_limit(LARGEST).build();
        let compiled = compiled.map_err(|error| RuleError::new(pattern, &error))?;
        Ok(Self { kind, name: name.into(), pattern: compiled })
    }

    pub(super) fn judge(&self, found: &Found<'_>) -> Result<(), Reason> {
        match found {
            Found::Missing => Err(self.missing()),
            Found::Text(value) => self.judge_text(&self.name, value),
            Found::Literal(value) => self.judge_text(&self.name, value),
            Found::Texts(_) | Found::Compound => Err(self.refuse(&self.name, "must be a single value")),
            Found::Ambiguous => Err(self.ambiguous(&self.name)),
        }
    }

    /// Judges what another part of the request names, if it does.
    pub(super) fn judge_if_named(&self, kind: Kind, found: &Found<'_>) -> Result<(), Reason> {
        if *found == Found::Missing { Ok(()) } else { Self { kind, ..self.clone() }.judge(found) }
    }

    /// Judges a value, under the name that it has in the request. Where a pattern ends, the value must end too, so
    /// there is one line of it and nothing invisible.
    pub(super) fn judge_text(&self, name: &str, value: &str) -> Result<(), Reason> {
        if value.contains(is_line_or_control) {
            return Err(self.refuse(name, "holds line breaks or control characters"));
        }
        if self.pattern.is_match(value) {
            return Ok(());
        }
        let shown = format!("with value \"{}\" does not match regex pattern: {}", cut(value), self.pattern);
        Err(self.refuse(name, &shown))
    }

    pub(super) fn missing(&self) -> Reason {
        format!("Missing required {} parameter: {}", self.kind, self.name).into()
    }

    pub(super) fn ambiguous(&self, name: &str) -> Reason {
        self.refuse(name, "can be read in two ways; it must be given once, spelt plainly")
    }

    pub(super) fn refuse(&self, name: &str, why: &str) -> Reason {
        format!("{} parameter \"{name}\" {why}", self.kind).into()
    }
}

fn is_line_or_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The beginning of a value.
fn cut(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => printable(value.get(..end).unwrap_or_default()) + "…",
        None => printable(value),
    }
}

/// The same text, with what cannot be printed escaped.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| if "\"'\\".contains(c) { c.to_string() } else { c.escape_debug().to_string() };
    text.chars().map(escape).collect()
}
