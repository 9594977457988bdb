//! A member in the books: how it is doing, and, in a commune, who had a part in that.

use std::sync::Arc;

use super::attribution::Accusation;
use super::history::History;
use super::member::Member;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::{Health, State, Step};

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) member: Arc<Member>,
    pub(super) health: Health,
    pub(super) since: Timestamp,
    pub(super) history: History,
    /// Whose request has made it suspect: that caller cannot be the witness.
    pub(super) accuser: Option<Caller>,
    /// Who has struck it, not owning it, since it last proved itself.
    pub(super) strikers: Vec<Caller>,
    /// The members that its owner accused though they work.
    wronged: Vec<u32>,
    /// The members that were throttled by the same request of its owner as this one.
    companions: Vec<Accusation>,
}

impl Cell {
    /// The most strikers that are remembered; whoever comes behind them strikes no more.
    pub(super) const MOST_STRIKERS: usize = 64;

    /// Whoever accuses so many members that work is to blame itself.
    const MOST_WRONGED: usize = 3;

    pub(super) fn new(member: Arc<Member>, history: History, step: Step) -> Self {
        Self {
            member,
            health: Health::cleared(step),
            since: history.created,
            history,
            accuser: None,
            strikers: Vec::new(),
            wronged: Vec::new(),
            companions: Vec::new(),
        }
    }

    /// Whether a request on behalf of `caller` may try whether the key works.
    pub(super) fn may_be_tried_by(&self, caller: Option<Caller>, now: Timestamp) -> bool {
        let is_witness = caller.is_some_and(|caller| self.accuser != Some(caller));
        self.health.state() != State::Suspect || is_witness || self.health.is_cleared_by_time(now)
    }

    /// Remembers who strikes it without owning it. Answers whether it is the first time since it last proved itself (I22).
    pub(super) fn note_striker(&mut self, caller: Caller) -> bool {
        let first = !self.strikers.contains(&caller) && self.strikers.len() < Self::MOST_STRIKERS;
        if first {
            self.strikers.push(caller);
        }
        first
    }

    /// How many have struck it, not owning it, since it last proved itself.
    pub(super) fn strikers(&self) -> usize {
        self.strikers.len()
    }

    /// A request of its owner was throttled with these members, and with this one too.
    pub(super) fn join_fate(&mut self, companions: &[Accusation]) {
        self.companions = companions.to_vec();
    }

    /// It has proved itself. Answers which members that speaks for.
    pub(super) fn forgive(&mut self) -> Vec<Accusation> {
        self.strikers.clear();
        std::mem::take(&mut self.companions)
    }

    /// Its owner has accused the member at `place`, which works. Answers whether that was one time too many.
    pub(super) fn has_wronged(&mut self, place: u32) -> bool {
        if !self.wronged.contains(&place) {
            self.wronged.push(place);
        }
        let too_many = self.wronged.len() >= Self::MOST_WRONGED;
        if too_many {
            self.wronged.clear();
        }
        too_many
    }
}
