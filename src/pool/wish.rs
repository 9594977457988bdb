//! What a request wants of a member, and what the pool's books need to know to serve it.

use std::sync::Arc;

use super::tried::Tried;
use crate::demand::{Caller, Demand};

/// On whose behalf a request comes, which model it asks for, and how many tokens it may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) caller: Option<Caller>,
    pub(super) model: Option<Arc<str>>,
    pub(super) tokens: u64,
}

impl Wish {
    #[inline]
    pub(super) fn of(demand: &Demand) -> Self {
        Self { caller: demand.caller_id(), model: demand.shared_model().cloned(), tokens: demand.tokens_needed() }
    }

    pub(super) fn by(caller: Caller) -> Self {
        Self { caller: Some(caller), ..Self::default() }
    }
}

/// A request as the books see it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) wish: &'a Wish,
    pub(super) tried: &'a Tried,
}

impl Asked<'_> {
    pub(super) fn kept(self) -> (Wish, Tried) {
        (self.wish.clone(), self.tried.clone())
    }
}
