//! One request on its way through the pool: what it asks for, what it has tried, and what is needed to send it again.
//! What its answers mean for it is in `judge`.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response, Uri};
use http_body::Body;

use super::body::ResponseBody;
use super::follow;
use super::hygiene;
use super::layer::Settings;
use super::party::Party;
use super::peeking::Peeking;
use super::refusal::Refusal;
use super::replay::{Ahead, Replay, ReplayBody, split};
use super::{BoxError, Deadline};
use crate::clock::Timestamp;
use crate::demand::{Demand, Inspect, Inspection};
use crate::guard::guarded;
use crate::origin::Origin;
use crate::pool::{Exhausted, Lease, Tried, Waiting};
use crate::subnet::Subnet;

/// The reason when there is none: the inspector panicked.
const NOT_JUDGED: &str = "the request could not be judged";

/// Everything about a request that outlives one attempt.
pub(super) struct Job<B, R: Body> {
    pub(super) demand: Demand,
    /// Whether the application said that itself.
    is_said: bool,
    /// How much of the body the inspector wants to see.
    looked: usize,
    pub(super) tried: Tried,
    pub(super) lease: Option<Lease>,
    /// On whose behalf, in a commune.
    pub(super) party: Option<Party>,
    /// Whether its answer may be a response that others follow, and somebody wants to know.
    pub(super) may_be_followed: bool,
    /// Until when it may wait for a key, once it has looked for one: what its body takes to come is not waiting.
    deadline: Option<Timestamp>,
    pub(super) waited: Duration,
    pub(super) repeats: u32,
    /// How many keys may not use its model.
    pub(super) forbidden: u32,
    /// The head without a credential. Gone once the last possible attempt is under way.
    pub(super) head: Option<Parts>,
    /// Where the next attempt goes, if its key has an origin of its own.
    target: Option<Uri>,
    /// The body of the next attempt.
    body: Option<ReplayBody<B>>,
    pub(super) replay: Replay<B>,
    /// The answer to give if no key comes free, its own given back, and whether it speaks of a rest.
    pub(super) last: Option<(Response<ResponseBody<R>>, bool)>,
}

/// Where a request goes from here.
pub(super) enum Next<R: Body> {
    Inspect,
    Collect,
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
    /// Finds out what a request asks for, if its head tells, and looks for a key.
    pub(super) fn begin(
        settings: &Settings,
        (mut head, body): (Parts, B),
        party: Option<Party>,
        now: Timestamp,
    ) -> (Self, Next<R>) {
        let said = head.extensions.remove();
        let found = ask(settings, said.is_some(), |inspect| inspect.inspect(&head, None));
        let looked = match found {
            Inspection::NeedsBody(bound) => Some(bound.min(settings.limits.per_request())),
            _ => None,
        };
        let mut job = Self::new(settings, (head, body), party, (said, looked));
        let next = if looked.is_some() { Next::Inspect } else { job.inspected(settings, found, now) };
        (job, next)
    }

    fn new(
        settings: &Settings,
        (head, body): (Parts, B),
        party: Option<Party>,
        (said, looked): (Option<Demand>, Option<usize>),
    ) -> Self {
        // Nobody sends it again and nobody looks into it: then it only passes through.
        let passes = !has_choice(settings, party.as_ref()) && looked.is_none() && settings.rewrites.is_empty();
        let (body, replay) = if passes { Replay::never(body) } else { split(body, &settings.limits) };
        Self {
            is_said: said.is_some(),
            demand: said.unwrap_or_default(),
            looked: looked.unwrap_or_default(),
            tried: Tried::default(),
            lease: None,
            party,
            may_be_followed: settings.follow_responses && follow::may_be_followed(&head),
            deadline: None,
            waited: Duration::ZERO,
            repeats: 0,
            forbidden: 0,
            head: Some(head),
            target: None,
            body: Some(body),
            replay,
            last: None,
        }
    }

