//! Pools whose members are their callers' own keys: who presents a key, and what its answers may do to whom.
//!
//! A refusal that a caller meets with somebody else's key may be the fault of either, so it is a strike only once somebody
//! else has met it too: the key is suspect until its owner or one other caller has tried it, for a minute at most. A
//! caller whose request two keys refuse goes on with its own, and that answer judges all three. One caller alone neither
//! bans a key that it does not own nor strikes it twice (I22).

use std::sync::Arc;
use std::time::Duration;

use super::lease::Lease;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ledger::Ledger;
use super::member::Member;
use super::shared::Shared;
use super::tried::Tried;
use super::{Key, KeyPool};
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::{Health, Judge, State, Step};
use crate::outcome::{Fault, Outcome, Verdict};
use crate::provider::Provider;
use crate::rate::Rate;
use crate::secret::Secret;

/// How many keys a commune takes unless told otherwise.
pub(super) const MAX_KEYS: usize = 200;

/// The lengths of keys that may be presented. Shorter ones can be guessed; longer ones are no keys.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// So many callers may be one attacker. In a pool of more than ten times as many, a tenth of the members.
const FEW: usize = 5;

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
    forwarded_host: bool,
}

impl Commune {
    /// How often each presented key may come. Default: as often as it likes.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
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

/// What a refusal has done to a key, for as long as the request that met it has not found out whose fault it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accusation {
    place: u32,
    before: Health,
    changed: Step,
}

impl Accusation {
    pub(super) fn new(place: u32, before: Health, after: Health) -> Self {
        Self { place, before, changed: after.changed() }
    }
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
        if !LENGTHS.contains(&length) {
            return Err(if length < *LENGTHS.start() { Denied::TooShort } else { Denied::TooLong });
        }
        match self.0.roster.load().find(&secret, &self.0.keyed).cloned() {
            Some(member) => self.0.recognise(member, now),
            None => self.0.welcome(secret, now),
        }
    }

    /// A caller's own key, however it is doing.
    pub(crate) fn checkout_own(&self, presented: &Presented, tried: &mut Tried, now: Timestamp) -> Lease {
        let lease = self.0.checkout_own(&presented.member);
        self.0.accept(&lease, tried, now);
        lease
    }

    /// A request that keys had refused was refused with the caller's own too: it was the request. The keys are as they were,
    /// and the caller is on its own until its key has proved itself again.
    pub(crate) fn acquit(&self, accused: &[Accusation], presented: &Presented, now: Timestamp) {
        self.0.with(|ledger| {
            for accusation in accused {
                acquit(ledger, accusation, now);
            }
            self.0.isolate(ledger, &presented.member, now);
        });
    }

    /// A request that keys had refused was accepted with the caller's own: they deserved their strikes.
    pub(crate) fn convict(&self, accused: &[Accusation], presented: &Presented, now: Timestamp) {
        self.0.with(|ledger| {
            for accusation in accused {
                convict(ledger, accusation, presented.caller(), (now, self.0.random.draw_other()));
            }
        });
    }
}

impl Shared {
    fn recognise(&self, member: Arc<Member>, now: Timestamp) -> Result<Presented, Denied> {
        if let Some(rate) = self.rate() {
            member.gate.admit(rate, now).map_err(Denied::Wait)?;
        }
        Ok(Presented { shares: self.is_good(&member, now), member })
    }

    fn welcome(self: &Arc<Self>, secret: Secret, now: Timestamp) -> Result<Presented, Denied> {
        let id = self.pepper.id(self.provider.name(), &secret);
        let rate = self.rate();
        rate.map_or(Ok(()), |rate| self.strangers.admit(id, rate, now)).map_err(Denied::Wait)?;
        let member = Member::stranger(id, Key::from(secret), self);
        // Should it join, this request counts, from now on: else joining would be worth a request.
        let _ = rate.map(|rate| member.gate.admit(rate, now));
        Ok(Presented { shares: false, member: Arc::new(member) })
    }

    fn rate(&self) -> Option<Rate> {
        self.commune.as_ref().and_then(|commune| commune.rate)
    }

    /// Whether a member is open, or a suspicion against it has just run out.
    fn is_good(&self, member: &Member, now: Timestamp) -> bool {
        member.word.is_open() || self.with(|ledger| ledger.clear_by_time(member.place, now))
    }

    fn checkout_own(&self, member: &Arc<Member>) -> Lease {
        let caller = Some(member.caller());
        // In this order: see the module of `Word`.
        let step = self.signals.step();
        if member.word.enter() {
            return Lease::new(Arc::clone(member), step, caller, false);
        }
        self.with(|ledger| {
            member.word.admit();
            Lease::new(Arc::clone(member), ledger.step(), caller, false)
        })
    }

