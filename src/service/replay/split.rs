//! Decides how a request's body is sent, and gives out the bodies of later attempts (I9, I10).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::budget::{Limits, Reservation};
use super::kept::Kept;
use super::state::FrameResult;
use super::tee::Tee;
use super::{Form, ReplayBody};
use crate::service::BoxError;
use crate::service::frames::{clean, in_bytes};

/// What makes the bodies of later attempts. Dropped as soon as there will be none: then a streamed body keeps no more.
pub(crate) struct Replay<B>(Source<B>);

/// What reading a body before anything is sent has come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// This is all of it.
    Whole(Bytes),
    /// It is longer than that, fails, or is never kept.
    Beyond,
    /// The process keeps as much as it may.
    NoRoom,
}

enum Source<B> {
    /// The body is sent once.
    Never,
    /// All of it, at hand, to be looked at and then sent once: the process keeps as much as it may.
    Once(Bytes),
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
            Source::Never | Source::Once(_) => None,
            Source::Whole { bytes, .. } => Some(ReplayBody(Form::Whole(bytes.clone()))),
            Source::Tee(tee) => tee.again().map(|reader| ReplayBody(Form::Tee(reader))),
        }
    }

    /// Reads the body before anything is sent, as far as `bound`.
    pub(crate) fn poll_ahead(&self, cx: &mut Context<'_>, bound: usize) -> Poll<Ahead>
    where
        B: Body + Unpin,
        B::Error: Into<BoxError>,
    {
        match &self.0 {
            Source::Once(bytes) | Source::Whole { bytes, .. } if bytes.len() <= bound => {
                Poll::Ready(Ahead::Whole(bytes.clone()))
            }
            Source::Tee(tee) => tee.poll_ahead(cx, bound),
            _ => Poll::Ready(Ahead::Beyond),
        }
    }

    /// An attempt begins: what was there to be looked at is not kept beyond it.
    pub(crate) fn begin(&mut self) {
        if matches!(self.0, Source::Once(_)) {
            self.0 = Source::Never;
        }
    }

    /// All of the body, if it is kept and none of it is to come.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match &self.0 {
            Source::Never => None,
            Source::Once(bytes) | Source::Whole { bytes, .. } => Some(bytes.clone()),
            Source::Tee(tee) => tee.whole(),
        }
    }

    /// Whether [`again`](Self::again) would give a body. A stream that goes on may change that at any time.
    pub(crate) fn possible(&self) -> bool {
        match &self.0 {
            Source::Never | Source::Once(_) => false,
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
        Poll::Pending => tee(Some(body), Kept::new(limits), None),
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
    tee(Some(body), Kept::new(limits), None)
}

/// A body whose first frame has been read.
fn begun<B: Body>(first: Frame<Bytes>, body: B, limits: &Limits) -> (ReplayBody<B>, Replay<B>) {
    match first.into_data() {
        Ok(data) if body.is_end_stream() => whole(data, limits),
        Ok(data) => begun_tee(Frame::data(data), body, limits),
        Err(trailers) => begun_tee(trailers, body, limits),
    }
}

/// A frame that is not kept is sent all the same, before the rest.
fn begun_tee<B>(first: Frame<Bytes>, body: B, limits: &Limits) -> (ReplayBody<B>, Replay<B>) {
    let mut kept = Kept::new(limits);
    let stream = first.is_data().then_some(body);
    let lost = !kept.store(&first);
    tee(stream, kept, lost.then_some(Ok(first)))
}

fn whole<B>(bytes: Bytes, limits: &Limits) -> (ReplayBody<B>, Replay<B>) {
    let source = match limits.reserve(bytes.len()) {
        Some(room) => Source::Whole { bytes: bytes.clone(), _room: room },
        None if bytes.len() <= limits.per_request() => Source::Once(bytes.clone()),
        None => Source::Never,
    };
    (ReplayBody(Form::Whole(bytes)), Replay(source))
}

fn tee<B>(stream: Option<B>, kept: Kept, ahead: Option<FrameResult>) -> (ReplayBody<B>, Replay<B>) {
    let tee = Tee::new(stream, kept, ahead);
    (ReplayBody(Form::Tee(tee.first())), Replay(Source::Tee(tee)))
}
