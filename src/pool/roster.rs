//! The members of a pool at one moment, and which of them are open.

use std::sync::Arc;

use super::bitmap::Bitmap;
use super::member::Member;

/// Replaced as a whole when keys come or go; readers keep the one they have.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(super) members: Box<[Option<Arc<Member>>]>,
    pub(super) open: Bitmap,
}

impl Roster {
    pub(super) fn new(members: Box<[Option<Arc<Member>>]>) -> Self {
        let open = Bitmap::new(members.len());
        Self { members, open }
    }

    #[inline]
    pub(super) fn member(&self, place: usize) -> Option<&Arc<Member>> {
        self.members.get(place)?.as_ref()
    }
}
