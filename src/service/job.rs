//! One request on its way through the pool: what it asks for, what it has tried, what is needed to send it again, and
//! what each turn of events means for it.

use std::any::Any;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response, Uri, response};
use http_body::Body;

use super::answer;
use super::body::ResponseBody;
use super::layer::Settings;
use super::peek::Prefixed;
use super::peeking::Peeking;
use super::refusal::Refusal;
use super::replay::{Replay, ReplayBody, split};
use super::watch::Watch;
use super::{BoxError, Deadline, Served};
use crate::classify::{Answer, Peek};
use crate::clock::Timestamp;
use crate::demand::{Demand, Inspection};
use crate::guard::guarded;
use crate::origin::Origin;
use crate::outcome::{Fault, Outcome, Verdict};
use crate::pool::{Exhausted, Lease, Tried, Waiting};

/// Repeats after the first attempt that the provider may have processed, or that rest nobody (I23).
const MOST_REPEATS: u32 = 2;

/// Everything about a request that outlives one attempt.
pub(super) struct Job<B, R: Body> {
    demand: Demand,
    /// How much of the body the inspector wants to see.
    inspected: usize,
    tried: Tried,
    lease: Option<Lease>,
    deadline: Timestamp,
    waited: Duration,
    repeats: u32,
    /// The head without a credential. Gone once the last possible attempt is under way.
    head: Option<Parts>,
    /// Where the next attempt goes, if its key has an origin of its own.
    target: Option<Uri>,
    /// The body of the next attempt.
    body: Option<ReplayBody<B>>,
    replay: Replay<B>,
    /// The answer to give if no key comes free, and whether it speaks of a rest.
    last: Option<(Response<ResponseBody<R>>, bool)>,
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

/// What a verdict means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Commit,
    Rotate,
    Repeat(Duration),
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
            inspected: 0,
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

    /// Finds out what the request asks for, if its head tells.
    pub(super) fn inspect(&mut self, settings: &Settings) -> bool {
        match self.ask(settings, None) {
            Inspection::Demand(demand) => {
                self.demand = demand;
                true
            }
            Inspection::NeedsBody(bound) => {
                self.inspected = bound.min(settings.limits.per_request());
                false
            }
        }
    }

    /// Finds out what the request asks for, once as much of its body is there as that takes.
    pub(super) fn poll_inspect(&mut self, settings: &Settings, cx: &mut Context<'_>) -> Poll<()> {
        let body = ready!(self.replay.poll_ahead(cx, self.inspected));
        if let Inspection::Demand(demand) = self.ask(settings, body.as_deref()) {
            self.demand = demand;
        }
        Poll::Ready(())
    }

