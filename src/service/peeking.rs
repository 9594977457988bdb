//! An answer of which more than the head is needed before it is judged, for a bounded time.
//!
//! It holds the lease meanwhile: a caller that goes away while the beginning of a refusal is read must not hide what the
//! head has said already (I8).

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http_body::Body;

use super::peek::{BOUND, Peeked, Prefixed};
use crate::classify::{Answer, Classify, Peek};
use crate::guard::guarded;
use crate::pool::Lease;

pub(super) struct Peeking<R: Body> {
    peeked: Peeked<R>,
    unjudged: Unjudged,
}

/// A head that has come and has not been judged.
struct Unjudged {
    head: Parts,
    lease: Option<Lease>,
    classify: Arc<dyn Classify>,
}

impl<R: Body> Peeking<R> {
    /// How long the beginning of a body may take (I7). What has come by then is judged.
    pub(super) const PATIENCE: Duration = Duration::from_secs(2);
}

impl<R: Body + Unpin> Peeking<R> {
    pub(super) fn new(
        (head, body): (Parts, R),
        peek: Peek,
        lease: Option<Lease>,
        classify: &Arc<dyn Classify>,
    ) -> Self {
        let unjudged = Unjudged { head, lease, classify: Arc::clone(classify) };
        Self { peeked: Peeked::new(body, peek, BOUND), unjudged }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.peeked.poll(cx)
    }

    /// The head, what was seen of the body, the body from its first byte, and the lease.
    pub(super) fn finish(mut self) -> (Parts, Bytes, Prefixed<R>, Option<Lease>) {
        let seen = Bytes::copy_from_slice(self.peeked.prefix());
        let head = std::mem::replace(&mut self.unjudged.head, http::Response::new(()).into_parts().0);
        (head, seen, self.peeked.into_body(), self.unjudged.lease.take())
    }
}

impl Drop for Unjudged {
    fn drop(&mut self) {
        let Some(lease) = self.lease.as_mut().filter(|_| !self.head.status.is_success()) else { return };
        let (head, classify) = (&self.head, &self.classify);
        lease.look(|now| {
            let answer = Answer { status: head.status, headers: &head.headers, body: &[], now };
            guarded(|| classify.answer(&answer))
        });
    }
}
