//! The data of server-sent events, line by line, without keeping a line.
//!
//! Lines end with LF or CRLF; a lone CR, which the standard allows, is not known from any provider. Lines of data that
//! belong together are read as one text.

use bytes::Bytes;
use memchr::{memchr, memmem, memrchr_iter};

/// Reads the texts of events, each in as many pieces as it comes in.
pub(crate) trait Texts {
    /// What every text has in it that tells anything.
    const WORD: &'static [u8];

    /// A new text begins, whatever the one before it was.
    fn restart(&mut self);

    /// Goes on with the text.
    fn read(&mut self, chunk: &Bytes);
}

const FIELD: &[u8] = b"data:";

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Events {
    /// Nothing yet: one event has ended, and no other has begun.
    #[default]
    Between,
    /// A line that begins with so much of [`FIELD`].
    Name(usize),
    /// A line that is empty but for the CR before its end.
    Return,
    Data,
    /// A line of another field.
    Other,
}

impl Events {
    pub(crate) fn feed<T: Texts>(&mut self, chunk: &Bytes, texts: &mut T) {
        let mut at = 0;
        while let Some(rest @ [first, ..]) = chunk.get(at..) {
            at += match *self {
                Self::Between => self.skip(rest, T::WORD),
                Self::Data | Self::Other => self.line(rest, |length| texts.read(&chunk.slice(at..at + length))),
                Self::Name(_) | Self::Return => self.step(*first, texts),
            };
        }
    }

    /// Passes over the events that tell nothing, which is nearly all of them.
    fn skip(&mut self, events: &[u8], word: &[u8]) -> usize {
        *self = Self::Name(0);
        idle(events, word)
    }

    fn line(&mut self, rest: &[u8], read: impl FnOnce(usize)) -> usize {
        let end = memchr(b'\n', rest).map(|end| end + 1);
        let length = end.unwrap_or(rest.len());
        if *self == Self::Data {
            read(length);
        }
        if end.is_some() {
            *self = Self::Name(0);
        }
        length
    }

    fn step(&mut self, byte: u8, texts: &mut impl Texts) -> usize {
        *self = match (*self, byte) {
            (Self::Name(0), b'\r') => Self::Return,
            (Self::Name(0) | Self::Return, b'\n') => {
                texts.restart();
                Self::Between
            }
            (_, b'\n') => Self::Name(0),
            (Self::Name(met), byte) if FIELD.get(met) == Some(&byte) => Self::after(met + 1),
            _ => Self::Other,
        };
        1
    }

    fn after(met: usize) -> Self {
        if met == FIELD.len() { Self::Data } else { Self::Name(met) }
    }
}

/// The length of the events that end before the word.
fn idle(events: &[u8], word: &[u8]) -> usize {
    let word = memmem::find(events, word).unwrap_or(events.len());
    let before = events.get(..word).unwrap_or_default();
    let empty = |behind: &[u8]| behind.starts_with(b"\n") || behind.starts_with(b"\r\n");
    let mut ends = memrchr_iter(b'\n', before).map(|end| end + 1);
    ends.find(|&end| before.get(end..).is_some_and(empty)).unwrap_or(0)
}
