//! The members that serve one model, as checkout sees them: which are open for it, and which have something to make good.
//!
//! A pool whose keys all serve every model has no lanes until a provider refuses a key for one model only. Written under the
//! pool's lock and read without, as a [bitmap](super::bitmap) is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::bitmap::Bitmap;
use super::member::Member;
use super::roster::Roster;
use super::tier::Tier;
use crate::clock::Timestamp;
use crate::demand::Models;
use crate::sync::{AtomicU64, Ordering};

/// The number of a lane. None is given twice, so that nothing of a former lane is taken for a later one's.
pub(super) type LaneId = u32;

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    serving: Bitmap,
    /// Who rests for this model, and who has strikes for it.
    closed: Bitmap,
    struck: Bitmap,
    /// The open places or, where members are unequal, the open seats of each tier.
    open: Box<[Bitmap]>,
    /// How many members serve the model.
    pub(super) count: usize,
    /// When a rest for this model ends first.
    next_due: AtomicU64,
    /// Until then nothing that has come due is of use here.
    deaf_until: AtomicU64,
}

impl Lane {
    pub(super) fn new(id: LaneId, roster: &Roster, serves: impl Fn(&Member) -> bool) -> Self {
        let capacity = roster.members.len();
        let serving = Bitmap::new(capacity);
        let serving_places = roster.members.iter().flatten().filter(|member| serves(member));
        let count = serving_places.inspect(|member| serving.set(member.place as usize)).count();
        let seats: Vec<_> = roster.tiers.iter().map(|tier| Bitmap::new(tier.open.capacity())).collect();
        let open = if seats.is_empty() { vec![Bitmap::new(capacity)] } else { seats };
        Self {
            id,
            serving,
            closed: Bitmap::new(capacity),
            struck: Bitmap::new(capacity),
            open: open.into(),
            count,
            next_due: AtomicU64::new(u64::MAX),
            deaf_until: AtomicU64::new(0),
        }
    }

    /// Whether the member at a place serves the model at all.
    pub(super) fn serves(&self, place: u32) -> bool {
        self.serving.get(place as usize)
    }

    /// Whether the member at a place rests for this model alone.
    pub(super) fn is_closed(&self, place: u32) -> bool {
        self.closed.get(place as usize)
    }

    /// Whether the member at a place has something to make good that concerns this model alone.
    pub(super) fn is_struck(&self, place: u32) -> bool {
        self.struck.get(place as usize)
    }

    /// The open places, where all members are equal.
    #[inline]
    pub(super) fn places(&self) -> Option<&Bitmap> {
        self.open.first()
    }

    /// The open seats of each tier.
    pub(super) fn seats(&self) -> &[Bitmap] {
        &self.open
    }

    /// Takes note of how the member at a place is doing for this model.
    pub(super) fn judge(&self, place: u32, closed: bool, struck: bool) {
        self.closed.put(place as usize, closed);
        self.struck.put(place as usize, struck);
    }

    /// Takes note of whether the member at a place is open, whatever the model.
    pub(super) fn mark(&self, tiers: &[Tier], place: u32, open: bool) {
        let open = open && self.serves(place) && !self.closed.get(place as usize);
        match self.places().filter(|_| tiers.is_empty()) {
            Some(places) => places.put(place as usize, open),
            None => tiers.iter().zip(&self.open).for_each(|(tier, seats)| tier.mark(seats, place, open)),
        }
    }

    /// Whether anything that a request for this model may probe may have come due, `general` being when the first thing
    /// does that is not of one model alone.
    #[inline]
    pub(super) fn is_due(&self, general: Timestamp, now: Timestamp) -> bool {
        let due = general.nanos().min(self.next_due.load(Ordering::Relaxed));
        now.nanos() >= due.max(self.deaf_until.load(Ordering::Relaxed))
    }

    pub(super) fn set_next_due(&self, due: Timestamp) {
        self.next_due.store(due.nanos(), Ordering::Relaxed);
    }

