//! The pool behind its handles: checkout, and everything that an answer changes.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::Exhausted;
use super::affinity::Affinity;
use super::attribution::Accusation;
use super::bitmap::Bitmap;
use super::capacity::Capacity;
use super::commune::{Allowed, Commune};
use super::lane::{Lane, Served};
use super::lease::Lease;
use super::ledger::Ledger;
use super::member::{Member, window};
use super::outage::Failure;
use super::random::Random;
use super::roster::Roster;
use super::signals::Signals;
use super::spot::Spot;
use super::tried::Tried;
use super::view::{Question, Seats, View};
use super::wish::{Asked, Wish};
use crate::clock::{Clock, Timestamp};
use crate::demand::Demand;
use crate::guard::guarded;
use crate::health::{Reason, Step};
use crate::origin::Origin;
use crate::outcome::{Fault, Outcome, Verdict};
use crate::provider::Provider;
use crate::rate::Crowd;
use crate::record::Replica;
use crate::secret::Pepper;
use crate::select::{Select, better_of_two};
use crate::slot::Slot;
use crate::sync::{Mutex, lock};

/// How often a strategy is asked again because the member it chose has just closed, before any open one will do.
const ASKS: usize = 3;

pub(crate) struct Shared {
    pub(super) provider: Provider,
    pub(super) origin: Origin,
    pub(super) slot: Arc<dyn Slot>,
    pub(super) pepper: Pepper,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) strategy: Strategy,
    pub(super) roster: ArcSwap<Roster>,
    pub(super) signals: Arc<Signals>,
    pub(super) random: Random,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) capacity: Arc<Capacity>,
    /// Whether keys are held to the pace that refusals have shown.
    pub(super) learns_pace: bool,
    pub(super) max_keys: usize,
    pub(super) commune: Option<Commune>,
    pub(super) allowed: Allowed,
    /// The number that this process counts under.
    pub(super) replica: Replica,
    /// Finds members by their secrets.
    pub(super) keyed: RandomState,
    /// How often keys come that are no members.
    pub(super) strangers: Crowd,
    /// Which keys gave which responses.
    pub(super) affinity: Affinity,
}

/// How a member is chosen.
pub(super) enum Strategy {
    /// [`TwoChoices`](crate::select::TwoChoices), the default, on the pool itself: nothing is looked up, and nothing in
    /// it panics.
    TwoChoices,
    /// Any other. One that panics has any candidate chosen for it.
    Other(Box<dyn Select>),
}

impl Strategy {
    /// The place in the roster of the member to take.
    fn choose(&self, question: Question<'_>) -> Option<u32> {
        let roster = question.roster;
        if roster.tiers.is_empty() {
            return self.choose_among(roster, roster.places(question.lane), question);
        }
        let mut floors =
            roster.floors(question.lane).filter(|(tier, open)| tier.any_of(open, question.tried).is_some());
        floors.find_map(|(tier, open)| self.choose_among(tier, open, question))
    }

    fn choose_among(&self, seats: &impl Seats, open: &Bitmap, question: Question<'_>) -> Option<u32> {
        let view = View::new(seats, open, question);
        let seat = match self {
            Self::TwoChoices => better_of_two(&view),
            Self::Other(strategy) => guarded(|| strategy.select(&view, question.demand)).unwrap_or_else(|| view.any()),
        };
        seats.owner(seat?)
    }

    /// The only members that this request may probe, if the strategy knows where it belongs: none but those, in the tiers
    /// that have nobody else for it and in the one that has.
    fn homes(&self, question: Question<'_>) -> Option<Vec<u32>> {
        let Self::Other(strategy) = self else { return None };
        let roster = question.roster;
        if roster.tiers.is_empty() {
            return home(&**strategy, roster, roster.places(question.lane), question).map(|home| vec![home]);
        }
        let serving = roster.serving(question.lane, question.tried).unwrap_or(u8::MAX);
        let floors = roster.floors(question.lane).take_while(|(tier, _)| tier.rank <= serving);
        floors.map(|(tier, open)| home(&**strategy, tier, open, question)).collect()
    }

    pub(super) fn latency_decay(&self) -> Option<Duration> {
        match self {
            Self::TwoChoices => None,
            Self::Other(strategy) => guarded(|| strategy.latency_decay()).flatten(),
        }
    }

