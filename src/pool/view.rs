//! The pool as a strategy sees it.

use std::cell::Cell;

use super::random::{below, next};
use super::roster::Roster;
use super::tried::Tried;
use crate::clock::Timestamp;
use crate::demand::Demand;
use crate::select::{Candidates, Load, Place};

pub(super) struct View<'a> {
    pub(super) roster: &'a Roster,
    pub(super) tried: &'a Tried,
    pub(super) demand: &'a Demand,
    pub(super) now: Timestamp,
    /// The number that the next candidate is drawn by.
    pub(super) random: Cell<u64>,
}

impl Candidates for View<'_> {
    fn capacity(&self) -> usize {
        self.roster.open.capacity()
    }

    #[inline]
    fn at_or_after(&self, place: Place) -> Option<Place> {
        self.next(place, None)
    }

    #[inline]
    fn draw(&self, except: Option<Place>) -> Option<Place> {
        let random = self.random.replace(next(self.random.get()));
        let place = below(random, self.capacity());
        let near = self.roster.open.near(place, |word| self.mask(word, except));
        near.or_else(|| self.next(place, except))
    }

    #[inline]
    fn load(&self, place: Place) -> Load {
        self.roster.member(place).map_or_else(Load::default, |member| member.load(self.now))
    }

    fn load_today(&self, place: Place) -> Load {
        self.roster.member(place).map_or_else(Load::default, |member| member.load_today(self.now))
    }

    fn own(&self) -> Option<Place> {
        let place = self.roster.place_of(self.demand.caller_id()?)?;
        self.next(place, None).filter(|&next| next == place)
    }
}

impl View<'_> {
    /// A candidate, if the strategy cannot say.
    pub(super) fn any(&self) -> Option<Place> {
        self.next(0, None)
    }

    fn next(&self, place: Place, except: Option<Place>) -> Option<Place> {
        let open = &self.roster.open;
        let ahead = open.at_or_after(place, |word| self.mask(word, except));
        ahead.or_else(|| open.at_or_after(0, |word| self.mask(word, except)))
    }

    #[inline]
    fn mask(&self, word: usize, except: Option<Place>) -> u64 {
        let untried = if self.tried.count() == 0 { u64::MAX } else { self.tried.mask(word) };
        match except {
            Some(place) if place / 64 == word => untried & !(1 << (place % 64)),
            _ => untried,
        }
    }
}
