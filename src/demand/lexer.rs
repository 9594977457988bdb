//! The words of a JSON text that lies in memory, without keeping any of them: [`bufjson`]'s own lexer for such texts puts
//! each of them behind an `Arc`, and this one does not.

use bufjson::Pos;
use bufjson::lexical::state::{End, Machine, Next};
use bufjson::lexical::{Analyzer, Content, Error, ErrorKind, Token, Unescaped, unescape};

#[derive(Debug)]
pub(super) struct Lexer<'b> {
    machine: Machine<&'b [u8]>,
    text: &'b [u8],
    /// How long the last word is.
    length: usize,
    error: Option<NotAWord>,
}

impl<'b> Lexer<'b> {
    pub(super) fn new(text: &'b [u8]) -> Self {
        Self { machine: Machine::new(text), text, length: 0, error: None }
    }

    fn keep(&mut self, token: Token, length: usize) -> Token {
        self.length = length;
        token
    }

    #[cold]
    fn fail(&mut self) -> Token {
        let kind = self.machine.err_kind().unwrap_or(ErrorKind::UnexpectedEof(Token::Err));
        self.error = Some(NotAWord { kind, at: *self.machine.pos() });
        Token::Err
    }
}

impl<'b> Analyzer for Lexer<'b> {
    type Content = Word<'b>;
    type Error = NotAWord;

    /// Not to be asked again after an error, which a [`Parser`](bufjson::syntax::Parser) gives on, and nothing else.
    #[inline]
    fn next(&mut self) -> Token {
        match self.machine.next() {
            Next::Done(token, _, length) => self.keep(token, length),
            Next::Part(token, length) if self.machine.end() == End::Done => self.keep(token, length),
            Next::Nil => self.keep(Token::Eof, 0),
            Next::Part(..) | Next::Err(_) => self.fail(),
        }
    }

    /// Where the last word ends.
    fn pos(&self) -> &Pos {
        self.machine.pos()
    }

    fn try_content(&self) -> Result<Word<'b>, NotAWord> {
        let end = self.machine.pos().offset;
        let text = self.text.get(end - self.length..end).unwrap_or_default();
        self.error.map_or(Ok(Word { text }), Err)
    }
}

/// A word as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'b> {
    pub(super) text: &'b [u8],
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
        self.text.contains(&b'\\')
    }

    fn unescaped(&self) -> Unescaped<&str> {
        if !self.is_escaped() {
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
