//! What the pool knows about its members beyond what their words say: behind one short lock that is never held across an
//! await, a hook or a wake.
//!
//! Everything that changes a member's health goes through [`Ledger::install`], which keeps the member's word, the
//! bitmap, the due times and the published step in agreement.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::task::Waker;

use super::budget::Budget;
use super::cell::Cell;
use super::changes::Changes;
use super::lease::Lease;
use super::member::Member;
use super::outage::Journal;
use super::roster::Roster;
use super::signals::Signals;
use super::tried::Tried;
use super::waiting::Queue;
use super::word::Standing;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::{Health, Judge, Penalties, State, Step};
use crate::secret::KeyId;

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) roster: Arc<Roster>,
    pub(super) cells: Vec<Option<Cell>>,
    pub(super) ids: HashMap<KeyId, u32>,
    pub(super) free: BTreeSet<u32>,
    pub(super) penalties: Penalties,
    pub(super) queue: Queue,
    pub(super) journal: Journal,
    pub(super) budget: Budget,
    pub(super) changes: Changes,
    /// To be woken once the lock is released.
    pub(super) wakers: Vec<Waker>,
    pub(super) signals: Arc<Signals>,
    pub(super) due: BTreeSet<(Timestamp, u32)>,
    step: Step,
}

impl Ledger {
    pub(super) fn new(roster: Arc<Roster>, signals: Arc<Signals>, penalties: Penalties, queue: Queue) -> Self {
        Self {
            roster,
            cells: Vec::new(),
            ids: HashMap::new(),
            free: BTreeSet::new(),
            penalties,
            queue,
            journal: Journal::default(),
            budget: Budget::default(),
            changes: Changes::default(),
            wakers: Vec::new(),
            signals,
            due: BTreeSet::new(),
            step: 0,
        }
    }

    pub(super) fn cell(&self, place: u32) -> Option<&Cell> {
        self.cells.get(place as usize)?.as_ref()
    }

    pub(super) fn cell_mut(&mut self, place: u32) -> Option<&mut Cell> {
        self.cells.get_mut(place as usize)?.as_mut()
    }

    /// The health of this very member, if it still stands at its place.
    pub(super) fn health_of(&self, member: &Arc<Member>) -> Option<Health> {
        self.cell(member.place).filter(|cell| Arc::ptr_eq(&cell.member, member)).map(|cell| cell.health)
    }

