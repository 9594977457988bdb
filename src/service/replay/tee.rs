//! A streamed body that several attempts read one after another.
//!
//! The stream sits behind one short lock, together with what has been kept of it. One attempt at a time owns it: each
//! has a generation number, and a body of an earlier generation gets an error at its next poll, which closes its
//! connection or stream. Its reader is woken for that, since it may be waiting for data that it will never see:
//! a provider can refuse a request while its upload still runs (I9, I10).
//!
//! Nothing is woken or dropped under the lock; the only foreign code that runs under it is the stream's own. If that
//! panics, the body is not sent again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, SizeHint};

use super::kept::Kept;
use super::split::Ahead;
use super::state::{FrameResult, Scrap, State};
use crate::service::BoxError;

/// What a body says that lost its stream to a later attempt of the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a later attempt of this request has taken its body over")]
#[non_exhaustive]
pub struct Superseded;

pub(super) struct Tee<B> {
    state: Mutex<State<B>>,
    /// Whether somebody may still ask for another attempt.
    wanted: AtomicBool,
}

/// The right of one attempt to read the stream.
pub(super) struct Reader<B> {
    tee: Arc<Tee<B>>,
    generation: u64,
}

impl<B> Tee<B> {
    pub(super) fn new(stream: Option<B>, kept: Kept, ahead: Option<FrameResult>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(stream, kept, ahead)), wanted: AtomicBool::new(true) })
    }

    pub(super) fn first(self: &Arc<Self>) -> Reader<B> {
        Reader { tee: Arc::clone(self), generation: 0 }
    }

    /// Another attempt from the first byte on, if everything that was sent has been kept.
    pub(super) fn again(self: &Arc<Self>) -> Option<Reader<B>> {
        if self.state.is_poisoned() {
            return None;
        }
        let (generation, earlier) = self.lock().restart()?;
        if let Some(waker) = earlier {
            waker.wake();
        }
        Some(Reader { tee: Arc::clone(self), generation })
    }

    pub(super) fn poll_ahead(&self, cx: &mut Context<'_>, bound: usize) -> Poll<Ahead>
    where
        B: Body + Unpin,
        B::Error: Into<BoxError>,
    {
        self.lock().poll_ahead(cx, bound)
    }

    pub(super) fn whole(&self) -> Option<Bytes> {
        if self.state.is_poisoned() { None } else { self.lock().whole() }
    }

    pub(super) fn possible(&self) -> bool {
        !self.state.is_poisoned() && self.lock().is_whole()
    }

    /// Nobody will ask for another attempt: what has been sent is let go now, not at the end of a long upload.
    ///
    /// Never waits: if the lock is taken, the reader that holds it or comes next does the same.
    pub(super) fn forget(&self) {
        self.wanted.store(false, Ordering::Release);
        let scrap = match self.state.try_lock() {
            Ok(mut state) => state.release(),
            Err(TryLockError::Poisoned(state)) => state.into_inner().release(),
            Err(TryLockError::WouldBlock) => None,
        };
        drop(scrap);
    }

    /// Only the stream can have panicked. What is beside it is as good as before, but there is no further attempt.
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Reader<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<FrameResult>> {
        let mut scrap = Scrap::new();
        let item = self.poll_locked(cx, &mut scrap);
        drop(scrap); // the lock is free by now
        item
    }

    fn poll_locked(&self, cx: &mut Context<'_>, scrap: &mut Scrap<B>) -> Poll<Option<FrameResult>> {
        let wanted = self.tee.wanted.load(Ordering::Acquire);
        match self.mine(&mut self.tee.lock()) {
            Some(state) => state.poll(cx, wanted, scrap),
            None => Poll::Ready(Some(Err(Superseded.into()))),
        }
    }

    /// A body that was taken over has not ended: its client must poll it to hear of it.
    pub(super) fn is_end_stream(&self) -> bool {
        self.mine(&mut self.tee.lock()).is_some_and(|state| state.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.mine(&mut self.tee.lock()).map_or_else(SizeHint::default, |state| state.size_hint())
    }

    fn mine<'s>(&self, state: &'s mut State<B>) -> Option<&'s mut State<B>> {
        Some(state).filter(|state| state.generation() == self.generation)
    }
}
