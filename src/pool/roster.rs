//! The members of a pool at one moment, and which of them are open.

use std::collections::HashMap;
use std::sync::Arc;

use super::bitmap::Bitmap;
use super::member::{Member, owner};
use crate::demand::Caller;
use crate::secret::KeyId;

/// Replaced as a whole when keys come or go; readers keep the one they have.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(super) members: Box<[Option<Arc<Member>>]>,
    pub(super) open: Bitmap,
    /// The members by their owners, where callers present keys.
    places: HashMap<Caller, u32>,
}

impl Roster {
    pub(super) fn new(members: Box<[Option<Arc<Member>>]>) -> Self {
        let open = Bitmap::new(members.len());
        Self { members, open, places: HashMap::new() }
    }

    /// The same, able to [`find`](Self::find) members.
    pub(super) fn indexed(self) -> Self {
        let places = self.members.iter().flatten().map(|member| (member.caller(), member.place)).collect();
        Self { places, ..self }
    }

    pub(super) fn find(&self, id: KeyId) -> Option<&Arc<Member>> {
        self.member(self.place_of(owner(id))?).filter(|member| member.id == id)
    }

    /// Where a caller's own key stands.
    pub(super) fn place_of(&self, caller: Caller) -> Option<usize> {
        self.places.get(&caller).map(|&place| place as usize)
    }

    #[inline]
    pub(super) fn member(&self, place: usize) -> Option<&Arc<Member>> {
        self.members.get(place)?.as_ref()
    }
}