    pub(super) fn judge(&self, now: Timestamp, draw: u64) -> Judge<'_> {
        Judge { penalties: &self.penalties, now, next: self.step + 1, draw, counts: true }
    }

    /// The step of the last transition.
    pub(super) fn step(&self) -> Step {
        self.step
    }

    pub(super) fn next_step(&self) -> Step {
        self.step + 1
    }

    /// Puts a new health in place of the old one, for a store to be told of.
    pub(super) fn install(&mut self, place: u32, health: Health, now: Timestamp) {
        let Some(cell) = self.cell_mut(place).filter(|cell| cell.health != health) else { return };
        cell.history.revise(now);
        self.changes.note(place);
        self.put(place, health, now);
    }

    /// Puts a new health in place of the old one, in all places that know of it, and hands the member to whoever waits
    /// for it.
    pub(super) fn put(&mut self, place: u32, health: Health, now: Timestamp) {
        let Some(cell) = self.cells.get_mut(place as usize).and_then(Option::as_mut) else { return };
        let old = std::mem::replace(&mut cell.health, health);
        if old.state() != health.state() {
            cell.since = now;
        }
        if standing(old) == Standing::Closed && standing(health) != Standing::Closed {
            cell.member.catch_up(self.roster.level(cell.member.tier()));
        }
        cell.member.word.set(standing(health));
        self.roster.mark(place, standing(health) != Standing::Closed);
        self.reschedule(place, old, health);
        if health.changed() != old.changed() {
            self.step = self.step.max(health.changed());
            self.signals.publish(self.step);
        }
        self.hand_out(place, now);
    }

    fn reschedule(&mut self, place: u32, old: Health, health: Health) {
        let next = self.due_first();
        let was_due = old.due().is_some_and(|due| self.due.remove(&(due, place)));
        if let Some(due) = health.due() {
            self.due.insert((due, place));
        }
        self.signals.set_next_due(self.next_probe());
        if self.due_first() < next || (was_due && health.until() < old.until()) {
            // Whoever waits sleeps until the old time; the new one is earlier.
            self.wakers.extend(self.queue.wakers());
        }
    }

    fn due_first(&self) -> Timestamp {
        self.due.first().map_or(Timestamp::MAX, |&(until, _)| until)
    }

    /// When the first member comes due that a new request may probe. Looks at those that rest in tiers which nobody needs.
    fn next_probe(&self) -> Timestamp {
        let Some(serving) = self.roster.serving(&Tried::default()) else { return self.due_first() };
        let needed =
            |&&(_, place): &&(Timestamp, u32)| self.cell(place).is_some_and(|cell| cell.member.tier() <= serving);
        self.due.iter().find(needed).map_or(Timestamp::MAX, |&(due, _)| due)
    }

    /// Takes a member out of the books, so that nobody is let in any more.
    pub(super) fn expel(&mut self, id: KeyId) -> Option<Cell> {
        let cell = self.ids.get(&id).copied().and_then(|place| self.forget(place))?;
        cell.member.word.set(Standing::Closed);
        Some(cell)
    }

    fn forget(&mut self, place: u32) -> Option<Cell> {
        let cell = self.cells.get_mut(place as usize)?.take()?;
        if let Some(due) = cell.health.due() {
            self.due.remove(&(due, place));
        }
        self.signals.set_next_due(self.next_probe());
        self.ids.remove(&cell.member.id);
        self.free.insert(place);
        Some(cell)
    }

    /// Whether any member may be used by anybody.
    pub(super) fn has_open(&self) -> bool {
        self.roster.open.at_or_after(0, |_| u64::MAX).is_some()
    }

    /// When the first rest ends. A key that is being probed may be told any moment: a second.
    pub(super) fn soonest(&self, now: Timestamp) -> Option<Timestamp> {
        // Suspects come first in the list, whenever their time is up.
        let suspects = self.due.iter().take_while(|&&(due, _)| due == Timestamp::ZERO).count();
        let first = self.due.iter().take(suspects + 1).map(|&(_, place)| self.expected(place, now)).min();
        first.map(|soonest| soonest.max(now))
    }

    /// When a member that rests and was not tried comes free.
    pub(super) fn due_untried(&self, tried: &Tried, now: Timestamp) -> Option<Timestamp> {
        let due = self.due.iter().filter(|&&(_, place)| !tried.contains(place)).take(2);
        due.map(|&(_, place)| self.expected(place, now)).min()
    }

    /// Whether a member that was not tried can serve now.
    pub(super) fn has_untried(&self, tried: &Tried, now: Timestamp) -> bool {
        let open = self.roster.open.at_or_after(0, |word| tried.mask(word)).is_some();
        open || (!tried.has_probed() && first_untried(&self.due, tried).is_some_and(|due| due <= now))
    }

    fn expected(&self, place: u32, now: Timestamp) -> Timestamp {
        let Some(Cell { health, .. }) = self.cell(place) else { return now };
        let probing = health.state() == State::Probing;
        if probing { health.until().min(now + std::time::Duration::from_secs(1)) } else { health.until() }
    }

    /// A lease on a member whose rest is over, or that needs a witness, if there is one that this request may probe: one of
    /// those at `only` these places, if any are given, and of no tier behind the one that serves it.
    pub(super) fn probe(
        &mut self,
        tried: &Tried,
        caller: Option<Caller>,
        now: Timestamp,
        only: Option<&[u32]>,
    ) -> Option<Lease> {
        let serving = self.roster.serving(tried).unwrap_or(u8::MAX);
        let may = |cell: &Cell| cell.member.tier() <= serving && cell.may_be_tried_by(caller, now);
        let may = |&place: &u32| {
            let asked = only.is_none_or(|only| only.contains(&place));
            asked && !tried.contains(place) && self.cell(place).is_some_and(may)
        };
        let due = self.due.iter().take_while(|&&(due, _)| due <= now).map(|&(_, place)| place);
        let place = due.into_iter().find(may)?;
        if self.clear_by_time(place, now) {
            return self.lease_open(place, caller);
        }
        self.probe_at(place, caller, now)
    }

    /// Ends a suspicion that nobody has borne out in its time. Answers whether there was one.
    pub(super) fn clear_by_time(&mut self, place: u32, now: Timestamp) -> bool {
        let Some(health) = self.cell(place).map(|cell| cell.health) else { return false };
        let over = health.is_cleared_by_time(now);
        if over {
            self.install(place, health.acquitted(self.next_step()), now);
        }
        over
    }

    fn probe_at(&mut self, place: u32, caller: Option<Caller>, now: Timestamp) -> Option<Lease> {
        let cell = self.cell(place)?;
        let member = Arc::clone(&cell.member);
        let health = cell.health.probed(&self.judge(now, 0));
        member.word.admit();
        self.install(place, health, now);
        Some(Lease::new(member, health.changed(), caller, true))
    }

    /// A lease on any open member that was not tried, without asking the strategy: the lock is held.
    pub(super) fn any_open(&self, tried: &Tried, caller: Option<Caller>) -> Option<Lease> {
        let place = self.roster.any_open(tried)?;
        self.lease_open(place as u32, caller)
    }

    fn lease_open(&self, place: u32, caller: Option<Caller>) -> Option<Lease> {
        let cell = self.cell(place).filter(|cell| standing(cell.health) != Standing::Closed)?;
        cell.member.word.admit();
        Some(Lease::new(Arc::clone(&cell.member), self.step, caller, false))
    }

    /// Joins the queue, unless it is full. Between the checkout that failed and this a key may have come free: then it is
    /// handed over at once.
    pub(super) fn join_queue(&mut self, tried: &Tried, caller: Option<Caller>, now: Timestamp) -> Option<u64> {
        let ticket = self.queue.join(tried, caller)?;
        if let Some(lease) = self.any_open(tried, caller).or_else(|| self.probe(tried, caller, now, None)) {
            self.queue.give(ticket, lease);
        }
        Some(ticket)
    }

    /// Puts a new roster in place of the old one, its bits by the members' health.
    pub(super) fn replace(&mut self, roster: &Arc<Roster>) {
        let open = |cell: &&Cell| standing(cell.health) != Standing::Closed;
        self.cells.iter().flatten().filter(open).for_each(|cell| roster.mark(cell.member.place, true));
        self.roster = Arc::clone(roster);
        self.signals.set_next_due(self.next_probe());
    }

    /// Gives a member that can serve to those who wait, first come first served: an open one to all who have not tried
    /// it, one whose rest is over to the first (I14, I16).
    pub(super) fn hand_out(&mut self, place: u32, now: Timestamp) {
        while let Some((ticket, caller)) = self.queue.first_for(place) {
            let due = self.cell(place).is_some_and(|cell| cell.health.is_due(now));
            let lease = if due { self.probe_at(place, caller, now) } else { self.lease_open(place, caller) };
            let Some(lease) = lease else { return };
            self.wakers.extend(self.queue.give(ticket, lease));
        }
    }

    /// Hands out all members whose rest is over, as far as somebody waits for them.
    pub(super) fn hand_out_due(&mut self, now: Timestamp) {
        let due = self.due.iter().take_while(|&&(until, _)| until <= now).take(Tried::MOST + 1);
        let places: Vec<u32> = due.map(|&(_, place)| place).collect();
        for place in places {
            self.hand_out(place, now);
        }
    }
}

/// When the first member comes free that was not tried. A request has tried few, so this looks at few.
pub(super) fn first_untried(due: &BTreeSet<(Timestamp, u32)>, tried: &Tried) -> Option<Timestamp> {
    due.iter().find(|&&(_, place)| !tried.contains(place)).map(|&(until, _)| until)
}

/// What a member's word must say for its health.
pub(super) fn standing(health: Health) -> Standing {
    match health.state() {
        State::Active if health.is_clean() => Standing::Clean,
        State::Active => Standing::Struck,
        _ => Standing::Closed,
    }
}
