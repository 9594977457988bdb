//! The pool behind its handles.

use std::hash::RandomState;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Exhausted;
use super::affinity::Affinity;
use super::capacity::Capacity;
use super::commune::{Allowed, Commune};
use super::lease::Lease;
use super::ledger::Ledger;
use super::random::Random;
use super::roster::Roster;
use super::signals::Signals;
use super::strategy::Strategy;
use super::tried::Tried;
use super::wish::{Asked, Wish};
use crate::clock::{Clock, Timestamp};
use crate::demand::Demand;
use crate::origin::Origin;
use crate::provider::Provider;
use crate::rate::Crowd;
use crate::record::Replica;
use crate::secret::Pepper;
use crate::slot::Slot;
use crate::sync::{Mutex, lock};

pub(crate) struct Shared {
    pub(super) provider: Provider,
    pub(super) origin: Origin,
    pub(super) slot: Arc<dyn Slot>,
    pub(super) pepper: Pepper,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) strategy: Strategy,
    pub(super) roster: ArcSwap<Roster>,
    pub(super) signals: Arc<Signals>,
    pub(super) random: Random,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) capacity: Arc<Capacity>,
    /// Whether keys are held to the pace that refusals have shown.
    pub(super) learns_pace: bool,
    pub(super) max_keys: usize,
    pub(super) commune: Option<Commune>,
    pub(super) allowed: Allowed,
    /// The number that this process counts under.
    pub(super) replica: Replica,
    /// Finds members by their secrets.
    pub(super) keyed: RandomState,
    /// How often keys come that are no members.
    pub(super) strangers: Crowd,
    /// Which keys gave which responses.
    pub(super) affinity: Affinity,
}

impl Shared {
    /// Does something under the lock, then hands out what has come free by it and wakes whom it concerns.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut ledger = lock(&self.ledger);
        let result = act(&mut ledger);
        let (wakers, returned) = ledger.conclude();
        self.signals.set_waiting(ledger.queue.count());
        drop(ledger);
        drop(returned);
        wakers.into_iter().for_each(std::task::Waker::wake);
        result
    }

    #[cold]
    pub(super) fn exhausted(&self, demand: &Demand, tried: Option<&Tried>, now: Timestamp) -> Exhausted {
        let (wish, none) = (Wish::of(demand), Tried::default());
        let fresh = Asked { wish: &wish, tried: &none };
        self.with(|ledger| {
            let soonest = ledger.soonest(&fresh, now);
            let later = |tried: &Tried| match tried.count() {
                0 => soonest,
                _ => ledger.soonest(&Asked { wish: &wish, tried }, now),
            };
            Exhausted {
                at: now,
                soonest,
                untried: tried.and_then(later),
                open: ledger.has_open(&wish, now),
                members: ledger.ids.len(),
                unserved: ledger.is_unserved(&wish),
            }
        })
    }

    /// Whether a lease's member has something to make good besides what its word tells.
    #[cold]
    pub(super) fn has_more_to_clear(&self, lease: &Lease) -> bool {
        let is_struck = |model: &Arc<str>| {
            let roster = self.roster.load();
            let lanes = roster.lanes.load();
            lanes.named(model).is_some_and(|lane| lane.is_struck(lease.member.place))
        };
        self.signals.mood.is_pool_struck() || lease.wish.model.as_ref().is_some_and(is_struck)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("provider", &self.provider).finish_non_exhaustive()
    }
}
