//! A member in the books: how it is doing, and, in a commune, who had a part in that.

use std::sync::Arc;

use super::attribution::Accusation;
use super::history::History;
use super::member::Member;
use super::usage::Spending;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::{Health, State, Step};

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) member: Arc<Member>,
    pub(super) health: Health,
    pub(super) since: Timestamp,
    pub(super) history: History,
    /// The number of its group, if it is of one.
    pub(super) group: Option<u32>,
    /// Only where answers are metered.
    pub(super) spending: Option<Box<Spending>>,
    /// Few members have any.
    ties: Option<Box<Ties>>,
}

/// Who had a part in how a member is doing.
#[derive(Debug, Default)]
struct Ties {
    /// Whose request has made it suspect: that caller cannot be the witness.
    accuser: Option<Caller>,
    /// Who has struck it, not owning it, since it last proved itself.
    strikers: Vec<Caller>,
    /// The members that its owner accused though they work.
    wronged: Vec<u32>,
    /// The members that were throttled by the same request of its owner as this one.
    companions: Vec<Accusation>,
}

impl Cell {
    /// The most strikers that are remembered; whoever comes behind them strikes no more.
    const MOST_STRIKERS: usize = 64;

    /// Whoever accuses so many members that work is to blame itself.
    const MOST_WRONGED: usize = 3;

    pub(super) fn new(member: Arc<Member>, history: History, group: Option<u32>, step: Step) -> Self {
        let (health, since) = (Health::cleared(step), history.created);
        Self { member, health, since, history, group, spending: None, ties: None }
    }

    fn ties(&mut self) -> &mut Ties {
        self.ties.get_or_insert_default()
    }

    /// Whether a request on behalf of `caller` may try whether the key works.
    pub(super) fn may_be_tried_by(&self, caller: Option<Caller>, now: Timestamp) -> bool {
        let accuser = self.ties.as_ref().and_then(|ties| ties.accuser);
        let is_witness = caller.is_some_and(|caller| accuser != Some(caller));
        self.health.state() != State::Suspect || is_witness || self.health.is_cleared_by_time(now)
    }

    /// Remembers whose request has made it suspect.
    pub(super) fn accuse(&mut self, caller: Option<Caller>) {
        self.ties().accuser = caller;
    }

    /// It works. Answers who accused it.
    pub(super) fn clear_accuser(&mut self) -> Option<Caller> {
        self.ties.as_mut()?.accuser.take()
    }

    /// Remembers who strikes it without owning it. Answers whether it is the first time since it last proved itself (I22).
    pub(super) fn note_striker(&mut self, caller: Caller) -> bool {
        let strikers = &mut self.ties().strikers;
        let first = !strikers.contains(&caller) && strikers.len() < Self::MOST_STRIKERS;
        if first {
            strikers.push(caller);
        }
        first
    }

    /// Who has struck it before its process began.
    pub(super) fn remember_strikers(&mut self, mut strikers: Vec<Caller>) {
        if !strikers.is_empty() || self.ties.is_some() {
            strikers.truncate(Self::MOST_STRIKERS);
            self.ties().strikers = strikers;
        }
    }

    /// Who has struck it, not owning it, since it last proved itself.
    pub(super) fn strikers(&self) -> &[Caller] {
        self.ties.as_ref().map_or(&[], |ties| &ties.strikers)
    }

    /// A request of its owner was throttled with these members, and with this one too.
    pub(super) fn join_fate(&mut self, companions: &[Accusation]) {
        self.ties().companions = companions.to_vec();
    }

    /// It has proved itself. Answers which members that speaks for.
    pub(super) fn forgive(&mut self) -> Vec<Accusation> {
        let Some(ties) = &mut self.ties else { return Vec::new() };
        ties.strikers.clear();
        std::mem::take(&mut ties.companions)
    }

    /// Its owner has accused the member at `place`, which works. Answers whether that was one time too many.
    pub(super) fn has_wronged(&mut self, place: u32) -> bool {
        let wronged = &mut self.ties().wronged;
        if !wronged.contains(&place) {
            wronged.push(place);
        }
        let too_many = wronged.len() >= Self::MOST_WRONGED;
        if too_many {
            wronged.clear();
        }
        too_many
    }
}
