//! A provider that limits its keys.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};
use tower::Service;

use super::limit::{Counting, Limit};
use super::load::Work;

/// How long a refusal takes.
const REFUSAL: Duration = Duration::from_millis(50);
const GOOD: &str = r#"{"id":"chatcmpl-1","choices":[]}"#;
const REFUSED: &str = r#"{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}"#;
const FAILED: &str = r#"{"error":{"message":"The server had an error","type":"server_error"}}"#;

/// What a provider tells of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// `x-ratelimit-*` on every answer, and `Retry-After` on refusals.
    Everything,
    /// `Retry-After` on refusals.
    Refusals,
    Nothing,
}

/// What a key may do in a minute, and how the provider behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) counting: Counting,
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    pub(crate) tells: Tells,
    /// The share of requests that meet a 500.
    pub(crate) faults: f64,
}

/// What the provider saw within the time that is measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) served: u64,
    pub(crate) tokens: u64,
}

/// What the provider knows of a key.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    requests: Limit,
    tokens: Limit,
}

impl Account {
    pub(crate) fn new(terms: &Terms) -> Self {
        // A bucket that holds less than a minute would be too small for some requests' tokens.
        let tokens = match terms.counting {
            Counting::Bucket(_) => Counting::Bucket(super::MINUTE),
            counting => counting,
        };
        Self { requests: Limit::new(terms.counting, terms.requests), tokens: Limit::new(tokens, terms.tokens) }
    }

    /// When the work fits, if nothing else is taken before.
    pub(crate) fn fits_at(&mut self, work: &Work, now: Duration) -> Duration {
        self.requests.fits_at(1, now).max(self.tokens.fits_at(work.tokens, now))
    }

    pub(crate) fn take(&mut self, work: &Work, now: Duration) {
        self.requests.take(1, now);
        self.tokens.take(work.tokens, now);
    }

    pub(crate) fn left(&self) -> u64 {
        self.requests.left()
    }

    fn tell(&self, headers: &mut HeaderMap) {
        for (limit, left, reset) in [
            (&self.requests, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
            (&self.tokens, "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ] {
            headers.insert(left, limit.left().into());
            let whole = format!("{}ms", limit.whole_in().as_millis());
            headers.insert(reset, HeaderValue::from_str(&whole).unwrap());
        }
    }
}

#[derive(Debug)]
struct Books {
    accounts: HashMap<HeaderValue, Account>,
    chance: StdRng,
    tally: Tally,
    /// Requests that are being worked on.
    inside: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Provider {
    terms: Terms,
    start: Instant,
    /// Until when it is measured.
    until: Duration,
    books: Arc<Mutex<Books>>,
}

impl Provider {
    pub(crate) fn new(keys: usize, terms: Terms, until: Duration, seed: u64) -> Self {
        let accounts = (0..keys).map(|number| (bearer(number), Account::new(&terms))).collect();
        let chance = StdRng::seed_from_u64(seed);
        let books = Books { accounts, chance, tally: Tally::default(), inside: 0 };
        Self { terms, start: Instant::now(), until, books: Arc::new(Mutex::new(books)) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.books.lock().unwrap().tally
    }

    pub(crate) fn inside(&self) -> usize {
        self.books.lock().unwrap().inside
    }

    /// When some key has room for the work, if so many like it are sent before, and nothing else.
    pub(crate) fn has_room_at(&self, work: &Work, before: usize) -> Duration {
        let now = self.now();
        let mut accounts: Vec<_> = self.books.lock().unwrap().accounts.values().cloned().collect();
        (0..=before).fold(now, |_, _| {
            let fits = accounts.iter_mut().map(|account| (account.fits_at(work, now), account));
            let (at, account) = fits.min_by_key(|fit| fit.0).expect("there are keys");
            account.take(work, at);
            at
        })
    }

    /// Counts a call, and answers it: with what, and after which time.
    fn answer(&self, key: &HeaderValue, work: &Work) -> (Response<Full<Bytes>>, Duration) {
        let (terms, now) = (&self.terms, self.now());
        let books = &mut *self.books.lock().unwrap();
        let account = books.accounts.get_mut(key).expect("a key");
        let fits_at = account.fits_at(work, now);
        let (mut answer, takes) = if fits_at > now {
            (answer(StatusCode::TOO_MANY_REQUESTS, REFUSED), REFUSAL)
        } else {
            account.take(work, now);
            books.inside += 1;
            let failed = terms.faults > 0.0 && books.chance.random_bool(terms.faults);
            let (status, body) =
                if failed { (StatusCode::INTERNAL_SERVER_ERROR, FAILED) } else { (StatusCode::OK, GOOD) };
            (answer(status, body), work.latency)
        };
        if terms.tells == Tells::Everything {
            account.tell(answer.headers_mut());
        }
        if terms.tells != Tells::Nothing && fits_at > now {
            let wait = fits_at.saturating_sub(now).as_millis().div_ceil(1_000) as u64;
            answer.headers_mut().insert(RETRY_AFTER, wait.into());
        }
        if now < self.until {
            books.tally.note(answer.status(), work);
        }
        (answer, takes)
    }
}

impl Tally {
    fn note(&mut self, status: StatusCode, work: &Work) {
        let refused = status == StatusCode::TOO_MANY_REQUESTS;
        self.calls += 1;
        self.refused += u64::from(refused);
        self.failed += u64::from(status.is_server_error());
        self.served += u64::from(status.is_success());
        self.tokens += if refused { 0 } else { work.tokens };
    }
}

/// The text of the key with this number.
pub(crate) fn key(number: usize) -> String {
    format!("sk-test-{number:08}-abcdefghijklmnopqrstuvwxyz")
}

/// The same as requests carry it.
pub(crate) fn bearer(number: usize) -> HeaderValue {
    HeaderValue::from_str(&format!("Bearer {}", key(number))).unwrap()
}

fn answer(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

impl<B> Service<Request<B>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let work: Work = *request.extensions().get().expect("every request says what it costs");
        let (answer, takes) = self.answer(&request.headers()[AUTHORIZATION], &work);
        let provider = self.clone();
        Box::pin(async move {
            sleep(takes).await;
            provider.books.lock().unwrap().inside -= usize::from(answer.status() != StatusCode::TOO_MANY_REQUESTS);
            Ok(answer)
        })
    }
}
