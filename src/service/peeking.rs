//! An answer of which more than the head is needed before it is judged, for a bounded time.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http_body::Body;

use super::peek::{BOUND, Peeked, Prefixed};
use crate::classify::Peek;

pub(super) struct Peeking<R: Body> {
    head: Parts,
    peeked: Peeked<R>,
}

impl<R: Body> Peeking<R> {
    /// How long the beginning of a body may take (I7). What has come by then is judged.
    pub(super) const PATIENCE: Duration = Duration::from_secs(2);
}

impl<R: Body + Unpin> Peeking<R> {
    pub(super) fn new(head: Parts, body: R, peek: Peek) -> Self {
        Self { head, peeked: Peeked::new(body, peek, BOUND) }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.peeked.poll(cx)
    }

    /// The head, what was seen of the body, and the body from its first byte.
    pub(super) fn finish(self) -> (Parts, Bytes, Prefixed<R>) {
        let seen = Bytes::copy_from_slice(self.peeked.prefix());
        (self.head, seen, self.peeked.into_body())
    }
}
