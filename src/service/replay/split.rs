//! Decides how a request's body is sent, and gives out the bodies of later attempts (I9, I10).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::budget::{Limits, Reservation};
use super::kept::Kept;
use super::tee::Tee;
use super::{Form, ReplayBody};
use crate::service::BoxError;
use crate::service::frames::{clean, in_bytes};

/// What makes the bodies of later attempts. Dropped as soon as there will be none: then a streamed body keeps no more.
pub(crate) struct Replay<B>(Source<B>);

enum Source<B> {
    /// The body is sent once.
    Never,
    /// All of it, at hand; the process's budget counts it while this lives.
    Whole { bytes: Bytes, _room: Reservation },
    /// Kept as it streams.
    Tee(Arc<Tee<B>>),
}

impl<B> Replay<B> {
    /// A body that is sent once, and so only streams through.
    pub(crate) fn never(body: B) -> (ReplayBody<B>, Self) {
        (ReplayBody::once(body), Self(Source::Never))
    }

    /// A body for another attempt, or `None` if a part was sent and not kept. A body that streams is taken away from the
    /// attempt before: its next poll fails.
    pub(crate) fn again(&self) -> Option<ReplayBody<B>> {
        match &self.0 {
            Source::Never => None,
            Source::Whole { bytes, .. } => Some(ReplayBody(Form::Whole(bytes.clone()))),
            Source::Tee(tee) => tee.again().map(|reader| ReplayBody(Form::Tee(reader))),
        }
    }

    /// Reads the body before anything is sent, as far as `bound`: all of it, or `None` if it is longer, fails, or is
    /// never kept.
    pub(crate) fn poll_ahead(&self, cx: &mut Context<'_>, bound: usize) -> Poll<Option<Bytes>>
    where
        B: Body + Unpin,
        B::Error: Into<BoxError>,
    {
        match &self.0 {
            Source::Never => Poll::Ready(None),
            Source::Whole { bytes, .. } => Poll::Ready(Some(bytes.clone()).filter(|bytes| bytes.len() <= bound)),
            Source::Tee(tee) => tee.poll_ahead(cx, bound),
        }
    }

    /// All of the body, if it is kept and none of it is to come.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match &self.0 {
            Source::Never => None,
            Source::Whole { bytes, .. } => Some(bytes.clone()),
            Source::Tee(tee) => tee.whole(),
        }
    }

    /// Whether [`again`](Self::again) would give a body. A stream that goes on may change that at any time.
    pub(crate) fn possible(&self) -> bool {
        match &self.0 {
            Source::Never => false,
            Source::Whole { .. } => true,
            Source::Tee(tee) => tee.possible(),
        }
    }
}

impl<B> Drop for Replay<B> {
    fn drop(&mut self) {
        if let Source::Tee(tee) = &self.0 {
            tee.forget();
        }
    }
}

/// The body of the first attempt, and what makes those of later ones.
///
/// Polls a body once that says it is small enough: most are whole at hand, and need neither lock nor allocation.
pub(crate) fn split<B>(mut body: B, limits: &Limits) -> (ReplayBody<B>, Replay<B>)
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return whole(Bytes::new(), limits);
    }
    if body.size_hint().exact().is_none_or(|bytes| bytes > limits.per_request() as u64) {
        return split_unread(body, limits);
    }
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => tee(Some(body), Kept::new(limits)),
        Poll::Ready(None) => whole(Bytes::new(), limits),
        Poll::Ready(Some(Err(error))) => (ReplayBody(Form::Failed(error.into())), Replay(Source::Never)),
        Poll::Ready(Some(Ok(frame))) => begun(clean(in_bytes(frame)), body, limits),
    }
}

/// The same without a look into the body.
pub(super) fn split_unread<B: Body>(body: B, limits: &Limits) -> (ReplayBody<B>, Replay<B>) {
    if body.size_hint().lower() > limits.per_request() as u64 {
        return (ReplayBody::once(body), Replay(Source::Never));
    }
    tee(Some(body), Kept::new(limits))
}

/// A body whose first frame has been read.
fn begun<B: Body>(first: Frame<Bytes>, body: B, limits: &Limits) -> (ReplayBody<B>, Replay<B>) {
    match first.into_data() {
        Ok(data) if body.is_end_stream() => whole(data, limits),
        Ok(data) => begun_tee(Frame::data(data), body, limits),
        Err(trailers) => begun_tee(trailers, body, limits),
    }
}

fn begun_tee<B>(first: Frame<Bytes>, body: B, limits: &Limits) -> (ReplayBody<B>, Replay<B>) {
    let mut kept = Kept::new(limits);
    if !kept.store(&first) {
        return (ReplayBody::pass_after(first, body), Replay(Source::Never));
    }
    tee(first.is_data().then_some(body), kept)
}

fn whole<B>(bytes: Bytes, limits: &Limits) -> (ReplayBody<B>, Replay<B>) {
    let source = match limits.reserve(bytes.len()) {
        Some(room) => Source::Whole { bytes: bytes.clone(), _room: room },
        None => Source::Never,
    };
    (ReplayBody(Form::Whole(bytes)), Replay(source))
}

fn tee<B>(stream: Option<B>, kept: Kept) -> (ReplayBody<B>, Replay<B>) {
    let tee = Tee::new(stream, kept);
    (ReplayBody(Form::Tee(tee.first())), Replay(Source::Tee(tee)))
}
