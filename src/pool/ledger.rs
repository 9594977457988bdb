//! What the pool knows about its members beyond what their words say: behind one short lock that is never held across an
//! await, a hook or a wake.
//!
//! Everything that changes a member's health goes through [`Ledger::install`], which keeps the member's word, the
//! bitmap, the due times and the published step in agreement.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Waker;

use super::budget::Budget;
use super::capacity::Capacity;
use super::cell::Cell;
use super::changes::Changes;
use super::ids::Ids;
use super::lane::{Lane, LaneId, Lanes};
use super::lease::Lease;
use super::member::Member;
use super::outage::Journal;
use super::pace::Paces;
use super::refills::Refills;
use super::renewal::Renewal;
use super::roster::Roster;
use super::scopes::Scopes;
use super::signals::Signals;
use super::spot::Spot;
use super::waiting::Queue;
use super::word::Standing;
use crate::clock::Timestamp;
use crate::health::{Health, Judge, Penalties, State, Step};
use crate::secret::KeyId;

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) roster: Arc<Roster>,
    pub(super) cells: Vec<Option<Cell>>,
    pub(super) ids: Ids,
    pub(super) free: BTreeSet<u32>,
    pub(super) penalties: Penalties,
    pub(super) queue: Queue,
    pub(super) journal: Journal,
    pub(super) budget: Budget,
    pub(super) changes: Changes,
    /// To be woken once the lock is released.
    pub(super) wakers: Vec<Waker>,
    /// To be given back once the lock is released.
    pub(super) returned: Vec<Lease>,
    /// What may have come free, to be handed out when all else is done: never in the midst of another hand-over.
    opened: Vec<(Spot, Timestamp)>,
    pub(super) signals: Arc<Signals>,
    /// When what rests has rested long enough: first what concerns any model, then keys for one model, by lane.
    pub(super) due: BTreeSet<(Timestamp, Spot)>,
    pub(super) due_pairs: BTreeSet<(LaneId, Timestamp, u32)>,
    pub(super) scopes: Scopes,
    pub(super) capacity: Arc<Capacity>,
    pub(super) refills: Refills,
    pub(super) renewal: Option<Renewal>,
    pub(super) paces: Paces,
    pub(super) next_lane: LaneId,
    step: Step,
}

impl Ledger {
    pub(super) fn new(
        roster: Arc<Roster>,
        signals: Arc<Signals>,
        penalties: Penalties,
        queue: Queue,
        capacity: Arc<Capacity>,
    ) -> Self {
        Self {
            roster,
            cells: Vec::new(),
            ids: Ids::default(),
            free: BTreeSet::new(),
            penalties,
            queue,
            journal: Journal::default(),
            budget: Budget::default(),
            changes: Changes::default(),
            wakers: Vec::new(),
            returned: Vec::new(),
            opened: Vec::new(),
            signals,
            due: BTreeSet::new(),
            due_pairs: BTreeSet::new(),
            scopes: Scopes::default(),
            capacity,
            refills: Refills::default(),
            renewal: None,
            paces: Paces::default(),
            next_lane: 0,
            step: 0,
        }
    }

    pub(super) fn cell(&self, place: u32) -> Option<&Cell> {
        self.cells.get(place as usize)?.as_ref()
    }

    pub(super) fn cell_mut(&mut self, place: u32) -> Option<&mut Cell> {
        self.cells.get_mut(place as usize)?.as_mut()
    }

