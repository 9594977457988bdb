//! A body that does what it is told, frame by frame; for requests and for answers.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::Oops;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Fails, and is over.
    Fail,
    /// Nothing for a while, by tokio's clock.
    Wait(Duration),
    /// Pending once, and asks to be polled again at once.
    Yield,
    /// Nothing any more, and no end either.
    Hang,
}

#[derive(Debug)]
pub(crate) struct Stepped {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// As a `Full`: says how long it is, and that it has ended as soon as it has.
    known: bool,
    over: bool,
}

impl Stepped {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), sleep: None, known: false, over: false }
    }

    /// All of it at hand.
    pub(crate) fn full(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        let steps = if data.is_empty() { vec![] } else { vec![Step::Data(data)] };
        Self { known: true, ..Self::new(steps) }
    }

    /// Its size and its end unknown until they come.
    pub(crate) fn chunks<T: Into<Bytes>>(chunks: impl IntoIterator<Item = T>) -> Self {
        Self::new(chunks.into_iter().map(|chunk| Step::Data(chunk.into())))
    }

    pub(crate) fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

impl Body for Stepped {
    type Data = Bytes;
    type Error = Oops;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Oops>>> {
        loop {
            assert!(!self.over, "polled after its end");
            if let Some(sleep) = &mut self.sleep {
                std::task::ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.steps.pop_front() {
                None => {
                    self.over = true;
                    return Poll::Ready(None);
                }
                Some(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Step::Trailers(map)) => return Poll::Ready(Some(Ok(Frame::trailers(map)))),
                Some(Step::Fail) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(Oops("body"))));
                }
                Some(Step::Wait(time)) => self.sleep = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Yield) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || (self.known && self.steps.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        if !self.known {
            return SizeHint::default();
        }
        let sizes = self.steps.iter().map(|step| if let Step::Data(data) = step { data.len() as u64 } else { 0 });
        SizeHint::with_exact(sizes.sum())
    }
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    pairs.iter().map(pair).collect()
}
