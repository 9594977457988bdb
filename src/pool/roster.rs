//! The members of a pool at one moment, and which of them are open.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use super::bitmap::Bitmap;
use super::lane::{Lane, Lanes};
use super::member::Member;
use super::tier::Tier;
use super::tried::Tried;
use crate::demand::Caller;
use crate::secret::Secret;
use crate::sync::{AtomicU32, Ordering};

/// Replaced as a whole when keys come or go; readers keep the one they have.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(super) members: Box<[Option<Arc<Member>>]>,
    pub(super) open: Bitmap,
    /// How a strategy is shown unequal members, the tier to be used first first; empty if all are equal.
    pub(super) tiers: Box<[Tier]>,
    /// Who serves which model, as far as models are told apart.
    pub(super) lanes: ArcSwap<Lanes>,
    /// Whether any are, so that nothing has to be looked up where none is.
    has_lanes: AtomicU32,
    /// What stands for the members, by place, as soon as a strategy asks; 0 where there is none.
    fingerprints: OnceLock<Box<[u64]>>,
    /// Where the members stand, by a keyed hash of their secrets, where callers present keys.
    places: HashMap<u64, u32>,
    /// Where callers' own keys stand, as soon as a strategy asks.
    owners: OnceLock<HashMap<Caller, u32>>,
}

impl Roster {
    pub(super) fn new(members: Box<[Option<Arc<Member>>]>) -> Self {
        Self {
            open: Bitmap::new(members.len()),
            tiers: Tier::of(&members),
            members,
            lanes: ArcSwap::default(),
            has_lanes: AtomicU32::new(0),
            fingerprints: OnceLock::new(),
            places: HashMap::new(),
            owners: OnceLock::new(),
        }
    }

    /// The same, able to [`find`](Self::find) members.
    pub(super) fn indexed(self, keyed: &RandomState) -> Self {
        let place = |member: &Arc<Member>| (keyed.hash_one(member.secret().expose()), member.place);
        let places = self.members.iter().flatten().map(place).collect();
        Self { places, ..self }
    }

    /// The member with this secret. Five times as fast as by way of its id; and how long it takes tells nobody anything,
    /// since texts are compared only once all bits of the keyed hash are the same.
    pub(super) fn find(&self, secret: &Secret, keyed: &RandomState) -> Option<&Arc<Member>> {
        let place = *self.places.get(&keyed.hash_one(secret.expose()))?;
        self.member(place as usize).filter(|member| member.secret() == *secret)
    }

    /// Where a caller's own key stands.
    pub(super) fn place_of(&self, caller: Caller) -> Option<usize> {
        let place = |member: &Arc<Member>| (member.caller(), member.place);
        let owners = self.owners.get_or_init(|| self.members.iter().flatten().map(place).collect());
        owners.get(&caller).map(|&place| place as usize)
    }

    pub(super) fn fingerprints(&self) -> &[u64] {
        let of = |member: &Option<Arc<Member>>| member.as_ref().map_or(0, |member| member.fingerprint());
        self.fingerprints.get_or_init(|| self.members.iter().map(of).collect())
    }

    /// Takes note of whether the member at a place is open. Only under the pool's lock.
    pub(super) fn mark(&self, place: u32, open: bool) {
        if open {
            self.open.set(place as usize);
        } else {
            self.open.clear(place as usize);
        }
        self.tiers.iter().for_each(|tier| tier.mark(&tier.open, place, open));
        self.lanes.load().all().for_each(|lane| lane.mark(&self.tiers, place, open));
    }

    /// Whether any models are told apart.
    #[inline]
    pub(super) fn has_lanes(&self) -> bool {
        self.has_lanes.load(Ordering::Relaxed) != 0
    }

    /// Only under the pool's lock.
    pub(super) fn set_lanes(&self, lanes: Lanes) {
        self.has_lanes.store(u32::from(lanes.all().next().is_some()), Ordering::Relaxed);
        self.lanes.store(Arc::new(lanes));
    }

    /// The tiers, each with the seats that are open for requests of a lane.
    pub(super) fn floors<'a>(&'a self, lane: Option<&'a Lane>) -> impl Iterator<Item = (&'a Tier, &'a Bitmap)> {
        self.tiers.iter().enumerate().filter_map(move |(index, tier)| {
            Some((tier, lane.map_or(Some(&tier.open), |lane| lane.seats().get(index))?))
        })
    }

    /// The places that are open for requests of a lane, where all members are equal.
    #[inline]
    pub(super) fn places<'a>(&'a self, lane: Option<&'a Lane>) -> &'a Bitmap {
        lane.and_then(Lane::places).unwrap_or(&self.open)
    }

    /// A member that is open for requests of a lane and was not tried, of the first tier that has one.
    pub(super) fn any_open(&self, lane: Option<&Lane>, tried: &Tried) -> Option<u32> {
        if self.tiers.is_empty() {
            return self.places(lane).at_or_after(0, |word| tried.mask(word)).map(|place| place as u32);
        }
        self.floors(lane).find_map(|(tier, open)| tier.any_of(open, tried))
    }

    /// The members that are open for requests of a lane and were not tried, those of the first tier first.
    pub(super) fn each_open<'a>(&'a self, lane: Option<&'a Lane>, tried: &'a Tried) -> impl Iterator<Item = u32> + 'a {
        let places = self.tiers.is_empty().then(|| self.places(lane).each().map(|place| place as u32));
        let seats = self.floors(lane).flat_map(|(tier, open)| open.each().filter_map(|seat| tier.owner(seat)));
        places.into_iter().flatten().chain(seats).filter(|&place| !tried.contains(place))
    }

    /// The tier that serves a request: of keys behind it none is needed. `None` if no member is open, or all are equal.
    pub(super) fn serving(&self, lane: Option<&Lane>, tried: &Tried) -> Option<u8> {
        self.floors(lane).find(|(tier, open)| tier.any_of(open, tried).is_some()).map(|(tier, _)| tier.rank)
    }

    /// How often the open members of a tier have been used for each unit of their weight, as the first of them tells: a
    /// strategy keeps them about even.
    pub(super) fn level(&self, tier: u8) -> u64 {
        let first = match self.tiers.iter().find(|other| other.rank == tier) {
            Some(tier) => tier.any_of(&tier.open, &Tried::default()).map(|place| place as usize),
            None => self.open.at_or_after(0, |_| u64::MAX),
        };
        let uses = |member: &Arc<Member>| member.word.counts().1 / u64::from(member.weight());
        first.and_then(|place| self.member(place)).map_or(0, uses)
    }

    #[inline]
    pub(super) fn member(&self, place: usize) -> Option<&Arc<Member>> {
        self.members.get(place)?.as_ref()
    }
}
