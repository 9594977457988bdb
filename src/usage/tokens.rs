//! The tokens of a JSON text that comes in pieces, without keeping any of it.

use bufjson::lexical::Token;
use bufjson::lexical::state::{Machine, Next};
use bytes::Bytes;

#[derive(Debug)]
pub(crate) struct Tokens {
    lexer: Machine<Bytes>,
    /// A token was none.
    failed: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { lexer: Machine::new(Bytes::new()), failed: false }
    }
}

impl Tokens {
    /// Goes on with the text: tells of each token, or as much of it as there is, and whether it ends with that.
    pub(crate) fn read(&mut self, chunk: &Bytes, mut tell: impl FnMut(Token, &[u8], bool)) {
        if self.failed {
            return;
        }
        let (mut at, mut next) = (0, self.lexer.resume(chunk.clone()));
        while let Next::Done(token, _, length) | Next::Part(token, length) = next {
            let ends = matches!(next, Next::Done(..));
            tell(token, chunk.get(at..at + length).unwrap_or_default(), ends);
            if !ends {
                break;
            }
            at += length;
            next = self.lexer.next();
        }
        self.failed = matches!(next, Next::Err(_));
        self.let_go();
    }

    /// Whoever reads from the network wants to use the chunk's memory again.
    fn let_go(&mut self) {
        if self.failed {
            self.lexer = Machine::new(Bytes::new());
        } else {
            self.lexer.resume(Bytes::new());
        }
    }
}
