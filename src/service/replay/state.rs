//! What the lock of a [`Tee`](super::tee::Tee) guards: the stream, what is kept of it, and who reads.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::kept::Kept;
use super::split::Ahead;
use crate::service::BoxError;
use crate::service::frames::{clean, in_bytes, longer};

pub(super) type FrameResult = Result<Frame<Bytes>, BoxError>;

pub(super) struct State<B> {
    /// None once it has ended or failed.
    stream: Option<B>,
    /// None once it has a gap, or nobody wants it any more: then there is no further attempt.
    kept: Option<Kept>,
    /// Read ahead and not kept: sent after what is kept, and then there is a gap.
    ahead: Option<FrameResult>,
    generation: u64,
    reader: Option<Waker>,
}

/// What is to be dropped after the lock: user code may run then.
pub(super) struct Scrap<B> {
    stream: Option<B>,
    kept: Option<Kept>,
    waker: Option<Waker>,
}

impl<B> Scrap<B> {
    pub(super) const fn new() -> Self {
        Self { stream: None, kept: None, waker: None }
    }
}

impl<B> State<B> {
    pub(super) fn new(stream: Option<B>, kept: Kept, ahead: Option<FrameResult>) -> Self {
        Self { stream, kept: Some(kept), ahead, generation: 0, reader: None }
    }

    /// Which attempt may read.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether everything that was sent is kept.
    pub(super) fn is_whole(&self) -> bool {
        self.kept.is_some() && self.ahead.is_none()
    }

    /// All of the data, if it has come and is kept, before an attempt reads it.
    pub(super) fn whole(&mut self) -> Option<Bytes> {
        self.kept.as_mut().filter(|_| self.stream.is_none() && self.ahead.is_none()).and_then(Kept::all)
    }

    /// Begins another attempt: its generation, and whoever waits in the one before it.
    pub(super) fn restart(&mut self) -> Option<(u64, Option<Waker>)> {
        self.kept.as_mut().filter(|_| self.ahead.is_none())?.rewind();
        self.generation += 1;
        Some((self.generation, self.reader.take()))
    }

    /// Gives out what is kept if the present attempt has read it all.
    pub(super) fn release(&mut self) -> Option<Kept> {
        if self.kept.as_ref().is_some_and(Kept::is_spent) { self.kept.take() } else { None }
    }

    /// Remembers whom to wake when another attempt takes over.
    fn wait(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.reader {
            Some(known) if known.will_wake(waker) => None,
            _ => self.reader.replace(waker.clone()),
        }
    }
}

impl<B> State<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    /// The next frame: a kept one, else one of the stream, which is kept while another attempt is `wanted`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wanted: bool,
        scrap: &mut Scrap<B>,
    ) -> Poll<Option<FrameResult>> {
        if let Some(frame) = self.kept.as_mut().and_then(Kept::next) {
            return Poll::Ready(Some(Ok(frame)));
        }
        if !wanted {
            scrap.kept = self.kept.take();
        }
        if let Some(item) = self.ahead.take() {
            scrap.kept = self.kept.take();
            return Poll::Ready(Some(item));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let Poll::Ready(item) = Pin::new(stream).poll_frame(cx) else {
            scrap.waker = self.wait(cx.waker());
            return Poll::Pending;
        };
        let item = item.map(|frame| frame.map(in_bytes).map(clean).map_err(Into::into));
        self.note(item.as_ref(), scrap);
        Poll::Ready(item)
    }

    /// Reads on before anything is sent, until the end or until more than `bound` bytes have been read. Nothing that is
    /// read is lost, whether or not it can be kept.
    pub(super) fn poll_ahead(&mut self, cx: &mut Context<'_>, bound: usize) -> Poll<Ahead> {
        while let (Some(stream), Some(kept), None) = (&mut self.stream, &mut self.kept, &self.ahead) {
            if kept.unread() > bound {
                break;
            }
            let item = ready!(Pin::new(&mut *stream).poll_frame(cx))
                .map(|item| item.map(in_bytes).map(clean).map_err(Into::into));
            if !has_more(item.as_ref()) || stream.is_end_stream() {
                self.stream = None;
            }
            self.ahead = item.filter(|item| !item.as_ref().is_ok_and(|frame| kept.store(frame)));
        }
        Poll::Ready(self.came_to(bound))
    }

    fn came_to(&mut self, bound: usize) -> Ahead {
        if self.size_hint().lower() > bound as u64 {
            return Ahead::Beyond;
        }
        match self.whole() {
            Some(bytes) => Ahead::Whole(bytes),
            None if self.kept.as_ref().is_some_and(Kept::is_short) => Ahead::NoRoom,
            None => Ahead::Beyond,
        }
    }

    /// Keeps what is about to be sent, or gives up what is kept if that leaves a gap.
    fn note(&mut self, item: Option<&FrameResult>, scrap: &mut Scrap<B>) {
        let whole = match (item, &mut self.kept) {
            (Some(Ok(frame)), Some(kept)) => kept.keep(frame),
            (Some(Err(_)), Some(_)) => false,
            _ => true,
        };
        if !whole {
            scrap.kept = self.kept.take();
        }
        if !has_more(item) || self.stream.as_ref().is_some_and(Body::is_end_stream) {
            scrap.stream = self.stream.take();
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.kept.as_ref().is_none_or(Kept::is_spent)
            && self.ahead.is_none()
            && self.stream.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let rest = self.stream.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        let ahead = self.ahead.as_ref().and_then(|item| item.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        longer(rest, self.unread() + ahead)
    }

    /// How many bytes are kept for the present attempt.
    fn unread(&self) -> usize {
        self.kept.as_ref().map_or(0, Kept::unread)
    }
}

/// Whether anything may come after this.
fn has_more(item: Option<&FrameResult>) -> bool {
    item.is_some_and(|item| item.as_ref().is_ok_and(Frame::is_data))
}