    /// The health that a verdict leaves behind in a commune.
    pub(super) fn attribute(
        ledger: &mut Ledger,
        lease: &Lease,
        before: Health,
        verdict: &Verdict,
        (now, draw): (Timestamp, u64),
    ) -> Health {
        let foreign = verdict.fault() == Some(Fault::Key) && lease.is_foreign();
        match verdict.outcome {
            Outcome::Accepted if lease.proves() => free(ledger, lease, before, (now, draw)),
            Outcome::Rejected if foreign && before.state() == State::Active => suspect(ledger, lease, before, now),
            _ if foreign => strike(ledger, lease, before, verdict, (now, draw)),
            // Anybody gets a 2xx that proves nothing.
            Outcome::Accepted => before.judged(&Verdict::new(Outcome::Aborted), lease.step, &ledger.judge(now, draw)),
            _ => before.judged(verdict, lease.step, &ledger.judge(now, draw)),
        }
    }

    /// A clean answer has ended that only a good key gets: its strikes are cleared, and a newcomer joins.
    pub(super) fn prove(self: &Arc<Self>, lease: &Lease, now: Timestamp) {
        if self.commune.is_none() {
            return;
        }
        self.with(|ledger| match ledger.health_of(&lease.member) {
            Some(before) => {
                let after = before.proven(lease.step, ledger.next_step());
                if after != before {
                    ledger.forgive(lease.member.place);
                    ledger.install(lease.member.place, after, now);
                }
            }
            None if lease.member.is_stranger() => self.admit(ledger, &lease.member, now),
            None => {}
        });
    }

    /// A caller whose requests are refused whatever the key is on its own.
    fn isolate(&self, ledger: &mut Ledger, member: &Arc<Member>, now: Timestamp) {
        if ledger.health_of(member).is_some() {
            isolate(ledger, member.place, (now, self.random.draw_other()));
        }
    }
}

fn isolate(ledger: &mut Ledger, place: u32, (now, draw): (Timestamp, u64)) {
    let Some(before) = ledger.cell(place).map(|cell| cell.health) else { return };
    if before.state() == State::Active {
        let after = before.judged(&Verdict::new(Outcome::Rejected), before.changed(), &ledger.judge(now, draw));
        ledger.install(place, after, now);
    }
}

/// Frees a key that an answer speaks for. If it was accused, its accuser was wrong: one that hid whose fault it was, by
/// going away or by a body that cannot be sent again, is found out by the witnesses.
fn free(ledger: &mut Ledger, lease: &Lease, before: Health, (now, draw): (Timestamp, u64)) -> Health {
    let is_witness = before.is_suspected() && lease.step >= before.changed();
    if is_witness && let Some(accuser) = ledger.refute(lease.member.place) {
        isolate(ledger, accuser, (now, draw));
    }
    before.freed(lease.step, ledger.next_step())
}

fn suspect(ledger: &mut Ledger, lease: &Lease, before: Health, now: Timestamp) -> Health {
    if lease.step < before.changed() {
        return before;
    }
    ledger.accuse(lease.member.place, lease.caller());
    before.suspected(&ledger.judge(now, 0))
}

/// A strike by a caller that does not own the key: its first one counts, until the key has proved itself.
fn strike(
    ledger: &mut Ledger,
    lease: &Lease,
    before: Health,
    verdict: &Verdict,
    (now, draw): (Timestamp, u64),
) -> Health {
    let fresh = lease.step >= before.changed();
    let counts =
        fresh && lease.caller().is_none_or(|caller| counts(ledger, lease.member.place, caller, verdict.outcome));
    before.judged(verdict, lease.step, &Judge { counts, ..ledger.judge(now, draw) })
}

/// Whether a foreign caller's strike is one more. For rejections a few that agree are not enough to go beyond the first,
/// which is a key's rest for a minute: they may have agreed beforehand.
fn counts(ledger: &mut Ledger, place: u32, caller: Caller, outcome: Outcome) -> bool {
    let first = ledger.note_striker(place, caller);
    first && (outcome != Outcome::Rejected || ledger.strikers(place) > FEW.max(ledger.ids.len() / 10))
}

/// Takes back what a refusal did, unless something else has happened to the key since.
fn acquit(ledger: &mut Ledger, accusation: &Accusation, now: Timestamp) {
    let Some(health) = ledger.standing_accused(accusation.place, accusation.changed) else { return };
    let next = ledger.next_step();
    let before = accusation.before;
    let rolled_back = || Health::rolled_back(before.released(before.changed(), &ledger.judge(now, 0)), next);
    let innocent = if health.state() == State::Suspect { health } else { rolled_back() };
    ledger.install(accusation.place, innocent.acquitted(next), now);
}

/// Makes a suspicion a strike.
fn convict(ledger: &mut Ledger, accusation: &Accusation, caller: Caller, (now, draw): (Timestamp, u64)) {
    let Some(health) = ledger.standing_accused(accusation.place, accusation.changed) else { return };
    if health.state() != State::Suspect {
        return;
    }
    let counts = counts(ledger, accusation.place, caller, Outcome::Rejected);
    let judge = Judge { counts, ..ledger.judge(now, draw) };
    let struck = health.judged(&Verdict::new(Outcome::Rejected), health.changed(), &judge);
    ledger.install(accusation.place, struck, now);
}
