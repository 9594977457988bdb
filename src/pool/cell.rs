//! A member in the books: how it is doing, and, in a commune, who had a part in that.

use std::sync::Arc;

use super::attribution::Accusation;
use super::history::History;
use super::member::Member;
use super::usage::Spending;
use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::{Condition, Health, State, Step};
use crate::record::{RestOf, Rests};

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) member: Arc<Member>,
    pub(super) health: Health,
    pub(super) since: Timestamp,
    pub(super) history: History,
    /// The number of its group, if it is of one.
    pub(super) group: Option<u32>,
    /// Few members have any of it.
    rare: Option<Box<Rare>>,
}

/// Who had a part in how a member is doing, and what it has cost.
#[derive(Debug, Default)]
struct Rare {
    /// Whose request has made it suspect: that caller cannot be the witness.
    accuser: Option<Caller>,
    /// Who has struck it, not owning it, since it last proved itself.
    strikers: Vec<Caller>,
    /// The members that its owner accused though they work.
    wronged: Vec<u32>,
    /// The members that were throttled by the same request of its owner as this one.
    companions: Vec<Accusation>,
    /// What rests beside it that it was refused for, as it is to be remembered.
    rests: Rests,
    /// Only where answers are metered.
    spending: Option<Box<Spending>>,
}

impl Cell {
    /// The most strikers that are remembered; whoever comes behind them strikes no more.
    const MOST_STRIKERS: usize = 64;

    /// Whoever accuses so many members that work is to blame itself.
    const MOST_WRONGED: usize = 3;

    pub(super) fn new(member: Arc<Member>, history: History, group: Option<u32>, step: Step) -> Self {
        let (health, since) = (Health::cleared(step), history.created);
        Self { member, health, since, history, group, rare: None }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn spending(&self) -> Option<&Spending> {
        self.rare.as_ref()?.spending.as_deref()
    }

    /// For an answer that tells what it has cost.
    pub(super) fn metered(&mut self) -> &mut Spending {
        self.rare().spending.get_or_insert_default()
    }

    pub(super) fn take_spending(&mut self) -> Option<Box<Spending>> {
        self.rare.as_mut()?.spending.take()
    }

    pub(super) fn set_spending(&mut self, spending: Option<Box<Spending>>) {
        if spending.is_some() || self.rare.is_some() {
            self.rare().spending = spending;
        }
    }

    /// What rests beside it that it was refused for.
    pub(super) fn rests(&self) -> Option<&Rests> {
        self.rare.as_ref().map(|rare| &rare.rests).filter(|rests| !rests.is_empty())
    }

    /// Something beside it is in another condition from now on. Answers whether that is to be remembered.
    pub(super) fn revise_rest(&mut self, of: RestOf, condition: Condition, now: Timestamp) -> bool {
        let is_known = self.rests().is_some() || condition != Condition::default();
        is_known && self.rare().rests.revise(of, condition, now)
    }

    /// Remembers no rest any more but as one that was cleared. Answers whether there was one.
    pub(super) fn clear_rests(&mut self, now: Timestamp) -> bool {
        self.rare.as_mut().is_some_and(|rare| rare.rests.clear(now))
    }

    pub(super) fn set_rests(&mut self, rests: Rests) {
        if !rests.is_empty() || self.rare.is_some() {
            self.rare().rests = rests;
        }
    }

    /// Whether a request on behalf of `caller` may try whether the key works.
    pub(super) fn may_be_tried_by(&self, caller: Option<Caller>, now: Timestamp) -> bool {
        let accuser = self.rare.as_ref().and_then(|rare| rare.accuser);
        let is_witness = caller.is_some_and(|caller| accuser != Some(caller));
        self.health.state() != State::Suspect || is_witness || self.health.is_cleared_by_time(now)
    }

    /// Remembers whose request has made it suspect.
    pub(super) fn accuse(&mut self, caller: Option<Caller>) {
        self.rare().accuser = caller;
    }

    /// It works. Answers who accused it.
    pub(super) fn clear_accuser(&mut self) -> Option<Caller> {
        self.rare.as_mut()?.accuser.take()
    }

    /// Remembers who strikes it without owning it. Answers whether it is the first time since it last proved itself (I22).
    pub(super) fn note_striker(&mut self, caller: Caller) -> bool {
        let strikers = &mut self.rare().strikers;
        let first = !strikers.contains(&caller) && strikers.len() < Self::MOST_STRIKERS;
        if first {
            strikers.push(caller);
        }
        first
    }

    /// Who has struck it before its process began.
    pub(super) fn remember_strikers(&mut self, mut strikers: Vec<Caller>) {
        if !strikers.is_empty() || self.rare.is_some() {
            strikers.truncate(Self::MOST_STRIKERS);
            self.rare().strikers = strikers;
        }
    }

    /// Who has struck it, not owning it, since it last proved itself.
    pub(super) fn strikers(&self) -> &[Caller] {
        self.rare.as_ref().map_or(&[], |rare| &rare.strikers)
    }

    /// A request of its owner was throttled with these members, and with this one too.
    pub(super) fn join_fate(&mut self, companions: &[Accusation]) {
        self.rare().companions = companions.to_vec();
    }

    /// It has proved itself. Answers which members that speaks for.
    pub(super) fn forgive(&mut self) -> Vec<Accusation> {
        let Some(rare) = &mut self.rare else { return Vec::new() };
        rare.strikers.clear();
        std::mem::take(&mut rare.companions)
    }

    /// Its owner has accused the member at `place`, which works. Answers whether that was one time too many.
    pub(super) fn has_wronged(&mut self, place: u32) -> bool {
        let wronged = &mut self.rare().wronged;
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

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_the_books_have_of_a_million_members_is_small() {
        assert!(size_of::<Option<Cell>>() <= 120);
    }
}
