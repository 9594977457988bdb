//! A body's frames on their way through the scrubber (I18).

use std::collections::VecDeque;
use std::task::{Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use crate::scrub::{Scrubber, Stream};

/// What [`Scrubbing::poll`] reads from and answers like.
type PollFrame<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

#[derive(Debug)]
pub(super) struct Scrubbing {
    scrubber: Scrubber,
    stream: Stream,
    /// Ready to go on: two pieces of a chunk, or the held tail and the trailers.
    out: VecDeque<Frame<Bytes>>,
    ended: bool,
}

impl Scrubbing {
    pub(super) fn new(scrubber: Scrubber) -> Self {
        Self { stream: Stream::new(scrubber.clone()), scrubber, out: VecDeque::new(), ended: false }
    }

    /// The next scrubbed frame, out of what `source` brings.
    pub(super) fn poll<E>(&mut self, mut source: impl FnMut() -> PollFrame<E>) -> PollFrame<E> {
        loop {
            if let Some(frame) = self.out.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(source()) {
                Some(Ok(frame)) => self.take(frame),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.end(),
            }
        }
    }

    /// Bytes that are held back or wait to go on.
    pub(super) fn held(&self) -> usize {
        let waiting = self.out.iter().filter_map(Frame::data_ref).map(Bytes::len);
        self.stream.holds() + waiting.sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stream.holds() == 0 && self.out.is_empty()
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(chunk) => {
                let pieces = self.stream.push(chunk);
                self.out.extend(pieces.into_iter().filter(|piece| !piece.is_empty()).map(Frame::data));
            }
            Err(frame) => {
                self.end();
                if let Ok(mut trailers) = frame.into_trailers() {
                    self.scrubber.headers(&mut trailers);
                    self.out.push_back(Frame::trailers(trailers));
                }
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        let tail = self.stream.finish();
        if !tail.is_empty() {
            self.out.push_back(Frame::data(tail));
        }
    }
}
