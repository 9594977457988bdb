//! Pools whose members are their callers' own keys: the rules, and who presents a key.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::extras::Extras;
use super::lease::Lease;
use super::member::Member;
use super::shared::Shared;
use super::tried::Tried;
use super::wish::Wish;
use super::{Key, KeyPool};
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::provider::Provider;
use crate::rate::Rate;
use crate::secret::Secret;

/// How many keys a commune takes unless told otherwise.
pub(super) const MAX_KEYS: usize = 200;

/// The rules of a pool that its callers share. See [`Builder::commune`](super::Builder::commune).
///
/// ```
/// use key_commune::pool::{Commune, KeyPool};
/// use key_commune::provider::Provider;
/// use key_commune::rate::Rate;
/// use std::time::Duration;
///
/// let rules = Commune::default().rate(Rate::new(Duration::from_secs(2)).burst(5));
/// let pool = KeyPool::builder(Provider::OPENROUTER).commune(rules).build()?;
/// assert!(pool.is_commune());
/// # Ok::<(), key_commune::pool::PoolError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "rules do nothing until a pool is built by them"]
pub struct Commune {
    rate: Option<Rate>,
    credit: Option<u64>,
    forwarded_host: bool,
}

impl Commune {
    /// The lengths of keys that may be presented, in bytes. Shorter ones can be guessed; longer ones are no keys.
    pub const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

    /// How often each presented key may come. Default: as often as it likes.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// How many more answers a caller may get with others' keys than others have got with its own; beyond that its own key
    /// serves it, until others have used that again. Default: no limit, for keys are used evenly whoever asks the most.
    pub fn credit(mut self, answers: u64) -> Self {
        self.credit = Some(answers);
        self
    }

    /// Whether `X-Forwarded-Host`, where a request has one, must name the provider's host or one below it; else the request
    /// gets 400. Default: no, for a reverse proxy in front names its own.
    pub fn forwarded_host(mut self, must_match: bool) -> Self {
        self.forwarded_host = must_match;
        self
    }
}

/// The headers of a provider's row, as names: known ones compare as numbers.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) requests: Box<[HeaderName]>,
    pub(crate) answers: Box<[HeaderName]>,
}

impl Allowed {
    /// What is no name names nothing.
    pub(super) fn of(provider: &Provider) -> Self {
        let names = |list: &[&str]| list.iter().filter_map(|name| name.parse().ok()).collect();
        Self { requests: names(provider.request_headers()), answers: names(provider.response_headers()) }
    }
}

/// A caller of a commune, known by the key it presented.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    member: Arc<Member>,
    shares: bool,
}

impl Presented {
    pub(super) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// The name it goes by.
    pub(crate) fn caller(&self) -> Caller {
        self.member.caller()
    }

    /// Whether other people's keys may serve it: its own is a member, and in good standing.
    pub(crate) fn shares(&self) -> bool {
        self.shares
    }

    /// Whether a lease is on its own key.
    pub(crate) fn owns(&self, lease: &Lease) -> bool {
        lease.key_id() == self.member.id
    }
}

/// Why a presented key is not looked at any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    TooShort,
    TooLong,
    /// It comes too often.
    Wait(Duration),
}

impl KeyPool {
    /// Whether callers share their own keys here.
    pub fn is_commune(&self) -> bool {
        self.0.commune.is_some()
    }

    /// Whether the host that a request was forwarded from, if it says so, is one that the rules allow.
    pub(crate) fn may_be_forwarded(&self, headers: &HeaderMap) -> bool {
        let must_match = self.0.commune.as_ref().is_some_and(|commune| commune.forwarded_host);
        let own = |value: &HeaderValue| value.to_str().is_ok_and(|host| self.origin().is_host(host));
        !must_match || headers.get_all("x-forwarded-host").iter().all(own)
    }

    /// Who presents this key.
    pub(crate) fn present(&self, secret: Secret, now: Timestamp) -> Result<Presented, Denied> {
        let length = secret.expose().len();
        if !Commune::KEY_LENGTHS.contains(&length) {
            return Err(if length < *Commune::KEY_LENGTHS.start() { Denied::TooShort } else { Denied::TooLong });
        }
        match self.0.roster.load().find(&secret, &self.0.keyed).cloned() {
            Some(member) => self.0.recognise(member, now),
            None => self.0.welcome(secret, now),
        }
    }

    /// A caller got an answer with somebody else's key.
    pub(crate) fn note_gift(&self, presented: &Presented, lease: &Lease) {
        if self.0.credit().is_some() {
            lease.member.extras().map(Extras::give);
            presented.member.extras().map(Extras::take);
        }
    }

    /// A caller's own key, however it is doing.
    pub(crate) fn checkout_own(&self, presented: &Presented, tried: &mut Tried, now: Timestamp) -> Lease {
        let mut lease = self.0.checkout_own(&presented.member);
        lease.begin(tried, now);
        lease
    }
}

impl Shared {
    fn recognise(&self, member: Arc<Member>, now: Timestamp) -> Result<Presented, Denied> {
        if let Some(rate) = self.rate() {
            member.admit(rate, now).map_err(Denied::Wait)?;
        }
        let has_credit = self.credit().is_none_or(|credit| member.extras().map_or(0, Extras::owes) < credit);
        Ok(Presented { shares: has_credit && self.is_good(&member, now), member })
    }

    fn welcome(self: &Arc<Self>, secret: Secret, now: Timestamp) -> Result<Presented, Denied> {
        let id = self.pepper.id(self.provider.name(), &secret);
        let rate = self.rate();
        rate.map_or(Ok(()), |rate| self.strangers.admit(id, rate, now)).map_err(Denied::Wait)?;
        let member = Member::stranger(id, Key::from(secret), self);
        // Should it join, this request counts, from now on: else joining would be worth a request.
        let _ = rate.map(|rate| member.admit(rate, now));
        Ok(Presented { shares: false, member: Arc::new(member) })
    }

    fn credit(&self) -> Option<u64> {
        self.commune.as_ref().and_then(|commune| commune.credit)
    }

    fn rate(&self) -> Option<Rate> {
        self.commune.as_ref().and_then(|commune| commune.rate)
    }

    /// Whether a member is open, or a suspicion against it has just run out.
    fn is_good(&self, member: &Member, now: Timestamp) -> bool {
        member.word.is_open() || self.with(|ledger| ledger.clear_by_time(member.place, now))
    }

    fn checkout_own(&self, member: &Arc<Member>) -> Lease {
        let wish = Wish::by(member.caller());
        // In this order: see the module of `Word`.
        let step = self.signals.step();
        if member.word.enter().is_ok() {
            return Lease::new(Arc::clone(member), step, wish, None).uncounted();
        }
        self.with(|ledger| {
            member.word.admit();
            Lease::new(Arc::clone(member), ledger.step(), wish, None).uncounted()
        })
    }
}