    /// What the application said, or what the inspector finds. One that panics finds nothing.
    fn ask(&mut self, settings: &Settings, body: Option<&[u8]>) -> Inspection {
        let said = self.head.as_mut().and_then(|head| head.extensions.remove());
        let found = match (said, settings.inspect.as_deref(), &self.head) {
            (Some(demand), ..) => Some(Inspection::Demand(demand)),
            (None, Some(inspect), Some(head)) => guarded(|| inspect.inspect(head, body)),
            _ => None,
        };
        found.unwrap_or_else(|| Inspection::Demand(Demand::default()))
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

    /// The head of an answer has come.
    pub(super) fn answered(&mut self, settings: &Settings, answer: Response<R>) -> Next<R> {
        let (head, body) = answer.into_parts();
        if let Some(lease) = self.lease.as_mut()
            && answer::has_strayed(&head, lease.origin().unwrap_or(settings.pool.origin()))
        {
            lease.expose(settings.pool.now());
            self.lease = None;
            return Next::Done(Refusal::Redirected.response(settings.pool.provider()));
        }
        match guarded(|| settings.classify.peek(head.status, &head.headers)).unwrap_or(Peek::Nothing) {
            Peek::Nothing => self.judge(settings, head, Prefixed::from(body), &[]),
            peek => Next::Peek(Peeking::new((head, body), peek, self.lease.take(), &settings.classify)),
        }
    }

    /// As much of the answer's body as the verdict needs has come.
    pub(super) fn peeked(&mut self, settings: &Settings, peeking: Peeking<R>) -> Next<R> {
        let (head, seen, body, lease) = peeking.finish();
        self.lease = lease;
        self.judge(settings, head, body, &seen)
    }

    fn judge(&mut self, settings: &Settings, head: response::Parts, body: Prefixed<R>, seen: &[u8]) -> Next<R> {
        let now = settings.pool.now();
        let answer = Answer { status: head.status, headers: &head.headers, body: seen, now };
        // A classifier that panics has said nothing about the key.
        let verdict = guarded(|| settings.classify.answer(&answer)).unwrap_or(Verdict::new(Outcome::CallerFault));
        if let Some(lease) = self.lease.as_mut() {
            lease.settle(&verdict, now);
        }
        let plan = self.plan(settings, &verdict, now);
        if plan == Plan::Commit {
            return Next::Done(self.commit(settings, (head, body), &verdict, now));
        }
        let rests = answer::speaks_of_rest(&verdict);
        self.last = self.keep(settings, (head, body), &verdict).map(|answer| (answer, rests));
        match plan {
            Plan::Repeat(pause) => Next::Pause(pause),
            _ => self.seek(settings, now),
        }
    }

    /// The inner service failed. `None`: so does the request.
    pub(super) fn failed(&mut self, settings: &Settings, error: &dyn Any) -> Option<Next<R>> {
        let now = settings.pool.now();
        let verdict = guarded(|| settings.classify.error(error)).unwrap_or(Verdict::new(Outcome::Unreachable));
        let is_unsent = guarded(|| (settings.never_sent)(error)).unwrap_or(false);
        let verdict = if is_unsent { verdict.unprocessed() } else { verdict };
        if let Some(mut lease) = self.lease.take() {
            lease.settle(&verdict, now);
        }
        match self.plan(settings, &verdict, now) {
            Plan::Commit => None,
            Plan::Rotate => Some(self.seek(settings, now)),
            Plan::Repeat(pause) => Some(Next::Pause(pause)),
        }
    }

    fn plan(&mut self, settings: &Settings, verdict: &Verdict, now: Timestamp) -> Plan {
        let pool = &settings.pool;
        if self.head.is_none() || !self.replay.possible() {
            return Plan::Commit;
        }
        let repeatable = match (verdict.outcome, verdict.fault()) {
            (_, Some(Fault::Key)) if pool.may_fail_over(&self.tried) => return Plan::Rotate,
            (Outcome::Overloaded, _) => true,
            (Outcome::Failed, _) => settings.retry_failures,
            (Outcome::Unreachable, _) => !verdict.processed,
            _ => false,
        };
        if repeatable && self.repeats < MOST_REPEATS && pool.may_repeat(&self.tried, now) {
            self.repeats += 1;
            return Plan::Repeat(backoff(self.repeats, now));
        }
        Plan::Commit
    }

    /// The caller gets this answer.
    fn commit(
        &mut self,
        settings: &Settings,
        answer: (response::Parts, Prefixed<R>),
        verdict: &Verdict,
        now: Timestamp,
    ) -> Response<ResponseBody<R>> {
        if matches!(verdict.fault(), Some(Fault::Key | Fault::Service)) {
            settings.pool.give_up(now);
        }
        match self.keep(settings, answer, verdict) {
            Some(mut response) if answer::speaks_of_rest(verdict) => {
                answer::retry_after(&mut response, &settings.pool.exhausted(now), now);
                response
            }
            Some(response) => response,
            None => Refusal::exhausted(&settings.pool.exhausted(now), now).response(settings.pool.provider()),
        }
    }

    /// The answer as a caller may have it, holding the lease if it is a good one; `None` if it speaks of our key.
    fn keep(
        &mut self,
        settings: &Settings,
        (mut head, body): (response::Parts, Prefixed<R>),
        verdict: &Verdict,
    ) -> Option<Response<ResponseBody<R>>> {
        let lease = self.lease.take()?;
        if answer::speaks_of_key(head.status, verdict) {
            return None;
        }
        if let Err(refusal) = answer::clean(settings, &mut head, &lease) {
            return Some(refusal.response(settings.pool.provider()));
        }
        let served = Served { key: lease.key_id(), attempts: self.tried.count() as u32, waited: self.waited };
        if settings.annotate {
            head.extensions.insert(served);
        }
        let watch = Watch::new(&head.headers, &settings.classify);
        let scrubber = settings.scrub.then(|| lease.scrubber());
        let body = ResponseBody::served_by(body, lease, served).watched(watch).scrubbed(scrubber);
        Some(Response::from_parts(head, body))
    }

    /// No key is left: this request's own last answer, or one of ours. What the pool can promise is asked for last: an
    /// outage gives keys back.
    fn concede(&mut self, settings: &Settings, now: Timestamp) -> Response<ResponseBody<R>> {
        if self.tried.count() > 0 {
            settings.pool.give_up(now);
        }
        let exhausted = settings.pool.exhausted(now);
        match self.last.take() {
            Some((mut last, rests)) => {
                if rests {
                    answer::retry_after(&mut last, &exhausted, now);
                }
                last
            }
            None => Refusal::exhausted(&exhausted, now).response(settings.pool.provider()),
        }
    }
}

/// A pause before the `repeat`th repeat: up to 200 ms, then up to 400 ms, drawn by the clock's lowest digits, which no
/// two requests share.
fn backoff(repeat: u32, now: Timestamp) -> Duration {
    let longest = 100_u64 << repeat.min(6);
    Duration::from_millis(now.nanos().wrapping_mul(0x9E37_79B9_7F4A_7C15) % longest)
}
