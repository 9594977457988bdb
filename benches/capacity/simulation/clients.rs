//! Who asks the provider.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use key_commune::clock::{Clock, Timestamp};
use key_commune::demand::Demand;
use key_commune::pool::Limits;
use key_commune::{Key, KeyCommune, KeyCommuneLayer, KeyPool};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};

use super::DEADLINE;
use super::load::Work;
use super::provider::{Account, Provider, Tells, Terms, bearer, key};

/// How often a client without memory tries the next key.
const RETRIES: usize = 3;

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One key, whatever the others could do.
    OneKey,
    /// The next key for each request, and its answer for the caller.
    RoundRobin,
    /// The same, and after a 429 the next key, up to three times.
    Retrying,
    /// This crate, with a provider that tells so much.
    Pool(Tells),
    /// This crate, told what its keys may be asked for.
    Told,
    /// Knows all limits and all that has been used of them.
    Ideal,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::OneKey,
        Self::RoundRobin,
        Self::Retrying,
        Self::Pool(Tells::Nothing),
        Self::Pool(Tells::Refusals),
        Self::Pool(Tells::Everything),
        Self::Told,
        Self::Ideal,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneKey => "one key",
            Self::RoundRobin => "round robin",
            Self::Retrying => "round robin, 3 retries",
            Self::Pool(Tells::Nothing) => "key-commune, 429 only",
            Self::Pool(Tells::Refusals) => "key-commune, Retry-After",
            Self::Pool(Tells::Everything) => "key-commune, all headers",
            Self::Told => "key-commune, limits told",
            Self::Ideal => "ideal",
        }
    }

    /// How many of the keys it uses.
    pub(crate) fn uses(self, keys: usize) -> usize {
        if self == Self::OneKey { 1 } else { keys }
    }

    pub(crate) fn tells(self) -> Tells {
        if let Self::Pool(tells) = self { tells } else { Tells::Refusals }
    }
}

/// What a caller got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
}

impl Answer {
    fn read(status: StatusCode, headers: &HeaderMap) -> Self {
        let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { status, retry_after: seconds.map(Duration::from_secs) }
    }

    pub(crate) fn is_refusal(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

/// A client, with its keys.
#[derive(Clone)]
pub(crate) struct Client {
    provider: Provider,
    keys: usize,
    turn: Arc<AtomicUsize>,
    /// Requests that have no answer yet.
    open: Arc<AtomicUsize>,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Naive { retries: usize },
    Pool(KeyCommune<Provider>),
    Ideal(Arc<Mutex<Vec<Account>>>),
}

impl Client {
    pub(crate) fn new(kind: Kind, keys: usize, provider: Provider, terms: &Terms, seed: u64) -> Self {
        let way = match kind {
            Kind::OneKey | Kind::RoundRobin => Way::Naive { retries: 0 },
            Kind::Retrying => Way::Naive { retries: RETRIES },
            Kind::Pool(_) => Way::Pool(commune(keys, provider.clone(), seed, Limits::default())),
            Kind::Told => Way::Pool(commune(keys, provider.clone(), seed, limits(terms))),
            Kind::Ideal => Way::Ideal(Arc::new(Mutex::new(vec![Account::new(terms); keys]))),
        };
        Self { provider, keys: kind.uses(keys), turn: Arc::default(), open: Arc::default(), way }
    }

    pub(crate) async fn send(&self, work: Work) -> Answer {
        self.open.fetch_add(1, Ordering::Relaxed);
        let answer = match &self.way {
            Way::Naive { retries } => self.naive(work, *retries).await,
            Way::Pool(client) => through(client.clone(), request(work)).await,
            Way::Ideal(accounts) => self.ideal(work, accounts).await,
        };
        self.open.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    /// How long until a key has room for the work, once all who wait have been served, if nobody else comes.
    pub(crate) fn has_room_in(&self, work: &Work) -> Duration {
        let waiting = self.open.load(Ordering::Relaxed).saturating_sub(self.provider.inside());
        self.provider.has_room_at(work, waiting).saturating_sub(self.provider.now())
    }

    async fn naive(&self, work: Work, retries: usize) -> Answer {
        let mut answer = self.with_key(work, self.turn.fetch_add(1, Ordering::Relaxed)).await;
        for _ in 0..retries {
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                answer = self.with_key(work, self.turn.fetch_add(1, Ordering::Relaxed)).await;
            }
        }
        answer
    }

    async fn with_key(&self, work: Work, turn: usize) -> Answer {
        let mut request = request(work);
        request.headers_mut().insert(AUTHORIZATION, bearer(turn % self.keys));
        through(self.provider.clone(), request).await
    }

    /// Reserves the soonest moment at which any key has room; refuses at once if that is beyond the deadline.
    async fn ideal(&self, work: Work, accounts: &Mutex<Vec<Account>>) -> Answer {
        let now = self.provider.now();
        let (number, at) = {
            let mut accounts = accounts.lock().unwrap();
            let fits = accounts.iter_mut().map(|account| (account.fits_at(&work, now), u64::MAX - account.left()));
            let ((at, _), number) = fits.zip(0..).min().unwrap();
            if at > now + DEADLINE {
                let wait = Duration::from_secs(at.saturating_sub(now).as_millis().div_ceil(1_000) as u64);
                return Answer { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(wait) };
            }
            accounts[number].take(&work, at);
            (number, at)
        };
        sleep(at.saturating_sub(now)).await;
        self.with_key(work, number).await
    }
}

async fn through<S, R>(client: S, request: Request<Full<Bytes>>) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body,
{
    let (head, body) = client.oneshot(request).await.unwrap().into_parts();
    drop(body.collect().await);
    Answer::read(head.status, &head.headers)
}

fn request(work: Work) -> Request<Full<Bytes>> {
    let demand = Demand::default().tokens(work.tokens);
    let request = Request::post("https://api.openai.com/v1/chat/completions").extension(work).extension(demand);
    request.body(Full::new(Bytes::from_static(b"{}"))).unwrap()
}

/// This crate: the layer over the provider.
fn commune(count: usize, provider: Provider, seed: u64, limits: Limits) -> KeyCommune<Provider> {
    let keys = (0..count).map(|number| Key::new(key(number)).unwrap());
    let pool = KeyPool::builder(key_commune::Provider::OPENAI).keys(keys).seed(seed).clock(clock());
    let pool = pool.limits(limits).build().unwrap();
    KeyCommuneLayer::new(pool).max_wait(DEADLINE).layer(provider)
}

/// What a pool is told of a provider's terms.
fn limits(terms: &Terms) -> Limits {
    Limits::default().per_minute(u32::try_from(terms.requests).unwrap()).tokens_per_minute(terms.tokens)
}

/// Follows tokio's, which stands still while there is anything to do.
fn clock() -> impl Clock {
    let start = Instant::now();
    move || Timestamp::from_unix(Duration::from_secs(1_700_000_000) + start.elapsed())
}
