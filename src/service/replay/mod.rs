//! Request bodies that can be sent more than once, without waiting for them (I10).
//!
//! A body whose bytes are all at hand is sent by refcount, as often as need be. Any other streams straight through in the
//! first attempt, while its chunks are kept up to a bound; a later attempt sends what is kept, then goes on with the same
//! stream. A body that is too large to keep is sent once.

mod budget;
mod kept;
mod split;
mod state;
mod tee;
#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

pub(crate) use self::budget::Limits;
pub(crate) use self::split::{Ahead, Replay, split};
use self::tee::Reader;
pub use self::tee::Superseded;
use super::BoxError;
use super::frames::{clean, in_bytes};

/// The body of a request as the inner service sees it.
///
/// Whatever `B` is, its frames are `Bytes` and its errors [`BoxError`]s, and it is `Sync` where `B` is only `Send`, as
/// `reqwest::Body::wrap` asks for.
///
/// A body that has ended or failed yields nothing more when it is polled again, whatever `B` does then.
pub struct ReplayBody<B>(Form<B>);

enum Form<B> {
    /// All of it, at hand.
    Whole(Bytes),
    /// Untouched, to another origin. The mutex is there for `Sync`; polls go round it.
    Foreign(Mutex<B>),
    /// To be sent once.
    Pass(Mutex<B>),
    /// Shared with later attempts.
    Tee(Reader<B>),
    /// Failed before it began.
    Failed(BoxError),
    Done,
}

/// Nothing in here is ever pinned in its place: polling asks for `B: Unpin`.
impl<B> Unpin for ReplayBody<B> {}

impl<B> ReplayBody<B> {
    /// Streams `body` straight through, untouched. It cannot be sent again.
    pub fn pass(body: B) -> Self {
        Self(Form::Foreign(Mutex::new(body)))
    }

    /// All bytes of the body if they were at hand from the beginning and none has been read yet.
    ///
    /// Lets an adapter give them to a client that has a form of its own for bodies that can be sent again.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Form::Whole(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A body of our own.
    pub(super) fn own(bytes: Bytes) -> Self {
        Self(Form::Whole(bytes))
    }

    fn once(body: B) -> Self {
        Self(Form::Pass(Mutex::new(body)))
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let form = &mut self.get_mut().0;
        let item = match form {
            Form::Foreign(stream) => ready!(poll_stream(stream, cx)),
            Form::Pass(stream) => ready!(poll_stream(stream, cx)).map(|item| item.map(clean)),
            Form::Tee(reader) => ready!(reader.poll(cx)),
            _ => return Poll::Ready(std::mem::replace(form, Form::Done).into_frame()),
        };
        if !matches!(item, Some(Ok(_))) {
            *form = Form::Done;
        }
        Poll::Ready(item)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Form::Whole(bytes) => bytes.is_empty(),
            Form::Foreign(stream) | Form::Pass(stream) => look(stream, Body::is_end_stream),
            Form::Tee(reader) => reader.is_end_stream(),
            Form::Failed(_) => false,
            Form::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Form::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Form::Foreign(stream) | Form::Pass(stream) => look(stream, Body::size_hint),
            Form::Tee(reader) => reader.size_hint(),
            Form::Failed(_) => SizeHint::default(),
            Form::Done => SizeHint::with_exact(0),
        }
    }
}

impl<B> Form<B> {
    /// The one frame of a body that has at most one.
    fn into_frame(self) -> Option<Result<Frame<Bytes>, BoxError>> {
        match self {
            Self::Whole(bytes) if !bytes.is_empty() => Some(Ok(Frame::data(bytes))),
            Self::Failed(error) => Some(Err(error)),
            _ => None,
        }
    }
}

fn poll_stream<B>(stream: &mut Mutex<B>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
    Pin::new(stream).poll_frame(cx).map(|item| item.map(|frame| frame.map(in_bytes).map_err(Into::into)))
}

fn look<B, T>(stream: &Mutex<B>, at: impl FnOnce(&B) -> T) -> T {
    at(&stream.lock().unwrap_or_else(PoisonError::into_inner))
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Form::Whole(_) => "ReplayBody(whole)",
            Form::Foreign(_) | Form::Pass(_) => "ReplayBody(pass)",
            Form::Tee(_) => "ReplayBody(tee)",
            Form::Failed(_) => "ReplayBody(failed)",
            Form::Done => "ReplayBody(done)",
        })
    }
}
