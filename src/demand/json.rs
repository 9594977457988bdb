//! A look into a JSON body: the values of a few members, found in one pass and without a tree.
//!
//! Parsers disagree about bodies that are written to be misread: which of two members of one name counts, whether case
//! matters, whether a name ends at a NUL. A look does not choose among readings: where two are possible it says
//! [`Found::Ambiguous`], and what only some parsers take is [`NotJson`]. Names are compared after unescaping.
//!
//! What is not asked for is skipped without being kept; values on the way to what is asked for may be as deep as
//! `serde_json` allows.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The values of the members that were asked for.
///
/// ```
/// use key_commune::demand::json::{Found, Look};
///
/// let look = Look::new(br#"{"model":"gpt-4o","metadata":{"user_id":7}}"#, &["model", "metadata.user_id", "user"])?;
/// assert_eq!(look.at("model"), &Found::Text("gpt-4o".into()));
/// assert_eq!(look.at("metadata.user_id"), &Found::Literal("7".into()));
/// assert_eq!(look.at("user"), &Found::Missing);
/// # Ok::<(), key_commune::demand::json::NotJson>(())
/// ```
#[derive(Clone, Debug)]
pub struct Look<'b> {
    found: Vec<(Box<str>, Found<'b>)>,
}

/// What stands at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Found<'b> {
    /// Nothing, or null.
    #[default]
    Missing,
    /// A string.
    Text(Cow<'b, str>),
    /// A number or a boolean, as text.
    Literal(Box<str>),
    /// An array of nothing but strings, at most [`Found::MAX_TEXTS`] of them.
    Texts(Vec<Cow<'b, str>>),
    /// An object, or any other array.
    Compound,
    /// A member on the path occurs twice, or in a spelling that some parsers take for it.
    Ambiguous,
}

impl Found<'_> {
    /// The longest array of strings that is kept.
    pub const MAX_TEXTS: usize = 256;
}

/// The body is not one JSON value in UTF-8, or one that goes too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not JSON")]
pub struct NotJson;

impl<'b> Look<'b> {
    /// Looks for the values at these paths: names of members, with dots between them. Arrays are not entered.
    ///
    /// # Errors
    /// When the body is not JSON, or more than that.
    pub fn new(body: &'b [u8], paths: &[&str]) -> Result<Self, NotJson> {
        let text = str::from_utf8(body).map_err(|_| NotJson)?;
        let mut traces: Vec<_> = paths.iter().map(|path| Trace::new(path)).collect();
        let mut json = serde_json::Deserializer::from_str(text);
        Walk::new(traces.iter_mut()).deserialize(&mut json).and_then(|()| json.end()).map_err(|_| NotJson)?;
        let found = paths.iter().zip(traces).map(|(&path, trace)| (path.into(), trace.found));
        Ok(Self { found: found.collect() })
    }

    /// What stands at a path; nothing if it was not asked for.
    pub fn at(&self, path: &str) -> &Found<'b> {
        self.found.iter().find(|(known, _)| **known == *path).map_or(&Found::Missing, |(_, found)| found)
    }
}

/// Whether some parser takes one name for the other: Go ignores case, also beyond ASCII, and C strings end at a NUL.
pub(crate) fn is_taken_for(name: &str, wanted: &str) -> bool {
    let visible = name.split('\0').next().unwrap_or_default();
    visible == wanted || folded(visible).eq(folded(wanted))
}

/// Up and down again, so that the Kelvin sign is a k and the long s an s.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// The way to one value, and what was found at its end.
#[derive(Default)]
struct Trace<'p, 'b> {
    names: Vec<&'p str>,
    /// How many of the names have been met.
    met: usize,
    found: Found<'b>,
}

impl<'p, 'b> Trace<'p, 'b> {
    fn new(path: &'p str) -> Self {
        Self { names: path.split('.').collect(), ..Self::default() }
    }

