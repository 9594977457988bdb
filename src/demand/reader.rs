//! JSON, value by value: its grammar is [`bufjson`]'s to check.

use std::borrow::Cow;

use bufjson::lexical::Token;
use bufjson::syntax::Parser;

use super::Demand;
use super::lexer::Lexer;

/// A value as it is written; empty if there is none.
pub(crate) type Raw<'b> = &'b [u8];

/// Reads one value after the other. `None` is a body that is not JSON, or too deep.
pub(crate) struct Reader<'b> {
    parser: Parser<Lexer<'b>>,
    body: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(crate) fn new(body: &'b [u8]) -> Self {
        Self { parser: Parser::new(Lexer::new(body)), body }
    }

    /// The next value's members, if it is an object: `member` reads the value of each.
    pub(crate) fn object(&mut self, member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        match self.next()? {
            Token::ObjBegin => self.members(member),
            other => self.pass(other),
        }
    }

    /// The members of the object that has just begun.
    pub(crate) fn members(&mut self, mut member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        while self.next()? != Token::ObjEnd {
            let name = short(self.parser.content().text).unwrap_or_default();
            member(self, &name)?;
        }
        Some(())
    }

    /// The next value, whatever it is.
    pub(crate) fn value(&mut self) -> Option<Raw<'b>> {
        let token = self.next()?;
        let start = self.start();
        self.pass(token)?;
        self.body.get(start..self.end())
    }

    /// Where the last word begins, in bytes.
    pub(crate) fn start(&self) -> usize {
        self.end() - self.parser.content().text.len()
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> usize {
        self.parser.pos().offset
    }

    /// Goes to the end of the value that has begun with this token.
    pub(crate) fn pass(&mut self, opened: Token) -> Option<()> {
        match opened {
            Token::ObjBegin | Token::ArrBegin => (self.parser.next_end() != Token::Err).then_some(()),
            _ => Some(()),
        }
    }

    pub(crate) fn next(&mut self) -> Option<Token> {
        Some(self.parser.next_meaningful()).filter(|token| *token != Token::Err)
    }
}

/// A string of any length, unescaped.
pub(crate) fn unescaped(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let quoted = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if quoted.contains(&b'\\') {
        return serde_json::from_slice(raw).ok().map(Cow::Owned);
    }
    str::from_utf8(quoted).ok().map(Cow::Borrowed)
}

/// A string, unescaped; nothing if it is longer than any that counts.
pub(crate) fn short(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    (raw.len() <= LONGEST).then(|| unescaped(raw))?
}

/// Of a text that counts, if each of its bytes is escaped.
pub(crate) const LONGEST: usize = 6 * Demand::MAX_LEN + 2;
