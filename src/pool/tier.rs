//! The members of one tier as a strategy is shown them: each at as many places, here called seats, as it weighs. So every
//! strategy that spreads requests over places spreads them by weight.
//!
//! Only pools of unequal keys have tiers: elsewhere a strategy is shown the roster itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bitmap::Bitmap;
use super::member::Member;
use super::tried::Tried;
use crate::select::Load;

#[derive(Debug)]
pub(super) struct Tier {
    pub(super) rank: u8,
    pub(super) open: Bitmap,
    pub(super) fingerprints: Box<[u64]>,
    /// Who has which seat.
    owners: Box<[u32]>,
    /// Each member's place with its seats, in order.
    seats: Box<[(u32, u32)]>,
    /// The most that a member weighs.
    heaviest: u8,
}

impl Tier {
    /// The tiers of these members, the first to be used first. None if all are equal.
    pub(super) fn of(members: &[Option<Arc<Member>>]) -> Box<[Self]> {
        let mut traits = members.iter().flatten().map(|member| (member.tier(), member.weight()));
        let first = traits.next();
        if traits.all(|other| Some(other) == first) {
            return Box::default();
        }
        let mut tiers: BTreeMap<u8, Vec<&Member>> = BTreeMap::new();
        members.iter().flatten().for_each(|member| tiers.entry(member.tier()).or_default().push(member));
        tiers.into_iter().map(|(rank, members)| Self::new(rank, &members)).collect()
    }

    fn new(rank: u8, members: &[&Member]) -> Self {
        let mut copies: Vec<_> = members.iter().flat_map(|member| copies(member)).collect();
        copies.sort_unstable();
        let owners: Box<[_]> = copies.iter().map(|&(_, place, _)| place).collect();
        let mut seats: Box<[_]> = owners.iter().copied().zip(0..).collect();
        seats.sort_unstable();
        Self {
            rank,
            open: Bitmap::new(owners.len()),
            fingerprints: copies.iter().map(|&(_, _, fingerprint)| fingerprint).collect(),
            owners,
            seats,
            heaviest: members.iter().map(|member| member.weight()).max().unwrap_or(1),
        }
    }

    /// Opens or closes all seats of the member at a place, if it is of this tier.
    pub(super) fn mark(&self, seats: &Bitmap, place: u32, open: bool) {
        self.seats_of(place).for_each(|seat| seats.put(seat, open));
    }

    /// The place of a member that has one of the `open` seats and was not tried.
    pub(super) fn any_of(&self, open: &Bitmap, tried: &Tried) -> Option<u32> {
        let first = open.at_or_after(0, |word| {
            tried.places().iter().fold(u64::MAX, |mask, &place| mask & self.others(word, place))
        });
        first.and_then(|seat| self.owner(seat))
    }

    /// The seats of one word of the bitmap that are not those of the member at a place.
    pub(super) fn others(&self, word: usize, place: u32) -> u64 {
        let here = self.seats_of(place).filter(|seat| seat / 64 == word);
        here.fold(u64::MAX, |mask, seat| mask & !(1 << (seat % 64)))
    }

    /// The place of the member that has a seat.
    pub(super) fn owner(&self, seat: usize) -> Option<u32> {
        self.owners.get(seat).copied()
    }

    pub(super) fn seats_of(&self, place: u32) -> impl Iterator<Item = usize> {
        let first = self.seats.partition_point(|&(other, _)| other < place);
        let from = self.seats.get(first..).unwrap_or_default();
        from.iter().take_while(move |&&(other, _)| other == place).map(|&(_, seat)| seat as usize)
    }

    /// A load as a member feels it that is as strong as the strongest.
    pub(super) fn felt(&self, load: Load, weight: u8) -> Load {
        let felt = |count: u64| count.saturating_mul(self.heaviest.into()) / u64::from(weight.max(1));
        let in_flight = u32::try_from(felt(load.in_flight.into())).unwrap_or(u32::MAX);
        Load::new(load.throttles, in_flight, felt(load.uses))
    }
}

/// Each copy of a member: its turn in a round in which all have the same time for theirs, its place, what stands for it.
fn copies(member: &Member) -> impl Iterator<Item = (u32, u32, u64)> {
    let (place, weight, fingerprint) = (member.place, u32::from(member.weight()), member.fingerprint());
    (0..weight)
        .map(move |copy| ((copy << 16) / weight, place, fingerprint.wrapping_add(u64::from(copy).wrapping_mul(STRIDE))))
}

/// Sets the copies of a member apart: any odd number.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;