    /// Nothing due is of use here before that time, unless something changes.
    pub(super) fn deafen(&self, until: Timestamp) {
        self.deaf_until.store(until.nanos(), Ordering::Relaxed);
    }
}

/// The lanes of a pool at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    named: HashMap<Arc<str>, Arc<Lane>>,
    /// For the models that no key names; none where no key names any.
    others: Option<Arc<Lane>>,
    /// The different lists of models that keys have.
    lists: Arc<[Models]>,
}

/// The number of the lane for models that no key names.
const OTHERS: LaneId = 0;

/// Who serves a model.
pub(super) enum Served<'a> {
    Anybody,
    /// The members of a lane, which may have none.
    By(&'a Arc<Lane>),
    /// A lane that nobody has asked for yet.
    Unknown,
}

impl Lanes {
    /// The most models that are told apart.
    pub(super) const MOST: usize = 256;

    /// For a roster, with the same models told apart as before.
    pub(super) fn renewed(&self, roster: &Roster) -> Self {
        let lists: HashSet<&Models> = roster.members.iter().flatten().filter_map(|member| member.models()).collect();
        let lists = lists.into_iter().cloned().collect();
        let mut new = Self { named: HashMap::new(), others: None, lists };
        if !new.lists.is_empty() {
            let serves = |member: &Member| member.models().is_none_or(Models::others);
            new.others = Some(Arc::new(Lane::new(OTHERS, roster, serves)));
        }
        for (name, lane) in &self.named {
            new.add(lane.id, name, roster);
        }
        new
    }

    /// The same with one more model told apart.
    pub(super) fn with(&self, id: LaneId, name: &Arc<str>, roster: &Roster) -> (Self, Arc<Lane>) {
        let mut new = self.clone();
        let lane = new.add(id, name, roster);
        (new, lane)
    }

    /// The same without one.
    pub(super) fn without(&self, id: LaneId) -> Self {
        let mut new = self.clone();
        new.named.retain(|_, lane| lane.id != id);
        new
    }

    fn add(&mut self, id: LaneId, name: &Arc<str>, roster: &Roster) -> Arc<Lane> {
        let named = self.is_named(name);
        let serves =
            |member: &Member| member.models().is_none_or(|models| models.names(name) || (models.others() && !named));
        let lane = Arc::new(Lane::new(id, roster, serves));
        self.named.insert(Arc::clone(name), Arc::clone(&lane));
        lane
    }

    /// Whether any key serves some models only.
    pub(super) fn has_lists(&self) -> bool {
        !self.lists.is_empty()
    }

    fn is_named(&self, model: &str) -> bool {
        self.lists.iter().any(|list| list.names(model))
    }

    /// Who serves a model, which is to have a lane of its own if it is told `apart` from all others.
    #[inline]
    pub(super) fn of(&self, model: &str, apart: bool) -> Served<'_> {
        if let Some(lane) = self.named.get(model) {
            return Served::By(lane);
        }
        match &self.others {
            _ if apart => Served::Unknown,
            None => Served::Anybody,
            Some(_) if self.is_named(model) => Served::Unknown,
            Some(others) => Served::By(others),
        }
    }

    pub(super) fn named(&self, model: &str) -> Option<&Arc<Lane>> {
        self.named.get(model)
    }

    pub(super) fn by_id(&self, id: LaneId) -> Option<&Arc<Lane>> {
        self.all().find(|lane| lane.id == id)
    }

    /// The model of a lane.
    pub(super) fn name_of(&self, id: LaneId) -> Option<&str> {
        self.named.iter().find(|(_, lane)| lane.id == id).map(|(name, _)| &**name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.others.iter().chain(self.named.values())
    }

    pub(super) fn each_named(&self) -> impl Iterator<Item = &Lane> {
        self.named.values().map(|lane| &**lane)
    }

    pub(super) fn len(&self) -> usize {
        self.named.len()
    }
}
