//! Follows the tokens of a JSON text and takes note of those that stand where they matter.
//!
//! The text may be a value or several, one after the other. Whether brackets and commas stand where they should is not
//! asked: a text that is not JSON may be misread, but nothing else comes of it.

use std::borrow::Cow;

use bufjson::lexical::Token;
use bytes::Bytes;
use serde::Deserialize;

use super::Model;
use super::events::Texts;
use super::found::Found;
use super::place::{Member, Place};
use super::tokens::Tokens;

/// From the top down to the details of the usage of an answer that is wrapped in an event in an array.
const DEEPEST: usize = 6;

#[derive(Debug, Default)]
pub(super) struct Scan {
    tokens: Tokens,
    sight: Sight,
}

/// What has been seen so far, and where in the text that is.
#[derive(Debug)]
struct Sight {
    /// The token under way.
    token: Text,
    places: [Place; DEEPEST],
    depth: usize,
    expected: Expected,
    /// In the answer that is being read, and in those before it.
    answer: Found,
    total: Found,
}

/// What a string is.
#[derive(Clone, Copy, Debug, Default)]
enum Expected {
    #[default]
    Name,
    Value(Option<Member>),
}

impl Default for Sight {
    fn default() -> Self {
        Self {
            token: Text::default(),
            places: [Place::Top; DEEPEST],
            depth: 0,
            expected: Expected::Name,
            answer: Found::default(),
            total: Found::default(),
        }
    }
}

impl Scan {
    /// What was found in all answers that are complete.
    pub(super) fn found(&self) -> &Found {
        &self.sight.total
    }
}

impl Texts for Scan {
    const WORD: &'static [u8] = b"\"usage";

    fn restart(&mut self) {
        self.tokens = Tokens::default();
        self.sight.restart();
    }

    fn read(&mut self, chunk: &Bytes) {
        self.tokens.read(chunk, |token, piece, ends| {
            self.sight.keep(token, piece);
            if ends {
                self.sight.end(token);
            }
        });
    }
}

impl Sight {
    fn restart(&mut self) {
        self.token.clear();
        self.depth = 0;
        self.expected = Expected::Name;
        self.answer = Found::default();
    }

    fn keep(&mut self, token: Token, piece: &[u8]) {
        if matches!(token, Token::Str | Token::Num) && self.place().matters() {
            self.token.push(piece);
        }
    }

    fn end(&mut self, token: Token) {
        match token {
            Token::ObjBegin => self.enter(self.place().object(self.expected.member())),
            Token::ArrBegin => self.enter(self.place().array()),
            Token::ObjEnd | Token::ArrEnd => self.leave(),
            Token::ValueSep => self.expected = Expected::Name,
            Token::Str | Token::Num if self.place().matters() => self.word(),
            _ => {}
        }
    }

    fn place(&self) -> Place {
        self.places.get(self.depth).copied().unwrap_or(Place::Elsewhere)
    }

    fn enter(&mut self, place: Place) {
        self.depth += 1;
        if let Some(inside) = self.places.get_mut(self.depth) {
            *inside = place;
        }
        self.expected = Expected::Name;
    }

    fn leave(&mut self) {
        if self.place() == Place::Answer {
            self.total.add(&std::mem::take(&mut self.answer));
        }
        self.depth = self.depth.saturating_sub(1);
        self.expected = Expected::Value(None);
    }

    /// A name, a text or a number has come to its end.
    fn word(&mut self) {
        let word = &self.token;
        match (self.expected, word.name()) {
            (Expected::Name, name) => {
                self.expected = Expected::Value(name.and_then(|name| self.place().member(name)));
            }
            (Expected::Value(Some(Member::Model)), Some(_)) => self.answer.model = word.model().or(self.answer.model),
            (Expected::Value(Some(Member::Number(count))), None) => self.answer.note(count, word.as_str()),
            _ => {}
        }
        self.token.clear();
    }
}

impl Expected {
    fn member(self) -> Option<Member> {
        match self {
            Self::Name => None,
            Self::Value(member) => member,
        }
    }
}

/// A token, as it is written.
#[derive(Debug)]
struct Text {
    bytes: [u8; Text::LONGEST],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; Self::LONGEST], length: 0 }
    }
}

impl Text {
    /// A model between quotes, and a few slashes that are escaped. What is longer is nothing.
    const LONGEST: usize = Model::LONGEST + 16;

    fn push(&mut self, piece: &[u8]) {
        let end = self.length.saturating_add(piece.len());
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(piece);
        }
        self.length = end;
    }

    fn clear(&mut self) {
        self.length = 0;
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// What is between the quotes, if there are any.
    fn name(&self) -> Option<&[u8]> {
        self.as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")
    }

    fn model(&self) -> Option<Model> {
        /// A `Cow` alone is never borrowed.
        #[derive(Deserialize)]
        struct Unescaped<'a>(#[serde(borrow)] Cow<'a, str>);
        Model::new(&serde_json::from_slice::<Unescaped<'_>>(self.as_bytes()).ok()?.0)
    }
}