    pub(super) fn counts_models(&self) -> bool {
        matches!(self, Self::Other(strategy) if guarded(|| strategy.counts_models()).unwrap_or(false))
    }
}

fn home(strategy: &dyn Select, seats: &impl Seats, open: &Bitmap, question: Question<'_>) -> Option<u32> {
    let view = View::new(seats, open, question);
    seats.owner(guarded(|| strategy.home(&view, question.demand)).flatten()?)
}

impl Shared {
    /// Does something under the lock, then wakes whom it concerns.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut ledger = lock(&self.ledger);
        let result = act(&mut ledger);
        let wakers = std::mem::take(&mut ledger.wakers);
        self.signals.set_waiting(ledger.queue.count());
        drop(ledger);
        wakers.into_iter().for_each(std::task::Waker::wake);
        result
    }

    /// A lease for a request, if a key can serve it now.
    #[inline]
    pub(super) fn checkout(&self, demand: &Demand, tried: &mut Tried, now: Timestamp) -> Result<Lease, Exhausted> {
        tried.begin(self.signals.in_outage());
        if self.signals.is_refill_due(now) {
            self.refill(now);
        }
        if self.signals.is_limited && self.must_queue() {
            return Err(self.exhausted(demand, Some(tried), now));
        }
        if demand.previous_response_id().is_some()
            && let Some(lease) = self.follow(demand, tried, now)
        {
            return Ok(lease);
        }
        let roster = self.roster.load();
        let lane = demand.shared_model().and_then(|model| self.lane(&roster, model));
        let lane = lane.as_deref();
        let next_due = self.signals.next_due();
        let due = lane.map_or(now >= next_due, |lane| lane.is_due(next_due, now)) && !tried.has_probed();
        if due && let Some(lease) = self.probe((&roster, lane), demand, tried, now) {
            return Ok(lease);
        }
        if let Some((member, step)) = self.select((&roster, lane), demand, tried, now) {
            let mut lease = Lease::new(member, step, Wish::of(demand), None);
            lease.begin(now);
            return Ok(lease);
        }
        self.any(demand, tried, now).ok_or_else(|| self.exhausted(demand, Some(tried), now))
    }

    /// Who serves a model, if not all members do.
    fn lane(&self, roster: &Roster, model: &Arc<str>) -> Option<Arc<Lane>> {
        match roster.lanes.load().of(model) {
            Served::Anybody if !self.capacity.tells_models_apart() => None,
            Served::By(lane) if !lane.is_others() || !self.capacity.tells_models_apart() => Some(Arc::clone(lane)),
            _ => self.with(|ledger| Some(ledger.tell_apart(model))),
        }
    }

    /// Takes note that a lease which was handed over serves this request.
    pub(super) fn accept(&self, lease: &mut Lease, tried: &mut Tried, now: Timestamp) {
        lease.begin(now);
        tried.note(lease.member.place, lease.is_probe());
        if !lease.member.is_stranger() {
            lease.member.note_use(&self.signals, now);
        }
    }

    /// A member that has been entered, and the step for its lease.
    #[inline]
    fn select(
        &self,
        (roster, lane): (&Roster, Option<&Lane>),
        demand: &Demand,
        tried: &mut Tried,
        now: Timestamp,
    ) -> Option<(Arc<Member>, Step)> {
        if tried.is_full() || self.signals.is_pool_closed() {
            return None;
        }
        let mut random = if tried.count() == 0 { self.random.draw() } else { self.random.draw_other() };
        for _ in 0..ASKS {
            let question = Question { roster, lane, tried, demand, pool: self, now, random };
            let place = self.choose(question)?;
            let member = roster.member(place as usize).filter(|_| !tried.contains(place))?;
            // The lane may be of a roster that is newer than ours.
            if lane.is_some_and(|lane| !lane.serves(place)) {
                return None;
            }
            // In this order: see the module of `Word`.
            let step = self.signals.step();
            if let Some((in_flight, paced)) = member.word.enter()
                && (!(self.signals.is_limited || paced) || self.let_in(member, in_flight, &Wish::of(demand), now))
            {
                tried.note(place, false);
                member.note_use(&self.signals, now);
                return Some((Arc::clone(member), step));
            }
            random = self.random.draw_other();
        }
        None
    }

    /// The place of a member to take: without a detour where all members are equal, and the strategy is the default.
    #[inline]
    fn choose(&self, question: Question<'_>) -> Option<u32> {
        let roster = question.roster;
        if matches!(self.strategy, Strategy::TwoChoices) && roster.tiers.is_empty() {
            let view = View::new(roster, roster.places(question.lane), question);
            return better_of_two(&view).map(|place| place as u32);
        }
        self.ask(question)
    }

    #[inline(never)]
    fn ask(&self, question: Question<'_>) -> Option<u32> {
        self.strategy.choose(question)
    }

    #[cold]
    fn probe(
        &self,
        (roster, lane): (&Roster, Option<&Lane>),
        demand: &Demand,
        tried: &mut Tried,
        now: Timestamp,
    ) -> Option<Lease> {
        let homes = self.strategy.homes(Question { roster, lane, tried, demand, pool: self, now, random: 0 });
        let is_open = |&home: &u32| self.is_open(roster, lane, home);
        if homes.as_ref().is_some_and(|homes| homes.iter().all(is_open)) {
            return None;
        }
        let wish = Wish::of(demand);
        let mut lease = self.with(|ledger| ledger.probe(&Asked { wish: &wish, tried }, now, homes.as_deref()))?;
        self.accept(&mut lease, tried, now);
        Some(lease)
    }

    /// The key that gave the response which a request follows or, of its account, another; if one is free.
    #[cold]
    fn follow(&self, demand: &Demand, tried: &mut Tried, now: Timestamp) -> Option<Lease> {
        let owner = self.owner_of_response(demand)?;
        let wish = Wish::of(demand);
        let mut lease = self.with(|ledger| ledger.lease_like(owner, &Asked { wish: &wish, tried }, now))?;
        self.accept(&mut lease, tried, now);
        Some(lease)
    }

    /// Whether there is no reason to probe the member at a place.
    fn is_open(&self, roster: &Roster, lane: Option<&Lane>, place: u32) -> bool {
        let member_is_open = roster.member(place as usize).is_none_or(|member| member.word.is_open());
        member_is_open && !lane.is_some_and(|lane| lane.is_closed(place)) && !self.signals.is_pool_closed()
    }

    /// The strategy found nothing, or nothing that was still open: under the lock the books are exact.
    #[cold]
    fn any(&self, demand: &Demand, tried: &mut Tried, now: Timestamp) -> Option<Lease> {
        if tried.is_full() {
            return None;
        }
        let wish = Wish::of(demand);
        let asked = Asked { wish: &wish, tried };
        let mut lease = self.with(|ledger| ledger.any_open(&asked, now).or_else(|| ledger.probe(&asked, now, None)))?;
        self.accept(&mut lease, tried, now);
        Some(lease)
    }

    #[cold]
    pub(super) fn exhausted(&self, demand: &Demand, tried: Option<&Tried>, now: Timestamp) -> Exhausted {
        let (wish, none) = (Wish::of(demand), Tried::default());
        let fresh = Asked { wish: &wish, tried: &none };
        self.with(|ledger| Exhausted {
            at: now,
            soonest: ledger.soonest(&fresh, now),
            open: ledger.has_open(&wish, now),
            members: ledger.ids.len(),
            unserved: ledger.is_unserved(&wish),
            untried: tried.and_then(|tried| ledger.soonest(&Asked { wish: &wish, tried }, now)),
        })
    }

    /// Whether a lease's member has something to make good besides what its word tells.
    #[cold]
    pub(super) fn has_more_to_clear(&self, lease: &Lease) -> bool {
        let is_struck = |model: &Arc<str>| {
            let roster = self.roster.load();
            let lanes = roster.lanes.load();
            lanes.named(model).is_some_and(|lane| lane.is_struck(lease.member.place))
        };
        self.signals.is_pool_struck() || lease.wish.model.as_ref().is_some_and(is_struck)
    }

    /// Acts on what an answer said about the key of a lease.
    #[cold]
    pub(super) fn settle(&self, lease: &Lease, verdict: &Verdict, now: Timestamp) -> Option<Accusation> {
        let draw = self.random.draw_other();
        self.with(|ledger| self.settle_locked(ledger, lease, verdict, (now, draw)))
    }

    /// In a commune, answers what a refusal has done to a key that is not the caller's.
    fn settle_locked(
        &self,
        ledger: &mut Ledger,
        lease: &Lease,
        verdict: &Verdict,
        (now, draw): (Timestamp, u64),
    ) -> Option<Accusation> {
        // A key that was removed meanwhile has no health: nothing happens to it, and the caller gets the answer.
        let before = ledger.health_of(&lease.member)?;
        let struck = ledger.struck_by(lease, verdict);
        let is_key = struck == Some(Spot::Key(lease.member.place));
        match verdict.outcome {
            Outcome::Accepted if lease.proves() => self.calm(ledger),
            Outcome::Throttled if is_key => lease.member.note_throttle(now),
            _ => {}
        }
        let spared = ledger.journal.is_outage() && verdict.hint.is_none() && verdict.outcome != Outcome::Accepted;
        let judged = if spared { Verdict::new(Outcome::Aborted) } else { *verdict };
        ledger.settle_scopes(lease, &judged, struck, (now, draw));
        // What hangs on something else says nothing about the key.
        let heard = if is_key || judged.fault() != Some(Fault::Key) { judged } else { Verdict::new(Outcome::Aborted) };
        let before = ledger.health_of(&lease.member).unwrap_or(before);
        let after = if self.commune.is_some() {
            Self::attribute(ledger, lease, before, &heard, (now, draw))
        } else {
            before.judged(&heard, lease.step, &ledger.judge(now, draw))
        };
        // Who may be to blame is not known yet.
        let accused = self.commune.is_some() && lease.is_foreign() && heard.outcome == Outcome::Rejected;
        if !accused && (is_key || verdict.fault() != Some(Fault::Key)) {
            let failure = Failure { outcome: verdict.outcome, before, step: after.changed(), at: now };
            self.journal(ledger, lease, verdict, failure);
        }
        ledger.install(lease.member.place, after, now);
        if self.learns_pace && is_key && heard.outcome == Outcome::Throttled {
            let hint = heard.hint.map(|hint| hint.after).unwrap_or_default();
            let rest = (after.changed() != before.changed()).then_some(hint);
            ledger.learn_pace(&lease.member, rest, now);
        }
        let foreign = self.commune.is_some() && lease.is_foreign() && heard.fault() == Some(Fault::Key);
        (foreign && after != before).then(|| Accusation::new(lease.member.place, before, after))
    }

    /// Failures that no hint explains, and that struck the key or are the service's, may be the beginning of an outage.
    fn journal(&self, ledger: &mut Ledger, lease: &Lease, verdict: &Verdict, failure: Failure) {
        let struck = verdict.fault() == Some(Fault::Key) && failure.step != failure.before.changed();
        let service = verdict.fault() == Some(Fault::Service);
        if verdict.hint.is_some() || ledger.journal.is_outage() || !(struck || service) {
            return;
        }
        if self.signals.watch() {
            ledger.journal.succeeded();
        }
        ledger.journal.note(lease.member.place, failure);
    }

    /// A success: what failed before stands, and an outage is over.
    fn calm(&self, ledger: &mut Ledger) {
        if !ledger.journal.is_empty() || ledger.journal.is_outage() {
            ledger.journal.succeeded();
            self.signals.set_mood(false, false);
        }
    }

    /// A request has tried all it may and failed: is it the keys, or everybody?
    #[cold]
    pub(super) fn give_up(&self, now: Timestamp) {
        self.with(|ledger| {
            if self.signals.had_success() {
                self.calm(ledger);
            }
            let Some(failures) = ledger.journal.trip(self.signals.used(window(now))) else { return };
            self.signals.set_mood(true, true);
            for (place, failure) in failures {
                roll_back(ledger, place, failure, now);
            }
        });
    }

    /// Takes a key out of use because it was sent where it does not belong.
    pub(super) fn expose(&self, member: &Arc<Member>, now: Timestamp) {
        self.with(|ledger| {
            let Some(health) = ledger.health_of(member) else { return };
            let retired = health.retired(Reason::Exposed, ledger.next_step());
            ledger.install(member.place, retired, now);
        });
    }
}

/// Takes back what a failure did, unless something else has happened to the key since.
fn roll_back(ledger: &mut Ledger, place: u32, failure: Failure, now: Timestamp) {
    let untouched = ledger.cell(place).is_some_and(|cell| cell.health.changed() == failure.step);
    if untouched && failure.step != failure.before.changed() {
        let health = crate::health::Health::rolled_back(failure.before, ledger.next_step());
        ledger.install(place, health, now);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("provider", &self.provider).finish_non_exhaustive()
    }
}
