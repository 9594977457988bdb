//! One request on its way through the pool: what it asks for, what it has tried, and what is needed to send it again.
//! What its answers mean for it is in `judge`.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response, Uri};
use http_body::Body;

use super::body::ResponseBody;
use super::layer::Settings;
use super::peeking::Peeking;
use super::refusal::Refusal;
use super::replay::{Replay, ReplayBody, split};
use super::{BoxError, Deadline};
use crate::clock::Timestamp;
use crate::demand::{Demand, Inspect, Inspection};
use crate::guard::guarded;
use crate::origin::Origin;
use crate::pool::{Exhausted, Lease, Tried, Waiting};

/// The reason when there is none: the inspector panicked.
const NOT_JUDGED: &str = "the request could not be judged";

/// Everything about a request that outlives one attempt.
pub(super) struct Job<B, R: Body> {
    demand: Demand,
    /// Whether the application said that itself.
    is_said: bool,
    /// How much of the body the inspector wants to see.
    looked: usize,
    pub(super) tried: Tried,
    pub(super) lease: Option<Lease>,
    deadline: Timestamp,
    pub(super) waited: Duration,
    pub(super) repeats: u32,
    /// The head without a credential. Gone once the last possible attempt is under way.
    pub(super) head: Option<Parts>,
    /// Where the next attempt goes, if its key has an origin of its own.
    target: Option<Uri>,
    /// The body of the next attempt.
    body: Option<ReplayBody<B>>,
    pub(super) replay: Replay<B>,
    /// The answer to give if no key comes free, and whether it speaks of a rest.
    pub(super) last: Option<(Response<ResponseBody<R>>, bool)>,
}

/// Where a request goes from here.
pub(super) enum Next<R: Body> {
    Inspect,
    Wait(Waiting, Timestamp),
    Pause(Duration),
    Ready,
    Peek(Peeking<R>),
    Done(Response<ResponseBody<R>>),
}

