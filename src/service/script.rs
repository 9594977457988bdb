//! A body for tests that does what it is told, and panics when it is polled after its end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Error,
    Pending,
    Panic,
    End,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broken")]
pub(crate) struct Broken;

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) steps: VecDeque<Step>,
    pub(crate) over: bool,
    pub(crate) sized: bool,
    /// Says that it has ended as soon as it has, like a `Full`.
    pub(crate) tells_end: bool,
    pub(crate) polls: Arc<AtomicUsize>,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = steps.into_iter().collect();
        Self { steps, over: false, sized: false, tells_end: false, polls: Arc::default() }
    }

    pub(crate) fn of<T: Into<Bytes>>(chunks: impl IntoIterator<Item = T>) -> Self {
        Self::new(chunks.into_iter().map(|chunk| Step::Data(chunk.into())))
    }

    pub(crate) fn sized(self) -> Self {
        Self { sized: true, ..self }
    }

    pub(crate) fn telling_end(self) -> Self {
        Self { tells_end: true, ..self }
    }

    fn bytes(&self) -> u64 {
        self.steps.iter().map(|step| if let Step::Data(data) = step { data.len() as u64 } else { 0 }).sum()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        assert!(!self.over, "polled after its end");
        self.polls.fetch_add(1, Ordering::Relaxed);
        let step = self.steps.pop_front().unwrap_or(Step::End);
        self.over = matches!(step, Step::Error | Step::End);
        match step {
            Step::Data(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Step::Trailers(map) => Poll::Ready(Some(Ok(Frame::trailers(map)))),
            Step::Error => Poll::Ready(Some(Err(Broken))),
            Step::Pending => Poll::Pending,
            Step::Panic => panic!("scripted"),
            Step::End => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || (self.tells_end && self.steps.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized { SizeHint::with_exact(self.bytes()) } else { SizeHint::default() }
    }
}

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn rung(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

pub(crate) fn poll<B: Body + Unpin>(body: &mut B) -> Polled<B> {
    poll_with(body, Waker::noop())
}

pub(crate) fn poll_with<B: Body + Unpin>(body: &mut B, waker: &Waker) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(waker))
}

/// Everything that a body has left. A script is never really waiting, so pending means: ask again.
pub(crate) struct Rest<E> {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) error: Option<E>,
}

impl<E> Rest<E> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}

pub(crate) fn rest<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Rest<B::Error> {
    let mut rest = Rest { chunks: Vec::new(), trailers: None, error: None };
    for _ in 0..100_000 {
        match poll(body) {
            Poll::Pending => {}
            Poll::Ready(None) => return rest,
            Poll::Ready(Some(Err(error))) => rest.error = Some(error),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => rest.chunks.push(data),
                Err(frame) => rest.trailers = frame.into_trailers().ok(),
            },
        }
    }
    panic!("a body without end");
}

pub(crate) fn trailers(text: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static(text))])
}
