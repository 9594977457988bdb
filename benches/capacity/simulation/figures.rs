//! What came out of a run.

use std::time::Duration;

use http::StatusCode;

use super::clients::Answer;
use super::load::{MEAN_TOKENS, Work};
use super::provider::{Tally, Terms};
use super::{DEADLINE, MINUTE};

/// A refusal that takes longer has been waited for.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a request met that came back when a refusal had told it to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Return {
    pub(crate) found: bool,
    pub(crate) promised: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) served: u64,
    /// 429 that callers saw.
    pub(crate) throttled: u64,
    /// Other answers that are none.
    pub(crate) failed: u64,
    /// Refusals that came at once.
    pub(crate) at_once: u64,
    /// Requests that were served after their deadline.
    pub(crate) late: u64,
    /// Those that came back when a refusal had told them to, and how many of them were served.
    came_back: u64,
    found: u64,
    /// How many of them would have met a key with room, if nobody had come after them.
    promised: u64,
    /// How long those that were served had waited beyond the provider's own time, sorted.
    waits: Vec<Duration>,
    pub(crate) tally: Tally,
    span: Duration,
    keys: usize,
    requests_limit: u64,
    tokens_limit: u64,
}

impl Figures {
    pub(crate) fn new(keys: usize, span: Duration, terms: &Terms) -> Self {
        Self { keys, span, requests_limit: terms.requests, tokens_limit: terms.tokens, ..Self::default() }
    }

    pub(crate) fn note(&mut self, work: &Work, answer: Answer, took: Duration) {
        self.requests += 1;
        if answer.status.is_success() {
            let wait = took.saturating_sub(work.latency);
            self.served += 1;
            self.late += u64::from(wait > DEADLINE);
            self.waits.push(wait);
        } else if answer.status == StatusCode::TOO_MANY_REQUESTS {
            self.throttled += 1;
            self.at_once += u64::from(took <= AT_ONCE);
        } else {
            self.failed += 1;
        }
    }

    pub(crate) fn note_return(&mut self, back: Return) {
        self.came_back += 1;
        self.found += u64::from(back.found);
        self.promised += u64::from(back.promised);
    }

    pub(crate) fn finish(mut self, tally: Tally) -> Self {
        self.waits.sort_unstable();
        self.tally = tally;
        self
    }

    pub(crate) fn success(&self) -> f64 {
        share(self.served, self.requests)
    }

    /// Good answers a minute.
    pub(crate) fn throughput(&self) -> f64 {
        self.tally.served as f64 / self.minutes()
    }

    /// The share of the sum of limits that was used, of requests or of tokens, whichever is more.
    pub(crate) fn used(&self) -> f64 {
        let requests = (self.tally.served + self.tally.failed) as f64 / self.requests_limit as f64;
        let tokens = self.tally.tokens as f64 / self.tokens_limit as f64;
        requests.max(tokens) / self.minutes() / self.keys as f64
    }

    /// The share of calls that were refused.
    pub(crate) fn wasted(&self) -> f64 {
        share(self.tally.refused, self.tally.calls)
    }

    /// Refusals that came only after a wait.
    pub(crate) fn refused_late(&self) -> u64 {
        self.throttled - self.at_once
    }

    /// The share of refusals that told the truth, as far as it could be known: after so long a key would have had room,
    /// once all who waited had been served, if nobody else had come. `None` if nobody was refused.
    pub(crate) fn truthful(&self) -> Option<f64> {
        (self.came_back > 0).then(|| share(self.promised, self.came_back))
    }

    /// The share of those who came back when they were told to that were served, among all who had come meanwhile.
    pub(crate) fn found(&self) -> Option<f64> {
        (self.came_back > 0).then(|| share(self.found, self.came_back))
    }

    /// The wait that so great a share of those who were served had not to exceed.
    pub(crate) fn wait(&self, quantile: f64) -> Duration {
        let index = (self.waits.len() as f64 * quantile) as usize;
        self.waits.get(index).or(self.waits.last()).copied().unwrap_or_default()
    }

    fn minutes(&self) -> f64 {
        self.span.as_secs_f64() / MINUTE.as_secs_f64()
    }
}

/// How many requests a minute one key can serve.
pub(crate) fn rate(terms: &Terms) -> f64 {
    (terms.requests as f64).min(terms.tokens as f64 / MEAN_TOKENS)
}

pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