impl<B, R> Job<B, R>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    pub(super) fn new(settings: &Settings, head: Parts, body: B) -> Self {
        let patience = head.extensions.get::<Deadline>().map_or(settings.max_wait, |deadline| deadline.0);
        let deadline = if patience.is_zero() { Timestamp::ZERO } else { settings.pool.now() + patience };
        // Nobody sends it again and nobody looks into it: then it only passes through.
        let passes = !settings.pool.has_choice() && settings.inspect.is_none();
        let (body, replay) = if passes { Replay::never(body) } else { split(body, &settings.limits) };
        Self {
            demand: Demand::default(),
            is_said: false,
            looked: 0,
            tried: Tried::default(),
            lease: None,
            deadline,
            waited: Duration::ZERO,
            repeats: 0,
            head: Some(head),
            target: None,
            body: Some(body),
            replay,
            last: None,
        }
    }

    /// Finds out what the request asks for, if its head tells, and looks for a key.
    pub(super) fn begin(&mut self, settings: &Settings) -> Next<R> {
        let said = self.head.as_mut().and_then(|head| head.extensions.remove());
        self.is_said = said.is_some();
        self.demand = said.unwrap_or_default();
        match self.ask(settings, |inspect, head| inspect.inspect(head, None)) {
            Inspection::NeedsBody(bound) => {
                self.looked = bound.min(settings.limits.per_request());
                Next::Inspect
            }
            found => self.inspected(settings, found),
        }
    }

    /// Finds out what the request asks for, once as much of its body is there as that takes, and looks for a key.
    pub(super) fn poll_inspect(&mut self, settings: &Settings, cx: &mut Context<'_>) -> Poll<Next<R>> {
        let body = ready!(self.replay.poll_ahead(cx, self.looked));
        let found = self.ask(settings, |inspect, head| match &body {
            Some(body) => inspect.inspect(head, Some(body)),
            None => inspect.too_long(head),
        });
        Poll::Ready(self.inspected(settings, found))
    }

    /// Goes on with what an inspection came to. What the application said itself counts for more, but for a refusal.
    fn inspected(&mut self, settings: &Settings, found: Inspection) -> Next<R> {
        match found {
            Inspection::Refuse(reason) => {
                return Next::Done(Refusal::Denied(reason).response(settings.pool.provider()));
            }
            Inspection::Demand(demand) if !self.is_said => self.demand = demand,
            Inspection::Demand(_) | Inspection::NeedsBody(_) => (),
        }
        self.seek(settings, settings.pool.now())
    }

    /// What the inspector finds. One that panics finds nothing, unless it is there to refuse.
    fn ask(&self, settings: &Settings, question: impl FnOnce(&dyn Inspect, &Parts) -> Inspection) -> Inspection {
        let nothing = || Inspection::Demand(Demand::default());
        let (Some(inspect), Some(head)) = (settings.inspect.as_deref(), &self.head) else { return nothing() };
        let may_refuse = guarded(|| inspect.may_refuse()).unwrap_or(true);
        if self.is_said && !may_refuse {
            return nothing();
        }
        let otherwise = || if may_refuse { Inspection::Refuse(NOT_JUDGED.into()) } else { nothing() };
        guarded(|| question(inspect, head)).unwrap_or_else(otherwise)
    }

    /// Looks for a key: takes it, waits for it, or gives up.
    pub(super) fn seek(&mut self, settings: &Settings, now: Timestamp) -> Next<R> {
        match settings.pool.checkout(&self.demand, &mut self.tried, now) {
            Ok(lease) => self.hold(settings, lease, now),
            Err(exhausted) if exhausted.is_worth_waiting(self.deadline) => {
                Next::Wait(settings.pool.wait(&self.demand, &self.tried, self.deadline), now)
            }
            Err(_) => Next::Done(self.concede(settings, now)),
        }
    }

    /// The waiting is over.
    pub(super) fn waited(&mut self, settings: &Settings, lease: Result<Lease, Exhausted>, since: Timestamp) -> Next<R> {
        let now = settings.pool.now();
        self.waited += now - since;
        match lease {
            Ok(lease) => {
                settings.pool.accept(&lease, &mut self.tried, now);
                self.hold(settings, lease, now)
            }
            Err(_) => Next::Done(self.concede(settings, now)),
        }
    }

    /// A key is of use only with a body to send, and a place to send it to: what could not be kept cannot be sent again.
    fn hold(&mut self, settings: &Settings, lease: Lease, now: Timestamp) -> Next<R> {
        if self.body.is_none() {
            self.body = self.replay.again();
        }
        if self.body.is_none() {
            drop(lease);
            return Next::Done(self.concede(settings, now));
        }
        let head = self.head.as_ref();
        let move_to = |origin: &Origin| head.map(|head| origin.relocate(&head.uri, settings.pool.origin()));
        match lease.origin().and_then(move_to).transpose() {
            Ok(target) => self.target = target,
            Err(error) => return Next::Done(Refusal::Path(error).response(settings.pool.provider())),
        }
        self.lease = Some(lease);
        Next::Ready
    }

    /// Whether a key and a body are in hand.
    pub(super) fn is_armed(&self) -> bool {
        self.lease.is_some() && self.body.is_some() && self.head.is_some()
    }

    /// The request of the next attempt, with the key in it. The answer before it is let go: there is a key and a body.
    ///
    /// What is kept for a repeat is the copy, which has no room for another header; the key goes where one was taken out.
    pub(super) fn outgoing(&mut self, settings: &Settings) -> Option<Request<ReplayBody<B>>> {
        self.last = None;
        let kept = if self.can_repeat(settings) { self.head.clone() } else { None };
        let mut head = std::mem::replace(&mut self.head, kept)?;
        if let Some(target) = self.target.take() {
            head.uri = target;
        }
        settings.pool.slot().put(&mut head, self.lease.as_ref()?.value());
        Some(Request::from_parts(head, self.body.take()?))
    }

    /// Whether there may be another attempt: then the head and a client for it are kept.
    pub(super) fn can_repeat(&self, settings: &Settings) -> bool {
        settings.pool.has_choice() && self.replay.possible()
    }
}