    /// Where the key stands.
    pub(super) fn place_of(&self, id: KeyId) -> Option<u32> {
        self.ids.find(id, &self.cells)
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
    /// for it, when all else is done.
    pub(super) fn put(&mut self, place: u32, health: Health, now: Timestamp) {
        let Some(cell) = self.cells.get_mut(place as usize).and_then(Option::as_mut) else { return };
        let old = std::mem::replace(&mut cell.health, health);
        if old.state() != health.state() {
            cell.since = now;
        }
        self.refresh(place);
        self.reschedule(Spot::Key(place), old, health);
        self.publish_step(old, health);
        self.note_opened(Spot::Key(place), now);
    }

    /// What may have come free is for those who wait.
    pub(super) fn note_opened(&mut self, spot: Spot, now: Timestamp) {
        if self.queue.count() > 0 {
            self.opened.push((spot, now));
        }
    }

    /// Before the lock is released: hands out what has come free, and answers whom to wake and what to give back.
    pub(super) fn conclude(&mut self) -> (Vec<Waker>, Vec<Lease>) {
        while let Some((spot, now)) = self.opened.pop() {
            self.hand_out_at(spot, now);
        }
        (std::mem::take(&mut self.wakers), std::mem::take(&mut self.returned))
    }

    /// Brings the word of a member and its bits up to date with its health and that of its group.
    pub(super) fn refresh(&mut self, place: u32) {
        let Some(cell) = self.cell(place) else { return };
        let group = cell.group.and_then(|number| self.scopes.group(number));
        let standing = standing(cell.health).max(group.map_or(Standing::Clean, standing));
        if !cell.member.word.is_well() && standing != Standing::Closed {
            cell.member.catch_up(self.roster.level(cell.member.tier()));
        }
        cell.member.word.set(standing);
        self.roster.mark(place, cell.member.word.is_open());
    }

    /// How many things rest.
    pub(super) fn resting(&self) -> usize {
        self.due.len()
    }

    /// The number of the lane for a model, if it has one of its own.
    pub(super) fn lane_named(&self, model: &str) -> Option<LaneId> {
        self.roster.lanes.load().named(model).map(|lane| lane.id)
    }

    pub(super) fn publish_step(&mut self, old: Health, health: Health) {
        if health.changed() != old.changed() {
            self.step = self.step.max(health.changed());
            self.signals.publish(self.step);
        }
    }

    /// Takes a member out of the books, so that nobody is let in any more.
    pub(super) fn expel(&mut self, id: KeyId) -> Option<Cell> {
        let cell = self.place_of(id).and_then(|place| self.forget(place))?;
        cell.member.word.set(Standing::Closed);
        Some(cell)
    }

    fn forget(&mut self, place: u32) -> Option<Cell> {
        let cell = self.cells.get_mut(place as usize)?.take()?;
        self.unschedule(Spot::Key(place), cell.health);
        self.forget_scopes(place, cell.group);
        self.tell_due(Spot::Key(place));
        self.refills.remove(place);
        self.paces.forget(place);
        self.ids.remove(cell.member.id, place);
        self.free.insert(place);
        Some(cell)
    }

    /// Puts a new roster in place of the old one, its bits by the members' health.
    pub(super) fn replace(&mut self, roster: &Arc<Roster>) {
        let lanes = self.roster.lanes.load().renewed(roster);
        lanes.all().for_each(|lane| self.judge_lane(lane));
        roster.set_lanes(lanes);
        self.roster = Arc::clone(roster);
        let members = self.cells.iter().flatten().map(|cell| &cell.member);
        members.filter(|member| member.word.is_open()).for_each(|member| roster.mark(member.place, true));
        self.signals.set_next_due(self.due_first(), self.next_probe());
    }

    /// Has requests for a model told apart from others.
    pub(super) fn tell_apart(&mut self, model: &Arc<str>) -> Arc<Lane> {
        let mut lanes = self.roster.lanes.load_full();
        if let Some(lane) = lanes.named(model) {
            return Arc::clone(lane);
        }
        if lanes.len() >= Lanes::MOST
            && let Some(oldest) = self.oldest_of(&lanes)
        {
            self.forget_lane(oldest);
            lanes = Arc::new(lanes.without(oldest));
        }
        self.next_lane += 1;
        let (lanes, lane) = lanes.with(self.next_lane, model, &self.roster);
        let members = self.cells.iter().flatten().map(|cell| &cell.member);
        members
            .filter(|member| member.word.is_open())
            .for_each(|member| lane.mark(&self.roster.tiers, member.place, true));
        self.roster.set_lanes(lanes);
        lane
    }

    /// The lane that is of least use: nothing rests in it, or else it is the oldest.
    fn oldest_of(&self, lanes: &Lanes) -> Option<LaneId> {
        let rests = |lane: &Lane| {
            let in_use = self.scopes.busy_with(lane.id).next().is_some();
            in_use || self.scopes.pairs_of(lane.id).any(|(_, health)| !health.is_clean())
        };
        lanes.each_named().map(|lane| (rests(lane), lane.id)).min().map(|(_, id)| id)
    }

    /// Brings a lane of a new roster up to date with how keys are doing for its model.
    fn judge_lane(&self, lane: &Lane) {
        let known = self.scopes.pairs_of(lane.id).map(|(place, _)| place).chain(self.scopes.busy_with(lane.id));
        known.for_each(|place| self.judge_pair(lane, place));
        lane.set_next_due(self.pairs_due(lane.id).next().map_or(Timestamp::MAX, |(due, _)| due));
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