    /// Whether a member so far down is the next one on the way.
    fn leads_to(&mut self, name: &str, depth: usize) -> bool {
        let Some(wanted) = self.names.get(depth).filter(|wanted| is_taken_for(name, wanted)) else { return false };
        if self.met > depth || name != *wanted {
            self.found = Found::Ambiguous;
        }
        self.met = depth + 1;
        name == *wanted
    }

    fn ends_at(&self, depth: usize) -> bool {
        self.names.len() == depth
    }

    fn finds(&mut self, found: &Found<'b>) {
        if self.found != Found::Ambiguous {
            self.found = found.clone();
        }
    }
}

/// One value, and the traces that lead to it or through it.
struct Walk<'w, 'p, 'b> {
    traces: Vec<&'w mut Trace<'p, 'b>>,
    depth: usize,
}

impl<'w, 'p, 'b> Walk<'w, 'p, 'b> {
    fn new(traces: impl IntoIterator<Item = &'w mut Trace<'p, 'b>>) -> Self {
        Self { traces: traces.into_iter().collect(), depth: 0 }
    }

    /// The traces that go on with this member.
    fn below(&mut self, name: &str) -> Walk<'_, 'p, 'b> {
        let depth = self.depth;
        let on_the_way = self.traces.iter_mut().filter_map(|trace| trace.leads_to(name, depth).then_some(&mut **trace));
        Walk { traces: on_the_way.collect(), depth: depth + 1 }
    }

    fn end(self, found: &Found<'b>) {
        let ending = self.traces.into_iter().filter(|trace| trace.ends_at(self.depth));
        ending.for_each(|trace| trace.finds(found));
    }

    fn literal(self, value: &impl ToString) {
        self.end(&Found::Literal(value.to_string().into()));
    }
}

impl<'b> DeserializeSeed<'b> for Walk<'_, '_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, value: D) -> Result<(), D::Error> {
        if self.traces.is_empty() {
            return value.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        value.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Walk<'_, '_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.literal(&value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.literal(&value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.literal(&value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.literal(&value);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.end(&Found::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'b str) -> Result<(), E> {
        self.end(&Found::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut entries: A) -> Result<(), A::Error> {
        let wanted = self.traces.iter().any(|trace| trace.ends_at(self.depth));
        let found = read_texts(&mut entries, wanted)?;
        self.end(&found);
        Ok(())
    }

    fn visit_map<A: MapAccess<'b>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key_seed(Name)? {
            members.next_value_seed(self.below(&name))?;
        }
        self.end(&Found::Compound);
        Ok(())
    }
}

/// Reads an array to its end. Only where it is `wanted` is anything kept of it.
fn read_texts<'b, A: SeqAccess<'b>>(entries: &mut A, wanted: bool) -> Result<Found<'b>, A::Error> {
    let mut texts = wanted.then(Vec::new);
    let mut entry = Trace::default();
    while entries.next_element_seed(Walk::new(texts.is_some().then_some(&mut entry)))?.is_some() {
        match (&mut texts, std::mem::take(&mut entry.found)) {
            (Some(texts), Found::Text(text)) if texts.len() < Found::MAX_TEXTS => texts.push(text),
            _ => texts = None,
        }
    }
    Ok(texts.map_or(Found::Compound, Found::Texts))
}

/// A member's name, unescaped.
struct Name;

impl<'b> DeserializeSeed<'b> for Name {
    type Value = Cow<'b, str>;

    fn deserialize<D: Deserializer<'b>>(self, name: D) -> Result<Cow<'b, str>, D::Error> {
        name.deserialize_str(self)
    }
}

impl<'b> Visitor<'b> for Name {
    type Value = Cow<'b, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Cow<'b, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }

    fn visit_borrowed_str<E: Error>(self, name: &'b str) -> Result<Cow<'b, str>, E> {
        Ok(Cow::Borrowed(name))
    }
}
