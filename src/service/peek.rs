//! Reads the beginning of an answer's body before the answer is committed to (I9), and gives all of it back (I10).
//!
//! It holds nothing that waits: whoever polls it bounds the time and may stop at any point, with whatever has been read
//! by then. What it reads is bounded in bytes, and frames without bytes count too (I7, I19).

mod held;
mod prefixed;
mod sse;
#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use self::held::Held;
pub(crate) use self::prefixed::Prefixed;
use self::sse::Scan;
use super::frames::in_bytes;
use crate::classify::Peek;

/// How many bytes are read ahead unless told otherwise.
pub(crate) const BOUND: usize = 16 << 10;

/// A response body of which the beginning is being read.
pub(crate) struct Peeked<R: Body> {
    body: R,
    held: Held,
    /// What came after the held bytes, if it was read.
    after: After<R::Error>,
    scan: Option<Scan>,
    /// How many more frames are read at most.
    frames: usize,
    done: bool,
}

/// What a body goes on with after its data.
enum After<E> {
    /// Whatever is still in the body.
    More,
    Trailers(HeaderMap),
    Error(E),
    End,
}

impl<R> Peeked<R>
where
    R: Body + Unpin,
{
    /// Reads what `peek` asks for, at most `bound` bytes. The frame that reaches the bound is read whole.
    pub(crate) fn new(body: R, peek: Peek, bound: usize) -> Self {
        Self {
            done: peek == Peek::Nothing || bound == 0 || body.is_end_stream(),
            scan: (peek == Peek::Event).then(Scan::default),
            held: Held::new(bound),
            after: After::More,
            frames: bound,
            body,
        }
    }

    /// Reads on. Ready when there is nothing more to read for; ready again at every later call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.done {
            let item = ready!(Pin::new(&mut self.body).poll_frame(cx));
            self.take(item.map(|frame| frame.map(in_bytes)));
        }
        Poll::Ready(())
    }

    /// What the answer is judged by, as far as it has been read: the first event that says something, or the beginning
    /// of the body. An event that has not been read to its end is given as far as it goes, and so is a body that
    /// is no event stream at all.
    pub(crate) fn prefix(&self) -> &[u8] {
        let read = self.held.view();
        match &self.scan {
            Some(scan) => read.get(scan.event()).unwrap_or_default(),
            None => read,
        }
    }

    /// The whole body again, frame by frame.
    pub(crate) fn into_body(self) -> Prefixed<R> {
        Prefixed::new(self.held.into_frames(), self.after, self.body)
    }

    fn take(&mut self, item: Option<Result<Frame<Bytes>, R::Error>>) {
        self.frames -= 1;
        match item {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.hold(data),
                Err(frame) => self.stop(frame.into_trailers().map_or(After::More, After::Trailers)),
            },
            Some(Err(error)) => self.stop(After::Error(error)),
            None => self.stop(After::End),
        }
    }

    fn hold(&mut self, data: Bytes) {
        self.held.push(data);
        let found = self.scan.as_mut().is_some_and(|scan| scan.read(self.held.view()));
        self.done = found || self.held.is_full() || self.frames == 0 || self.body.is_end_stream();
    }

    fn stop(&mut self, after: After<R::Error>) {
        self.after = after;
        self.done = true;
    }
}
