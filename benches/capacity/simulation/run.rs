//! One run: a client under a load.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::MINUTE;
use super::clients::{Answer, Client, Kind};
use super::figures::{Figures, Return, rate};
use super::load::{Arrivals, Work, load};
use super::provider::{Provider, Terms};

/// Of so many requests at least one comes back when a refusal tells it to: few enough to add little to the load.
const RETURNS: usize = 20;
/// Among how many in all, about, for it takes time to find out what can be promised.
const MOST_RETURNS: usize = 1_000;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) keys: usize,
    pub(crate) terms: Terms,
    pub(crate) arrivals: Arrivals,
    /// Of the sum of limits.
    pub(crate) load: f64,
    pub(crate) span: Duration,
    pub(crate) seed: u64,
}

/// What became of one request.
struct Done {
    work: Work,
    answer: Answer,
    took: Duration,
    back: Option<Return>,
}

/// Runs it, on a runtime of its own whose time jumps from event to event.
pub(crate) fn run(plan: &Plan) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(play(plan))
}

async fn play(plan: &Plan) -> Figures {
    let terms = Terms { tells: plan.kind.tells(), ..plan.terms };
    let provider = Provider::new(plan.kind.uses(plan.keys), terms, plan.span, plan.seed);
    let client = Client::new(plan.kind, plan.keys, provider.clone(), &terms, plan.seed);
    let start = Instant::now();
    let mut calls = JoinSet::new();
    let mut figures = Figures::new(plan.keys, plan.span, &terms);
    let works = works(plan);
    let returns = (works.len() / MOST_RETURNS).max(RETURNS);
    for (number, work) in works.into_iter().enumerate() {
        sleep_until(start + work.at).await;
        let until = (number % returns == 0).then_some(start + plan.span);
        let client = client.clone();
        calls.spawn(async move { call(&client, work, until).await });
        while let Some(done) = calls.try_join_next() {
            note(&mut figures, &done.unwrap());
        }
    }
    while let Some(done) = calls.join_next().await {
        note(&mut figures, &done.unwrap());
    }
    figures.finish(provider.tally())
}

fn works(plan: &Plan) -> Vec<Work> {
    let minutes = plan.span.as_secs_f64() / MINUTE.as_secs_f64();
    let count = plan.load * rate(&plan.terms) * plan.keys as f64 * minutes;
    load(plan.arrivals, count.round() as usize, plan.span, plan.seed)
}

fn note(figures: &mut Figures, done: &Done) {
    figures.note(&done.work, done.answer, done.took);
    done.back.into_iter().for_each(|back| figures.note_return(back));
}

/// Sends a request, and once more if it is refused and told to come back before `until`.
async fn call(client: &Client, work: Work, until: Option<Instant>) -> Done {
    let begun = Instant::now();
    let answer = client.send(work).await;
    let took = begun.elapsed();
    let back = match until.filter(|_| answer.is_refusal()) {
        Some(until) => come_back(client, work, answer.retry_after, until).await,
        None => None,
    };
    Done { work, answer, took, back }
}

/// What a request meets when it comes back after so long: nothing if it was not told when.
async fn come_back(client: &Client, work: Work, after: Option<Duration>, until: Instant) -> Option<Return> {
    let Some(wait) = after else { return Some(Return::default()) };
    if Instant::now() + wait >= until {
        return None;
    }
    let promised = client.has_room_in(&work) <= wait;
    sleep(wait).await;
    Some(Return { found: !client.send(work).await.is_refusal(), promised })
}
