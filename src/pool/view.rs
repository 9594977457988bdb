//! The pool as a strategy sees it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::bitmap::Bitmap;
use super::lane::Lane;
use super::member::Member;
use super::random::{below, next};
use super::roster::Roster;
use super::shared::Shared;
use super::tier::Tier;
use super::tried::Tried;
use crate::clock::Timestamp;
use crate::demand::Demand;
use crate::select::{Candidates, Load, Place};

/// What a request asks of the pool.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) roster: &'a Roster,
    /// Who serves the model that is asked for, if not all do.
    pub(super) lane: Option<&'a Lane>,
    pub(super) tried: &'a Tried,
    pub(super) demand: &'a Demand,
    pub(super) pool: &'a Shared,
    pub(super) now: Timestamp,
    /// What candidates are drawn by.
    pub(super) random: u64,
}

/// The places that a strategy is shown: those of the roster, where all members are equal, or the seats of a tier.
pub(super) trait Seats {
    /// Where in the roster the member stands that has this seat.
    fn owner(&self, seat: Place) -> Option<u32>;

    /// A seat of the member that stands there in the roster.
    fn seat_of(&self, place: u32) -> Option<Place>;

    /// The seats of one word of the bitmap that are not that member's.
    fn others(&self, word: usize, place: u32) -> u64;

    fn felt(&self, load: Load, weight: impl FnOnce() -> u8) -> Load;

    fn fingerprints(&self) -> &[u64];
}

impl Seats for Roster {
    #[inline]
    fn owner(&self, seat: Place) -> Option<u32> {
        Some(seat as u32)
    }

    fn seat_of(&self, place: u32) -> Option<Place> {
        Some(place as usize)
    }

    #[inline]
    fn others(&self, word: usize, place: u32) -> u64 {
        if place as usize / 64 == word { !(1 << (place % 64)) } else { u64::MAX }
    }

    #[inline]
    fn felt(&self, load: Load, _: impl FnOnce() -> u8) -> Load {
        load
    }

    fn fingerprints(&self) -> &[u64] {
        self.fingerprints()
    }
}

impl Seats for Tier {
    fn owner(&self, seat: Place) -> Option<u32> {
        self.owner(seat)
    }

    fn seat_of(&self, place: u32) -> Option<Place> {
        self.seats_of(place).next()
    }

    fn others(&self, word: usize, place: u32) -> u64 {
        self.others(word, place)
    }

    fn felt(&self, load: Load, weight: impl FnOnce() -> u8) -> Load {
        self.felt(load, weight())
    }

    fn fingerprints(&self) -> &[u64] {
        &self.fingerprints
    }
}

pub(super) struct View<'a, S> {
    question: &'a Question<'a>,
    seats: &'a S,
    /// Those of them that are open for the request.
    open: &'a Bitmap,
    random: Cell<u64>,
}

impl<S: Seats> Candidates for View<'_, S> {
    #[inline]
    fn capacity(&self) -> usize {
        self.open.capacity()
    }

    #[inline]
    fn at_or_after(&self, place: Place) -> Option<Place> {
        self.next(place, None)
    }

    #[inline]
    fn draw(&self, except: Option<Place>) -> Option<Place> {
        let random = self.random.replace(next(self.random.get()));
        let place = below(random, self.capacity());
        let near = self.open.near(place, |word| self.mask(word, except));
        near.or_else(|| self.next(place, except))
    }

    #[inline]
    fn load(&self, place: Place) -> Load {
        let now = self.question.now;
        self.member(place).map_or_else(Load::default, |member| self.seats.felt(member.load(now), || member.weight()))
    }

    fn load_today(&self, place: Place) -> Load {
        let now = self.question.now;
        let felt = |member: &Arc<Member>| self.seats.felt(member.load_today(now), || member.weight());
        self.member(place).map_or_else(Load::default, felt)
    }

    fn load_for_model(&self, place: Place) -> Load {
        let (model, now) = (self.question.demand.model_name(), self.question.now);
        let felt = |member: &Arc<Member>| self.seats.felt(member.load_for(model, now), || member.weight());
        self.member(place).map_or_else(Load::default, felt)
    }

    fn own(&self) -> Option<Place> {
        let own = self.question.roster.place_of(self.question.demand.caller_id()?)?;
        let seat = self.seats.seat_of(own as u32)?;
        self.next(seat, None).filter(|&next| next == seat)
    }

    fn latency(&self, place: Place) -> Option<Duration> {
        self.member(place)?.latency()?.read(self.question.now, self.question.pool.signals.latency_decay?)
    }

    fn session(&self) -> Option<u64> {
        self.question.demand.session_id().map(|id| self.question.pool.pepper.session(id.as_bytes()))
    }

    fn fingerprints(&self) -> &[u64] {
        self.seats.fingerprints()
    }

    fn serves(&self, place: Place) -> bool {
        let serves = |owner: u32| self.question.lane.is_none_or(|lane| lane.serves(owner));
        self.member(place).is_some() && self.seats.owner(place).is_some_and(serves)
    }
}

impl<'a, S: Seats> View<'a, S> {
    #[inline]
    pub(super) fn new(seats: &'a S, open: &'a Bitmap, question: &'a Question<'_>) -> Self {
        Self { random: Cell::new(question.random), seats, open, question }
    }

    /// A candidate, if the strategy cannot say.
    pub(super) fn any(&self) -> Option<Place> {
        self.next(0, None)
    }

    #[inline]
    fn member(&self, seat: Place) -> Option<&Arc<Member>> {
        self.question.roster.member(self.seats.owner(seat)? as usize)
    }

    #[inline]
    fn next(&self, place: Place, except: Option<Place>) -> Option<Place> {
        next_of(self.seats, self.open, self.question.tried, (place, except))
    }

    #[inline]
    fn mask(&self, word: usize, except: Option<Place>) -> u64 {
        mask(self.seats, self.question.tried, word, except)
    }
}

/// The first open seat from a place on, turning round. Given no view, so that one can live in registers.
#[inline(never)]
fn next_of(seats: &impl Seats, open: &Bitmap, tried: &Tried, (place, except): (Place, Option<Place>)) -> Option<Place> {
    let ahead = open.at_or_after(place, |word| mask(seats, tried, word, except));
    ahead.or_else(|| open.at_or_after(0, |word| mask(seats, tried, word, except)))
}

/// The seats of a word whose members were not tried, and are not the one that has the seat `except`.
#[inline]
fn mask(seats: &impl Seats, tried: &Tried, word: usize, except: Option<Place>) -> u64 {
    let untried = if tried.count() == 0 { u64::MAX } else { untried(seats, tried, word) };
    match except.and_then(|seat| seats.owner(seat)) {
        Some(place) => untried & seats.others(word, place),
        None => untried,
    }
}

#[cold]
fn untried(seats: &impl Seats, tried: &Tried, word: usize) -> u64 {
    tried.places().iter().fold(u64::MAX, |mask, &place| mask & seats.others(word, place))
}
