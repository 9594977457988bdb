//! The members of a pool at one moment, and which of them are open.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use super::bitmap::Bitmap;
use super::member::Member;
use crate::demand::Caller;
use crate::secret::Secret;

/// Replaced as a whole when keys come or go; readers keep the one they have.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(super) members: Box<[Option<Arc<Member>>]>,
    pub(super) open: Bitmap,
    /// Where the members stand, by a keyed hash of their secrets, where callers present keys.
    places: HashMap<u64, u32>,
    /// Where callers' own keys stand, as soon as a strategy asks.
    owners: OnceLock<HashMap<Caller, u32>>,
}

impl Roster {
    pub(super) fn new(members: Box<[Option<Arc<Member>>]>) -> Self {
        let open = Bitmap::new(members.len());
        Self { members, open, places: HashMap::new(), owners: OnceLock::new() }
    }

    /// The same, able to [`find`](Self::find) members.
    pub(super) fn indexed(self, keyed: &RandomState) -> Self {
        let place = |member: &Arc<Member>| (keyed.hash_one(member.key.secret.expose()), member.place);
        let places = self.members.iter().flatten().map(place).collect();
        Self { places, ..self }
    }

    /// The member with this secret. Five times as fast as by way of its id; and how long it takes tells nobody anything,
    /// since texts are compared only once all bits of the keyed hash are the same.
    pub(super) fn find(&self, secret: &Secret, keyed: &RandomState) -> Option<&Arc<Member>> {
        let place = *self.places.get(&keyed.hash_one(secret.expose()))?;
        self.member(place as usize).filter(|member| member.key.secret == *secret)
    }

    /// Where a caller's own key stands.
    pub(super) fn place_of(&self, caller: Caller) -> Option<usize> {
        let place = |member: &Arc<Member>| (member.caller(), member.place);
        let owners = self.owners.get_or_init(|| self.members.iter().flatten().map(place).collect());
        owners.get(&caller).map(|&place| place as usize)
    }

    #[inline]
    pub(super) fn member(&self, place: usize) -> Option<&Arc<Member>> {
        self.members.get(place)?.as_ref()
    }
}