    /// Finds out what the request asks for, once as much of its body is there as that takes, and looks for a key.
    pub(super) fn poll_inspect(&mut self, settings: &Settings, cx: &mut Context<'_>) -> Poll<Next<R>> {
        let body = match ready!(self.replay.poll_ahead(cx, self.looked)) {
            Ahead::Whole(body) => Some(body),
            Ahead::Beyond => None,
            Ahead::NoRoom => return Poll::Ready(Next::Done(Refusal::NoRoom.response(settings.pool.provider()))),
        };
        let found = self.head.as_ref().map_or_else(nothing, |head| {
            ask(settings, self.is_said, |inspect| match &body {
                Some(body) => inspect.inspect(head, Some(body)),
                None => inspect.too_long(head),
            })
        });
        Poll::Ready(self.inspected(settings, found, settings.pool.now()))
    }

    /// Goes on with what an inspection came to. What the application said itself counts for more, but for a refusal.
    fn inspected(&mut self, settings: &Settings, found: Inspection, now: Timestamp) -> Next<R> {
        match found {
            Inspection::Refuse(reason) => {
                return Next::Done(Refusal::Denied(reason).response(settings.pool.provider()));
            }
            Inspection::Demand(demand) if !self.is_said => self.demand = demand,
            Inspection::Demand(_) | Inspection::NeedsBody(_) => (),
        }
        if let Some(party) = &self.party {
            self.demand = std::mem::take(&mut self.demand).caller(party.caller());
        }
        if self.must_collect(settings) { Next::Collect } else { self.seek(settings, now) }
    }

    /// Looks for a key: takes it, waits for it, or gives up.
    pub(super) fn seek(&mut self, settings: &Settings, now: Timestamp) -> Next<R> {
        if self.party.as_ref().is_some_and(|party| !self.may_share(settings, party)) {
            return self.seek_own(settings, now);
        }
        let deadline = self.deadline(settings, now);
        match settings.pool.checkout(&self.demand, &mut self.tried, now) {
            Ok(lease) => self.hold(settings, lease, now),
            Err(exhausted) if self.party.is_none() && !exhausted.unserved && exhausted.is_worth_waiting(deadline) => {
                Next::Wait(settings.pool.wait(&self.demand, &self.tried, deadline), now)
            }
            Err(exhausted) if exhausted.unserved && self.party.is_none() => {
                Next::Done(self.refuse_model(settings, now))
            }
            Err(_) => self.seek_own(settings, now),
        }
    }

    /// Counted from when it first looks for a key.
    fn deadline(&mut self, settings: &Settings, now: Timestamp) -> Timestamp {
        let said = self.head.as_ref().and_then(|head| head.extensions.get::<Deadline>());
        let patience = said.map_or(settings.max_wait, |deadline| deadline.0);
        let deadline = if patience.is_zero() { Timestamp::ZERO } else { now + patience };
        *self.deadline.get_or_insert(deadline)
    }

    /// No key serves the model: what the provider has said about that, or what we say.
    fn refuse_model(&mut self, settings: &Settings, now: Timestamp) -> Response<ResponseBody<R>> {
        if self.last.is_some() {
            return self.concede(settings, now);
        }
        Refusal::unknown_model(self.demand.model_name().unwrap_or_default()).response(settings.pool.provider())
    }

    /// The caller's own key, in a commune and if it was not tried yet; else there is none left.
    fn seek_own(&mut self, settings: &Settings, now: Timestamp) -> Next<R> {
        let own = self.party.as_ref().and_then(|party| party.own(&settings.pool, &mut self.tried, now));
        match own {
            Some(lease) => self.hold(settings, lease, now),
            None => Next::Done(self.concede(settings, now)),
        }
    }

    /// Whether the next attempt may be made with somebody else's key.
    fn may_share(&self, settings: &Settings, party: &Party) -> bool {
        party.shares() && (self.tried.count() == 0 || settings.pool.may_fail_over(&self.tried))
    }

    /// The waiting is over.
    pub(super) fn waited(&mut self, settings: &Settings, lease: Result<Lease, Exhausted>, since: Timestamp) -> Next<R> {
        let now = settings.pool.now();
        self.waited += now - since;
        match lease {
            Ok(mut lease) => {
                lease.begin(&mut self.tried, now);
                self.hold(settings, lease, now)
            }
            Err(_) => Next::Done(self.concede(settings, now)),
        }
    }

