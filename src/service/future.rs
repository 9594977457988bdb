//! The way of one request: inspect, wait for a key, make ready, call, peek, judge; then commit the answer or go round
//! again. What each turn means is decided in `job` and `judge`; here it is polled.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::BoxError;
use super::body::ResponseBody;
use super::job::{Job, Next};
use super::layer::Settings;
use super::peeking::Peeking;
use super::prepare::{Route, prepare};
use super::replay::ReplayBody;
use crate::clock::Timestamp;
use crate::pool::Waiting;

pin_project! {
    /// The answer to come. See the [module](super) for what happens on the way. Polled again after it has answered, it
    /// stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<ReplayBody<B>>>,
        R: Body,
    {
        settings: Arc<Settings>,
        #[pin]
        way: Way<S, B, R>,
    }
}

pin_project! {
    #[project = WayProj]
    enum Way<S, B, R>
    where
        S: Service<Request<ReplayBody<B>>>,
        R: Body,
    {
        // There is an answer, or there was.
        Done { answer: Option<Response<ResponseBody<R>>> },
        // To another origin, untouched.
        Pass { #[pin] future: S::Future },
        // Through the pool.
        Serve {
            job: Job<B, R>,
            inner: Inner<S, S::Error>,
            #[pin]
            stage: Stage<S::Future, R>,
        },
    }
}

/// The client, and what it said last.
struct Inner<S, E> {
    /// Serves every attempt but a first one that finds a key at once.
    spare: Option<S>,
    /// The error of the latest attempt, for the caller if there is no other.
    failure: Option<E>,
}

impl<S, E> Inner<S, E> {
    fn new(spare: Option<S>) -> Self {
        Self { spare, failure: None }
    }

    /// Keeps an error that may still be made good: `next` says how.
    fn failed<N>(&mut self, next: Option<N>, error: E) -> Result<N, E> {
        let Some(next) = next else { return Err(error) };
        self.failure = Some(error);
        Ok(next)
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, R: Body> {
        // The body is read as far as the demand needs it.
        Inspect,
        // The body is read for whoever may change it.
        Collect,
        // No key is free.
        Wait { #[pin] waiting: Waiting, since: Timestamp },
        // A repeat takes a breath.
        Pause { #[pin] sleep: Sleep },
        // There is a key; is the inner service ready?
        Ready,
        // On the way to the provider.
        Call { #[pin] future: F },
        // The beginning of the answer's body is read as far as the verdict needs it.
        Peek { peeking: Option<Peeking<R>>, #[pin] sleep: Option<Sleep> },
        Over,
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: 'static,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    /// `inner` has been polled ready.
    pub(super) fn new(inner: &mut S, settings: &Arc<Settings>, request: Request<B>) -> Self {
        let (mut head, body) = request.into_parts();
        let way = match prepare(settings, &mut head) {
            Err(refusal) => own(inner, refusal.response(settings.pool.provider())),
            Ok(Route::Pass) => {
                let future = inner.call(Request::from_parts(head, ReplayBody::pass(body)));
                Way::Pass { future }
            }
            Ok(Route::Serve(party, now)) => serve(inner, settings, Job::begin(settings, (head, body), party, now)),
        };
        Self { settings: Arc::clone(settings), way }
    }
}

/// Begins to serve a request. If a key is free at once, the service that was polled ready takes the first attempt.
fn serve<S, B, R>(inner: &mut S, settings: &Settings, (mut job, next): (Job<B, R>, Next<R>)) -> Way<S, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    if let Next::Done(answer) = next {
        return own(inner, answer);
    }
    // Asked once: a key may come at any time, and who keeps a head for another attempt needs a client for it.
    let repeats = job.can_repeat(settings);
    let spare = repeats.then(|| inner.clone());
    if matches!(next, Next::Ready)
        && let Some(request) = job.outgoing(settings, repeats)
    {
        let future = inner.call(request);
        return Way::Serve { job, inner: Inner::new(spare), stage: Stage::Call { future } };
    }
    Way::Serve { job, inner: Inner::new(Some(unready(inner))), stage: next.into() }
}

/// An answer of our own, for which nobody is called.
fn own<S, B, R>(inner: &mut S, answer: Response<ResponseBody<R>>) -> Way<S, B, R>
where
    S: Service<Request<ReplayBody<B>>> + Clone,
    R: Body,
{
    unready(inner);
    Way::Done { answer: Some(answer) }
}

/// Gives up the readiness of a service: what it has reserved goes back, and a fresh clone takes its place.
fn unready<S: Clone>(service: &mut S) -> S {
    let fresh = service.clone();
    *service = fresh.clone();
    fresh
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: 'static,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.way.project() {
            WayProj::Done { answer } => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            WayProj::Pass { future } => future.poll(cx).map_ok(|answer| answer.map(ResponseBody::pass)),
            WayProj::Serve { job, inner, mut stage } => {
                let answer = ready!(poll_stages(this.settings, job, inner, stage.as_mut(), cx));
                stage.set(Stage::Over);
                Poll::Ready(answer)
            }
        }
    }
}

fn poll_stages<S, B, R>(
    settings: &Settings,
    job: &mut Job<B, R>,
    inner: &mut Inner<S, S::Error>,
    mut stage: Pin<&mut Stage<S::Future, R>>,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<ResponseBody<R>>, S::Error>>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>>,
    S::Error: 'static,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    loop {
        let next = match stage.as_mut().project() {
            StageProj::Inspect => ready!(job.poll_inspect(settings, cx)),
            StageProj::Collect => ready!(job.poll_collect(settings, cx)),
            StageProj::Wait { waiting, since } => job.waited(settings, ready!(waiting.poll(cx)), *since),
            StageProj::Pause { sleep } => {
                ready!(sleep.poll(cx));
                job.seek(settings, settings.pool.now())
            }
            StageProj::Ready => {
                let (Some(service), true) = (inner.spare.as_mut(), job.is_armed()) else { return Poll::Pending };
                ready!(service.poll_ready(cx))?;
                let repeats = job.can_repeat(settings);
                if let Some(request) = job.outgoing(settings, repeats) {
                    inner.failure = None;
                    let future = service.call(request);
                    stage.set(Stage::Call { future });
                }
                continue;
            }
            StageProj::Call { future } => match ready!(future.poll(cx)) {
                Ok(answer) => job.answered(settings, answer),
                Err(error) => inner.failed(job.failed(settings, &error), error)?,
            },
            StageProj::Peek { peeking, sleep } => {
                ready!(poll_peek(peeking.as_mut(), sleep, cx));
                let Some(peeking) = peeking.take() else { return Poll::Pending };
                job.peeked(settings, peeking)
            }
            StageProj::Over => return Poll::Pending,
        };
        match next {
            // An error that no other key could make good comes first: what we would say instead is less true.
            Next::Done(answer) => return Poll::Ready(inner.failure.take().map_or(Ok(answer), Err)),
            next => stage.set(next.into()),
        }
    }
}

/// Ready when enough of the body has come, or when it has taken too long. The timer is set only if there is something to
/// wait for.
fn poll_peek<R: Body + Unpin>(
    peeking: Option<&mut Peeking<R>>,
    mut sleep: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if peeking.is_none_or(|peeking| peeking.poll(cx).is_ready()) {
        return Poll::Ready(());
    }
    if sleep.is_none() {
        sleep.set(Some(tokio::time::sleep(Peeking::<R>::PATIENCE)));
    }
    sleep.as_pin_mut().map_or(Poll::Ready(()), |sleep| sleep.poll(cx))
}

impl<F, R: Body> From<Next<R>> for Stage<F, R> {
    fn from(next: Next<R>) -> Self {
        match next {
            Next::Inspect => Self::Inspect,
            Next::Collect => Self::Collect,
            Next::Wait(waiting, since) => Self::Wait { waiting, since },
            Next::Pause(pause) => Self::Pause { sleep: sleep(pause) },
            Next::Ready => Self::Ready,
            Next::Peek(peeking) => Self::Peek { peeking: Some(peeking), sleep: None },
            Next::Done(_) => Self::Over,
        }
    }
}

impl<S, B, R> std::fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
