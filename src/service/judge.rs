//! What an answer means for its request: the caller gets it, another key is asked, or it is asked again a little later.

use std::any::Any;
use std::time::Duration;

use http::{Response, StatusCode, response};
use http_body::Body;

use super::answer::{self, Owner};
use super::body::ResponseBody;
use super::job::{Job, Next};
use super::layer::Settings;
use super::party::Party;
use super::peek::Prefixed;
use super::peeking::Peeking;
use super::refusal::Refusal;
use super::watch::Watch;
use super::{BoxError, Served};
use crate::classify::{Answer, Peek};
use crate::clock::Timestamp;
use crate::guard::guarded;
use crate::hint;
use crate::outcome::{Fault, Outcome, Verdict};
use crate::pool::Lease;

/// Repeats after the first attempt that the provider may have processed, or that rest nobody (I23).
const MOST_REPEATS: u32 = 2;

/// Keys that may refuse a request's model before that is believed of all: "no such model" and "not for this key" are the same
/// words.
const MOST_FORBIDDEN: u32 = 3;

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
        match self.look_for(settings, &head) {
            Peek::Nothing => self.judge(settings, head, Prefixed::from(body), &[]),
            peek => Next::Peek(Peeking::new((head, body), peek, self.lease.take(), &settings.classify)),
        }
    }

    /// How much of the answer's body the verdict needs.
    fn look_for(&self, settings: &Settings, head: &response::Parts) -> Peek {
        let peek = guarded(|| settings.classify.peek(head.status, &head.headers)).unwrap_or(Peek::Nothing);
        let party = self.party.as_ref().and(self.lease.as_ref());
        let wants_body = peek == Peek::Nothing && party.is_some_and(|lease| Party::wants_body(lease, head));
        if wants_body { Peek::Body } else { peek }
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
            if self.party.is_some() {
                Party::doubt(lease, &head, seen);
            }
            lease.settle(&verdict, now);
            if settings.heed
                && verdict.outcome == Outcome::Accepted
                && let Some(left) = hint::left(&head.headers, now)
            {
                lease.heed(&left, now);
            }
            if let Some(party) = &mut self.party {
                party.weigh(&settings.pool, lease, (head.status, &verdict), now);
            }
        }
        let plan = self.plan(settings, Some(head.status), &verdict, now);
        if plan == Plan::Commit {
            return Next::Done(self.commit(settings, (head, body), &verdict, now));
        }
        let rests = answer::speaks_of_rest(&verdict);
        self.last =
            self.keep(settings, (head, body), &verdict).map(|answer| (answer.map(ResponseBody::released), rests));
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
        if let Some(lease) = self.lease.as_mut() {
            lease.settle(&verdict, now);
        }
        let plan = self.plan(settings, None, &verdict, now);
        self.lease = None;
        match plan {
            Plan::Commit => None,
            Plan::Rotate => Some(self.seek(settings, now)),
            Plan::Repeat(pause) => Some(Next::Pause(pause)),
        }
    }

    fn plan(&mut self, settings: &Settings, status: Option<StatusCode>, verdict: &Verdict, now: Timestamp) -> Plan {
        let pool = &settings.pool;
        if self.head.is_none() || !self.replay.possible() {
            return Plan::Commit;
        }
        let party = self.party.as_ref().zip(self.lease.as_ref());
        if let Some(goes_on) = party.and_then(|(party, lease)| party.goes_on(lease, status, verdict)) {
            return if goes_on { Plan::Rotate } else { Plan::Commit };
        }
        // Nobody is to have all keys asked for a model that does not exist.
        self.forbidden += u32::from(verdict.outcome == Outcome::Forbidden);
        if self.forbidden >= MOST_FORBIDDEN {
            return Plan::Commit;
        }
        let repeatable = match (verdict.outcome, verdict.fault()) {
            (_, Some(Fault::Key)) if pool.may_fail_over(&self.tried) => return Plan::Rotate,
            (Outcome::Overloaded, _) => true,
            (Outcome::Failed, _) => settings.retry_failures,
            (Outcome::Unreachable | Outcome::CallerFault, _) => !verdict.processed,
            _ => false,
        };
        if repeatable && self.repeats < MOST_REPEATS && pool.may_repeat(&self.demand, &self.tried, now) {
            self.repeats += 1;
            return Plan::Repeat(backoff(self.repeats, pool.draw()));
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
        // What the provider says about a caller's own key is truer for that caller than what the pool knows.
        let own = self.lease.as_ref().is_some_and(|lease| self.owner(lease) == Owner::Caller);
        let speaks_of_rest = answer::speaks_of_rest(verdict) && !own;
        match self.keep(settings, answer, verdict) {
            Some(mut response) if speaks_of_rest => {
                answer::retry_after(&mut response, &settings.pool.exhausted(&self.demand, now), now);
                response
            }
            Some(response) => response,
            None => {
                Refusal::exhausted(&settings.pool.exhausted(&self.demand, now), now).response(settings.pool.provider())
            }
        }
    }

    /// Whose key a lease is on.
    fn owner(&self, lease: &Lease) -> Owner {
        match &self.party {
            None => Owner::Pool,
            Some(_) if lease.is_foreign() => Owner::Another,
            Some(_) => Owner::Caller,
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
        let owner = self.owner(&lease);
        if answer::is_withheld(owner, head.status, verdict) {
            return None;
        }
        // Made once for head and body: for a newcomer that takes microseconds.
        let scrubber = (settings.scrub || owner == Owner::Another).then(|| lease.scrubber());
        if let Err(refusal) = answer::clean(settings.pool.allowed(), &mut head, owner, scrubber.as_ref()) {
            return Some(refusal.response(settings.pool.provider()));
        }
        let served = Served { key: lease.key_id(), attempts: self.tried.count() as u32, waited: self.waited };
        if settings.annotate {
            head.extensions.insert(served);
        }
        let watch = Watch::new(&head.headers, &settings.classify);
        let meter = if settings.usage { answer::meter(&head) } else { None };
        let follow = if self.may_be_followed { answer::follow(&head) } else { None };
        let body = ResponseBody::served_by(body, lease, served).watched(watch).metered(meter).followed(follow);
        let body = body.scrubbed(scrubber);
        let body = if owner == Owner::Another { body.without_trailers() } else { body };
        Some(Response::from_parts(head, body))
    }

    /// No key is left: this request's own last answer, or one of ours. What the pool can promise is asked for last: an
    /// outage gives keys back.
    pub(super) fn concede(&mut self, settings: &Settings, now: Timestamp) -> Response<ResponseBody<R>> {
        if self.tried.count() > 0 {
            settings.pool.give_up(now);
        }
        let exhausted = settings.pool.exhausted(&self.demand, now);
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

/// A pause before the `repeat`th repeat: up to 200 ms, then up to 400 ms, at random, so that requests that failed
/// together do not come back together.
fn backoff(repeat: u32, random: u64) -> Duration {
    let longest = 100_u64 << repeat.min(6);
    Duration::from_millis(random % longest)
}