    /// A key is of use only with a body to send, and a place to send it to: what could not be kept cannot be sent again.
    fn hold(&mut self, settings: &Settings, mut lease: Lease, now: Timestamp) -> Next<R> {
        if let Some(party) = &mut self.party {
            party.note(&mut lease);
        }
        if let Some(subnet) = self.head.as_ref().and_then(|head| head.extensions.get::<Subnet>()) {
            lease.note_client(*subnet);
        }
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
    /// What is kept if there may be a repeat is the copy, which has no room for another header; the key goes where one was taken out.
    pub(super) fn outgoing(&mut self, settings: &Settings, repeats: bool) -> Option<Request<ReplayBody<B>>> {
        self.last = None;
        let kept = if repeats { self.head.clone() } else { None };
        let mut head = std::mem::replace(&mut self.head, kept)?;
        if let Some(target) = self.target.take() {
            head.uri = target;
        }
        let lease = self.lease.as_ref()?;
        if lease.is_foreign() && self.party.is_some() {
            hygiene::foreign_request(&mut head.headers, &settings.pool.allowed().requests);
        }
        let changed = self.rewritten(settings, &mut head, lease);
        settings.pool.slot().put(&mut head, lease.value());
        let body = self.body.take()?;
        self.replay.begin();
        Some(Request::from_parts(head, changed.unwrap_or(body)))
    }

    /// Whether there may be another attempt: then the head and a client for it are kept.
    pub(super) fn can_repeat(&self, settings: &Settings) -> bool {
        has_choice(settings, self.party.as_ref()) && self.replay.possible()
    }
}

/// Whether there is more than one key that the request may be sent with.
fn has_choice(settings: &Settings, party: Option<&Party>) -> bool {
    settings.pool.has_choice() && party.is_none_or(Party::shares)
}

/// What the inspector finds. One that panics finds nothing, unless it is there to refuse.
fn ask(settings: &Settings, is_said: bool, question: impl FnOnce(&dyn Inspect) -> Inspection) -> Inspection {
    let Some(inspect) = settings.inspect.as_deref() else { return nothing() };
    let may_refuse = guarded(|| inspect.may_refuse()).unwrap_or(true);
    if is_said && !may_refuse {
        return nothing();
    }
    let otherwise = || if may_refuse { Inspection::Refuse(NOT_JUDGED.into()) } else { nothing() };
    guarded(|| question(inspect)).unwrap_or_else(otherwise)
}

fn nothing() -> Inspection {
    Inspection::Demand(Demand::default())
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tower::Layer;

    use super::*;
    use crate::pool::{Key, KeyPool};
    use crate::provider::Provider;
    use crate::rewrite::Attempt;
    use crate::service::KeyCommuneLayer;

    /// It would keep its head for an attempt that there is no client for, and wait for ever.
    #[test]
    fn a_key_that_comes_while_the_last_attempt_sets_out_comes_too_late() {
        let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789"]).unwrap();
        let layer = KeyCommuneLayer::new(pool.clone()).rewrite(|_: &Parts, _: &[u8], _: &Attempt<'_>| None);
        let settings = layer.layer(()).settings;
        let request = Request::post("https://api.openai.com/v1/chat/completions").body(Full::<Bytes>::from("x"));
        let (mut job, _) = Job::begin(&settings, request.unwrap().into_parts(), None, pool.now());
        let repeats = job.can_repeat(&settings);
        pool.add(Key::new("sk-two-0123456789").unwrap()).unwrap();
        assert!(!repeats && job.can_repeat(&settings));
        assert!(job.outgoing(&settings, repeats).is_some());
        let refused = Response::builder().status(401).body(Full::<Bytes>::default()).unwrap();
        let next = match job.answered(&settings, refused) {
            Next::Peek(peeking) => job.peeked(&settings, peeking),
            next => next,
        };
        assert!(matches!(next, Next::Done(_)));
    }
}
