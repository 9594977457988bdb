//! The answer's body as the caller gets it: the same bytes, the same errors, as they come; and the lease that ends with
//! them (I8, I10, I18).

use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Served;
use super::follow::Follow;
use super::frames::{clean, longer};
use super::peek::Prefixed;
use super::scrubbing::Scrubbing;
use super::watch::Watch;
use crate::pool::Lease;
use crate::scrub::Scrubber;
use crate::usage::Meter;

pin_project! {
    /// The body of an answer. Holds the key's lease until the last byte, an error, or its drop.
    pub struct ResponseBody<R: Body> {
        #[pin]
        source: Source<R>,
        lease: Option<Lease>,
        watch: Option<Watch>,
        meter: Option<Box<Meter>>,
        follow: Option<Box<Follow>>,
        scrubbing: Option<Scrubbing>,
        served: Option<Served>,
        trailers: bool,
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source<R: Body> {
        Inner { #[pin] body: Prefixed<R> },
        Own { bytes: Option<Bytes> },
    }
}

impl<R: Body> ResponseBody<R> {
    /// How the request was served; `None` if no key was used.
    pub fn served(&self) -> Option<&Served> {
        self.served.as_ref()
    }

    /// A body of our own.
    pub(super) fn own(bytes: Bytes) -> Self {
        Self::new(Source::Own { bytes: Some(bytes) })
    }

    fn new(source: Source<R>) -> Self {
        let (watch, meter, follow, scrubbing) = (None, None, None, None);
        Self { source, lease: None, watch, meter, follow, scrubbing, served: None, trailers: true }
    }
}

impl<R: Body + Unpin> ResponseBody<R> {
    /// A body that has nothing to do with the pool.
    pub(super) fn pass(body: R) -> Self {
        Self::new(Source::Inner { body: Prefixed::from(body) })
    }

    /// The body of an answer got with a key, the lease of which it holds from now on.
    pub(super) fn served_by(body: Prefixed<R>, lease: Lease, served: Served) -> Self {
        // Nobody polls a body that says it is at its end.
        let lease = (!body.is_end_stream()).then_some(lease);
        Self { lease, served: Some(served), ..Self::new(Source::Inner { body }) }
    }

    /// The same, without the lease: a head that failed is final (I8), and the next attempt may need the room.
    pub(super) fn released(self) -> Self {
        Self { lease: None, ..self }
    }

    /// The same, telling the pool of errors among its events.
    pub(super) fn watched(self, watch: Option<Watch>) -> Self {
        Self { watch, ..self }
    }

    /// The same, telling the pool at its end what it has said about its request.
    pub(super) fn metered(self, meter: Option<Meter>) -> Self {
        Self { meter: meter.map(Box::new), ..self }
    }

    /// The same, telling the pool which response it is.
    pub(super) fn followed(self, follow: Option<Follow>) -> Self {
        Self { follow: follow.map(Box::new), ..self }
    }

    /// The same, ending with its data.
    pub(super) fn without_trailers(self) -> Self {
        Self { trailers: false, ..self }
    }

    /// The same, with echoes of the key masked.
    pub(super) fn scrubbed(self, scrubber: Option<Scrubber>) -> Self {
        Self { scrubbing: scrubber.map(Scrubbing::new), ..self }
    }
}

impl<R: Body + Unpin> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let mut this = self.project();
        let mut next = || {
            let frame = ready!(this.source.as_mut().poll(cx));
            if let Some(chunk) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
                read(chunk, this.meter, this.follow, this.lease.as_ref());
            }
            Poll::Ready(frame)
        };
        let frame = match this.scrubbing {
            None => ready!(next()),
            Some(scrubbing) => ready!(scrubbing.poll(next)),
        };
        if let (Some(watch), Some(lease), Some(Ok(frame))) = (this.watch.as_mut(), this.lease.as_mut(), &frame) {
            lease.look(|now| frame.data_ref().and_then(|chunk| watch.see(chunk, now)));
        }
        let failed = matches!(frame, Some(Err(_)));
        if failed || frame.is_none() || this.source.is_end_stream() {
            let lease = this.lease.take();
            if let Some(mut lease) = lease.filter(|_| !failed) {
                if let Some(usage) = this.meter.take().and_then(|meter| meter.finish()) {
                    lease.note_usage(&usage);
                }
                lease.complete();
            }
        }
        Poll::Ready(frame.filter(|frame| *this.trailers || !frame.as_ref().is_ok_and(Frame::is_trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream() && self.scrubbing.as_ref().is_none_or(Scrubbing::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.scrubbing.as_ref().map_or(0, Scrubbing::held);
        longer(self.source.size_hint(), held)
    }
}

/// What the bytes of an answer say beside what they are.
fn read(chunk: &Bytes, meter: &mut Option<Box<Meter>>, follow: &mut Option<Box<Follow>>, lease: Option<&Lease>) {
    if let Some(meter) = meter {
        meter.feed(chunk);
    }
    if let Some(ControlFlow::Break(id)) = follow.as_mut().map(|follow| follow.see(chunk)) {
        *follow = None;
        lease.iter().zip(id).for_each(|(lease, id)| lease.note_response(&id));
    }
}

impl<R: Body + Unpin> Source<R> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project() {
            SourceProj::Own { bytes } => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            SourceProj::Inner { body } => body.poll_frame(cx).map_ok(clean),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { bytes } => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { bytes } => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Inner { body } => body.size_hint(),
        }
    }
}

impl<R: Body> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("served", &self.served).finish_non_exhaustive()
    }
}
