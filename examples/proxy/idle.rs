//! Bodies that must not stand still. How long the whole of one takes is nobody's business.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body stood still for {0:?}")]
    Idle(Duration),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// A body that fails when it is waited for longer than its limit. Time in which nobody asks for more does not count.
pub(crate) struct Idle<B> {
    body: B,
    patience: Patience,
    progress: Option<Progress>,
}

impl<B> Idle<B> {
    pub(crate) fn new(body: B, limit: Duration) -> Self {
        Self { body, patience: Patience::new(limit), progress: None }
    }

    pub(crate) fn get_ref(&self) -> &B {
        &self.body
    }

    /// The same, telling when it last moved.
    pub(crate) fn telling(self, progress: Progress) -> Self {
        Self { progress: Some(progress), ..self }
    }
}

impl<B> Body for Idle<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.patience.rest();
            if let Some(progress) = &self.progress {
                progress.note();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
        }
        ready!(self.patience.poll(cx));
        Poll::Ready(Some(Err(BodyError::Idle(self.patience.limit))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Measures how long something has been waited for without a pause. The timer is set once and moved only when it fires,
/// so that a stream of many small pieces pays for a look at the clock, not for a timer, with each.
pub(crate) struct Patience {
    limit: Duration,
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, since: None, sleep: None }
    }

    /// The waiting is over.
    pub(crate) fn rest(&mut self) {
        self.since = None;
    }

    /// Ready when the waiting has lasted too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = *self.since.get_or_insert_with(Instant::now) + self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

/// When a request's body last moved, for those who wait for the answer to it.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<(Instant, AtomicU64)>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Instant::now(), AtomicU64::new(0))))
    }

    fn note(&self) {
        self.0.1.store(self.0.0.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Instant {
        self.0.0 + Duration::from_millis(self.0.1.load(Ordering::Relaxed))
    }
}
