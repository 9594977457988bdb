//! A response body whose beginning has been read: the same frames, then the rest.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::After;
use super::held::Frames;
use crate::service::frames::{in_bytes, longer};

/// Gives back what was read of `R` ahead of time, in the same order, and goes on with `R`.
pub(crate) struct Prefixed<R: Body> {
    held: Frames,
    after: After<R::Error>,
    body: R,
}

impl<R: Body> Prefixed<R> {
    pub(super) fn new(held: Frames, after: After<R::Error>, body: R) -> Self {
        Self { held, after, body }
    }
}

/// A body of which nothing has been read.
impl<R: Body> From<R> for Prefixed<R> {
    fn from(body: R) -> Self {
        Self::new(Frames::default(), After::More, body)
    }
}

/// Nothing in here is ever pinned in its place: polling asks for `R: Unpin`.
impl<R: Body> Unpin for Prefixed<R> {}

impl<R> Body for Prefixed<R>
where
    R: Body + Unpin,
{
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let this = self.get_mut();
        if let Some(data) = this.held.next() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let After::More = this.after {
            let item = ready!(Pin::new(&mut this.body).poll_frame(cx)).map(|frame| frame.map(in_bytes));
            if !matches!(item, Some(Ok(_))) {
                this.after = After::End;
            }
            return Poll::Ready(item);
        }
        Poll::Ready(std::mem::replace(&mut this.after, After::End).into_item())
    }

    fn is_end_stream(&self) -> bool {
        let over = match self.after {
            After::More => self.body.is_end_stream(),
            After::Trailers(_) | After::Error(_) => false,
            After::End => true,
        };
        over && self.held.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match self.after {
            After::More => self.body.size_hint(),
            _ => SizeHint::with_exact(0),
        };
        longer(rest, self.held.len())
    }
}

impl<E> After<E> {
    fn into_item(self) -> Option<Result<Frame<Bytes>, E>> {
        match self {
            Self::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Self::Error(error) => Some(Err(error)),
            Self::More | Self::End => None,
        }
    }
}
