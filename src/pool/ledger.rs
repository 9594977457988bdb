//! What the pool knows about its members beyond what their words say: behind one short lock that is never held across an
//! await, a hook or a wake.
//!
//! Everything that changes a member's health goes through [`Ledger::install`], which keeps the member's word, the
//! bitmap, the due times and the published step in agreement.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::task::Waker;

use super::budget::Budget;
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

/// A member with its health.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) member: Arc<Member>,
    pub(super) health: Health,
    pub(super) since: Timestamp,
}

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
    signals: Arc<Signals>,
    due: BTreeSet<(Timestamp, u32)>,
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

    /// The health of this very member, if it still stands at its place.
    pub(super) fn health_of(&self, member: &Arc<Member>) -> Option<Health> {
        self.cell(member.place).filter(|cell| Arc::ptr_eq(&cell.member, member)).map(|cell| cell.health)
    }

    pub(super) fn judge(&self, now: Timestamp, draw: u64) -> Judge<'_> {
        Judge { penalties: &self.penalties, now, next: self.step + 1, draw }
    }

    /// The step of the last transition.
    pub(super) fn step(&self) -> Step {
        self.step
    }

    pub(super) fn next_step(&self) -> Step {
        self.step + 1
    }

    /// Puts a new health in place of the old one, in all places that know of it, and hands the member to whoever waits
    /// for it.
    pub(super) fn install(&mut self, place: u32, health: Health, now: Timestamp) {
        let Some(cell) = self.cells.get_mut(place as usize).and_then(Option::as_mut) else { return };
        let old = std::mem::replace(&mut cell.health, health);
        if old == health {
            return;
        }
        if old.state() != health.state() {
            cell.since = now;
        }
        cell.member.word.set(standing(health));
        self.changes.note(cell.member.id);
        self.mark(place, health);
        self.reschedule(place, old, health);
        if health.changed() != old.changed() {
            self.step = self.step.max(health.changed());
            self.signals.publish(self.step);
        }
        self.hand_out(place, now);
    }

    fn mark(&self, place: u32, health: Health) {
        let open = &self.roster.open;
        if standing(health) == Standing::Closed { open.clear(place as usize) } else { open.set(place as usize) }
    }

    fn reschedule(&mut self, place: u32, old: Health, health: Health) {
        let next = self.due_first();
        self.due.remove(&(old.until(), place));
        if matches!(health.state(), State::Resting | State::Probing) {
            self.due.insert((health.until(), place));
        }
        self.signals.set_next_due(self.due_first());
        if self.due_first() < next {
            // Whoever waits sleeps until the old time; the new one is earlier.
            self.wakers.extend(self.queue.wakers());
        }
    }

    fn due_first(&self) -> Timestamp {
        self.due.first().map_or(Timestamp::MAX, |&(until, _)| until)
    }

    /// Takes a member out of the books. Its word must be closed already.
    pub(super) fn forget(&mut self, place: u32) -> Option<Cell> {
        let cell = self.cells.get_mut(place as usize)?.take()?;
        self.due.remove(&(cell.health.until(), place));
        self.signals.set_next_due(self.due_first());
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
        let &(until, place) = self.due.first()?;
        Some(self.expected(until, place, now).max(now))
    }

    /// When a member that rests and was not tried comes free.
    pub(super) fn due_untried(&self, tried: &Tried, now: Timestamp) -> Option<Timestamp> {
        let due = self.due.iter().filter(|&&(_, place)| !tried.contains(place)).take(2);
        due.map(|&(until, place)| self.expected(until, place, now)).min()
    }

    fn expected(&self, until: Timestamp, place: u32, now: Timestamp) -> Timestamp {
        let probing = self.cell(place).is_some_and(|cell| cell.health.state() == State::Probing);
        if probing { until.min(now + std::time::Duration::from_secs(1)) } else { until }
    }

    /// A lease on a member whose rest is over, if there is one that this request may probe.
    pub(super) fn probe(&mut self, tried: &Tried, caller: Option<Caller>, now: Timestamp) -> Option<Lease> {
        // One more than a request can have tried: behind those, the first will do.
        let due = self.due.iter().take(Tried::MOST + 1).take_while(|&&(until, _)| until <= now);
        let place = due.map(|&(_, place)| place).find(|&place| !tried.contains(place))?;
        self.probe_at(place, caller, now)
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
        let place = self.roster.open.at_or_after(0, |word| tried.mask(word))?;
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
        if let Some(lease) = self.any_open(tried, caller).or_else(|| self.probe(tried, caller, now)) {
            self.queue.give(ticket, lease);
        }
        Some(ticket)
    }

    /// Opens a new roster's bits by the members' health.
    pub(super) fn mark_all(&self, roster: &Roster) {
        let open = |cell: &&Cell| standing(cell.health) != Standing::Closed;
        self.cells.iter().flatten().filter(open).for_each(|cell| roster.open.set(cell.member.place as usize));
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

/// What a member's word must say for its health.
pub(super) fn standing(health: Health) -> Standing {
    match health.state() {
        State::Active if health.is_clean() => Standing::Clean,
        State::Active => Standing::Struck,
        _ => Standing::Closed,
    }
}
