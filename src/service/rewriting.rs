//! The body of an attempt, changed for the key that it goes out with (I10).

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http_body::Body;

use super::BoxError;
use super::hygiene;
use super::job::{Job, Next};
use super::layer::Settings;
use super::refusal::Refusal;
use super::replay::{Ahead, ReplayBody};
use crate::guard::guarded;
use crate::pool::Lease;
use crate::rewrite::{Attempt, Rewrite};

impl<B, R> Job<B, R>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    /// Whether a rewrite wants to see the body, which may still come as a whole.
    pub(super) fn must_collect(&self, settings: &Settings) -> bool {
        let applies = |head: &Parts| settings.rewrites.iter().any(|rewrite| applies(&**rewrite, head));
        self.head.as_ref().is_some_and(applies) && self.replay.whole().is_none()
    }

    /// Looks for a key once the body is there, as far as it is kept: none is held meanwhile.
    pub(super) fn poll_collect(&mut self, settings: &Settings, cx: &mut Context<'_>) -> Poll<Next<R>> {
        Poll::Ready(match ready!(self.replay.poll_ahead(cx, settings.limits.per_request())) {
            Ahead::NoRoom => Next::Done(Refusal::NoRoom.response(settings.pool.provider())),
            Ahead::Whole(_) | Ahead::Beyond => self.seek(settings, settings.pool.now()),
        })
    }

    /// The body to send instead of the one that came, and a head that fits it. The key must not be in there yet (I3).
    pub(super) fn rewritten(&self, settings: &Settings, head: &mut Parts, lease: &Lease) -> Option<ReplayBody<B>> {
        if settings.rewrites.is_empty() {
            return None;
        }
        let pool = &settings.pool;
        let (key, label, origin) = (lease.key_id(), lease.label(), lease.origin().unwrap_or(pool.origin()));
        let attempt = Attempt { key, label, origin, provider: pool.provider().name() };
        let came = self.replay.whole().filter(|body| !body.is_empty())?;
        let change = |changed: Option<Bytes>, rewrite: &dyn Rewrite| {
            ask(rewrite, head, changed.as_ref().unwrap_or(&came), &attempt).or(changed)
        };
        let changed = settings.rewrites.iter().map(|rewrite| &**rewrite).fold(None, change)?;
        hygiene::undigested(&mut head.headers);
        Some(ReplayBody::own(changed))
    }
}

/// What a rewrite makes of a body: nothing if it panics.
fn ask(rewrite: &dyn Rewrite, head: &Parts, body: &[u8], attempt: &Attempt<'_>) -> Option<Bytes> {
    applies(rewrite, head).then(|| guarded(|| rewrite.rewrite(head, body, attempt)).flatten()).flatten()
}

fn applies(rewrite: &dyn Rewrite, head: &Parts) -> bool {
    guarded(|| rewrite.applies(head)).unwrap_or(false)
}
