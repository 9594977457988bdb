//! The words of a JSON text that lies in memory, without keeping any of them: [`bufjson`]'s own lexer for such texts puts
//! each of them behind an `Arc`, and this one does not.

use bufjson::Pos;
use bufjson::lexical::state::{End, Machine, Next};
use bufjson::lexical::{Analyzer, Content, Error, ErrorKind, Token, Unescaped, unescape};

#[derive(Debug)]
pub(super) struct Lexer<'b> {
    machine: Machine<&'b [u8]>,
    text: &'b [u8],
    /// Where the last word begins, and how long it is.
    start: Pos,
    length: usize,
    is_escaped: bool,
    error: Option<NotAWord>,
}

impl<'b> Lexer<'b> {
    pub(super) fn new(text: &'b [u8]) -> Self {
        let machine = Machine::new(text);
        Self { machine, text, start: Pos::default(), length: 0, is_escaped: false, error: None }
    }

    fn keep(&mut self, token: Token, is_escaped: bool, length: usize) -> Token {
        (self.is_escaped, self.length) = (is_escaped, length);
        token
    }

    fn fail(&mut self) -> Token {
        let kind = self.machine.err_kind().unwrap_or(ErrorKind::UnexpectedEof(Token::Err));
        self.error = Some(NotAWord { kind, at: *self.machine.pos() });
        Token::Err
    }
}

impl<'b> Analyzer for Lexer<'b> {
    type Content = Word<'b>;
    type Error = NotAWord;

    #[inline]
    fn next(&mut self) -> Token {
        if self.error.is_some() {
            return Token::Err;
        }
        self.start = *self.machine.pos();
        match self.machine.next() {
            Next::Done(token, is_escaped, length) => self.keep(token, is_escaped, length),
            Next::Part(token, length) if self.machine.end() == End::Done => self.keep(token, false, length),
            Next::Nil => self.keep(Token::Eof, false, 0),
            Next::Part(..) | Next::Err(_) => self.fail(),
        }
    }

    fn pos(&self) -> &Pos {
        &self.start
    }

    fn try_content(&self) -> Result<Word<'b>, NotAWord> {
        let text = self.text.get(self.start.offset..self.start.offset + self.length).unwrap_or_default();
        self.error.map_or(Ok(Word { text, is_escaped: self.is_escaped }), Err)
    }
}

/// A word as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'b> {
    pub(super) text: &'b [u8],
    is_escaped: bool,
}

impl Content for Word<'_> {
    type Literal<'a>
        = &'a str
    where
        Self: 'a;

    fn literal(&self) -> &str {
        str::from_utf8(self.text).unwrap_or_default()
    }

    fn is_escaped(&self) -> bool {
        self.is_escaped
    }

    fn unescaped(&self) -> Unescaped<&str> {
        if !self.is_escaped {
            return Unescaped::Literal(self.literal());
        }
        let mut text = Vec::new();
        unescape(self.literal(), &mut text);
        Unescaped::Expanded(String::from_utf8(text).unwrap_or_default())
    }
}

/// No word of JSON begins so.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{kind:?}")]
pub(super) struct NotAWord {
    kind: ErrorKind,
    at: Pos,
}

impl Error for NotAWord {
    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn pos(&self) -> &Pos {
        &self.at
    }
}
